"""Exceptions that one thread has raised in another: ``PyThreadState_SetAsyncExc``, by `ctypes`.

Libraries stop threads that way. The C function knows OS threads only, and raises in whatever runs
there. So what stands for it among the functions of `ctypes` looks first:

    =====================================  =======================================================
    the one who shall raise                then
    =====================================  =======================================================
    is not known                           nobody: 0, as ever
    runs, as does everybody who calls      the original, which raises at the next instruction
    this for himself
    waits, or is about to run              the wait ends with the exception, or else the next one
    =====================================  =======================================================
"""

import sys
from typing import Any, Final

from gopoll.monkey._ident import find
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.sched import schedulers
from gopoll.runtime.waitq import on_thread_of

__all__ = ["install", "uninstall"]

_NAME: Final = "PyThreadState_SetAsyncExc"


class SetAsyncExc:
    """Stands for the C function."""

    def __init__(self, original: Any, ctypes: Any) -> None:
        def call(ident: int, exc: Any) -> Any:
            if exc is not None and not isinstance(exc, ctypes.py_object):
                exc = ctypes.py_object(exc)
            return original(ctypes.c_ulong(ident), exc)

        self._call = call
        self.argtypes = original.argtypes
        self.restype = original.restype

    def __call__(self, ident: Any, exc: Any) -> int:
        number = getattr(ident, "value", ident)
        sched = schedulers.get(number)
        g = sched.main if sched is not None else find(number)
        if g is None or g.sched.current is g:
            thread = number if g is None else g.sched.thread
            done: int = self._call(thread, exc)
            return done
        what = getattr(exc, "value", exc)
        if what is not None:  # else one that was not raised yet is to be dropped
            on_thread_of(g.sched, _raise, (g, what))
        return 1


def _raise(what: tuple[Goroutine[Any], Any]) -> None:
    g, exc = what
    if not g.done:
        g.sched.interrupt(g, exc() if isinstance(exc, type) else exc)


def install() -> None:
    """Take the place, now that `ctypes` is imported."""
    ctypes: Any = sys.modules["ctypes"]
    setattr(ctypes.pythonapi, _NAME, SetAsyncExc(ctypes.pythonapi[_NAME], ctypes))


def uninstall() -> None:
    """Give it back."""
    ctypes: Any = sys.modules.get("ctypes")
    if ctypes is not None and isinstance(vars(ctypes.pythonapi).get(_NAME), SetAsyncExc):
        delattr(ctypes.pythonapi, _NAME)  # it is looked up anew
