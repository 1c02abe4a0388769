"""Ctrl-C: the one signal dispatcher of gopoll.

It stands only where Python's own SIGINT handler stood, and does what that one does, in the main
goroutine. But an exception must not be raised in the middle of gopoll's own code, where it would
tear a hand-over, nor in a goroutine that knows nothing of the keyboard:

    =====================  ====================  ==============================================
    SIGINT arrives while   in                    then
    =====================  ====================  ==============================================
    main runs              its own code          KeyboardInterrupt, at once
    main runs              gopoll's code         at main's next wait, or once it has left gopoll
    main waits             anywhere              its wait ends with KeyboardInterrupt
    another one runs       its own code          it gives way, so that main can raise
    another one runs       gopoll's code         as soon as it waits, yields or ends
    =====================  ====================  ==============================================

Main may leave gopoll and compute for ever: so while an interrupt is pending, a short-lived thread
raises the signal again every `_AGAIN` seconds, until main was in a place where it could be told.
"""

from types import CodeType, FrameType
from typing import Any

from gopoll._original import (
    SIGINT,
    default_int_handler,
    get_ident,
    getsignal,
    interrupt_main,
    main_thread,
    set_signal,
    sleep,
    start_new_thread,
)
from gopoll.runtime import outside
from gopoll.runtime.goroutine import work
from gopoll.runtime.sched import Scheduler, schedulers

__all__ = ["install", "uninstall", "user_code_below"]

_AGAIN = 0.005

_calls_user_code: set[CodeType] = {work.__code__}


def user_code_below(fn: Any) -> None:
    """Note that what `fn` calls is the program's code, although `fn` is gopoll's."""
    _calls_user_code.add(fn.__code__)


class _Pending:
    """The one interrupt that waits to be raised."""

    __slots__ = ("is_set", "thread_runs")

    def __init__(self) -> None:
        self.is_set = False
        self.thread_runs = False


_pending = _Pending()


def install() -> None:
    """Take the place of Python's SIGINT handler, if that is what stands there."""
    if get_ident() == main_thread().ident and getsignal(SIGINT) is default_int_handler:
        set_signal(SIGINT, _dispatch)


def uninstall() -> None:
    """Give the place back."""
    if get_ident() == main_thread().ident and getsignal(SIGINT) is _dispatch:
        set_signal(SIGINT, default_int_handler)


def _dispatch(_signum: int, frame: FrameType | None) -> None:
    sched = schedulers[get_ident()]
    at_home = _in_user_code(frame)
    if at_home and sched.current is sched.main:
        _pending.is_set = False
        raise KeyboardInterrupt
    if not _pending.is_set:
        _pending.is_set = True
        sched.inbox.append((_tell_main, sched))
        sched.ring()
    if sched.current is sched.main:
        if not _pending.thread_runs:
            _pending.thread_runs = True
            outside.own_threads[0] += 1
            start_new_thread(_raise_again, ())
    elif at_home:
        sched.yield_turn()


def _tell_main(sched: Scheduler) -> None:
    """From the inbox: main is not running now, so its wait can be ended."""
    if _pending.is_set:
        _pending.is_set = False
        sched.interrupt(sched.main, KeyboardInterrupt())


def _raise_again() -> None:
    try:
        sleep(_AGAIN)
        while _pending.is_set:
            interrupt_main(SIGINT)
            sleep(_AGAIN)
    finally:
        _pending.thread_runs = False
        outside.own_threads[0] -= 1


def _in_user_code(frame: FrameType | None) -> bool:
    """Whether the innermost gopoll frame, if any, is one that calls the program's code."""
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] == "gopoll":
            return frame.f_code in _calls_user_code
        frame = frame.f_back
    return True
