"""``signal`` on goroutines: handlers act for the main goroutine, whoever is interrupted.

In the interpreter's table a `_Handler` stands for each handler of the program, which `getsignal`
and `signal` show as if it stood there itself. It never raises in gopoll's own code: what it stands
for is called in the main goroutine, and raises there (`_visits`). That holds for Python's own
handler of Ctrl-C, too. A wait of main goes on after a handler that has returned.

    ====================  ===================================================================
    name                  what becomes of it
    ====================  ===================================================================
    signal getsignal      see above; only the main goroutine may set handlers, as only the
                          main thread may
    pause                 parks until a handler has returned
    sigwait sigtimedwait  ask at intervals: the kernel tells nobody else. Meanwhile the signals
    sigwaitinfo           are blocked, as if the thread were in the call
    pthread_kill          knows goroutines that run as threads: a signal for one of them is one
                          for the main thread, which runs the handlers anyway
    pthread_sigmask       is real for main alone: the mask belongs to the OS thread
    raise_signal          lets others run, too, if that is done many times; main's handler runs
                          before it returns
    set_wakeup_fd         there is one such descriptor in a process, and gopoll's waker has it:
                          the program's gets the same bytes, before the handler runs
    ====================  ===================================================================

Handlers that gopoll has set (`gopoll.os.signal`) stand in the table as they are.
"""

import signal as _stdlib  # noqa: TID251 - the module that is patched
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, Final

from gopoll import _original
from gopoll._original import (
    default_int_handler,
    main_thread,
    os_write,
    set_signal,
    valid_signals,
)
from gopoll.monkey._builtin import Builtin, complain
from gopoll.monkey._ident import os_thread
from gopoll.monkey._owed import POKE, Handler, do, owe, poking
from gopoll.monkey._signal_waits import (
    pause,
    pthread_sigmask,
    sigtimedwait,
    sigwait,
    sigwaitinfo,
)
from gopoll.monkey._visits import attend
from gopoll.monkey.registry import Room
from gopoll.runtime import interrupt
from gopoll.runtime.guard import calls_user_code
from gopoll.runtime.poller.waker import on_signals
from gopoll.runtime.sched import on_thread_of, schedulers, this

__all__ = ["ROOM"]

_signal: Final = _stdlib.signal
_getsignal: Final = _stdlib.getsignal
_raise_signal: Final[Any] = _stdlib.raise_signal
_pthread_kill: Final[Any] = getattr(_stdlib, "pthread_kill", None)

_NOBODY: Final = -1


# -- handlers ------------------------------------------------------------------------------------


class _Handler:
    """What stands in the interpreter's table for a handler of the program."""

    def __init__(self, function: Handler) -> None:
        self.function = function
        # By it others tell a handler of the program, which might wake somebody, from gopoll's own.
        own = function is default_int_handler
        self.__module__ = __name__ if own else str(getattr(function, "__module__", ""))

    def __repr__(self) -> str:
        return f"<handler {self.function!r}>"

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if _wakeup.fd != _NOBODY:
            waker = this.sched.waker
            if waker is None:  # in a forked child that has not waited yet
                _wakeup.write(bytes((signum,)))
            else:
                waker.drain()
        owe(signum, self.function)
        attend(frame)


def _poked(_signum: int, frame: FrameType | None) -> None:
    """Stand for `POKE`: a poke, or, if the program wants to hear of it, a signal of that kind."""
    if not poking.take() and callable(_urgent[0]):
        _wakeup.write(_POKES)
        owe(POKE, _urgent[0])
    attend(frame)


_urgent: Final[list[Any]] = [_stdlib.SIG_DFL]  # what the program has set for `POKE`


@calls_user_code
def signal(signalnum: Any, handler: Any) -> Any:
    _only_in_main()
    _count_operation()
    if this.sched.current is not None:
        do(sys._getframe(1))
    if signalnum == POKE and _original.getsignal(POKE) is _poked:
        if not callable(handler):
            _signal(signalnum, handler)  # which knows whether it is one
            set_signal(POKE, _poked)
        before, _urgent[0] = _urgent[0], handler
        return before
    wraps = callable(handler) and not _is_gopolls(handler)
    return _shown(_signal(signalnum, _Handler(handler) if wraps else handler))


def getsignal(signalnum: Any) -> Any:
    return _shown(_getsignal(signalnum))


def _shown(handler: Any) -> Any:
    """Return what the program has set, where `handler` stands."""
    if isinstance(handler, _Handler):
        return handler.function
    if handler is interrupt._dispatch:
        return default_int_handler
    return _urgent[0] if handler is _poked else handler


def _is_gopolls(handler: Any) -> bool:
    """Whether this is a handler that may strike anywhere, since it was written for that."""
    home = str(getattr(handler, "__module__", ""))
    return isinstance(handler, _Handler) or home.startswith(_OUR_ROOMS)


_OUR_ROOMS: Final = ("gopoll.runtime.", "gopoll.os.", "gopoll.debug.", "gopoll.monkey.")


def _only_in_main() -> None:
    sched = this.sched
    if sched.is_main_thread and sched.current not in (None, sched.main):
        raise ValueError("signal only works in main thread of the main interpreter")


# -- the wake-up descriptor ----------------------------------------------------------------------


