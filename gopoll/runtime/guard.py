"""The lock around a primitive that any OS thread, signal handler or finalizer may enter.

A plain lock is not enough: a signal handler or a ``__del__`` may interrupt its own thread inside a
critical section and ask for the very same lock, and would wait for itself. A re-entrant lock lets
it in, and `busy` tells it that it stands in the middle of somebody's change:

    =========  ======================================  ===============================
    lock       busy                                    meaning
    =========  ======================================  ===============================
    free       False                                   nobody is inside
    held       False                                   the holder changed nothing yet,
                                                       or nothing any more
    held       True, seen by the holder's thread       re-entered: leave it to the inbox
                                                       if it need not wait, else raise
    =========  ======================================  ===============================

The fast path of a primitive spells this out (a call costs more than the lock does)::

    self.latch.acquire()
    if self.busy:
        self.latch.release()
        return self._reentered(...)
    self.busy = True
    try:
        ...                      # no park, no user code, no wake-up of another thread, no logging
    finally:
        self.busy = False
        self.latch.release()

Spelled so, taking and leaving the latch are half the price of a ``with`` block.
"""

from collections.abc import Callable
from types import CodeType, FrameType

from gopoll._original import RLock
from gopoll._typing import Any, TypeVar

__all__ = ["Guard", "calls_user_code", "imports", "in_user_code", "interrupts_gopoll"]

F = TypeVar("F", bound=Callable[..., Any])

_IMPORT = "<frozen importlib._bootstrap>"
_ABOVE = ("gopoll.cli", "gopoll.integrations.")  # they run programs, and change nothing down here
_calls_user_code: set[CodeType] = set()


def calls_user_code(fn: F) -> F:
    """Mark a function of gopoll: what it calls is the program's code, and may be interrupted."""
    _calls_user_code.add(fn.__code__)
    return fn


def in_user_code(frame: FrameType | None) -> bool:
    """Whether `frame` is the program's, and not called by gopoll in the middle of something."""
    while frame is not None and not _is_gopoll(frame):
        frame = frame.f_back
    return frame is None or frame.f_code in _calls_user_code


def imports(frame: FrameType | None) -> bool:
    """Whether `frame` serves an import: who runs meanwhile in this thread sees half a module."""
    while frame is not None and not _is_gopoll(frame):
        if frame.f_code.co_filename == _IMPORT:
            return True
        frame = frame.f_back
    return False


def interrupts_gopoll(frame: FrameType | None) -> bool:
    """Whether a handler or finalizer that `frame` serves stands in the middle of gopoll.

    Then it must not switch: the guards and queues below it are half changed.
    """
    while frame is not None and _is_gopoll(frame):
        frame = frame.f_back  # those whom it has called
    return not in_user_code(frame)


def _is_gopoll(frame: FrameType) -> bool:
    name: str = frame.f_globals.get("__name__", "")
    return name == "gopoll" or (name.startswith("gopoll.") and not name.startswith(_ABOVE))


class Guard:
    """Base class of whatever needs such a lock."""

    __slots__ = ("busy", "latch")

    def __init__(self) -> None:
        self.latch = RLock()
        self.busy = False

    def renew_after_fork(self) -> None:
        """Free the lock in a child: a thread that held it in the parent does not exist here."""
        self.latch._at_fork_reinit()  # type: ignore[attr-defined]
        self.busy = False

    def enter(self) -> None:
        """Take the lock on a path that is not hot; raises if this very thread is inside already."""
        self.latch.acquire()
        if self.busy:
            self.latch.release()
            msg = f"a signal handler or finalizer interrupted this operation on {self!r}"
            raise RuntimeError(msg)
        self.busy = True

    def leave(self) -> None:
        """Undo `enter`."""
        self.busy = False
        self.latch.release()
