"""Contexts: deadlines, cancellation and values that belong to a task and all that it starts.

Go's package of the same name. Contexts form a tree: what is derived from one ends with it. The end
reaches every child before ``cancel()`` returns, without a goroutine, and it may come from any OS
thread, signal handler or finalizer.

Whatever waits in gopoll and takes a ``ctx`` stops waiting when that is done, and raises
``ctx.err()``.
"""

from collections.abc import Callable
from functools import partial
from math import inf
from types import TracebackType
from typing import Any, Generic, NamedTuple, ParamSpec, Protocol, TypeVar

from gopoll._context import (
    ABSENT,
    Active,
    Context,
    Empty,
    Passive,
    check_cause,
    find,
    type_name,
    why,
)
from gopoll.errors import Canceled, DeadlineExceeded
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.proc import conceive
from gopoll.runtime.sched import Scheduler, on_thread_of, this
from gopoll.runtime.timers import Timeline, Timer, check_seconds

__all__ = [
    "Canceled",
    "Context",
    "DeadlineExceeded",
    "Derived",
    "after_func",
    "background",
    "cause",
    "merge",
    "todo",
    "with_cancel",
    "with_cancel_cause",
    "with_deadline",
    "with_deadline_cause",
    "with_timeout",
    "with_timeout_cause",
    "with_value",
    "without_cancel",
]

P = ParamSpec("P")
C = TypeVar("C", bound=Callable[..., None])


class _CancelCause(Protocol):
    def __call__(self, cause: BaseException | None = None, /) -> None: ...


class Derived(NamedTuple, Generic[C]):
    """A new context, and what cancels it.

    It is the pair that Go's functions return, ``ctx, cancel = with_cancel(parent)``; and a block
    that cancels when it is left: ``with with_cancel(parent) as ctx: ...``. To cancel twice does
    nothing.
    """

    ctx: Context
    cancel: C

    def __enter__(self) -> Context:
        return self.ctx

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.cancel()


def background() -> Context:
    """Return the root of contexts: never done, no deadline, no values. ``context.Background``."""
    return _background


def todo() -> Context:
    """Return the same under another name, for where no context is at hand yet. ``context.TODO``."""
    return _todo


def with_cancel(parent: Context) -> Derived[Callable[[], None]]:
    """Derive a context that is done when ``cancel()`` is called. Mirrors ``context.WithCancel``.

    Like every derived context it is done with its parent, too. It hangs in its parent until then,
    so always cancel it in the end; as a ``with`` block it does that itself.

    Raises:
        TypeError: `parent` is no context.
    """
    ctx = Active(_check(parent))
    return Derived(ctx, ctx.cancel)


def with_cancel_cause(parent: Context) -> Derived[_CancelCause]:
    """Derive a context whose ``cancel(exc)`` tells why. Mirrors ``context.WithCancelCause``.

    ``cause(ctx)`` is that exception, here and in all that is derived from it; without one it is
    `Canceled`.

    Raises:
        TypeError: `parent` is no context; or, in ``cancel``, the cause is no exception.
    """
    ctx = Active(_check(parent))
    return Derived(ctx, ctx.cancel_cause)


def with_deadline(parent: Context, when: float | None) -> Derived[Callable[[], None]]:
    """Derive a context that is done at `when` at the latest. Mirrors ``context.WithDeadline``.

    Args:
        parent: From whom to derive; its deadline counts if that is earlier.
        when: A time on the clock of ``gopoll.time.now()``, as the calling goroutine sees it. None
            sets no deadline.

    Raises:
        TypeError: `parent` is no context, or `when` no time.
        ValueError: `when` is nan.
    """
    _check(parent)
    check_seconds(when, "deadline")
    return _with_deadline(parent, when, None)


