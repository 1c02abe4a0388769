"""Scheduling order by seed: another order for each seed, the same one each time."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from gopoll.runtime.sched import this

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int) -> Iterator[Random]:
    """Let chance, drawn from `seed`, choose which runnable goroutine of this thread runs next.

    The choices of `select` are drawn from it too. Correct programs do not depend on either; this
    finds those that do, and finds the same order again. Yields the source of chance.
    """
    dice = Random(seed)

    chosen: list[Any] = [None]

    def rotate(runq: deque[Any]) -> None:
        # The scheduler may ask twice for one choice: in the hand-over, and in g0 if that must make
        # the switch.
        if len(runq) > 1 and runq[0] is not chosen[0]:
            runq.rotate(-dice.randrange(len(runq)))
        chosen[0] = runq[0]

    sched = this.sched
    before = sched.shuffle, sched.dice
    sched.shuffle, sched.dice = rotate, dice
    try:
        yield dice
    finally:
        sched.shuffle, sched.dice = before
