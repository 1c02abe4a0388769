"""Trace and profile functions: they belong to the OS thread, and stay what they are.

In each thread that begins ``threading`` sets those of its own ``settrace()`` and ``setprofile()``.
A goroutine shares its OS thread with others, whose debugger or coverage this would end. So what is
set there stays, and what `threading` has for new threads is set where nothing is.

A tracer that follows calls and returns must know whose they are. coverage does, if it is told that
the program uses greenlets: `tell_coverage`.
"""

import sys
import warnings
from types import ModuleType
from typing import Any, Final

from greenlet import getcurrent

from gopoll.monkey.registry import PatchWarning

__all__ = ["SYS", "tell_coverage"]


class _Sys(ModuleType):
    """What `threading` takes for ``sys``."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)

    def settrace(self, function: Any) -> None:
        """Set the trace function of a thread that begins."""
        if sys.gettrace() is None:
            sys.settrace(function)

    def setprofile(self, function: Any) -> None:
        """Set the profile function of a thread that begins."""
        if sys.getprofile() is None:
            sys.setprofile(function)


SYS: Final = _Sys("sys")


def tell_coverage(*, at_start: bool) -> None:
    """Let coverage tell goroutines apart, if it measures this thread by its trace function.

    Calls that it has seen begin would be lost: so it is told if the program is about to start;
    later its user is.
    """
    tracer: Any = sys.gettrace()
    known = type(tracer).__module__.partition(".")[0] == "coverage"
    if not known or getattr(tracer, "concur_id_func", tracer) is not None:
        return
    if at_start:
        tracer.concur_id_func = getcurrent
    else:
        msg = "coverage mixes goroutines up unless it runs with --concurrency=greenlet"
        warnings.warn(msg, PatchWarning, stacklevel=4)
