"""``multiprocessing`` on goroutines: its semaphores park; the rest stands on pipes and processes.

A semaphore that processes share blocks in C, and the kernel tells nobody when it is free. So a
goroutine tries without blocking, and sleeps in between, longer each time.

The recursive kind belongs to an OS thread, which has many goroutines: here it belongs to the one
that took it, and the others wait.

Connections read and write by what ``os.read`` was when they were imported: if that was before the
patch, they are told.
"""

import _multiprocessing as _module  # type: ignore[import-not-found]
import os
import sys
from typing import Any, Final

from gopoll._original import monotonic
from gopoll.monkey._wait import Parked, park
from gopoll.monkey.registry import Room, original
from gopoll.runtime.sched import this

__all__ = ["ROOM"]

_SemLock: Final[Any] = getattr(_module, "SemLock", object)
_RECURSIVE: Final = 0
_SOONEST, _LATEST = 0.0005, 0.010  # between two tries


class SemLock(_SemLock):  # type: ignore[misc]
    """Semaphore/Mutex type"""  # noqa: D415 - the words of the standard library

    __module__ = "_multiprocessing"

    _owner: Any = None  # the goroutine that has it, if it is of the recursive kind

    def acquire(self, block: Any = True, timeout: Any = None) -> bool:
        """Acquire the semaphore/lock."""
        sched = this.sched
        g = sched.current
        if g is None or (timeout is not None and not isinstance(timeout, (int, float))):
            return self._taken(g, block, timeout)
        if self._try(g):
            return True
        if not block or (timeout is not None and timeout <= 0):
            return False
        deadline = None if timeout is None else monotonic() + timeout
        pause = _SOONEST
        while True:
            left = pause if deadline is None else min(pause, deadline - monotonic())
            if left > 0:
                park(Parked(g), "semaphore", left)
            if self._try(g):
                return True
            if left <= 0:
                return False
            pause = min(2 * pause, _LATEST)

    def release(self) -> None:
        """Release the semaphore/lock."""
        if self._is_anothers(this.sched.current):
            raise AssertionError("attempt to release recursive lock not owned by thread")
        owner, self._owner = self._owner, None
        try:
            super().release()
        finally:
            if super()._count() > 0:
                self._owner = owner

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def _is_mine(self) -> bool:
        """Whether the lock is owned by this goroutine."""
        mine: bool = super()._is_mine()
        return mine and not self._is_anothers(this.sched.current)

    def _try(self, g: Any) -> bool:
        return not self._is_anothers(g) and self._taken(g, False, None)

    def _taken(self, g: Any, block: Any, timeout: Any) -> bool:
        taken: bool = super().acquire(block, timeout)
        if taken and self.kind == _RECURSIVE:
            self._owner = g
        return taken

    def _is_anothers(self, g: Any) -> bool:
        """Whether another goroutine has it, which to the original is the same thread."""
        return self._owner is not None and self._owner is not g and super()._count() > 0


_captured: list[tuple[Any, tuple[Any, ...]]] = []  # functions, and the defaults they had


def _rebind_connections() -> None:
    module = sys.modules.get("multiprocessing.connection")
    connection: Any = getattr(module, "Connection", None)
    renewed = {original("os", name): getattr(os, name) for name in ("read", "write", "close")}
    for name in ("_send", "_recv", "_close"):
        method: Any = getattr(connection, name, None)
        defaults = getattr(method, "__defaults__", None)
        if defaults:
            _captured.append((method, defaults))
            method.__defaults__ = tuple(renewed.get(value, value) for value in defaults)


def _give_back_connections() -> None:
    while _captured:
        method, defaults = _captured.pop()
        method.__defaults__ = defaults


ROOM = Room(
    "multiprocessing",
    replaces={"_multiprocessing:SemLock": SemLock} if _SemLock is not object else {},
    leaves={
        "multiprocessing:Process": "is waited for by os.waitpid and by connection.wait",
        "multiprocessing:Pool": "its helper threads are goroutines; its workers are processes",
        "_multiprocessing:sem_unlink": "never waits",
    },
    on_patch=_rebind_connections,
    on_restore=_give_back_connections,
)
