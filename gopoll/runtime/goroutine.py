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
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

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

    def __init__(self, sched: "Scheduler", name: str) -> None:
        self.id = _next_id()
        self.name = name
        # What it will call, until it does; its arguments are in `value` by then, where the result
        # will be. A lone one, unless it is a tuple, stands for the tuple of them, which would weigh
        # as much again.
        self.fn: Callable[..., Any] | None = None
        self.value: Any = None
        self.prev: Goroutine[Any] | None = None  # in the roster
        self.next: Goroutine[Any] | None = None
        self.sched = sched
        self.greenlet: Any = None
        self.context: Context | None = None
        self.timeline: Timeline = sched.timeline
        # Waiting: on what, why, since when; what to raise on waking, or at the next waits.
        self.waiter: Claimable | None = None
        self.reason = ""
        self.since = 0.0
        self.thrown: BaseException | None = None
        self.pending: list[BaseException] | None = None
        # Ending: what came of it besides `value`, and who wants to know.
        self.error: BaseException | None = None
        self.joiners: WaitQueue | None = None
        self.on_switch: Carrier | None = None
        self.site: Site | None = None  # where go() was called, and by whom
        self.life: object = None  # what ends with it, and nobody else holds

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
        parent = sched.current
        name = getattr(fn, "__qualname__", None)
        if not isinstance(name, str):
            name = type(fn).__qualname__
        g = cls(sched, name)
        g.fn = partial(fn, **kwargs) if kwargs else fn
        g.value = args[0] if len(args) == 1 and type(args[0]) is not tuple else args
        context = copy_context()
        if len(context):  # none is as good as an empty one, and weighs nothing
            g.context = context
        if parent is not None:
            g.timeline = parent.timeline
        frame = sys._getframe(depth)
        site = (frame.f_code, frame.f_lasti, 0 if parent is None else parent.id)
        if site != sched.last_site:
            sched.last_site = site
        g.site = sched.last_site  # shared by all that were created there
        return g

    def carry(self, resumes: bool) -> None:
        """Tell `on_switch`, if there is one, that the goroutine leaves the thread or comes back."""
        if self.on_switch is not None:
            self.on_switch(resumes)

    def postpone(self, exc: BaseException) -> None:
        """Raise `exc` at the next wait, after what is to be raised before."""
        if self.pending is None:
            self.pending = []
        self.pending.append(exc)

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
        self.sched.join(self, timeout, wants_error=False)

    def result(self, timeout: float | None = None) -> T:
        """Wait for the end, at most `timeout` seconds, and return what the function returned.

        None if the goroutine ended by ``goexit()``. An exception that ended the goroutine is
        raised here; if somebody waits here when it happens, it is not reported on stderr.

        Raises:
            TimeoutError: It has not ended by then.
            RuntimeError: A goroutine would wait for itself.
        """
        self.sched.join(self, timeout, wants_error=True)
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[no-any-return]


class Roster(Chain[Goroutine[Any]]):
    """The living goroutines of a scheduler, oldest first.

    A dict of a hundred thousand weighs more, most of it in what its growing leaves behind. Another
    thread may iterate meanwhile; it may miss some.
    """

    __slots__ = ("_size",)

    def __init__(self, main: Goroutine[Any]) -> None:
        super().__init__()
        self._size = 0
        main.prev = main.next = None  # it may have been in another: see `fork`
        self.add(main)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Goroutine[Any]]:
        g = self.first
        while g is not None:
            follower = g.next
            yield g
            g = follower

    def add(self, g: Goroutine[Any]) -> None:
        """Take in `g`, which is new."""
        self.push(g)
        self._size += 1

    def strike(self, g: Goroutine[Any]) -> None:
        """Strike off `g` if it is here."""
        if self.discard(g):
            self._size -= 1


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
            elif len(arg) == 0:
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
