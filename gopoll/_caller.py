"""A coroutine in a queue of gopoll's, where a goroutine would stand.

Whoever wakes a goroutine asks its handle for its scheduler, and posts to that. A `Caller` is both:
what it is woken by completes a future, on the loop's own thread, whatever loop and thread that is.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from gopoll._original import monotonic
from gopoll.runtime.timers import Timeline, Timer
from gopoll.runtime.waitq import Waiter

__all__ = ["Caller", "post"]


def post(loop: asyncio.AbstractEventLoop, fn: Callable[..., object], *args: Any) -> None:
    """Have ``fn(*args)`` called by `loop`, from any thread."""
    try:
        loop.call_soon_threadsafe(fn, *args)
    except RuntimeError:  # the loop is closed: nobody waits there any more
        return


class _Clock(Timeline):
    """The timers of a loop, as the channel of a timer wants to have them."""

    __slots__ = ("_handles", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(monotonic)
        self._loop = loop
        self._handles: dict[Timer, asyncio.TimerHandle] = {}

    def add(self, when: float, fn: Callable[[Any], object], arg: object = None) -> Timer:
        timer = Timer()
        timer.when, timer.fn, timer.arg = when, fn, arg
        self._handles[timer] = self._loop.call_later(when - monotonic(), self._fire, timer)
        return timer

    def _fire(self, timer: Timer) -> None:
        fn = timer.fn
        if self.cancel(timer) and fn is not None:
            fn(timer.arg)

    def cancel(self, timer: Timer) -> bool:
        handle = self._handles.pop(timer, None)
        if handle is not None:
            handle.cancel()
        return handle is not None


class Caller:
    """The running task, as handle and scheduler of one who waits."""

    __slots__ = ("_future", "_loop", "_timeline")

    thread = -1  # so nobody takes it for a scheduler of his own thread
    done = False

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future = self._loop.create_future()
        self._timeline: _Clock | None = None

    def __repr__(self) -> str:
        return f"<coroutine on {self._loop!r}>"

    @property
    def sched(self) -> "Caller":
        return self

    @property
    def dead(self) -> bool:
        return self._loop.is_closed()

    @property
    def timeline(self) -> _Clock:
        if self._timeline is None:
            self._timeline = _Clock(self._loop)
        return self._timeline

    def post(self, fn: Callable[[Any], object], arg: Any) -> None:
        """Call ``fn(arg)`` on the loop, soon."""
        post(self._loop, fn, arg)

    def ready(self, _: object) -> None:
        """Go on; on the loop."""
        if not self._future.done():
            self._future.set_result(None)

    async def wait(
        self, waiter: Waiter, withdraw: Callable[[], object], undo: Callable[[], bool]
    ) -> None:
        """Wait until `waiter` is claimed.

        If this raises, the waiter is withdrawn; or, if it was claimed, what came of that undone.
        Where `undo` cannot, and says so by False, a cancellation comes at the task's next wait.
        """
        try:
            await self._future
        except BaseException as exc:
            if waiter.claim():
                withdraw()
                raise
            task = asyncio.current_task(self._loop)
            if undo() or task is None or not isinstance(exc, asyncio.CancelledError):
                raise
            self._loop.call_soon(_cancel_again, task, exc.args)


def _cancel_again(task: "asyncio.Task[Any]", args: tuple[Any, ...]) -> None:
    """Cancel `task`, unless whoever asked for that has called it off: a timeout, for one."""
    if not task.done() and task.cancelling():
        task.uncancel()
        task.cancel(*args)
