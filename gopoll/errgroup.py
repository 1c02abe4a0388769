"""Groups: goroutines that work on parts of one task, and fail together.

``golang.org/x/sync/errgroup`` with Python's ``with``: the block is left when all have ended, so no
goroutine outlives the code that started it.

    ================================  ====================  ========================================
    what happens                      ``g.ctx``             leaving the block raises
    ================================  ====================  ========================================
    all is well                       done at the end       nothing
    a goroutine fails, the first      done, with its cause  its error; notes on it name the others
    the body fails                    done, with its cause  that; notes on it name the goroutines'
    timeout, Ctrl-C, goexit() in the  done                  that, as soon as all have ended
    body, or while it waits for them
    ================================  ====================  ========================================

Errors that only say that ``g.ctx`` is done are echoes: they get no note, and the body's gives way
to the error that caused it.

Who ends takes itself out of `_members` first and looks for those who wait second; who waits queues
up first and looks at `_members` second. So one of the two sees the other, and there is no lock. In
the same way who starts enters itself first and looks at `_closed` second.
"""

from collections.abc import Callable
from traceback import format_exception_only
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from gopoll.chan import Chan
from gopoll.context import Context, background, with_cancel_cause
from gopoll.errors import Deadlock, GoExit, ScopeEnd
from gopoll.runtime import interrupt
from gopoll.runtime.bubble import bubble_of, durable
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.guard import calls_user_code
from gopoll.runtime.sched import this
from gopoll.runtime.waitq import Waiter, refuse, resume

__all__ = ["Group"]

P = ParamSpec("P")
T = TypeVar("T")

_REASON = "errgroup.Group.Wait"
_MOST_NOTES = 20


class _Member(Goroutine[T]):
    """A goroutine of a group: its error is the group's, and is not reported."""

    __slots__ = ("failure", "room")

    failure: BaseException | None
    room: Chan[None] | None  # where it has a place

    def result(self, timeout: float | None = None) -> T:
        self.join(timeout)
        if self.failure is not None:
            raise self.failure
        return self.value  # type: ignore[no-any-return]


