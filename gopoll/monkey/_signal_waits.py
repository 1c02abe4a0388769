"""Waiting for signals, and blocking them, by ``signal``.

Who waits parks, at the price of a question now and then.

A signal that is blocked is pending in the kernel, which tells nobody but who waits for it in the
call itself, and that takes the thread. So `sigwait` and kin ask with a timeout of 0, at intervals.
In between the signals are blocked, even if the program has not done so: as they would be in the
call, they are taken here, and no handler hears of them.

``pause()`` parks until a handler has returned; the visits to main see to that.

The mask of blocked signals belongs to the OS thread. A thread that blocks all of them wants to be
left in peace, and leaves them to the main thread; as a goroutine it is, whatever it blocks. So only
the mask of the goroutine that an OS thread has of its own is real, and the others' is just noted.
"""

import signal as _stdlib  # noqa: TID251 - what is asked
from operator import index
from typing import Any, ClassVar, Final

from gopoll._original import valid_signals
from gopoll.monkey._owed import pausing
from gopoll.monkey._wait import Parked, park
from gopoll.runtime.guard import calls_user_code
from gopoll.runtime.sched import this

__all__ = ["pause", "pthread_sigmask", "sigtimedwait", "sigwait", "sigwaitinfo"]

_pause: Final[Any] = getattr(_stdlib, "pause", None)
_sigmask: Final[Any] = getattr(_stdlib, "pthread_sigmask", None)
_sigpending: Final[Any] = getattr(_stdlib, "sigpending", None)
_sigwait: Final[Any] = getattr(_stdlib, "sigwait", None)
_sigwaitinfo: Final[Any] = getattr(_stdlib, "sigwaitinfo", None)
_sigtimedwait: Final[Any] = getattr(_stdlib, "sigtimedwait", None)

_REASON: Final = "signal"
_SOONEST, _LATEST = 0.001, 0.02  # between two questions


def pause() -> None:
    """Wait until a signal arrives."""
    g = this.sched.current
    if g is None:
        _pause()
        return
    waiter = Parked(g)
    pausing.append(waiter)
    try:
        park(waiter, _REASON, None)
    finally:
        if waiter in pausing:
            pausing.remove(waiter)


def sigwait(sigset: Any) -> Any:
    if this.sched.current is None:
        return _sigwait(sigset)
    found = _await([*sigset], None)
    return found if isinstance(found, int) else _numbered(found.si_signo)


def sigwaitinfo(sigset: Any, /) -> Any:
    """Wait synchronously until one of the signals in *sigset* is delivered.

    Returns a struct_siginfo containing information about the signal.
    """
    if this.sched.current is None:
        return _sigwaitinfo(sigset)
    return _await([*sigset], None)


def sigtimedwait(sigset: Any, timeout: Any, /) -> Any:
    """Like sigwaitinfo(), but with a timeout.

    The timeout is specified in seconds, with floating point numbers allowed.
    """
    if this.sched.current is None or not isinstance(timeout, (int, float)) or not timeout > 0:
        return _sigtimedwait(sigset, timeout)
    return _await([*sigset], timeout)


def _await(signals: list[int], timeout: float | None) -> Any:
    """Return what is told of one of the signals, taken away; None once the time is over."""
    g = this.sched.current
    assert g is not None
    found = _take(signals)
    if found is not None:
        return found
    now = g.timeline.now
    deadline = None if timeout is None else now() + timeout
    pause = _SOONEST
    with _Blocked(signals):
        while True:
            left = pause if deadline is None else min(pause, deadline - now())
            if left > 0:
                park(Parked(g), _REASON, left)
            found = _take(signals)
            if found is not None or left <= 0:
                return found
            pause = min(2 * pause, _LATEST)


def _take(signals: list[int]) -> Any:
    """Take one of the signals, if one is pending."""
    if _sigtimedwait is not None:
        return _sigtimedwait(signals, 0)
    return _sigwait(signals) if _sigpending().intersection(signals) else None


def _numbered(signum: int) -> int:
    try:
        return _stdlib.Signals(signum)
    except ValueError:  # a real-time signal
        return signum


class _Blocked:
    """A time in which signals are blocked in this thread; those that were stay so."""

    __slots__ = ("_keys", "_signals")

    counts: ClassVar[dict[tuple[int, int], int]] = {}  # by thread and signal: how often, by us

    def __init__(self, signals: list[int]) -> None:
        self._signals = signals

    def __enter__(self) -> None:
        thread = this.sched.thread
        before = _sigmask(_stdlib.SIG_BLOCK, self._signals)
        keys = [(thread, signum) for signum in {*map(int, self._signals)}]
        self._keys = [key for key in keys if key in self.counts or key[1] not in before]
        for key in self._keys:
            self.counts[key] = self.counts.get(key, 0) + 1

    def __exit__(self, *exc_info: object) -> None:
        for key in self._keys:
            self.counts[key] -= 1
            if not self.counts[key]:
                del self.counts[key]
                _sigmask(_stdlib.SIG_UNBLOCK, key[1:])


# -- masks ---------------------------------------------------------------------------------------

_masks: Final[dict[int, frozenset[int]]] = {}  # by the number of the goroutine, if it has its own


@calls_user_code
def pthread_sigmask(how: Any, mask: Any) -> Any:
    sched = this.sched
    g = sched.current
    signals = {*mask}
    wrong = not {*map(index, signals)} <= valid_signals()
    if g is None or g is sched.main or wrong or how not in _HOWS:
        return _sigmask(how, signals)
    before = _masks.get(g.id)
    if before is None:
        before = frozenset(_sigmask(_stdlib.SIG_BLOCK, ()))
        living = {other.id for other in sched.goroutines}
        for dead in _masks.keys() - living:
            _masks.pop(dead, None)
    if how == _stdlib.SIG_BLOCK:
        _masks[g.id] = before | signals
    elif how == _stdlib.SIG_UNBLOCK:
        _masks[g.id] = before - signals
    else:
        _masks[g.id] = frozenset(signals)
    return {_numbered(signum) for signum in before}


_HOWS: Final = (_stdlib.SIG_BLOCK, _stdlib.SIG_UNBLOCK, _stdlib.SIG_SETMASK)
