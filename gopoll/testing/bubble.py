"""A bubble: goroutines with a clock of their own, which moves when all of them wait.

After each stretch of running the scheduler asks the bubble, which looks at its goroutines:

    ===========================================  ============================================
    they                                         then
    ===========================================  ============================================
    run, can run, or wait for something outside  nothing: the clock stands still
    all wait durably, one of them in wait_idle   that one goes on
    all wait durably, and a timer is set         the clock moves to it, and it fires
    all wait durably for each other              the one that made the bubble gets `Deadlock`
    ===========================================  ============================================

A timer that is due already does not wait for them. Timers of one instant fire in the order in which
they were set; under `seeded`, in one that chance chooses.

A bubble is left when its goroutines have ended. Once its block is over time stands still for ever;
so those that wait then are stuck. In a forked child the goroutine that forked is alone in it.
"""

from collections.abc import Iterator
from contextlib import _GeneratorContextManager, contextmanager
from math import inf
from typing import Any

from gopoll.errors import Deadlock
from gopoll.runtime import fork, lifetime
from gopoll.runtime.bubble import BubbleTime, bubble_of, bubbles, is_durable
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.proc import current
from gopoll.runtime.sched import this
from gopoll.runtime.timers import check_seconds
from gopoll.runtime.traceback import format_goroutines
from gopoll.runtime.waitq import Waiter
from gopoll.testing.idle import wait_idle

__all__ = ["Bubble", "bubble"]


class Bubble:
    """What `bubble` yields."""

    __slots__ = ("_now", "_root", "_start", "_time")

    def __init__(self, root: Goroutine[Any], start: float) -> None:
        self._root = root
        self._start = self._now = start
        self._time = BubbleTime(self.now, self._go_on_in_child)

    def __repr__(self) -> str:
        return f"<Bubble after {self.elapsed:.6f} seconds, {len(self._members())} goroutines>"

    @property
    def elapsed(self) -> float:
        """How many seconds have passed in it."""
        return self._now - self._start

    def now(self) -> float:
        """Return what its clock reads; so does ``gopoll.time.now()`` inside."""
        return self._now

    def _members(self) -> list[Goroutine[Any]]:
        return [g for g in self._root.sched.goroutines if g.timeline is self._time]

    def _others(self) -> list[Goroutine[Any]]:
        return [g for g in self._members() if g is not self._root]

    def _go_on_in_child(self, survivor: Goroutine[Any]) -> None:
        self._root = survivor
        survivor.sched.watchers.append(self._look)

    def _look(self) -> bool:
        """Do what the table says; the scheduler's watcher. True if something was done."""
        time = self._time
        due = time.next_due()
        if due is not None and due <= self._now:
            self._fire()
            return True
        members = self._members()
        if not all(map(_waits, members)):
            return False
        if time.idlers:
            for waiter in time.idlers:
                if waiter.claim():
                    waiter.g.sched.ready(waiter.g)
        elif due is not None and due < inf:
            self._now = due
            self._fire()
        elif self._root in members:
            self._root.sched.interrupt(self._root, _deadlock("all goroutines", members))
        else:
            return False
        return True

    def _fire(self) -> None:
        sched = self._root.sched
        if sched.shuffle is not None and sched.dice is not None:
            self._time.shuffle_next(sched.dice)
        self._time.run_due()


def _waits(g: Goroutine[Any]) -> bool:
    waiter = g.waiter
    return isinstance(waiter, Waiter) and not waiter.claimed and is_durable(g.reason)


def _deadlock(who: str, goroutines: list[Goroutine[Any]]) -> Deadlock:
    return Deadlock(
        f"{who} in the bubble are asleep - deadlock!\n\n{format_goroutines(goroutines)}"
    )


def bubble(start: float = 1_000_000.0) -> _GeneratorContextManager[Bubble]:
    """Give the block, and the goroutines that it starts, a clock that moves only while all wait.

    When every goroutine of the bubble waits *durably*, the clock jumps to the next timer, sleep or
    deadline, so a test of an hour's back-off takes a millisecond. Durable are sleeps, joins,
    `wait_idle`, and waits by channels, ``sync.WaitGroup`` and ``sync.Cond`` that were made in the
    bubble. A wait for a mutex, for I/O, for another thread or by an object from outside is not:
    somebody else may end it, so time stands still meanwhile.

    The end of the block waits for the bubble's goroutines to end. Mirrors ``synctest.Test``; may be
    used as a decorator: ``@bubble()``.

    Raises:
        Deadlock: All goroutines of the bubble wait for each other, or some still do after the
            block; the message lists them with their stacks.
        RuntimeError: The calling goroutine is in a bubble already.
        TypeError, ValueError: `start` is no number.
    """
    check_seconds(start, "start of a bubble")
    return _bubble(start)


@contextmanager
def _bubble(start: float) -> Iterator[Bubble]:
    root = current()
    if bubble_of(root) is not None:
        msg = "bubbles do not nest"
        raise RuntimeError(msg)
    one = Bubble(root, start)
    outer = root.timeline if root.timeline is not root.sched.timeline else None
    root.timeline = one._time
    bubbles[0] += 1
    root.sched.watchers.append(one._look)
    try:
        yield one
        while one._others():
            wait_idle()  # as long as somebody waits for idleness time stands still
            if left := [g for g in one._others() if _waits(g)]:
                raise _deadlock("the block is over, and the goroutines", left)
    finally:
        root.timeline = outer or root.sched.timeline  # in a child that is another one
        try:  # time goes on: they may need some to end
            lifetime.shut_down(root.sched, one._time)
        finally:
            root.sched.watchers.remove(one._look)
            bubbles[0] -= 1


def _in_child() -> None:
    survivor = this.sched.main
    time = bubble_of(survivor)
    if time is not None:
        time.go_on_in_child(survivor)


fork.in_child(_in_child)
