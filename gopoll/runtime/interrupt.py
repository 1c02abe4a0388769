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
    another one runs       its own code          it gives way to main, which raises
    another one runs       gopoll's code, or     as soon as it waits, yields, ends or leaves gopoll,
                           an import             or the import is done
    =====================  ====================  ==============================================

Who leaves gopoll may compute for ever: so until main has raised the interrupt, a short-lived thread
raises the signal again every `_AGAIN` seconds. What that thread raises an instant too late is
dropped, so one Ctrl-C is one exception.
"""

from types import FrameType

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
from gopoll._typing import Any
from gopoll.runtime import outside
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.guard import imports, in_user_code
from gopoll.runtime.sched import Scheduler, this

__all__ = ["forget", "install", "uninstall"]

_AGAIN = 0.002


class _Pending:
    """The one interrupt that waits to be raised: `is_set` until main is told, then in main."""

    __slots__ = ("again", "is_set", "thread_runs")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.is_set = False
        self.again = False  # the signal on its way is not the keyboard's, but our thread's
        self.thread_runs = False

    def raised_in(self, main: Goroutine[Any]) -> None:
        self.is_set = False
        if main.pending is not None:
            others = [e for e in main.pending if not isinstance(e, KeyboardInterrupt)]
            main.pending = others or None

    def waits(self, main: Goroutine[Any]) -> bool:
        return self.is_set or any(isinstance(e, KeyboardInterrupt) for e in main.pending or ())


_pending = _Pending()


def install() -> None:
    """Take the place of Python's SIGINT handler, if that is what stands there."""
    if get_ident() == main_thread().ident and getsignal(SIGINT) is default_int_handler:
        set_signal(SIGINT, _dispatch)


def uninstall() -> bool:
    """Give the place back, once the last signal of our own thread has come; False: it is not ours.

    Raises:
        KeyboardInterrupt: It was still to be raised.
    """
    if get_ident() != main_thread().ident or getsignal(SIGINT) is not _dispatch:
        return False
    main = this.sched.main
    waits = False
    while _pending.waits(main) or _pending.thread_runs:
        waits = waits or _pending.waits(main)
        _pending.raised_in(main)
        sleep(_AGAIN / 5)
    set_signal(SIGINT, default_int_handler)
    if waits:
        raise KeyboardInterrupt
    return True


def forget() -> None:
    """Start from nothing: in a forked child neither the interrupt nor the thread exists."""
    _pending.reset()


def _dispatch(_signum: int, frame: FrameType | None) -> None:
    again, _pending.again = _pending.again, False  # before any call: our thread may come in there
    sched = this.sched
    main = sched.main
    waits = _pending.waits(main)
    if again and not waits:
        return
    if sched.current is main and in_user_code(frame):
        _pending.raised_in(main)
        raise KeyboardInterrupt
    if not waits:
        _pending.is_set = True
        sched.inbox.append((_tell_main, sched))
        sched.ring()
    g = sched.current
    if g is None:
        return  # g0 looks into its inbox next
    if g is main or not g.in_call or not in_user_code(frame) or imports(frame):
        _raise_again_later(main)
    else:
        _tell_main(sched)
        sched.operations = 0  # a new turn for main: it will not get back from here what it gives
        sched.give_way()


def _tell_main(sched: Scheduler) -> None:
    """Main is not running now: end its wait, or let it raise as soon as it can."""
    if _pending.is_set:
        _pending.is_set = False
        sched.interrupt(sched.main, KeyboardInterrupt())
        if sched.main.pending is not None:
            _raise_again_later(sched.main)


def _raise_again_later(main: Goroutine[Any]) -> None:
    if not _pending.thread_runs:
        _pending.thread_runs = True
        outside.own_threads[0] += 1
        start_new_thread(_raise_again, (main,))


def _raise_again(main: Goroutine[Any]) -> None:
    try:
        sleep(_AGAIN)
        while _pending.waits(main):
            _pending.again = True  # and at once, for main comes in between at calls only:
            interrupt_main(SIGINT)
            sleep(_AGAIN)
    finally:
        _pending.thread_runs = False
        outside.own_threads[0] -= 1
