"""``_thread`` and ``threading`` on goroutines.

The classes of ``threading`` stay as they are: what they stand on is replaced. A thread is a
goroutine (`_threads`), a lock parks (`_lock`), a ``local`` has attributes for each goroutine
(`_local`), an ident is a goroutine's (`_ident`). Condition, Event, Semaphore, Barrier and Timer are
Python code over these.

A goroutine that ``gopoll.go()`` started is to ``threading`` what a thread is that was started by
C: `current_thread()` makes a dummy for it, which goes when the goroutine ends.
"""

import _signal  # type: ignore[import-not-found]
import _thread  # noqa: TID251 - the modules that are patched
import sys
import threading  # noqa: TID251
import time as _time  # noqa: TID251
from types import BuiltinFunctionType
from typing import Any, Final

from gopoll.errors import GoExit
from gopoll.monkey import _async_exc, _threads
from gopoll.monkey._ends import ThreadHandle, make_thread_handle
from gopoll.monkey._foreign import adopt_threads, give_back_threads
from gopoll.monkey._ident import builtin, current_frames, get_ident, takes_ident
from gopoll.monkey._local import Local
from gopoll.monkey._lock import Lock, RLock, new_lock
from gopoll.monkey._tracing import SYS
from gopoll.monkey.registry import Room, after_import
from gopoll.runtime.guard import calls_user_code
from gopoll.runtime.sched import this

__all__ = ["ROOM"]


@builtin
def allocate_lock() -> Lock:
    """Create a new lock object. See help(type(threading.Lock())) for information about locks."""
    return new_lock()


_threading: Final[Any] = threading
_make_hook: Final = _threading._make_invoke_excepthook


def make_invoke_excepthook() -> Any:
    """Make what a thread does with an exception; to end by ``goexit()`` is none."""
    hook = _make_hook()

    @calls_user_code
    def invoke_excepthook(thread: Any) -> None:
        if not isinstance(sys.exc_info()[1], GoExit):
            hook(thread)

    return invoke_excepthook


_init_dummy: Final = _threading._DummyThread.__init__
_farewells: Final = Local()
_gone: Final[list[Any]] = []  # dummies of goroutines that have ended


class _Farewell:
    """Ends with its goroutine."""

    __slots__ = ("dummy",)

    def __init__(self, dummy: Any) -> None:
        self.dummy = dummy

    def __del__(self) -> None:
        _gone.append(self.dummy)


def init_dummy(self: Any) -> None:
    """Make the dummy of the current thread; strike off those of threads that have ended.

    One such dummy stays until the next is made, as others do until their ident is used again.
    """
    while _gone:
        dummy = _gone.pop()
        if _threading._active.get(dummy._ident) is dummy:
            _threading._active.pop(dummy._ident, None)
    _init_dummy(self)
    _farewells.last = _Farewell(self)


def _ident_takers() -> dict[str, Any]:
    """Return the places of what hands an ident to C, unless another room cares for it."""
    places: dict[str, Any] = {}
    modules = [_time, _signal, sys.modules.get("signal")]
    names = ("pthread_getcpuclockid", "pthread_kill", "pthread_kill")
    for module, name in zip(modules, names, strict=True):
        original = getattr(module, name, None)
        if isinstance(original, BuiltinFunctionType):
            places[f"{module.__name__}:{name}"] = takes_ident(original)
    return places


def _replacements() -> dict[str, Any]:
    lock: Any = Lock if hasattr(_thread, "lock") else allocate_lock
    low = {
        "start_new_thread": _threads.start_new_thread,
        "start_new": _threads.start_new_thread,
        "start_joinable_thread": _threads.start_joinable_thread,
        "allocate_lock": allocate_lock,
        "allocate": allocate_lock,
        "lock": Lock,
        "LockType": Lock,
        "RLock": RLock,
        "_local": Local,
        "_set_sentinel": _threads.set_sentinel,
        "_ThreadHandle": ThreadHandle,
        "_make_thread_handle": make_thread_handle,
        "_shutdown": _threads.shutdown,
        "_count": _threads.count,
        "get_ident": get_ident,
        "set_name": _threads.set_name,
    }
    high = {
        "_start_new_thread": _threads.start_new_thread,
        "_start_joinable_thread": _threads.start_joinable_thread,
        "_allocate_lock": new_lock,
        "_LockType": Lock,
        "Lock": lock,
        "_CRLock": RLock,
        "local": Local,
        "_set_sentinel": _threads.set_sentinel,
        "_ThreadHandle": ThreadHandle,
        "_make_thread_handle": make_thread_handle,
        "_thread_shutdown": _threads.shutdown,
        "get_ident": get_ident,
        "_set_name": _threads.set_name,
        "_make_invoke_excepthook": make_invoke_excepthook,
        "_sys": SYS,
    }
    if hasattr(threading, "_thread_local_info"):  # since 3.13 dummies go by themselves
        high["_thread_local_info"] = Local()
    else:
        high["_DummyThread.__init__"] = init_dummy
    places = {f"_thread:{name}": new for name, new in low.items() if hasattr(_thread, name)}
    places |= {**_ident_takers(), "sys:_current_frames": current_frames}
    for name, new in high.items():
        if hasattr(threading, name.partition(".")[0]):
            places[f"threading:{name}"] = new
    return places


def _begin() -> None:
    """Take over what is there."""
    after_import("ctypes", _async_exc.install)
    sched = this.sched
    if not sched.is_main_thread:
        _threads.homes.add(sched)
    adopt_threads()


def _end() -> None:
    """Give back what is no place."""
    _async_exc.uninstall()
    give_back_threads()


ROOM = Room(
    "thread",
    replaces=_replacements(),
    leaves={
        "threading:Thread": "its methods are Python code over what is replaced; so are those of "
        "Condition, Event, Semaphore, BoundedSemaphore, Barrier and Timer",
        "threading:get_native_id": "what the kernel calls the OS thread, which goroutines share",
        "threading:stack_size": "of OS threads; the stacks of goroutines grow",
        "threading:settrace": "like setprofile it belongs to the OS thread, which has one",
        "threading:excepthook": "gets what ends a thread, as ever",
        "_thread:interrupt_main": "as a signal does it ends the wait of the main goroutine",
    },
    on_patch=_begin,
    on_restore=_end,
)
