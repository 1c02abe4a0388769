"""The goroutine: a small handle, and the worker greenlet that it borrows while it lives.

A fresh greenlet costs an mmap, a page fault and a munmap; a used one costs a switch. So a goroutine
borrows a worker, a greenlet in `work`, when it first runs and gives it back when it ends.

    =========  ============  =========  ===================================================
    state      greenlet      waiter     leaves it by
    =========  ============  =========  ===================================================
    new        None          None       the scheduler binds a worker to it and switches in
    running    its worker    None       parking, yielding, ending
    waiting    its worker    set        somebody claims the waiter and readies the goroutine
    runnable   its worker    any        the scheduler takes it from the run queue
    dead       None          None       never
    =========  ============  =========  ===================================================

Between two lives a worker drops function, arguments and result, and is parked outside of any
``except`` block. Trace and profile functions are not touched: they belong to the OS thread.
"""

import itertools
import sys
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from functools import partial
from types import CodeType

from gopoll._typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from gopoll.errors import GoExit
from gopoll.runtime.chain import Chain
from gopoll.runtime.guard import calls_user_code
from gopoll.runtime.timers import Timeline
from gopoll.runtime.waitq import Claimable, WaitQueue

if TYPE_CHECKING:
    from gopoll.runtime.sched import Scheduler

__all__ = ["Block", "Carrier", "Goroutine", "Roster", "Site", "work"]

T = TypeVar("T")
_next_id = itertools.count(1).__next__
Site = tuple[CodeType, int, int]  # code, instruction, goroutine


class Carrier(Protocol):
    """Keeps for one goroutine what Python keeps per OS thread, while a loop of asyncio runs in it.

    None for nearly all.
    """

    def __call__(self, resumes: bool, /) -> None:
        """Put it back (True) when the goroutine comes back to its thread; away (False) before."""

    def crosses(self, exc: BaseException) -> None:
        """Hear that `exc` is raised in the goroutine, now or at its next wait."""

    def block(self) -> "Block":
        """Say whose block it is that begins here."""


class Block(Protocol):
    """A block of one of several tasks that take turns in a goroutine; see `Scope`."""

    def shoot(self, end: BaseException) -> None:
        """End the wait in which the block is, or its next one, by `end` or in the task's way."""

    def close(self, exc: BaseException | None) -> bool:
        """Leave the block, which was shot, with `exc`; True if that is the end in that way."""


class Goroutine(Generic[T]):
    """A goroutine, as ``go()`` returns it.

    `id` is a number that no other goroutine of the process ever has; `name` is the name of its
    function and may be set; `done` tells whether it has ended.
    """

    __slots__ = (
        "context",
        "error",
        "fn",
        "greenlet",
        "id",
        "joiners",
        "life",
        "name",
        "next",
        "on_switch",
        "pending",
        "prev",
        "reason",
        "sched",
        "since",
        "site",
        "thrown",
        "timeline",
        "value",
        "waiter",
    )

    id: int
    name: str
    # What it will call, until it does; its arguments are in `value` by then, where the result will
    # be. A lone one, unless it is a tuple, stands for the tuple of them, which would weigh as much
    # again.
    fn: Callable[..., Any] | None
    value: Any
    prev: "Goroutine[Any] | None"  # in the roster
    next: "Goroutine[Any] | None"
    sched: "Scheduler"
    greenlet: Any
    context: Context | None
    timeline: Timeline
    # Waiting: on what, why, since when; what to raise on waking, or at the next waits.
    waiter: Claimable | None
    reason: str
    since: float
    thrown: BaseException | None
    pending: list[BaseException] | None
    # Ending: what came of it besides `value`, and who wants to know.
    error: BaseException | None
    joiners: WaitQueue | None
    on_switch: Carrier | None
    site: Site | None  # where go() was called, and by whom
    life: object  # what ends with it, and nobody else holds

    @classmethod
    def create(
        cls,
        sched: "Scheduler",
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        depth: int,
    ) -> "Goroutine[T]":
        """Make a new goroutine; `depth` frames up is who asked for it."""
        g = cls()  # it has no __init__: the call would be a tenth of the price of a goroutine
        g.id = _next_id()
        name = getattr(fn, "__qualname__", None)
        g.name = name if type(name) is str else type(fn).__qualname__
        g.fn = partial(fn, **kwargs) if kwargs else fn
        g.value = args[0] if len(args) == 1 and type(args[0]) is not tuple else args
        g.sched = sched
        parent = sched.current
        if parent is None:
            g.timeline = sched.timeline
            creator = 0
        else:
            g.timeline = parent.timeline
            creator = parent.id
        frame = sys._getframe(depth)
        code, lasti = frame.f_code, frame.f_lasti
        # Piece by piece: two codes are compared at length, and badly where the stack has no room.
        site = sched.last_site
        if site is None or site[0] is not code or site[1] != lasti or site[2] != creator:
            site = sched.last_site = (code, lasti, creator)
        g.site = site  # shared by all that were created there
        context = copy_context()
        g.context = context if len(context) else None  # which is as good, and weighs nothing
        # As `_unborn` does, without the call.
        g.prev = g.next = g.greenlet = g.waiter = g.thrown = g.pending = None
        g.error = g.joiners = g.on_switch = g.life = None
        g.reason = ""
        g.since = 0.0
        return g

    @classmethod
    def blank(cls, sched: "Scheduler", name: str) -> "Goroutine[T]":
        """Make one that calls nothing: the main goroutine of a thread."""
        g = cls()
        g.id = _next_id()
        g.name = name
        g.fn = g.value = g.context = g.site = None
        g.sched = sched
        g.timeline = sched.timeline
        return _unborn(g)

    def twin(self) -> "Goroutine[T]":
        """Make another one like this, which has not begun."""
        g: Goroutine[T] = Goroutine()
        g.id = _next_id()
        g.name, g.fn, g.value, g.site = self.name, self.fn, self.value, self.site
        g.sched, g.timeline = self.sched, self.timeline
        g.context = None if self.context is None else self.context.copy()
        return _unborn(g)

    def carry(self, resumes: bool) -> None:
        """Tell `on_switch`, if there is one, that the goroutine leaves the thread or comes back."""
        if self.on_switch is not None:
            self.on_switch(resumes)

    def postpone(self, exc: BaseException) -> None:
        """Raise `exc` at the next wait, after what is to be raised before."""
        if self.pending is None:
            self.pending = []
        self.pending.append(exc)

    def take_thrown(self) -> BaseException:
        """Take out what is to be raised on waking."""
        exc = self.thrown
        assert exc is not None
        self.thrown = None
        return exc

    def take_pending(self) -> BaseException:
        """Take out what is to be raised now."""
        assert self.pending
        exc = self.pending.pop(0)
        self.pending = self.pending or None
        return exc

    def __repr__(self) -> str:
        return f"<Goroutine {self.id} {self.name!r} {self.state}>"

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.greenlet is None and self.fn is None

    @property
    def in_call(self) -> bool:
        """Whether its function has begun and not ended; else its worker runs for the scheduler."""
        return self.fn is None and self.greenlet is not None

    @property
    def state(self) -> str:
        """Its state in Go's words: ``running``, ``runnable``, ``dead``, or what it waits for."""
        if self.done:
            return "dead"
        if self.sched.current is self:
            return "running"
        return self.reason if self.waiter is not None else "runnable"

    def join(self, timeout: float | None = None) -> None:
        """Wait until the goroutine has ended, however it ended; at most `timeout` seconds.

        Raises:
            TimeoutError: It has not ended by then.
            RuntimeError: A goroutine would wait for itself.
        """
        if self.greenlet is not None or self.fn is not None:  # it is not `done`
            self.sched.join(self, timeout, wants_error=False)

    def result(self, timeout: float | None = None) -> T:
        """Wait for the end, at most `timeout` seconds, and return what the function returned.

        None if the goroutine ended by ``goexit()``. An exception that ended the goroutine is
        raised here; if somebody waits here when it happens, it is not reported on stderr.

        Raises:
            TimeoutError: It has not ended by then.
            RuntimeError: A goroutine would wait for itself.
        """
        if self.greenlet is not None or self.fn is not None:
            self.sched.join(self, timeout, wants_error=True)
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[no-any-return]


