"""Who runs, as a number: the thread idents of goroutines.

    =============================  ===================================================
    who                            its ident
    =============================  ===================================================
    the goroutine that an OS       that of the OS thread
    thread has of its own
    any other goroutine            `_FIRST` and its number: never used again, and
                                   far above every address, which the idents of OS
                                   threads are
    =============================  ===================================================

An OS thread that never used gopoll is asked for its own ident, and gets no scheduler by that.

C functions that want a thread would take such a number for an address and crash. So what hands an
ident to C asks `os_thread` first.
"""

import sys
from collections.abc import Callable
from functools import wraps
from types import FrameType
from typing import Any, Final, TypeVar

from gopoll import _original
from gopoll.monkey._builtin import Builtin
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.sched import schedulers, this

__all__ = [
    "builtin",
    "current",
    "current_frames",
    "find",
    "get_ident",
    "ident_of",
    "os_thread",
    "takes_ident",
]

F = TypeVar("F", bound=Callable[..., Any])

_FIRST: Final = (sys.maxsize >> 1) + 1

_os_ident: Final = _original.get_ident


def builtin(function: F) -> F:
    """Let a function look like one of ``_thread``."""
    made: F = Builtin.of("_thread")(function)
    return made


@builtin
def get_ident() -> int:
    """Return a non-zero integer that uniquely identifies the current thread."""
    thread = _os_ident()
    try:
        sched = schedulers[thread]
    except KeyError:
        return thread
    g = sched.current
    return thread if g is None or g is sched.main else _FIRST + g.id


def current() -> Goroutine[Any]:
    """Return the goroutine that runs; if none does, whose thread a finalizer has interrupted."""
    sched = this.sched
    return sched.current or sched.main


def ident_of(g: Goroutine[Any]) -> int:
    """Return the ident that `g` has."""
    return g.sched.thread if g is g.sched.main else _FIRST + g.id


def find(ident: int) -> Goroutine[Any] | None:
    """Return the living goroutine that has this ident, unless it is an OS thread's own."""
    if ident <= _FIRST:
        return None
    for sched in tuple(schedulers.values()):
        for g in sched.goroutines:
            if g.id == ident - _FIRST:
                return g
    return None


def os_thread(ident: Any) -> Any:
    """Return the ident of the OS thread in which the one with this ident runs.

    What is no goroutine's is returned as it is: an OS thread's, or wrong.

    Raises:
        ProcessLookupError: It was the ident of a goroutine that has ended.
    """
    if not isinstance(ident, int) or ident <= _FIRST:
        return ident
    g = find(ident)
    if g is None:
        raise ProcessLookupError(
            _original.errno.ESRCH, _original.os_strerror(_original.errno.ESRCH)
        )
    return g.sched.thread


def takes_ident(function: Any) -> Any:
    """Return `function`, of C, such that its first argument may be the ident of a goroutine."""

    @wraps(function)
    def call(ident: Any, /, *args: Any) -> Any:
        return function(os_thread(ident), *args)

    made = Builtin(call)
    del call.__wrapped__
    return made


@Builtin.of("sys")  # type: ignore[untyped-decorator]
def current_frames() -> dict[int, FrameType]:
    """Return a dict mapping each thread's thread id to its current stack frame."""
    frames: dict[int, FrameType] = _original.current_frames()
    for sched in tuple(schedulers.values()):
        running = frames.pop(sched.thread, None)
        if sched.thread == _os_ident():
            running = sys._getframe(1)
        for g in sched.goroutines:
            frame = running if g is sched.current else getattr(g.greenlet, "gr_frame", None)
            if frame is not None:
                frames[ident_of(g)] = frame
    return frames
