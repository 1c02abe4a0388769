"""What signals have called for and main has not done yet: owed handlers, late exceptions, pokes.

    =========  ============================================================================
    what       until
    =========  ============================================================================
    owed       main does it, by `do`: a handler to be called
    late       it is raised in main: what a handler raised while main's wait had ended, too
    =========  ============================================================================

"A moment later" may be never, if what was interrupted computes for ever. So a short-lived thread
pokes the main thread every `_AGAIN` seconds as long as anything is due. A poke is a simulated
signal, of a kind that does nothing unless a program says otherwise.
"""

from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from gopoll._original import SIGURG, getsignal, interrupt_main, sleep, start_new_thread
from gopoll.monkey._wait import Parked
from gopoll.monkey._waited import begin_turn
from gopoll.runtime import fork, outside
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.guard import calls_user_code
from gopoll.runtime.sched import this
from gopoll.runtime.waitq import resume

__all__ = [
    "POKE",
    "Handler",
    "do",
    "is_due",
    "late",
    "owe",
    "owed",
    "pausing",
    "poke",
    "poke_later",
    "poking",
]

Handler = Callable[[int, FrameType | None], Any]

POKE: Final = SIGURG
_AGAIN: Final = 0.002

pausing: Final[list[Parked]] = []  # who waits for a handler to have run
owed: Final[dict[int, Handler]] = {}
order: Final[deque[int]] = deque()
late: Final[list[BaseException]] = []  # what was raised, and is pending in main


def owe(signum: int, handler: Handler) -> None:
    """Note that `handler` is to be called; a signal that comes again before that is the same."""
    fresh = signum not in owed
    owed[signum] = handler
    if fresh:
        order.append(signum)


@calls_user_code
def do(frame: FrameType | None) -> None:
    """Raise what is late, and do what is owed; in main, which is nowhere in gopoll's code."""
    done = False
    try:
        exc = _take_late()
        if exc is not None:
            raise exc
        while True:
            try:
                signum = order.popleft()  # if another signal has not come in here, and done it
            except IndexError:
                break
            handler = owed.pop(signum, None)
            if handler is not None:
                done = True
                handler(signum, frame)
    except BaseException:
        begin_turn(this.sched)
        raise
    finally:
        if order:  # the others come after what this one has raised
            poke_later(this.sched.main)
    if done:
        for waiter in tuple(pausing):
            if waiter.claim():
                waiter.ok = True
                resume(waiter.g)


def _take_late() -> BaseException | None:
    """Return what is pending in main and was raised by a handler."""
    if late:
        main = this.sched.main
        pending = main.pending or []
        late[:] = [exc for exc in late if any(exc is other for other in pending)]
        if late:
            exc = late.pop(0)
            main.pending = [other for other in pending if other is not exc] or None
            return exc
    return None


def is_due(main: Goroutine[Any]) -> bool:
    """Whether something is owed, or late."""
    pending = main.pending or ()
    return bool(order) or any(exc is other for exc in tuple(late) for other in pending)


# -- pokes ---------------------------------------------------------------------------------------


class _Poking:
    """The thread that pokes, and what it needs to tell the handler that stands for `POKE`."""

    __slots__ = ("handler", "sent", "thread_runs")

    def __init__(self) -> None:
        self.handler: object = None  # nobody is poked without it
        self.sent = self.thread_runs = False

    def take(self) -> bool:
        """Whether the signal that has come is a poke; asked once, and before anything else."""
        sent, self.sent = self.sent, False
        return sent


poking: Final = _Poking()


def poke() -> None:
    """Have Python look for signals in the main thread."""
    if getsignal(POKE) is poking.handler:
        poking.sent = True  # and at once, for main comes in between at calls only:
        interrupt_main(POKE)


def poke_later(main: Goroutine[Any]) -> None:
    """Have the main thread poked until nothing is due any more."""
    if not poking.thread_runs:
        poking.thread_runs = True
        outside.own_threads[0] += 1
        try:
            start_new_thread(_poke, (main,))
        except RuntimeError:  # there can be no more threads: it must do without
            poking.thread_runs = False
            outside.own_threads[0] -= 1


def _poke(main: Goroutine[Any]) -> None:
    sleep(_AGAIN)
    while is_due(main):
        poke()
        sleep(_AGAIN)
    poking.thread_runs = False
    outside.own_threads[0] -= 1
    if is_due(main):
        poke_later(main)


def _in_child() -> None:
    """Start a forked child with nothing owed, as Python does; a handler that forked goes on."""
    order.clear()
    owed.clear()
    late.clear()
    pausing[:] = [waiter for waiter in pausing if waiter.g is this.sched.main]
    poking.sent = poking.thread_runs = False


fork.in_child(_in_child)