def with_deadline_cause(
    parent: Context, when: float | None, cause: BaseException | None
) -> Derived[Callable[[], None]]:
    """Derive as `with_deadline` does; if the deadline passes, because of `cause`.

    Mirrors ``context.WithDeadlineCause``: ``cancel()`` does not set this cause.

    Raises:
        TypeError: `parent` is no context, `when` no time, or `cause` no exception.
        ValueError: `when` is nan.
    """
    _check(parent)
    check_seconds(when, "deadline")
    return _with_deadline(parent, when, cause)


def with_timeout(parent: Context, seconds: float | None) -> Derived[Callable[[], None]]:
    """Derive a context that is done after `seconds`, or earlier. Mirrors ``context.WithTimeout``.

    None sets no limit; zero or less is over at once.

    Raises:
        TypeError: `parent` is no context, or `seconds` no number.
        ValueError: `seconds` is nan.
    """
    return _with_deadline(_check(parent), _from_now(seconds), None)


def with_timeout_cause(
    parent: Context, seconds: float | None, cause: BaseException | None
) -> Derived[Callable[[], None]]:
    """Derive as `with_timeout` does; if the time runs out, because of `cause`.

    Mirrors ``context.WithTimeoutCause``: ``cancel()`` does not set this cause.

    Raises:
        TypeError: `parent` is no context, `seconds` no number, or `cause` no exception.
        ValueError: `seconds` is nan.
    """
    return _with_deadline(_check(parent), _from_now(seconds), cause)


def _from_now(seconds: float | None) -> float | None:
    check_seconds(seconds, "timeout")
    if seconds is None:
        return None
    sched = this.sched
    return (sched.current or sched).timeline.now() + seconds


def _with_deadline(
    parent: Context, when: float | None, cause: BaseException | None
) -> Derived[Callable[[], None]]:
    check_cause(cause)
    earliest = parent.deadline()
    if when is None or (earliest is not None and earliest < when):
        return with_cancel(parent)
    sched = this.sched
    ctx = _Timed(parent, when, (sched.current or sched).timeline, sched)
    ctx.arm(cause)
    return Derived(ctx, ctx.cancel)


def with_value(parent: Context, key: object, value: object) -> Context:
    """Derive a context in which `value` belongs to `key`. Mirrors ``context.WithValue``.

    A key is found again by one of the same type that is equal to it, so an enumeration or a class
    of one's own keeps packages from finding each other's values. For what belongs to a request as
    it passes through the program, not for optional arguments.

    Raises:
        TypeError: `parent` is no context; `key` is None or cannot be hashed, as a list cannot.
    """
    _check(parent)
    if key is None:
        msg = "the key of a context value cannot be None"
        raise TypeError(msg)
    try:
        hash(key)
    except TypeError:
        msg = f"the key of a context value must be hashable, got {key!r}"
        raise TypeError(msg) from None
    return _WithValue(parent, key, value)


def without_cancel(parent: Context) -> Context:
    """Derive a context with the values of `parent` only: it is never done.

    Mirrors ``context.WithoutCancel``.

    Raises:
        TypeError: `parent` is no context.
    """
    return _WithoutCancel(_check(parent))


def merge(first: Context, /, *others: Context) -> Derived[Callable[[], None]]:
    """Derive a context from several: it is done as soon as one of them is, and as that one.

    Its error and cause are those of the first to be done; its deadline is the earliest of theirs;
    a value is that of the first among them that has one.

    Raises:
        TypeError: One of them is no context.
    """
    ctx = _Merged(*(_check(parent) for parent in (first, *others)))
    return Derived(ctx, ctx.cancel)


def cause(ctx: Context) -> BaseException | None:
    """Return why `ctx` is done, None while it is not. Mirrors ``context.Cause``.

    That is the cause given by whoever ended it, or the context above it; without one it is
    ``ctx.err()``.

    Raises:
        TypeError: `ctx` is no context.
    """
    error = _check(ctx).err()
    return None if error is None else why(ctx) or error


