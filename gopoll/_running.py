"""An event loop of asyncio that runs in a goroutine: what Python keeps for it per OS thread.

asyncio takes a thread for what runs a loop: the running loop (and since 3.14 the current task), the
hooks of asynchronous generators and the depth to which coroutines remember their origin belong to
the OS thread. Here they belong to the goroutine: a `Running` is its `on_switch`, and exchanges them
with those of the thread whenever the goroutine parks.

    =========  ==========  ==========  ==========================================================
    state      `outside`   `mine`      the thread has
    =========  ==========  ==========  ==========================================================
    in         set         None        the goroutine's
    out        None        set         its own: what every goroutine without a loop sees
    between    set         set         a part of either: a handler raised here; both ways go on
    =========  ==========  ==========  ==========================================================

**What ends more than a task.** A task takes every exception for its own outcome, but for
KeyboardInterrupt and SystemExit. The end of the goroutine (GoExit), or of a block around the loop
(ScopeEnd), is more than that: it stops the loop, and is raised from ``run_forever()``.

**Blocks in a task.** A ``timeout()`` that a task opens is the task's: it ends the task's wait, be
it one of the goroutine or an ``await``, and nobody else's. At an ``await`` the task is cancelled,
as by ``asyncio.timeout()``, and the block turns that into what its user expects.
"""

import asyncio
import sys
from asyncio import events
from collections.abc import Callable
from typing import Any, Final

from gopoll.errors import GoExit, ScopeEnd
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.guard import calls_user_code
from gopoll.runtime.sched import this

__all__ = ["Block", "Running", "run_forever", "running_here", "set_running_loop"]

_get_loop: Final = events._get_running_loop
_set_loop: Final = events._set_running_loop
_get_hooks: Final = sys.get_asyncgen_hooks
_set_hooks: Final = sys.set_asyncgen_hooks
_get_depth: Final = sys.get_coroutine_origin_tracking_depth
_set_depth: Final = sys.set_coroutine_origin_tracking_depth
_swap_task: Final[Any] = (
    asyncio.tasks._swap_current_task if sys.version_info >= (3, 14) else None  # type: ignore[attr-defined]
)

_State = tuple[Any, Any, Any, int]  # loop, task, hooks, depth


def _take() -> _State:
    """Return what the thread has now."""
    loop = _get_loop()
    task = None if _swap_task is None or loop is None else asyncio.current_task(loop)
    return loop, task, _get_hooks(), _get_depth()


def _put(state: _State) -> None:
    """Let the thread have `state`."""
    loop, task, hooks, depth = state
    if _swap_task is not None and (before := _get_loop()) is not None:
        _swap_task(before, None)
    _set_loop(loop)
    if task is not None:
        _swap_task(loop, task)
    _set_hooks(*hooks)
    _set_depth(depth)


_NOTHING: Final[_State] = (None, None, (None, None), 0)


class Running:
    """The `on_switch` of a goroutine in which `loop` runs."""

    __slots__ = ("_stop", "due", "escape", "g", "loop", "mine", "outside", "parks")

    def __init__(self, g: Goroutine[Any], loop: Any, outside: _State, *, parks: bool) -> None:
        self.g = g
        self.loop = loop
        self.parks = parks  # its waits do, as far as we know; else they block the thread
        self.outside: _State | None = outside
        self.mine: _State | None = None
        self.escape: BaseException | None = None  # what is to leave the loop
        self.due: list[Block] = []  # shot, and to be told at the next wait of their tasks
        self._stop: asyncio.Handle | None = None

    def __call__(self, resumes: bool, /) -> None:
        """Exchange what the goroutine has and what the thread has."""
        if resumes:
            if self.mine is not None:
                self.outside = self.outside or _take()
                _put(self.mine)
                self.mine = None
        elif self.outside is not None:
            if self.due:
                self._tell_due()
            self.mine = self.mine or _take()
            _put(self.outside)
            self.outside = None

    def _tell_due(self) -> None:
        """Raise, out of the park that begins, what its task is to be told."""
        task = self._current_task()
        for block in self.due:
            if block.is_due(task) and block.end is not None:
                self.due.remove(block)
                raise block.end

    def crosses(self, exc: BaseException) -> None:
        """Make sure that `exc`, which is raised in the goroutine, leaves the loop if it must."""
        mine = isinstance(exc, ScopeEnd) and getattr(exc.scope, "block", None) is not None
        if isinstance(exc, (GoExit, ScopeEnd)) and not mine:
            self.escape = exc
            # In the next turn: what a task's end calls comes before, and not when the loop is over.
            try:
                self._stop = self.loop.call_soon_threadsafe(self.loop.stop)
            except (AttributeError, RuntimeError):  # closed, or no loop at all: somebody pretends
                return

    def leave(self) -> None:
        """The loop has ended: leave the thread as it would be without."""
        self(False)
        self.g.on_switch = None
        if self._stop is not None:
            self._stop.cancel()

    def block(self) -> "Block":
        """Say whose block it is that begins here."""
        return Block(self, self._current_task())

    def runs(self, task: Any) -> bool:
        """Whether the goroutine is in a step of `task`, running or parked."""
        return self._current_task() is task

    def _current_task(self) -> Any:
        if _swap_task is not None and self.mine is not None:
            return self.mine[1]
        return asyncio.current_task(self.loop)


