"""Who waits: the waiter (Go's sudog), its one claim, and the FIFO queue of waiters.

A goroutine that must wait makes a `Waiter`, puts it where somebody will find it, and parks. Whoever
wants to wake it claims it first; one wait is claimed once, whatever number of senders, closers,
timers and interrupts try:

    ========  ==========================  =======================================
    state     claim()                     then
    ========  ==========================  =======================================
    open      True, and it is claimed     the winner fills `value` and `ok`, and
                                          readies the goroutine
    claimed   False                       the loser does nothing and leaves nothing
    ========  ==========================  =======================================

A select puts a `CaseWaiter` into each of its channels; they share one claim.

Invariant: whoever stops waiting takes its waiter out of the queue before it waits again; a claimed
waiter found in a queue belongs to somebody on the way to do so, and is skipped.
"""

from collections.abc import Callable

from gopoll._original import get_ident
from gopoll._typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol
from gopoll.runtime.chain import Chain
from gopoll.runtime.timers import check_seconds

if TYPE_CHECKING:
    from gopoll.runtime.goroutine import Goroutine
    from gopoll.runtime.sched import Scheduler

__all__ = [
    "CaseWaiter",
    "Claimable",
    "WaitQueue",
    "Waiter",
    "elapse",
    "expire",
    "need_much_room",
    "need_room",
    "on_thread_of",
    "refuse",
    "resume",
    "wait",
]


class Claimable(Protocol):
    """What a parked goroutine can be woken from: a `Waiter`, or a slot of the netpoller."""

    external: ClassVar[bool]  # whether the outside world can end the wait by itself

    def claim(self) -> bool:
        """Win the right to wake the goroutine; False if somebody else has won it."""


def _fourth() -> None:
    return


def _third() -> None:
    _fourth()


def _second() -> None:
    _third()


def need_room() -> None:
    """Raise RecursionError now, rather than halfway into a wait, or into waking who waits.

    Whoever calls this, and changes something only afterwards, can call as deep as this does. It
    costs a tenth of a microsecond.
    """
    _second()


def need_much_room(levels: int = 10) -> None:
    """Do the same for what goes deeper: closing, cancelling."""
    if levels:
        need_much_room(levels - 1)


class Waiter:
    """One goroutine in one wait, and in at most one queue."""

    external: ClassVar[bool] = False

    __slots__ = ("claimed", "g", "next", "ok", "prev", "value")

    def __init__(self, g: "Goroutine[Any]", value: Any = None) -> None:
        need_room()
        self.g = g
        self.value = value
        self.ok = False
        self.claimed = False
        self.prev: Waiter | None = None
        self.next: Waiter | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'claimed' if self.claimed else 'open'} {self.g!r}>"

    def claim(self) -> bool:
        """Win the right to wake the goroutine; False if somebody else has won it."""
        # An exchange. CPython with its lock lets another thread, a signal handler or a collection
        # in at calls and backward jumps only, and a tracer between lines: none is in here. A lock
        # for each waiter would cost as much memory as the rest of it.
        was, self.claimed = self.claimed, True
        return not was


class CaseWaiter(Waiter):
    """One case of a select: it is claimed by claiming the waiter that all cases share."""

    __slots__ = ("shared",)

    def __init__(self, shared: Waiter, value: Any) -> None:
        self.g = shared.g
        self.value = value
        self.ok = False
        self.claimed = False
        self.prev = self.next = None
        self.shared = shared

    def claim(self) -> bool:
        """Win the right to wake the goroutine, for this case."""
        if self.shared.claim():
            self.claimed = True
            return True
        return False


class WaitQueue(Chain[Waiter]):
    """Waiters in order of arrival; any of them can be taken out at the same small price."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<WaitQueue {'empty' if self.first is None else 'of ' + repr(self.first.g)}>"

    def claim_first(self) -> Waiter | None:
        """Take out the first waiter that can still be claimed, and claim it."""
        while (waiter := self.first) is not None:
            won = waiter.claim()  # the only call, and it comes first: it may find no room
            self.first = follower = waiter.next
            if follower is None:
                self.last = None
            else:
                follower.prev = waiter.next = None
            if won:
                return waiter
        return None


def refuse(reason: str) -> NoReturn:
    """Raise what a wait raises where there is nobody to park."""
    msg = f"cannot wait ({reason}) in a signal handler that interrupted the scheduler"
    raise RuntimeError(msg)


def resume(g: "Goroutine[Any]") -> None:
    """Make `g` runnable, from whatever thread; by whoever claimed its waiter."""
    sched = g.sched
    if sched.thread == get_ident():
        sched.ready(g)
    else:
        sched.post(sched.ready, g)


def on_thread_of(sched: "Scheduler", fn: Callable[[Any], object], arg: Any) -> None:
    """Call ``fn(arg)`` on the thread of `sched`: now if that is the calling one, else soon."""
    if sched.thread == get_ident():
        fn(arg)
    elif not sched.dead:
        sched.post(fn, arg)


def wait(waiter: Waiter, reason: str, timeout: float | None) -> None:
    """Park until `waiter` is claimed, at most `timeout` seconds; otherwise as ``sched.park``.

    Raises:
        TimeoutError: Nobody claimed it by then.
    """
    check_seconds(timeout, "timeout")
    g = waiter.g
    if timeout is None:
        g.sched.park(waiter, reason)
        return
    timeline = g.timeline
    timer = timeline.add(timeline.now() + timeout, expire, waiter)
    try:
        g.sched.park(waiter, reason)
    finally:
        timeline.cancel(timer)


def expire(waiter: Waiter) -> None:
    """Timer callback: end the wait of `waiter` with TimeoutError."""
    if waiter.claim():
        g = waiter.g
        g.thrown = TimeoutError(f"timed out ({g.reason})")
        g.sched.ready(g)


def elapse(waiter: Waiter) -> None:
    """Timer callback: end the wait of `waiter`, which was for this."""
    if waiter.claim():
        waiter.g.sched.ready(waiter.g)
