"""Threads that are goroutines: how they start, end, are counted and waited for.

    ==============================================  =============================================
    a thread is started in                          and is
    ==============================================  =============================================
    the main OS thread, or the one that patched     a goroutine there
    another one, inside of ``gopoll.run()`` or of   a goroutine there
    one of its goroutines
    another one                                     an OS thread: the one that starts it may
                                                    compute, block in C, or end
    any, by ``native.Thread``                       an OS thread
    ==============================================  =============================================

An OS thread that is started here has its own goroutine, as any has; what follows is the same for
both kinds, and `_Call` is its body. It ends in the order in which CPython's do: the thread's local
attributes go, then it is not counted any more, then whoever waits for its end learns of it. Threads
outlive the `run()` in which they were started, and an OS thread waits in its end for those in it
that are no daemons.

Up to Python 3.12 a thread is waited for by a `Sentinel`, since 3.13 by a `ThreadHandle`. A forked
child keeps the thread that forked.
"""

import os
import sys
import threading  # noqa: TID251 - the module that is patched
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from gopoll import _original
from gopoll.errors import GoExit
from gopoll.monkey._builtin import complain
from gopoll.monkey._ends import Sentinel, ThreadHandle, only_survivor
from gopoll.monkey._ident import builtin, current, get_ident, ident_of
from gopoll.monkey._lock import Lock, new_lock
from gopoll.runtime import fork, interrupt, outside
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.guard import calls_user_code
from gopoll.runtime.lifetime import outliving
from gopoll.runtime.sched import Scheduler, this

__all__ = [
    "count",
    "homes",
    "set_name",
    "set_sentinel",
    "shutdown",
    "start_joinable_thread",
    "start_new_thread",
]

homes: set[Scheduler] = set()  # of threads, besides the main one, where threads are goroutines
_running: Final[dict[int, "_Call"]] = {}  # by the number of the goroutine in it
_awaited: Final[dict[int, "Sentinel"]] = {}  # the sentinel of each, by the same
_calls: Final = [0]  # of goroutines, since OS threads are counted by Python


