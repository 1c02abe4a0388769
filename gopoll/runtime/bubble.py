"""Bubbles: which waits nobody but the goroutine's own bubble can end.

A bubble is a group of goroutines with a clock of its own (``gopoll.testing.bubble``). A goroutine
is in the bubble whose `BubbleTime` is its timeline, and `go` hands that on. Time in it moves when
all of its goroutines wait *durably*: for the clock, for each other, or by an object that was made
in the bubble, so that nobody outside has it. What waits so says it in its wait reason, as in Go:

    chan receive (durable)    select (durable)    sleep (durable)    sync.WaitGroup.Wait (durable)

A wait for the kernel, for another thread or for an object from outside is not durable.
"""

from collections.abc import Callable
from heapq import heappop, heappush

from gopoll._typing import TYPE_CHECKING, Any
from gopoll.runtime.timers import Timeline

if TYPE_CHECKING:
    from random import Random

    from gopoll.runtime.goroutine import Goroutine
    from gopoll.runtime.waitq import Waiter

__all__ = ["BubbleTime", "bubble_of", "bubbles", "durable", "is_durable"]

_DURABLE = " (durable)"
bubbles = [0]  # how many there are: whoever makes an object need not ask where while there are none


class BubbleTime(Timeline):
    """The clock of a bubble, and who waits there until all others wait."""

    __slots__ = ("go_on_in_child", "idlers")

    def __init__(
        self, now: Callable[[], float], go_on_in_child: "Callable[[Goroutine[Any]], object]"
    ) -> None:
        super().__init__(now)
        self.go_on_in_child = go_on_in_child  # called with the goroutine that forked
        self.idlers: list[Waiter] = []

    def shuffle_next(self, dice: "Random") -> None:
        """Let chance decide in which order the timers fire that are due next, at one instant."""
        due = self.next_due()
        together = []
        while self.heap and self.heap[0][0] == due:
            together.append(heappop(self.heap))
        places = [seq for _, seq, _ in together]
        dice.shuffle(places)
        for (when, _, timer), seq in zip(together, places, strict=True):
            heappush(self.heap, (when, seq, timer))


def bubble_of(g: "Goroutine[Any] | None") -> BubbleTime | None:
    """Return the bubble in which `g` is, if it is in one."""
    if g is not None and isinstance(g.timeline, BubbleTime):
        return g.timeline
    return None


def durable(reason: str, g: "Goroutine[Any] | None", *homes: Timeline | None) -> str:
    """Return `reason`, marked if `g` is in a bubble, and what it waits for is of the same one."""
    bubble = bubble_of(g)
    if bubble is None or any(home is not bubble for home in homes):
        return reason
    return reason + _DURABLE


def is_durable(reason: str) -> bool:
    """Whether a wait reason is that of a durable wait."""
    return reason.endswith(_DURABLE)
