"""A timeline: a clock, and the timers that are due on it.

A pure data structure: it never sleeps and never switches. The scheduler asks `next_due` how long it
may sleep, and calls `run_due`.

Invariants:

- `heap` is ordered by (when, seq); timers of the same instant fire in the order of their making.
- A cancelled timer stays in the heap until it surfaces or until the cancelled ones are more than
  half of it; so a hundred thousand timers armed and cancelled leave a short heap.
- A timer fires once; its callback runs on the thread of the timeline's scheduler and must not park.

A timer is armed (in the heap, `fn` set) or spent (`fn` is None: fired or cancelled), for ever.

A signal handler or a finalizer may add and cancel in the middle of any of this. It gets in at calls
and backward jumps only: so between a look at the heap and the change that relies on it there is
neither.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from gopoll._typing import Any

__all__ = ["Timeline", "Timer", "check_seconds"]

_FEW = 64  # below this many entries compacting is not worth a pass


def check_seconds(value: float | None, what: str) -> None:
    """Refuse a time that is none before it gets into the heap, where it would spoil the order.

    Raises:
        TypeError: It is neither a number nor None.
        ValueError: It is not a number in the other sense, nan.
    """
    if type(value) is float and value == value:  # noqa: PLR0124 - as nearly all are
        return
    if value is not None and not isinstance(value, (int, float)):
        msg = f"{what}: a time is a number of seconds or None, got {value!r}"
        raise TypeError(msg)
    if value != value:  # noqa: PLR0124 - only nan differs from itself
        msg = f"{what}: nan seconds"
        raise ValueError(msg)


class Timer:
    """One entry of a timeline; only a timeline makes them."""

    __slots__ = ("arg", "fn", "when")

    when: float
    fn: Callable[[Any], object] | None
    arg: object

    def __repr__(self) -> str:
        return f"<Timer {'armed' if self.fn else 'spent'} when={self.when:.6f}>"


class Timeline:
    """A clock in seconds and the timers waiting on it."""

    __slots__ = ("_cancelled", "_seq", "heap", "now")

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.heap: list[tuple[float, int, Timer]] = []
        self._seq = 0
        self._cancelled = 0  # how many of those in the heap

    def __repr__(self) -> str:
        return f"<Timeline {len(self)} timers>"

    def __len__(self) -> int:
        return len(self.heap) - self._cancelled

    def add(self, when: float, fn: Callable[[Any], object], arg: object = None) -> Timer:
        """Call ``fn(arg)`` once the clock reads `when` or more."""
        timer = Timer()  # without an __init__: the call would be a third of the price
        timer.when = when
        timer.fn = fn
        timer.arg = arg
        seq = self._seq = self._seq + 1
        heappush(self.heap, (when, seq, timer))
        return timer

    def cancel(self, timer: Timer) -> bool:
        """Disarm `timer`; False if it has fired or was cancelled before."""
        fn, timer.fn = timer.fn, None
        if fn is None:
            return False
        timer.arg = None
        self._cancelled += 1
        if self._cancelled > _FEW and self._cancelled * 2 > len(self.heap):
            self._compact()
        return True

    def next_due(self) -> float | None:
        """When the earliest timer is due, or None if there is none."""
        while True:
            heap = self.heap
            if not heap:
                return None
            if heap[0][2].fn is not None:
                return heap[0][0]
            heappop(heap)
            self._cancelled -= 1

    def run_due(self) -> None:
        """Fire every timer that is due now, in order. Those they arm wait for the next call."""
        now = self.now()
        newest = self._seq
        while True:
            heap = self.heap
            if not heap or heap[0][0] > now or heap[0][1] > newest:
                return
            timer = heappop(heap)[2]
            fn, timer.fn = timer.fn, None
            if fn is None:
                self._cancelled -= 1
                continue
            arg, timer.arg = timer.arg, None
            fn(arg)

    def _compact(self) -> None:
        """Drop the cancelled ones."""
        newest = self._seq
        live = [entry for entry in self.heap if entry[2].fn is not None]
        heapify(live)
        dropped = len(self.heap) - len(live)
        if self._seq == newest:  # else a handler has added one meanwhile: another time
            self.heap = live
            self._cancelled -= dropped
