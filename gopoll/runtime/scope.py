"""Scopes: blocks of code whose waits can be ended from outside, and ``timeout()``, the best known.

What ends a scope raises `ScopeEnd` in the goroutine, out of the wait it is in or else at its next
one. It carries its scope and is no ``Exception``, so neither an ``except OSError`` on its way nor
an outer scope takes it for something else; the scope that it belongs to turns it into what its user
expects:

    =======  ===================================  ================================================
    state    shoot()                              close(exc)
    =======  ===================================  ================================================
    new      nothing                              an error
    open     raises in the goroutine; it is shot  closed
    shot     nothing                              closed; takes back what was not raised yet; True
                                                  if `exc` is what was
    closed   nothing                              an error
    =======  ===================================  ================================================

Shooting claims the wait as anybody else does. So what was handed over before is kept, and the end
is raised at the next wait instead.
"""

from collections.abc import Callable
from types import TracebackType

from gopoll._typing import Any, Protocol, Self
from gopoll.errors import ScopeEnd
from gopoll.runtime.goroutine import Block, Goroutine
from gopoll.runtime.sched import on_thread_of, this
from gopoll.runtime.timers import Timer, check_seconds
from gopoll.runtime.waitq import refuse

__all__ = ["Endable", "Scope", "timeout", "until"]


class Scope:
    """A block of one goroutine that somebody may end, once."""

    __slots__ = ("_end", "_g", "_used", "block", "shot")

    def __init__(self) -> None:
        self._used = False
        self.block: Block | None = None  # if a loop runs in the goroutine: which task's block it is
        self._g: Goroutine[Any] | None = None  # whose block it is, while it is open
        self._end: ScopeEnd | None = None  # while it is open: it refers to the frames of the block
        self.shot = False

    def __repr__(self) -> str:
        state = "shot" if self.shot else "open" if self._g else "closed" if self._used else "new"
        return f"<{type(self).__name__} {state}>"

    def open(self) -> Goroutine[Any]:
        """Begin the block; returns the goroutine whose block it is."""
        if self._used:
            msg = f"{self!r} was used already: it is for one block"
            raise RuntimeError(msg)
        self._used = True
        self._g = g = this.sched.current or refuse("scope")
        if g.on_switch is not None:
            self.block = g.on_switch.block()
        return g

    def shoot(self, _: object = None) -> None:
        """End the block at its present or next wait; on the thread of its goroutine."""
        if self._g is not None and not self.shot:
            self.shot = True
            self._end = ScopeEnd(self)
            if self.block is None:
                self._g.sched.interrupt(self._g, self._end)
            else:
                self.block.shoot(self._end)

    def close(self, exc: BaseException | None) -> bool:
        """Leave the block, with `exc`; True if that is this scope's own."""
        g, self._g = self._g, None
        end, self._end = self._end, None
        block, self.block = self.block, None
        if g is None:
            msg = f"{self!r} is not open"
            raise RuntimeError(msg)
        if end is None:
            return False
        if g.pending is not None:
            g.pending = [other for other in g.pending if other is not end] or None
        cancelled = block is not None and block.close(exc)
        return exc is end or cancelled


class timeout(Scope):  # noqa: N801 - reads as a statement: with timeout(5):
    """A block that may wait for `seconds` at most: ``with gopoll.timeout(5): ...``.

    When they have passed, the present wait in the block, or the next one, ends, and the block is
    left with TimeoutError. Nothing that was received already is lost. None sets no limit. Blocks
    nest, and each raises for its own time only; `expired` tells whose it was. A block that only
    computes is not interrupted. One wait is ended, and no later one, so ``finally`` blocks may
    still say goodbye. Mirrors what ``context.WithTimeout`` is used for.

    Raises:
        TimeoutError: At the end of the block, if a wait in it was cut short.
        TypeError, ValueError, OverflowError: `seconds` is no number of them.
    """

    __slots__ = ("_seconds", "_timeline", "_timer")

    def __init__(self, seconds: float | None) -> None:
        super().__init__()
        check_seconds(seconds, "timeout")
        self._seconds = None if seconds is None else float(seconds)
        self._timer: Timer | None = None

    @property
    def expired(self) -> bool:
        """Whether the time was up before the block was left."""
        return self.shot

    def __enter__(self) -> Self:
        g = self.open()
        if self._seconds is not None and self._seconds <= 0:
            self.shoot()
        elif self._seconds is not None:
            self._timeline = g.timeline
            self._timer = g.timeline.add(g.timeline.now() + self._seconds, self.shoot)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timeline.cancel(self._timer)
        if self.close(exc):
            msg = f"timed out after {self._seconds:g} seconds"
            raise TimeoutError(msg) from exc


class Endable(Protocol):
    """What a block can depend on: a context."""

    def err(self) -> BaseException | None:
        """Why it is done; None while it is not."""

    def on_done(self, fn: Callable[[], object]) -> Callable[[], bool]:
        """Have ``fn()`` called by whoever ends it, of whatever thread; now if it is done.

        `fn` must not wait. Returns what calls that off, and tells whether it came in time.
        """


class until(Scope):  # noqa: N801 - reads as a statement: with until(ctx):
    """A block whose waits end when `ctx` is done; then, or if it is done already, raises its error.

    None never ends.
    """

    __slots__ = ("_call_off", "_ctx")

    def __init__(self, ctx: Endable | None) -> None:
        super().__init__()
        self._ctx = ctx
        self._call_off: Callable[[], bool] | None = None

    def __enter__(self) -> Self:
        if self._ctx is not None and (error := self._ctx.err()) is not None:
            raise error
        g = self.open()
        if self._ctx is not None:
            self._call_off = self._ctx.on_done(lambda: on_thread_of(g.sched, self.shoot, None))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._call_off is not None:
            self._call_off()
            self._call_off = None
        if self.close(exc):
            assert self._ctx is not None
            error = self._ctx.err()
            assert error is not None
            raise error from exc
