"""Signals, on channels; Go's package ``os/signal``.

Who asks for a signal gets it as a value, and it does nothing else any more: SIGTERM does not end
the program, Ctrl-C raises no ``KeyboardInterrupt``. Nobody waits for the receiver: what does not
fit into a channel is dropped. Several of one kind may arrive as one, as signals always could.

Signals are members of ``signal.Signals``, but for the real-time signals between SIGRTMIN and
SIGRTMAX, which have no name and are plain numbers.

Contract:

- Delivery never blocks, and works whatever the main thread does: it runs a goroutine, or all
  goroutines wait. It needs no descriptor and no goroutine of its own.
- After ``stop(ch)`` has returned, nothing arrives in ``ch``. A signal that came before is there.
- Whoever waits while a signal is asked for may be woken by it, so that is never a deadlock.
- A forked child begins without channels, its signals as they were before `notify`.

How handlers are set and given back: see ``gopoll/os/_handlers.py``.
"""

from collections.abc import Callable
from signal import Signals, strsignal  # noqa: TID251 - what nobody patches
from typing import Any, Final

from gopoll._context import Active, find
from gopoll._original import getsignal, valid_signals
from gopoll.chan import Chan, nil_chan
from gopoll.context import Canceled, Context, Derived
from gopoll.errors import ChannelClosed
from gopoll.os import _handlers
from gopoll.os._handlers import IGNORE, Listener

__all__ = ["ignore", "ignored", "notify", "notify_context", "reset", "stop"]

_UNCATCHABLE: Final = frozenset({Signals.SIGKILL, Signals.SIGSTOP})
# A handler that swallows these makes an endless loop of a crash.
_FAULTS: Final = frozenset({Signals.SIGBUS, Signals.SIGFPE, Signals.SIGILL, Signals.SIGSEGV})
_MEMBERS: Final[dict[int, Signals]] = {int(member): member for member in Signals}
_SOON: Final = 0.01  # seconds in which another thread has left the channel, unless it waits for us


def notify(chan: Chan[Any], *signals: int) -> None:
    """Send the given signals to `chan` when they arrive. Mirrors ``signal.Notify``.

    Without any, all that can be caught; except SIGBUS, SIGFPE, SIGILL and SIGSEGV, which mean a
    crash and must be named. Give the channel a buffer: one place is enough for one kind of signal.
    Call this again to add signals. Each channel gets every signal that it asked for.

    Raises:
        TypeError: `chan` is no channel, or a signal no number.
        ValueError: `chan` is ``nil_chan``, there is no such signal, or it cannot be caught.
        ChannelClosed: `chan` is closed.
        RuntimeError: This is not the main thread, and that one does not run goroutines.
    """
    _check_chan(chan)
    if chan is nil_chan:
        msg = "notify using nil channel"
        raise ValueError(msg)
    if chan.closed:
        msg = "notify on closed channel"
        raise ChannelClosed(msg)
    _handlers.listen(_ChanListener(chan), _numbers(signals) or _all_to_hear())


def stop(chan: Chan[Any]) -> None:
    """Send no more signals to `chan`; once this returns, none arrives. Mirrors ``signal.Stop``.

    Signals that nobody asks for any more do again what they did before. If the channel gets none,
    nothing happens. Stop before you close the channel: until then its signals do nothing.

    Raises:
        TypeError: `chan` is no channel.
        RuntimeError: This is not the main thread, and that one does not run goroutines. The channel
            gets nothing more, but its signals do not yet do again what they did before.
    """
    _check_chan(chan)
    _handlers.stop(chan)


def ignore(*signals: int) -> None:
    """Have the given signals, or all, do nothing; no channel gets them. Mirrors ``signal.Ignore``.

    Programs that are started from now on ignore them, too, unless they are told otherwise.

    Raises:
        TypeError, ValueError, RuntimeError: As `notify`.
    """
    _handlers.ignore(_numbers(signals) or _all_to_hear())


def reset(*signals: int) -> None:
    """Undo `notify` and `ignore` for the given signals, or for all. Mirrors ``signal.Reset``.

    Raises:
        TypeError, ValueError, RuntimeError: As `notify`.
    """
    _handlers.reset(_numbers(signals) or frozenset(valid_signals()))