class Block:
    """A block that a task has opened, or a callback: that has no task, and ends before the next."""

    __slots__ = ("_cancelling", "_handle", "_running", "_task", "_told", "end")

    def __init__(self, running: Running, task: Any) -> None:
        self._running = running
        self._task = task
        self._cancelling = 0 if task is None else task.cancelling()
        self.end: BaseException | None = None
        self._handle: Any = None
        self._told = False

    def shoot(self, end: BaseException) -> None:
        """End the wait in which the block is, or its next one, by `end` or by a cancellation."""
        running, g = self._running, self._running.g
        if self._task is None:
            g.sched.interrupt(g, end)
            return
        if running.runs(self._task) and g.waiter is not None and g.waiter.claim():
            g.thrown = end
            g.sched.ready(g)
            return
        self.end = end
        running.due.append(self)
        try:
            self._handle = running.loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:  # the loop was closed in the middle of the block
            return

    def is_due(self, task: Any) -> bool:
        """Whether `task`, which is about to park, is whose block it is."""
        return self._task is task

    def _cancel(self) -> None:
        """On the loop, so the task awaits something: end that."""
        self._handle = None
        if self in self._running.due:
            self._running.due.remove(self)
            self._told = self._task.cancel()

    def close(self, exc: BaseException | None) -> bool:
        """Leave the block, which was shot, with `exc`; True if that is the cancellation."""
        if self in self._running.due:
            self._running.due.remove(self)
        if self._handle is not None:
            self._handle.cancel()
        if not self._told:
            return False
        others = self._task.uncancel() > self._cancelling
        return isinstance(exc, asyncio.CancelledError) and not others


def running_here() -> Running | None:
    """Return the `Running` of the calling goroutine, if it has one."""
    g = this.sched.current
    on_switch = None if g is None else g.on_switch
    return on_switch if isinstance(on_switch, Running) else None


@calls_user_code
def run_forever(loop: Any, original: Callable[[Any], None]) -> None:
    """Call ``original(loop)``, which is ``run_forever``, as what the calling goroutine does."""
    g = this.sched.current
    if g is None or g.on_switch is not None:  # no place to park, or a loop in a loop
        original(loop)
        return
    outside = _get_loop(), None, _get_hooks(), _get_depth()
    running = Running(g, loop, outside, parks=True)
    g.on_switch = running
    for exc in g.pending or ():
        running.crosses(exc)
    try:
        original(loop)
    except BaseException as exc:
        if running.escape is not None and exc is not running.escape:
            _postpone_once(g, running.escape)
        raise
    finally:
        running.leave()
    if running.escape is not None:
        g.pending = [exc for exc in g.pending or () if exc is not running.escape] or None
        raise running.escape


def _postpone_once(g: Goroutine[Any], exc: BaseException) -> None:
    if exc not in (g.pending or ()):
        g.postpone(exc)


def set_running_loop(loop: Any) -> None:
    """Set the running loop of the calling goroutine; for loops that run in their own way.

    This is a low-level function intended to be used by event loops.
    """
    _set_loop(loop)
    g = this.sched.current
    if g is None:
        return
    running = g.on_switch
    if running is None and loop is not None:
        g.on_switch = Running(g, loop, _NOTHING, parks=False)
    elif loop is None and isinstance(running, Running) and not running.parks:
        g.on_switch = None
