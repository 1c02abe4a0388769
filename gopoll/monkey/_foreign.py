"""Threads that ran before the patch: OS threads they stay, and goroutines wait for their ends.

Python tells the end of such a thread in C: by a lock that is released, or (since 3.13) by a handle.
To wait for either would block the OS thread. So what stands for them here asks, and sleeps in
between, longer each time.
"""

import threading  # noqa: TID251 - the module that is patched
from collections.abc import Callable
from typing import Any, Final

from gopoll import _original
from gopoll._original import monotonic
from gopoll.monkey._ends import Sentinel, ThreadHandle, make_thread_handle
from gopoll.monkey._lock import new_lock
from gopoll.monkey._wait import Parked, park
from gopoll.runtime.sched import this

__all__ = ["adopt_threads", "give_back_threads"]

_SOONEST: Final = 0.0005
_LATEST: Final = 0.010
_threading: Final[Any] = threading


def _ask_until(ask: Callable[[], bool], timeout: float | None) -> bool:
    """Park until ``ask()``; False once `timeout` seconds are over."""
    deadline = None if timeout is None else monotonic() + timeout
    pause = _SOONEST
    while not ask():
        left = pause if deadline is None else min(pause, deadline - monotonic())
        g = this.sched.current
        if left <= 0 or g is None:
            return False
        park(Parked(g), "thread", left)
        pause = min(2 * pause, _LATEST)
    return True


class ForeignSentinel:
    """Stands for the lock of a thread, up to Python 3.12."""

    __slots__ = ("_at_fork_reinit", "_native", "locked", "release")

    def __init__(self, native: Any) -> None:
        self._native = native
        self.locked = native.locked
        self.release = native.release
        self._at_fork_reinit = native._at_fork_reinit

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock: the thread has ended."""

        def ask() -> bool:
            taken: bool = self._native.acquire(False)
            return taken

        if not blocking:
            return ask()
        return _ask_until(ask, None if timeout < 0 else timeout)


class ForeignHandle(ThreadHandle):
    """Stands for the handle of a thread, since Python 3.13."""

    __slots__ = ("_native",)

    def __init__(self, native: Any) -> None:
        super().__init__()
        self._native = native
        self._begin(native.ident)

    def is_done(self) -> bool:
        """Return whether the thread has ended."""
        done: bool = self._native.is_done()
        return done or super().is_done()

    def join(self, timeout: float | None = None, /) -> None:
        """Wait until the thread has ended, at most `timeout` seconds."""
        if threading.get_ident() == self.ident:
            raise RuntimeError("Cannot join current thread")
        _ask_until(self.is_done, None if timeout is None or timeout < 0 else timeout)


def adopt_threads() -> None:
    """Let goroutines wait for the threads that exist, and for the main thread."""
    main = threading.main_thread()
    alive = threading.enumerate()
    for thread in {*alive, *tuple(_threading._dangling)}:
        if isinstance(thread, _threading._DummyThread):
            continue
        if hasattr(thread, "_tstate_lock"):
            if thread._tstate_lock is not None:
                _adopt_sentinel(thread, is_main=thread is main)
            continue
        name = _handle_name(thread)
        handle = getattr(thread, name)
        if isinstance(handle, ThreadHandle):
            continue
        if thread is main:
            setattr(thread, name, make_thread_handle(thread.ident or 0))
        elif thread in alive:
            setattr(thread, name, ForeignHandle(handle))
        elif thread.ident is None:
            setattr(thread, name, ThreadHandle())


def give_back_threads() -> None:
    """Let threads that were not started yet become what they would have been."""
    for thread in tuple(_threading._dangling):
        name = _handle_name(thread)
        if thread.ident is None and isinstance(getattr(thread, name, None), ThreadHandle):
            setattr(thread, name, _original.ThreadHandle())


def _handle_name(thread: Any) -> str:
    return "_handle" if hasattr(thread, "_handle") else "_os_thread_handle"


def _adopt_sentinel(thread: Any, *, is_main: bool) -> None:
    native, locks = thread._tstate_lock, _threading._shutdown_locks
    if isinstance(native, (Sentinel, ForeignSentinel)):
        return
    if is_main:  # its end is told by `threading` itself
        sentinel: Any = new_lock(Sentinel)
        sentinel.acquire()
    else:
        sentinel = ForeignSentinel(native)
    thread._tstate_lock = sentinel
    with _threading._shutdown_locks_lock:
        if native in locks:
            locks.discard(native)
            locks.add(sentinel)