def ignored(signum: int) -> bool:
    """Return whether the signal is ignored, by whomever. Mirrors ``signal.Ignored``.

    Python itself ignores SIGPIPE and SIGXFSZ, so that a write fails instead; ``nohup`` SIGHUP.

    Raises:
        TypeError: `signum` is no number.
        ValueError: There is no such signal.
    """
    return bool(getsignal(_number(signum)) == IGNORE)


def notify_context(parent: Context, *signals: int) -> Derived[Callable[[], None]]:
    """Derive a context that is done when one of the signals arrives, or when `parent` is.

    Then ``gopoll.context.cause()`` names the signal: ``interrupt signal received``. The signals do
    nothing else, however many arrive, until ``stop()`` is called, which cancels the context, too.
    As a ``with`` block it stops in the end. Mirrors ``signal.NotifyContext``.

    Returns:
        The context, and its ``stop``.

    Raises:
        TypeError: `parent` is no context, or a signal no number.
        ValueError, RuntimeError: As `notify`.
    """
    if not isinstance(parent, Context):
        msg = f"expected a context, such as background(), got {parent!r}"
        raise TypeError(msg)
    numbers = _numbers(signals)
    ctx = _SignalContext(parent, [_name(int(signum)) for signum in signals])
    try:
        _handlers.listen(_ContextListener(ctx), numbers or _all_to_hear())
    except BaseException:
        ctx.cancel()
        raise
    return Derived(ctx, ctx.stop)


class _ChanListener(Listener):
    """A channel that gets signals."""

    __slots__ = ()

    target: Chan[Any]

    def tell(self, signum: int) -> None:
        try:
            self.target.try_send(_MEMBERS.get(signum, signum))
        except ChannelClosed:  # there is nobody whom a handler could tell that
            return

    def tell_inside(self, signum: int) -> bool:
        chan = self.target
        if not chan.latch.acquire(True, _SOON):
            return False
        try:
            if chan.busy:
                return False
            self.tell(signum)
            return True
        finally:
            chan.latch.release()


class _SignalContext(Active):
    """A context that a signal ends."""

    __slots__ = ("_name", "_parent")

    def __init__(self, parent: Context, names: list[str]) -> None:
        super().__init__(parent)
        self.parent = None  # it begins a name of its own, and looks for values itself
        self._parent = parent
        which = f", [{' '.join(names)}]" if names else ""
        self._name = f"signal.NotifyContext({parent!r}{which})"

    def own_name(self) -> str:
        return self._name

    def own_value(self, key: object) -> Any:
        return find(self._parent, key)

    def stop(self) -> None:
        self.cancel()
        _handlers.stop(self)


class _ContextListener(Listener):
    """A context that a signal ends; a change of many things at once, so not inside of another."""

    __slots__ = ()

    target: _SignalContext

    def tell(self, signum: int) -> None:
        self.target.end(Canceled, Canceled(f"{_name(signum)} signal received"))


def _check_chan(chan: object) -> None:
    if not isinstance(chan, Chan):
        msg = f"expected a channel, got {chan!r}"
        raise TypeError(msg)


def _number(signum: object) -> int:
    if not isinstance(signum, int) or isinstance(signum, bool):
        msg = f"a signal is a number, such as signal.SIGTERM, got {signum!r}"
        raise TypeError(msg)
    if signum not in valid_signals():
        msg = f"there is no signal {int(signum)}"
        raise ValueError(msg)
    return int(signum)


def _numbers(signals: tuple[object, ...]) -> frozenset[int]:
    numbers = frozenset(map(_number, signals))
    for signum in numbers:
        if signum in _UNCATCHABLE:
            msg = f"{_MEMBERS[signum].name} cannot be caught"
            raise ValueError(msg)
        if getsignal(signum) is None:
            msg = f"signal {signum} has a handler that is not Python's and could not be given back"
            raise ValueError(msg)
    return numbers


def _all_to_hear() -> frozenset[int]:
    every = frozenset(valid_signals()) - _UNCATCHABLE - _FAULTS
    return frozenset(signum for signum in every if getsignal(signum) is not None)


def _name(signum: int) -> str:
    """Return what Go calls it: ``interrupt``."""
    return (strsignal(signum) or f"signal {signum}").partition(":")[0].lower()