class Group:
    """Goroutines that are waited for together; mirrors ``errgroup.Group`` and ``WithContext``.

    As a block, ``with Group() as g: ...``, it is left once every goroutine that ``g.go`` started
    has ended. The first error ends ``g.ctx`` and is raised then. No error of its goroutines is
    reported on stderr. A group may be used from any OS thread.

    Args:
        ctx: What `ctx` of the group is derived from; None for ``background()``.
        limit: How many goroutines may be at work at a time; see `set_limit`.

    Raises:
        TypeError: `ctx` is no context, or `limit` no integer.
    """

    __slots__ = (
        "__weakref__",
        "_cancel",
        "_closed",
        "_error",
        "_home",
        "_members",
        "_notes",
        "_room",
        "_unnoted",
        "_waiters",
        "ctx",
    )

    def __init__(self, ctx: Context | None = None, limit: int | None = None) -> None:
        self._members: dict[Goroutine[Any], None] = {}
        self._waiters: dict[Waiter, None] = {}
        self._room: Chan[None] | None = None  # a buffer with a place for each of them, if limited
        self._error: BaseException | None = None
        self._notes: list[str] = []  # of the errors after that one
        self._unnoted = 0  # how many of them are too many
        self._closed = False  # its block has been left
        self._home = bubble_of(this.sched.current)
        self.set_limit(limit)
        self.ctx, self._cancel = with_cancel_cause(background() if ctx is None else ctx)

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        return f"<Group of {len(self._members)} goroutines{state}>"

    def set_limit(self, n: int | None) -> None:
        """Let at most `n` goroutines be at work at a time; None or a negative number lifts that.

        With 0 none may start. Mirrors ``Group.SetLimit``.

        Raises:
            RuntimeError: Goroutines of the group are at work.
            TypeError: `n` is no integer.
        """
        if n is not None and not isinstance(n, int):
            msg = f"the limit of a group is an integer or None, got {n!r}"
            raise TypeError(msg)
        if self._members:
            msg = f"the limit cannot change while {len(self._members)} goroutines are at work"
            raise RuntimeError(msg)
        self._room = None if n is None or n < 0 else Chan(n)

    def go(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Goroutine[T]:
        """Start ``fn(*args, **kwargs)`` as a goroutine of the group, once there is room for it.

        It starts even if `ctx` is done: `fn` sees to that. ``result()`` of what is returned gives
        the value or raises the error, once more. Mirrors ``Group.Go``.

        Raises:
            RuntimeError: The block of the group has been left.
            TypeError: `fn` cannot be called.
        """
        _check(fn)
        room = self._room
        if room is not None and not self._closed:
            room.send(None)
        return self._start(room, fn, args, kwargs)

    def try_go(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Goroutine[T] | None:
        """Start as `go` does if there is room now; else return None. Mirrors ``Group.TryGo``.

        Raises:
            RuntimeError: The block of the group has been left.
            TypeError: `fn` cannot be called.
        """
        _check(fn)
        room = self._room
        if room is not None and not self._closed and not room.try_send(None):
            return None
        return self._start(room, fn, args, kwargs)

    def wait(self) -> None:
        """Wait until all have ended, end `ctx`, and raise the first error. Mirrors ``Group.Wait``.

        The block does this when it is left, so only a group without a block needs it. As in Go it
        may be used again afterwards; but `ctx` stays done, and the first error is raised each time.

        Raises:
            BaseException: The first error of a goroutine; notes on it name the others.
            RuntimeError: A goroutine of the group would wait for itself.
        """
        if this.sched.current in self._members:
            msg = "a goroutine cannot wait for its own group"
            raise RuntimeError(msg)
        self._join()
        self._cancel()
        if self._error is not None:
            self._annotate(self._error)
            raise self._error

    def __enter__(self) -> Self:
        if self._closed:
            msg = f"{self!r} was used already: make a new one"
            raise RuntimeError(msg)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        outcome = self._join_whatever_happens(exc)
        self._cancel()
        error, self._error = self._error, None  # it refers to frames that may refer to this
        if error is not None and self._outranks(error, outcome):
            outcome = error
        if outcome is not None:
            if error is not None and error is not outcome and not self._is_echo(error):
                self._notes.insert(0, _describe(error))
            self._annotate(outcome)
        try:
            if outcome is not None and outcome is not exc:
                if outcome is error and exc is not None:
                    raise outcome from outcome.__cause__  # the body's only echoed it
                raise outcome
        finally:
            del error, outcome, exc

    # -- members -----------------------------------------------------------------------------

    def _start(
        self,
        room: Chan[None] | None,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Goroutine[T]:
        sched = this.sched
        if sched.goroutines.size == 1:
            interrupt.install()
        task = fn, args, kwargs
        member: _Member[T] = _Member.create(sched, _live, (self, task), {}, 3)  # type: ignore[assignment]
        member.name = getattr(fn, "__qualname__", type(fn).__qualname__)
        member.failure = None
        member.room = room
        self._members[member] = None
        if self._closed:
            self._ended(member)
            msg = "the block of this group has been left: nobody would wait for the goroutine"
            raise RuntimeError(msg)
        sched.start(member)
        return member

    def _failed(self, member: _Member[Any], exc: BaseException) -> None:
        member.failure = exc
        echo = self._is_echo(exc)
        first, self._error = self._error, exc if self._error is None else self._error
        if first is None:
            self._cancel(exc)
        elif _rank(exc) > _rank(first):
            self._error = exc
            self._notes.insert(0, _describe(first))
        elif not echo:
            self._note(f"goroutine {member.id} {member.name!r}: {_describe(exc)}")

    def _ended(self, member: _Member[Any]) -> None:
        if member.room is not None:
            member.room.try_recv()
        self._members.pop(member, None)
        if not self._members:
            for waiter in [*self._waiters]:
                if waiter.claim():
                    resume(waiter.g)

    # -- waiting for them --------------------------------------------------------------------

    def _join(self) -> None:
        for member in [*self._members]:
            if member.sched.dead:  # of a thread that ended, or of the parent of a forked child
                self._members.pop(member, None)
        if not self._members:
            return
        sched = this.sched
        waiter = Waiter(sched.current or refuse(_REASON))
        self._waiters[waiter] = None
        try:
            if self._members or not waiter.claim():
                sched.park(waiter, durable(_REASON, waiter.g, self._home))
        finally:
            self._waiters.pop(waiter, None)

    def _join_whatever_happens(self, exc: BaseException | None) -> BaseException | None:
        """Wait until all have ended; return what interrupted the body, or else this.

        Of two interruptions the more important one is returned; the other one is not lost, but
        raised at the next wait.
        """
        if exc is not None:
            self._cancel(_cause(exc))
        put_off: list[BaseException] = []
        asleep = False
        while self._members or not self._closed:
            try:
                self._join()
                self._closed = True  # then look again: somebody may have been as fast
            except BaseException as other:
                self._cancel(_cause(other))
                if isinstance(other, Deadlock) and asleep:  # the end of `ctx` has not woken them
                    exc = other if exc is None or not _rank(exc) else exc
                    break
                asleep = isinstance(other, Deadlock)
                if exc is None or _rank(other) > _rank(exc):
                    exc = other
                elif not asleep:
                    put_off.append(other)
        self._closed = True
        g = this.sched.current
        for each in put_off:
            if g is not None:
                g.postpone(each)
        return exc

    # -- errors ------------------------------------------------------------------------------

    def _is_echo(self, exc: BaseException) -> bool:
        """Whether `exc` says no more than that `ctx` is done."""
        return type(exc) is type(self.ctx.err())

    def _outranks(self, error: BaseException, outcome: BaseException | None) -> bool:
        """Whether to raise a goroutine's `error` rather than what came out of the block."""
        if outcome is None or _rank(error) > _rank(outcome):
            return True
        return self._is_echo(outcome) and not self._is_echo(error)

    def _annotate(self, exc: BaseException) -> None:
        """Say on `exc` what else went wrong, once."""
        notes, self._notes = self._notes, []
        for note in notes:
            exc.add_note(f"also {note}")
        if self._unnoted:
            exc.add_note(f"and {self._unnoted} errors more")
            self._unnoted = 0

    def _note(self, text: str) -> None:
        if len(self._notes) < _MOST_NOTES:
            self._notes.append(text)
        else:
            self._unnoted += 1


@calls_user_code
def _live(group: Group, task: tuple[Callable[..., T], tuple[Any, ...], dict[str, Any]]) -> T | None:
    """Live a member of `group`."""
    fn, args, kwargs = task
    try:
        # Spelled out, as in `goroutine.work`.
        if kwargs or len(args) > 2:
            return fn(*args, **kwargs)
        if len(args) == 0:
            return fn()
        return fn(args[0]) if len(args) == 1 else fn(args[0], args[1])
    except GoExit:
        raise
    except BaseException as exc:
        sched = this.sched
        if sched.current is sched.main:  # of a forked child, where nobody waits for it
            raise
        group._failed(sched.current, exc)  # type: ignore[arg-type]
        return None
    finally:
        group._ended(this.sched.current)  # type: ignore[arg-type]
        del group, task, fn, args, kwargs


def _check(fn: object) -> None:
    if not callable(fn):
        msg = f"go() needs something to call, got {fn!r}"
        raise TypeError(msg)


def _rank(exc: BaseException) -> int:
    """Return how important `exc` is: most what means the program, then the end of a scope."""
    if isinstance(exc, (Exception, GoExit)):
        return 0
    return 1 if isinstance(exc, ScopeEnd) else 2


def _cause(exc: BaseException) -> BaseException | None:
    """Return `exc` as it is shown to goroutines of the program."""
    return None if isinstance(exc, (ScopeEnd, GoExit)) else exc


def _describe(exc: BaseException) -> str:
    return "".join(format_exception_only(exc)).strip()