def after_func(
    ctx: Context, fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
) -> Callable[[], bool]:
    """Have ``fn(*args, **kwargs)`` called in a goroutine of its own once `ctx` is done.

    At once if it is done. The goroutine belongs to the OS thread that calls this, and sees a copy
    of the caller's context variables. Mirrors ``context.AfterFunc``.

    Returns:
        A function that calls it off. It returns True if it came in time: then `fn` will never be
        called. False if `fn` has been started, which may still be at work, or was called off
        before.

    Raises:
        TypeError: `ctx` is no context, or `fn` cannot be called.
    """
    _check(ctx)
    return ctx.on_done(partial(_start, conceive("after_func", fn, args, kwargs)))


def _start(g: Goroutine[Any]) -> None:
    """Start `g`, from whatever thread; where its own thread has ended, in the calling one."""
    if g.sched.dead:
        g.sched = this.sched
        g.timeline = g.sched.timeline
    on_thread_of(g.sched, g.sched.start, g)


def _check(ctx: Context) -> Context:
    if not isinstance(ctx, Context):
        msg = f"expected a context, such as background(), got {ctx!r}"
        raise TypeError(msg)
    return ctx


class _WithoutCancel(Passive):
    """It has the values of its parent, and nothing else."""

    __slots__ = ()

    def __init__(self, parent: Context) -> None:
        super().__init__(parent, follows=False)

    def own_name(self) -> str:
        return ".WithoutCancel"


class _WithValue(Passive):
    """It has one value more than its parent."""

    __slots__ = ("key", "val")

    def __init__(self, parent: Context, key: object, val: object) -> None:
        super().__init__(parent, follows=True)
        self.key = key
        self.val = val

    def own_name(self) -> str:
        return f".WithValue({_stringify(self.key)}, {_stringify(self.val)})"

    def own_value(self, key: object) -> Any:
        same = self.key is key or (type(self.key) is type(key) and self.key == key)
        return self.val if same else ABSENT


class _Timed(Active):
    """A context with a deadline of its own, on the timeline of the goroutine that makes it."""

    __slots__ = ("_sched", "_timeline", "_timer", "_why")

    def __init__(self, parent: Context, when: float, timeline: Timeline, sched: Scheduler) -> None:
        self._timeline = timeline
        self._sched = sched
        self._timer: Timer | None = None
        self._why: BaseException | None = None
        super().__init__(parent)
        self._deadline = when

    def own_name(self) -> str:
        when = self._deadline
        assert when is not None
        return f".WithDeadline({when:.3f} [{when - self._timeline.now():.3f}s])"

    def arm(self, cause: BaseException | None) -> None:
        """End it when the time has come, because of `cause`."""
        when = self._deadline
        assert when is not None
        self._why = cause
        if when <= self._timeline.now():
            self._expire()
        elif when < inf and self._outcome is None:
            self._timer = self._timeline.add(when, self._expire)
            if self._sched.sleeping:  # this is a handler that interrupted the sleep
                self._sched.ring()
            if self._outcome is not None:  # by another thread, before there was a timer
                self._disarm()

    def _expire(self, _: object = None) -> None:
        self._timer = None
        self.end(DeadlineExceeded, self._why)

    def _leave(self) -> None:
        super()._leave()
        self._disarm()

    def _disarm(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            on_thread_of(self._sched, self._timeline.cancel, timer)


class _Merged(Active):
    """A context of several parents."""

    __slots__ = ("parents",)

    def __init__(self, *parents: Context) -> None:
        self.parents = parents
        super().__init__(*parents)
        self.parent = None  # it begins a name of its own, and looks for values itself

    def own_name(self) -> str:
        return f"context.Merge({', '.join(map(repr, self.parents))})"

    def own_value(self, key: object) -> Any:
        values = (find(parent, key) for parent in self.parents)
        return next((value for value in values if value is not ABSENT), ABSENT)


def _stringify(value: object) -> str:
    """Return text as it is, and of anything else what it is: a value may be long, or secret."""
    return value if isinstance(value, str) else "None" if value is None else type_name(value)


_background = Empty("context.Background")
_todo = Empty("context.TODO")
