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
from collections.abc import Callable
from contextvars import Context, copy_context
from types import CodeType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gopoll.errors import GoExit
from gopoll.runtime.timers import Timeline
from gopoll.runtime.waitq import Claimable, WaitQueue

if TYPE_CHECKING:
    from gopoll.runtime.sched import Scheduler

__all__ = ["Goroutine", "work"]

T = TypeVar("T")
_next_id = itertools.count(1).__next__
_Start = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any] | None]


class Goroutine(Generic[T]):
    """A goroutine, as ``go()`` returns it.

    `id` is a number that no other goroutine of the process ever has; `name` is the name of its
    function and may be set; `done` tells whether it has ended.
    """

    __slots__ = (
        "_label",
        "context",
        "creator",
        "done",
        "error",
        "forked",
        "greenlet",
        "id",
        "joiners",
        "on_switch",
        "pending",
        "reason",
        "sched",
        "since",
        "site",
        "start",
        "thrown",
        "timeline",
        "value",
        "waiter",
    )

    def __init__(self, sched: "Scheduler", start: _Start | None, creator: int) -> None:
        self.id = _next_id()
        self._label: Any = start[0] if start else "main"
        self.done = False
        self.sched = sched
        self.start = start
        self.greenlet: Any = None
        self.context: Context | None = None
        self.timeline: Timeline = sched.timeline
        # Waiting: on what, why, since when; what to raise on waking, or at the next park.
        self.waiter: Claimable | None = None
        self.reason = ""
        self.since = 0.0
        self.thrown: BaseException | None = None
        self.pending: BaseException | None = None
        # Ending: what came of it, and who wants to know.
        self.value: T | None = None
        self.error: BaseException | None = None
        self.joiners: WaitQueue | None = None
        # Saves (False) and restores (True) what Python keeps per OS thread, around a park.
        self.on_switch: Callable[[bool], None] | None = None
        self.forked = False  # it is the main goroutine of a forked child: its end ends the process
        self.creator = creator
        self.site: tuple[CodeType, int] | None = None  # where go() was called

    @classmethod
    def create(cls, sched: "Scheduler", start: _Start, depth: int) -> "Goroutine[T]":
        """Make a new goroutine; `depth` frames up is who asked for it."""
        parent = sched.current
        g = cls(sched, start, parent.id if parent is not None else 0)
        context = copy_context()
        if len(context):  # none is as good as an empty one, and weighs nothing
            g.context = context
        if parent is not None:
            g.timeline = parent.timeline
        frame = sys._getframe(depth)
        code, lasti = frame.f_code, frame.f_lasti
        site = sched.last_site
        if site is None or site[1] != lasti or site[0] is not code:
            site = sched.last_site = (code, lasti)
        g.site = site  # shared by all that were created there
        return g

    def __repr__(self) -> str:
        return f"<Goroutine {self.id} {self.name!r} {self.state}>"

    @property
    def name(self) -> str:
        """The name of its function, unless somebody gave it another."""
        label = self._label
        if isinstance(label, str):
            return label
        return getattr(label, "__qualname__", None) or type(label).__qualname__

    @name.setter
    def name(self, name: str) -> None:
        self._label = name

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
        return self.value  # type: ignore[return-value]


def work(sched: "Scheduler") -> None:
    """Live one goroutine after another; the body of a worker, and every goroutine's first frame.

    Returns, to g0 its parent, when the scheduler has no use for the worker any more.
    """
    while True:
        g = sched.current
        assert g is not None and g.start is not None  # noqa: PT018 - a worker is bound first
        fn, args, kwargs = g.start
        g.start = None
        try:
            # Spelled out, since a call with * enters the interpreter anew, on the C stack, which is
            # copied at each switch: half a kilobyte for each goroutine that waits. And the tuple
            # of the arguments is dropped.
            if kwargs:
                g.value = fn(*args, **kwargs)
            elif not args:
                g.value = fn()
            elif len(args) == 1:
                (args,) = args
                g.value = fn(args)
            elif len(args) == 2:
                args, kwargs = args
                g.value = fn(args, kwargs)
            else:
                g.value = fn(*args)
        except GoExit:
            pass
        except BaseException as exc:
            g.error = exc
        del fn, args, kwargs
        g.sched.finish(g)
        del g
        if not sched.retire():
            return