def _unborn(g: Goroutine[T]) -> Goroutine[T]:
    """Set what is the same in every goroutine before it begins."""
    g.prev = g.next = g.greenlet = g.waiter = g.thrown = g.pending = None
    g.error = g.joiners = g.on_switch = g.life = None
    g.reason = ""
    g.since = 0.0
    return g


class Roster(Chain[Goroutine[Any]]):
    """The living goroutines of a scheduler, oldest first.

    A dict of a hundred thousand weighs more, most of it in what its growing leaves behind. Another
    thread may iterate meanwhile; it may miss some.
    """

    __slots__ = ("size",)

    def __init__(self, main: Goroutine[Any]) -> None:
        super().__init__()
        self.size = 0  # `len()` of this is three times as dear
        main.prev = main.next = None  # it may have been in another: see `fork`
        self.add(main)

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Goroutine[Any]]:
        g = self.first
        while g is not None:
            follower = g.next
            yield g
            g = follower

    # Both spelled out, since each goroutine pays for them: the calls would cost more than the rest.

    def add(self, g: Goroutine[Any]) -> None:
        """Take in `g`, which is new."""
        last = self.last
        if last is None:
            self.first = g
        else:
            last.next = g
            g.prev = last
        self.last = g
        self.size += 1

    def strike(self, g: Goroutine[Any]) -> None:
        """Strike off `g` if it is here."""
        before, after = g.prev, g.next
        if before is not None:
            before.next = after
        elif self.first is g:
            self.first = after
        else:
            return
        if after is not None:
            after.prev = before
        else:
            self.last = before
        g.prev = g.next = None
        self.size -= 1


@calls_user_code
def work(sched: "Scheduler") -> None:
    """Live one goroutine after another; the body of a worker, and every goroutine's first frame.

    Returns, to g0 its parent, when the scheduler has no use for the worker any more.
    """
    while True:
        g = sched.current
        assert g is not None and g.fn is not None  # noqa: PT018 - a worker is bound first
        fn, arg = g.fn, g.value
        g.fn = g.value = None
        try:
            # Spelled out, since a call with * enters the interpreter anew, on the C stack, which is
            # copied at each switch: half a kilobyte for each goroutine that waits.
            if type(arg) is not tuple:
                g.value = fn(arg)
            elif not arg:
                g.value = fn()
            elif len(arg) == 1:
                g.value = fn(arg[0])
            elif len(arg) == 2:
                g.value = fn(arg[0], arg[1])
            else:
                g.value = fn(*arg)
        except GoExit:
            pass
        except BaseException as exc:
            g.error = exc
        del fn, arg
        g.life = None
        g.sched.finish(g)
        del g
        if not sched.retire():
            return
