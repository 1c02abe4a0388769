"""Real threads and blocking locks beside goroutines, whatever `gopoll.monkey` has patched and when.

A `Thread` of this module is an OS thread: for work that computes, or that blocks in C. In all else
it is a ``threading.Thread``: `current_thread()` knows it, the program waits for it in the end, and
who joins it in a goroutine parks. So are the workers of a `ThreadPoolExecutor`; who waits for one
of its futures parks. Goroutines and such threads talk by the patched locks, events and queues of
``threading`` and ``queue``, and by channels: all of them work between OS threads.

    from gopoll import native

    with native.ThreadPoolExecutor() as pool:
        digest = pool.submit(scrypt, password).result()      # the other goroutines go on

The rest is the standard library without the patch: `Lock`, `RLock`, `Condition`, `Event`,
`Semaphore`, `BoundedSemaphore`, `Barrier`, `local`, `Queue`, `LifoQueue`, `PriorityQueue`,
`SimpleQueue`, `get_ident`, `sleep`, and the whole modules as `threading` and `queue`. They know
nothing of goroutines: whoever waits for one blocks the OS thread, with all its goroutines. They are
for code that runs in real threads only.
"""

import atexit
import builtins
import sys
import threading as _patched  # noqa: TID251 - patched or not
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from types import FunctionType, ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from gopoll import _original
from gopoll.monkey import registry
from gopoll.monkey._wait import Parked, park
from gopoll.runtime.sched import this

if TYPE_CHECKING:
    import queue  # noqa: TID251
    import threading  # noqa: TID251
    from concurrent.futures import ThreadPoolExecutor
    from queue import LifoQueue, PriorityQueue, Queue, SimpleQueue  # noqa: TID251
    from threading import (  # noqa: TID251
        Barrier,
        BoundedSemaphore,
        Condition,
        Event,
        Lock,
        RLock,
        Semaphore,
        local,
    )

__all__ = [
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "LifoQueue",
    "Lock",
    "PriorityQueue",
    "Queue",
    "RLock",
    "Semaphore",
    "SimpleQueue",
    "Thread",
    "ThreadPoolExecutor",
    "get_ident",
    "local",
    "queue",
    "sleep",
    "threading",
]

get_ident = _original.get_ident
sleep = _original.sleep

_HOMES: Final = {
    "threading": (
        *("Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"),
        "local",
    ),
    "queue": ("LifoQueue", "PriorityQueue", "Queue", "SimpleQueue"),
}


_copies: Final[dict[str, ModuleType]] = {}  # whoever is the first to have one makes it


class Thread(_patched.Thread):
    """A ``threading.Thread`` that is an OS thread."""

    is_os_thread = True  # for the room `thread`


def __getattr__(name: str) -> Any:
    if name == "ThreadPoolExecutor":
        value: Any = _make_executor()
    elif name in _HOMES:
        value = _load(name)
    else:
        home = next((home for home, names in _HOMES.items() if name in names), None)
        if home is None:
            msg = f"module 'gopoll.native' has no attribute {name!r}"
            raise AttributeError(msg)
        value = getattr(_load(home), name)
    return globals().setdefault(name, value)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _make_executor() -> type:
    from concurrent.futures import thread as module

    class ThreadPoolExecutor(module.ThreadPoolExecutor):
        """A ``concurrent.futures.ThreadPoolExecutor`` whose workers are OS threads."""

        # What it is in the standard library, but that `threading` has another Thread.
        _adjust_thread_count = FunctionType(
            module.ThreadPoolExecutor._adjust_thread_count.__code__,
            {**vars(module), "threading": SimpleNamespace(**{**vars(_patched), "Thread": Thread})},
        )

    ThreadPoolExecutor.__module__ = __name__
    ThreadPoolExecutor.__qualname__ = "ThreadPoolExecutor"
    return ThreadPoolExecutor


# -- the modules without the patch ---------------------------------------------------------------


def _load(name: str) -> ModuleType:
    """Run the source of a module once more, with the originals for what it imports."""
    if name not in _copies:
        replaced: dict[str, Any] = {"_thread": _plain("_thread")}
        if name == "queue":
            replaced = {"threading": _load("threading"), "_queue": _plain("_queue")}
        copy = _run(name, replaced)
        if _copies.setdefault(name, copy) is copy and name == "threading":
            _correct_main(copy)
            _register_end(partial(_join_all, copy))
    return _copies[name]


def _plain(name: str) -> Any:
    """Return what stands for a module written in C, without the patch."""
    real = sys.modules.get(name)
    if real is None:
        real = __import__(name)
    missing = registry.ABSENT
    places = {
        each: registry.saved.get(f"{name}:{each}", value) for each, value in vars(real).items()
    }
    return SimpleNamespace(**{k: v for k, v in places.items() if v is not missing})


def _run(name: str, replaced: dict[str, Any]) -> ModuleType:
    spec = find_spec(name)
    assert spec is not None and spec.loader is not None  # noqa: PT018 - of the standard library
    code = spec.loader.get_code(name)  # type: ignore[attr-defined]

    def import_(module: str, *args: Any, **kwargs: Any) -> Any:
        return replaced.get(module) or builtins.__import__(module, *args, **kwargs)

    copy = ModuleType(name, f"{name}, without the patch.")
    copy.__dict__["__builtins__"] = {**vars(builtins), "__import__": import_}
    exec(code, copy.__dict__)  # noqa: S102 - of the standard library
    return copy


def _correct_main(module: Any) -> None:
    """Let its main thread be the real one, if it is another that loads the module."""
    main, ident = module._main_thread, _original.main_thread().ident
    if main._ident == ident:
        return
    module._active.pop(main._ident, None)
    module._active[ident] = main
    main._ident = ident
    lock = main._tstate_lock
    module._shutdown_locks.discard(lock)
    main._tstate_lock = module.Lock()
    main._tstate_lock.acquire()


def _register_end(end: Any) -> None:
    """Have the program wait in the end: before its goroutines may end, and after it."""
    with suppress(RuntimeError):  # it is too late for that
        _patched._register_atexit(end)  # type: ignore[attr-defined]
    atexit.register(end)


def _join_all(module: Any) -> None:
    """Wait for its threads; only the calling goroutine does, since they may need the others."""
    for thread in module.enumerate():
        if thread.daemon or thread in (module.main_thread(), module.current_thread()):
            continue
        pause = 0.0005
        while thread.is_alive():
            g = this.sched.current
            if g is None:
                thread.join()
            else:
                park(Parked(g), "thread", pause)
            pause = min(2 * pause, 0.02)
