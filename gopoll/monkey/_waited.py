"""How patched locks and queues wait, and how a lock goes from one to the next.

Who has to wait stands in a deque, whose ends can be changed from every OS thread, handler and
finalizer. Who queues up does so *before* a last try to take what he wants; who releases frees it
*before* a look at the queue. So one of the two sees the other. Whoever releases a lock then takes
it back, if nobody was faster, and passes it on to the first in the queue:

    ===============================  =========================================================
    he                               then
    ===============================  =========================================================
    has not tried yet                the lock is free, and he is told to try: until he runs,
                                     others need not wait for that
    was told, and came too late      he is the first again, and gets the lock itself: so nobody
                                     waits for ever
    ===============================  =========================================================

Taking a lock is an operation like any other: who takes many without ever waiting lets the others
run in between. `_turn` counts them, for all locks together, since the look at the scheduler costs
more than the rest of a lock.
"""

from collections import deque
from contextlib import suppress
from typing import Any, ClassVar, Final, NoReturn

from greenlet import GreenletExit

from gopoll._original import allocate_lock, get_ident
from gopoll.monkey._wait import Hinted, Parked, park
from gopoll.runtime.bubble import BubbleTime, durable
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.sched import Scheduler, schedulers, this
from gopoll.runtime.waitq import refuse, resume

__all__ = ["HEIR", "Waited", "begin_turn", "end_turn", "first_of", "withdraw"]

_REASON: Final = "lock"
_OPERATIONS: Final = 256  # of all locks, between two looks at the turn
_MAX: Final = 1e6  # seconds; what is more, or wrong, is a question for the original

HEIR: Final = Goroutine.__new__(Goroutine)  # has a lock while it is passed on


class Waited:
    """What waits for a lock, and how it is passed on."""

    __slots__ = ("__weakref__", "_bubble", "_waiters")

    _turn: ClassVar = [_OPERATIONS]  # a list: reached through the class, also while Python ends
    _waiters: deque[Parked] | None
    _bubble: BubbleTime | None  # in which it was made

    def acquire(self) -> bool:
        """Take it for the caller."""
        raise NotImplementedError

    def _take(self, g: Any, /) -> bool:
        """Take it for `g` if it is free."""
        raise NotImplementedError

    def _free(self) -> None:
        """Give it back."""
        raise NotImplementedError

    def _give(self, g: Any) -> None:
        """It is taken: let it be that of `g`."""

    def _wait(self, timeout: float | None) -> bool:
        """Take it for the caller, who has found it taken; False after `timeout` seconds."""
        g = this.sched.current or refuse(_REASON)
        now = g.timeline.now
        deadline = None if timeout is None else now() + timeout
        fresh: deque[Parked] = deque()
        waiters = self._waiters = fresh if self._waiters is None else self._waiters
        late = False
        reason = _REASON if self._bubble is None else durable(_REASON, g, self._bubble)
        while True:
            waiter = Hinted(g, late)
            try:
                if late:
                    waiters.appendleft(waiter)
                else:
                    waiters.append(waiter)
                if self._take(g):
                    if waiter.claim():
                        withdraw(waiter, waiters)
                    else:  # somebody was about to wake us: that must be used up
                        g.sched.park(waiter, reason)
                    return True
                left = None if deadline is None else max(0.0, deadline - now())
                woken = park(waiter, reason, left)
            except BaseException:
                self._give_up(waiter)
                raise
            if not woken:
                withdraw(waiter, waiters)
                return False
            if waiter.value or self._take(g):
                return True
            withdraw(waiter, waiters)  # a signal handler has ended this wait
            late = True
            if deadline is not None and deadline <= now():
                return False

    def _retake(self) -> BaseException | None:
        """Acquire it again, as long as it takes; return what has interrupted the wait."""
        interruption: BaseException | None = None
        while True:
            try:
                self.acquire()
            except GreenletExit:  # the thread ends
                raise
            except BaseException as exc:
                if interruption is not None and isinstance(exc, RuntimeError):
                    raise  # once more: nobody can wait here
                interruption = interruption or exc
            else:
                return interruption

    def _give_up(self, waiter: Parked) -> None:
        """The wait was interrupted; what came to it nevertheless goes to the next."""
        if self._waiters is not None:
            withdraw(waiter, self._waiters)
        if not waiter.claim() and waiter.ok:
            if waiter.value:
                self._free()
            self._pass_on()

    def _pass_on(self) -> None:
        """It was freed, and somebody waits."""
        waiters = self._waiters
        while waiters and self._take(HEIR):
            heir = first_of(waiters)
            if heir is None:
                self._free()
                continue
            heir.ok = True
            if heir.value:
                self._give(heir.g)
            else:
                self._free()
            resume(heir.g)
            return

    def _timed(self, blocking: Any, timeout: Any) -> float | None:
        """Check the arguments of `acquire`; return how long to wait, None for ever.

        Raises:
            ValueError: They contradict each other.
            TypeError: `timeout` is no number.
            OverflowError: It is too large.
        """
        if blocking and isinstance(timeout, (int, float)) and 0 <= timeout <= _MAX:
            return timeout
        lock = allocate_lock()
        lock.acquire(blocking, timeout)  # which knows what is wrong
        return 0.0 if not blocking else None if timeout == -1 else min(timeout, _MAX)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {self._name()!r} object")

    def _name(self) -> str:
        cls = type(self)
        return f"{cls.__module__}.{cls.__name__}" if cls.__module__ == "_thread" else cls.__name__


def withdraw(waiter: Parked, waiters: deque[Parked]) -> None:
    """Take a waiter out of its queue, if it is still there."""
    with suppress(ValueError):  # somebody has claimed it, or found it claimed
        waiters.remove(waiter)


def first_of(waiters: deque[Parked]) -> Parked | None:
    """Claim the first who still waits, and will run."""
    while waiters:
        try:
            waiter = waiters.popleft()
        except IndexError:  # in another thread the last of them has given up
            break
        if waiter.claim() and not waiter.g.done:  # not one left behind by a thread that ended
            return waiter
    return None


def begin_turn(sched: Scheduler) -> None:
    """Let the caller make as many operations as a turn has before the others run again."""
    Waited._turn[0] = sched.operations = _OPERATIONS


def end_turn(turn: list[int]) -> None:
    """So many operations were made: let the others run, if this thread has any."""
    turn[0] = _OPERATIONS
    sched = schedulers.get(get_ident())
    if sched is not None:
        sched.operations = -1
        sched.yield_turn()