class _Wakeup:
    """The descriptor that the program has set."""

    __slots__ = ("fd", "warns")

    def __init__(self) -> None:
        self.fd = _NOBODY
        self.warns = True

    def pass_on(self, signals: bytes) -> None:
        """Tell of what has come, a byte for each, but for pokes."""
        self.write(signals.replace(_POKES, b""))

    def write(self, data: bytes) -> None:
        """Write as the interpreter would."""
        if self.fd == _NOBODY or not data:
            return
        try:
            os_write(self.fd, data)
        except BlockingIOError as exc:
            if self.warns:
                complain(exc, _FULL)
        except OSError as exc:
            complain(exc, _FULL)


_FULL: Final = "Exception ignored when trying to write to the signal wakeup fd"
_POKES: Final = bytes((POKE,))
_wakeup: Final = _Wakeup()


def set_wakeup_fd(fd: Any, /, *, warn_on_full_buffer: Any = True) -> int:
    """Set the descriptor to be written to (with the signal number) when a signal comes in."""
    _only_in_main()
    _original.set_wakeup_fd(
        fd, warn_on_full_buffer=warn_on_full_buffer
    )  # which knows whether it is one
    before = _wakeup.fd
    _wakeup.fd, _wakeup.warns = int(fd), bool(warn_on_full_buffer)
    _original.set_wakeup_fd(_NOBODY)
    _listen()
    return before


def _listen() -> None:
    """Let the waker hear of signals."""
    sched = this.sched
    if sched.waker is None:
        sched.need_poller()
    else:
        sched.waker.hear_signals()


# -- sending -------------------------------------------------------------------------------------


@calls_user_code
def raise_signal(signalnum: Any, /) -> None:
    """Send a signal to the executing process."""
    _count_operation()
    _raise_signal(signalnum)


@calls_user_code
def pthread_kill(thread_id: Any, signalnum: Any, /) -> None:
    """Send a signal to a thread."""
    _count_operation()
    _pthread_kill(os_thread(thread_id), signalnum)


def _count_operation() -> None:
    """An operation begins: after many of them the others run first."""
    sched = this.sched
    sched.operations -= 1
    if sched.operations < 0:
        sched.yield_turn()


# -- the room ------------------------------------------------------------------------------------


def _in_main_thread(change: Callable[[object], None]) -> None:
    """Make a change where handlers can be set; soon, if that is not here."""
    sched = schedulers.get(main_thread().ident or 0)
    if sched is not None:
        on_thread_of(sched, change, None)


def _take_over(_: object) -> None:
    """Stand for what the program has set before."""
    for signum in valid_signals():
        handler = _original.getsignal(signum)
        if handler is interrupt._dispatch:
            set_signal(signum, _Handler(default_int_handler))
        elif callable(handler) and not _is_gopolls(handler):
            set_signal(signum, _Handler(handler))
    stands = _getsignal(POKE)
    _urgent[0] = _shown(stands)
    if stands is None or (_is_gopolls(stands) and not isinstance(stands, _Handler)):
        poking.handler = None
    else:
        set_signal(POKE, _poked)
        poking.handler = _poked
    on_signals.append(_wakeup.pass_on)
    fd = _original.set_wakeup_fd(_NOBODY)
    waker = this.sched.waker
    if fd != _NOBODY and (waker is None or fd != waker._write_fd):
        _wakeup.fd = fd
    with suppress(OSError):  # no descriptors left: there will be when somebody waits
        _listen()  # now, so that its descriptors leave no gap among the program's


def _give_back(_: object) -> None:
    """Let the program's handlers stand there themselves."""
    poking.handler = None
    for signum in valid_signals():
        handler = _original.getsignal(signum)
        if isinstance(handler, _Handler):
            set_signal(signum, handler.function)
        elif handler is _poked:
            _signal(signum, _urgent[0])
    sched = this.sched
    if sched.running or len(sched.goroutines) > 1:
        interrupt.install()
    on_signals.remove(_wakeup.pass_on)
    if _wakeup.fd != _NOBODY:
        _original.set_wakeup_fd(_wakeup.fd, warn_on_full_buffer=_wakeup.warns)
        _wakeup.fd = _NOBODY


def _replacements() -> dict[str, Any]:
    builtin = Builtin.of("signal")
    functions = (signal, getsignal, sigwait, pthread_sigmask)
    places: dict[str, Any] = {new.__name__: new for new in functions}
    for name, new in places.items():
        new.__module__ = "signal"
        new.__doc__ = getattr(_stdlib, name, new).__doc__
    for new in (pause, sigwaitinfo, sigtimedwait, set_wakeup_fd, raise_signal, pthread_kill):
        places[new.__name__] = builtin(new)
    return {f"signal:{name}": new for name, new in places.items() if hasattr(_stdlib, name)}


ROOM = Room(
    "signal",
    replaces=_replacements(),
    leaves={
        "signal:default_int_handler": "stays; so does what it raises",
        "signal:siginterrupt": "patched calls wait for the poller, which any signal interrupts",
        "signal:setitimer": "like alarm a matter of the process; it never waits",
        "signal:sigpending": "never waits",
    },
    on_patch=partial(_in_main_thread, _take_over),
    on_restore=partial(_in_main_thread, _give_back),
)
