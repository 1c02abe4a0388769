"""A clock that moves only when it is told to."""

from collections.abc import Iterator
from contextlib import contextmanager

from gopoll.runtime.bubble import bubble_of
from gopoll.runtime.proc import current
from gopoll.runtime.timers import Timeline
from gopoll.testing.idle import wait_idle

__all__ = ["FakeClock", "fake_clock"]


class FakeClock:
    """The clock of `fake_clock`; times are seconds."""

    __slots__ = ("_now", "_timeline")

    def __init__(self, start: float) -> None:
        self._now = start
        self._timeline = Timeline(self.now)

    def __repr__(self) -> str:
        return f"<FakeClock at {self._now:.6f}, {len(self._timeline)} timers>"

    def __len__(self) -> int:
        """How many timers wait on it."""
        return len(self._timeline)

    def now(self) -> float:
        """Return what it reads."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move it on by `seconds`, stopping at each timer that is due on the way.

        At each stop the timers fire and everybody runs until all wait again, so what one timer
        causes has happened before the next one fires.

        Raises:
            ValueError: `seconds` is negative.
        """
        if seconds < 0:
            msg = f"a clock cannot go back: {seconds}"
            raise ValueError(msg)
        wait_idle()
        end = self._now + seconds
        while (due := self._timeline.next_due()) is not None and due <= end:
            self._now = max(self._now, due)
            self._timeline.run_due()
            wait_idle()
        self._now = end


@contextmanager
def fake_clock(start: float = 1_000_000.0) -> Iterator[FakeClock]:
    """Give the calling goroutine, and those that it starts meanwhile, a clock that stands still.

    Their sleeps, timeouts and deadlines, and ``gopoll.time.now()``, go by it; it moves by
    ``clock.advance(seconds)`` only.

    Raises:
        RuntimeError: In a bubble, which has a clock of its own.
    """
    g = current()
    if bubble_of(g) is not None:
        msg = "a bubble has a clock of its own"
        raise RuntimeError(msg)
    clock = FakeClock(start)
    real, g.timeline = g.timeline, clock._timeline
    try:
        yield clock
    finally:
        g.timeline = real