class _Call:
    """The body of a thread."""

    __slots__ = ("args", "daemon", "function", "handle", "is_due", "is_goroutine", "kwargs")

    def __init__(
        self,
        function: Callable[..., object],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        handle: "ThreadHandle | None",
        *,
        daemon: bool,
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.handle = handle
        self.daemon = daemon
        self.is_goroutine = True
        self.is_due = False  # started, and did not run yet

    def __del__(self) -> None:
        if self.is_due:  # its goroutine was told to end before
            _calls[0] -= 1
            if self.handle is not None:
                self.handle._set_done()

    @calls_user_code
    def run(self) -> None:
        """Live."""
        self.is_due = False
        g = current()
        _running[g.id] = self
        try:
            # Without a *, if it can be: see `goroutine.work`.
            if self.args or self.kwargs:
                self.function(*self.args, **self.kwargs)
            else:
                self.function()
        except (SystemExit, GoExit):
            pass
        except BaseException as exc:
            _complain(self.function, exc)
        finally:
            if self.is_goroutine and g is g.sched.main:  # of a forked child, which ends with it
                threading._shutdown()  # type: ignore[attr-defined]
            self.end(g)

    def end(self, g: Goroutine[Any]) -> None:
        """Clear away."""
        g.life = None
        del _running[g.id]
        outliving.pop(g, None)
        if self.is_goroutine:
            _calls[0] -= 1
        sentinel = _awaited.pop(g.id, None)
        if sentinel is not None and sentinel.locked():
            sentinel.release()
        if self.handle is not None:
            self.handle._set_done()


def _start(call: _Call) -> int:
    """Start a thread; return its ident."""
    if sys.is_finalizing():
        raise RuntimeError("can't create new thread at interpreter shutdown")
    sched = this.sched
    thread = getattr(call.function, "__self__", None)
    if getattr(thread, "is_os_thread", False) or not _is_home(sched):
        call.is_goroutine = False
        return _start_os_thread(call)
    if len(sched.goroutines) == 1:
        interrupt.install()
    g: Goroutine[Any] = Goroutine.create(sched, call.run, (), {}, _caller())
    g.context = None  # a thread has none of its creator's
    g.name = thread.name if isinstance(thread, threading.Thread) else _name(call.function)
    ident = ident_of(g)
    if call.handle is not None:
        call.handle._begin(ident)
    _calls[0] += 1
    call.is_due = True
    outliving[g] = not call.daemon
    sched.start(g)
    return ident


def _is_home(sched: Scheduler) -> bool:
    if sched.dead:
        return False
    if sched.is_main_thread or sched.running or sched in homes:
        return True
    return sched.current is not None and sched.current is not sched.main


def _start_os_thread(call: _Call) -> int:
    handle = call.handle
    if handle is None:
        return _original.start_new_thread(call.run, ())
    begun: Lock = new_lock()
    begun.acquire()

    def run() -> None:
        handle._begin(_original.get_ident())
        begun.release()
        call.run()

    ident = _original.start_new_thread(run, ())
    begun.acquire()
    return ident


def _caller() -> int:
    """How many frames above what `_start` calls, as this, somebody wanted a thread."""
    depth = 3  # above `_start` and what is in `_thread`
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None and frame.f_globals.get("__name__") == "threading":
        frame = frame.f_back
        depth += 1
    return depth if frame is not None else 3


def _name(function: object) -> str:
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__


def _complain(function: object, exc: BaseException) -> None:
    """Tell of an exception that nobody caught, by ``sys.unraisablehook``."""
    message = "Exception ignored in thread started by"
    trace = exc.__traceback__
    if trace is not None and trace.tb_next is not None:
        exc.__traceback__ = trace.tb_next  # without our own frame
    if sys.version_info >= (3, 13):  # since then the function is told of in the words alone
        complain(exc, f"{message} {function!r}")
    else:
        complain(exc, message, function)


@builtin
def start_new_thread(
    function: Callable[..., object], args: tuple[Any, ...], kwargs: Any = None, /
) -> int:
    """Start a new thread and return its identifier."""
    if not callable(function):
        raise TypeError("first arg must be callable")
    if not isinstance(args, tuple):
        raise TypeError("2nd arg must be a tuple")
    if kwargs is not None and not isinstance(kwargs, dict):
        raise TypeError("optional 3rd arg must be a dictionary")
    thread = getattr(function, "__self__", None)
    daemon = not isinstance(thread, threading.Thread) or thread.daemon
    return _start(_Call(function, args, kwargs or {}, None, daemon=daemon))


@builtin
def count() -> int:
    """Return the number of threads that were started and have not ended; see ``_thread._count``."""
    # One of our own, just started, is not counted by Python before it runs.
    return max(0, _original.thread_count() - outside.own_threads[0]) + _calls[0]


@builtin
def set_sentinel() -> Sentinel:
    """Return a lock that will be released when the current thread ends."""
    sentinel = _awaited[current().id] = new_lock(Sentinel)
    return sentinel


@builtin
def set_name(name: str) -> None:
    """Set the name of the OS thread: only a thread that has one for itself may."""
    g = current()
    if g is g.sched.main:
        _original.thread_set_name(name)


_at_exit: Final[dict[ThreadHandle, None]] = {}  # whose ends the interpreter waits for


@builtin
def start_joinable_thread(
    function: Callable[[], object], handle: ThreadHandle | None = None, daemon: bool = True
) -> ThreadHandle:
    """Start a new thread, in which `function` is called without arguments."""
    if not callable(function):
        raise TypeError("thread function must be callable")
    if handle is None:
        handle = ThreadHandle()
    elif not isinstance(handle, ThreadHandle):
        raise TypeError("'handle' must be a _ThreadHandle")
    if handle._begun:
        raise RuntimeError("thread already started")
    _start(_Call(function, (), {}, handle, daemon=daemon))
    if not daemon:
        for other in tuple(_at_exit):
            if other.is_done():
                _at_exit.pop(other, None)
        _at_exit[handle] = None
    return handle


@builtin
def shutdown() -> None:
    """Wait for all threads that are not daemons; one that is interrupted is not waited for."""
    for handle in iter(lambda: next(iter(_at_exit), None), None):
        del _at_exit[handle]
        if handle.ident != ident_of(current()):
            handle.join()
    _original.thread_shutdown()  # of those whom we do not know


def _in_child() -> None:
    """Only the thread that forked is left."""
    me = current()
    call, sentinel = _running.get(me.id), _awaited.get(me.id)
    _running.clear()
    _awaited.clear()
    _at_exit.clear()
    homes.clear()
    outliving.clear()
    _calls[0] = 0
    if call is not None:
        _running[me.id] = call
        _calls[0] = int(call.is_goroutine)
    if sentinel is not None:
        _awaited[me.id] = sentinel
    _rename_main()


def _rename_main() -> None:
    """Give the main thread of the child the ident that it has now: that of the OS thread."""
    main: Any = threading.main_thread()
    ident = _original.get_ident()
    if main._ident != ident:
        threading._active.pop(main._ident, None)  # type: ignore[attr-defined]
        threading._active[ident] = main  # type: ignore[attr-defined]
        main._ident = ident
    only_survivor(getattr(main, "_handle", getattr(main, "_os_thread_handle", None)), ident)


def _be_known() -> None:
    """Before a fork, be a thread that `threading` knows; its hook in the child is before ours.

    For one whom it does not know that makes a main thread, which since 3.13 has the ident of the OS
    thread, and asks whether it is ours.
    """
    if threading.get_ident is get_ident and _original.ThreadHandle is not None:
        threading.current_thread()


os.register_at_fork(before=_be_known)
fork.in_child(_in_child)
