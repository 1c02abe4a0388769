"""``bdb`` on goroutines: a debugger steps in the goroutine that it debugs, and never in gopoll.

    ==================  =====================================================================
    stepping            the others run, for as long as the step waits; the debugger stops
                        again where it stopped before, in the same goroutine
    at a breakpoint     whatever goroutine comes there stops
    ==================  =====================================================================

Trace functions belong to the OS thread, and stay what they are.
"""

import bdb as _module
import sys
from types import FrameType
from typing import Any, Final

from gopoll.monkey.registry import Room
from gopoll.runtime.sched import this

__all__ = ["ROOM"]

_set_trace: Final = _module.Bdb.set_trace
_stop_here: Final = _module.Bdb.stop_here


def set_trace(self: Any, frame: FrameType | None = None, *args: Any, **kwargs: Any) -> Any:
    """Start debugging from frame."""
    self._goroutine = this.sched.current
    return _set_trace(self, frame or sys._getframe(1), *args, **kwargs)


def stop_here(self: Any, frame: FrameType) -> bool:
    """Return True if frame is below the starting frame, in the goroutine that is debugged."""
    mine = getattr(self, "_goroutine", None)
    if mine is not None and mine is not this.sched.current and not mine.done:
        return False
    name = str(frame.f_globals.get("__name__", ""))
    return not name.startswith("gopoll.") and _stop_here(self, frame)


ROOM = Room(
    "bdb",
    replaces={"bdb:Bdb.set_trace": set_trace, "bdb:Bdb.stop_here": stop_here},
    leaves={
        "bdb:Bdb.break_here": "a breakpoint stops whoever comes there",
        "sys:settrace": "of the OS thread, and so of all its goroutines; the same for setprofile",
    },
)
