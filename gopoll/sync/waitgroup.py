"""Waiting for many: a counter, and those who wait until it is zero.

    =======  =========  ==========================  =======================================
    counter  _leaving   add(n > 0)                  wait()
    =======  =========  ==========================  =======================================
    0        0          counts                      goes on
    n        0          counts                      waits
    0        m          RuntimeError: reused        goes on
    =======  =========  ==========================  =======================================

When the counter reaches zero all who wait are woken at once; until the last of them runs, they are
`_leaving`. A new round that begins before would be theirs to wait for, or not, by chance. Go finds
that out now and then, in the goroutine that waits; here it is found each time, in the one that adds
too early.
"""

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from gopoll.runtime import interrupt
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.sched import this
from gopoll.runtime.waitq import Waiter, WaitQueue, need_room, refuse, resume
from gopoll.sync._primitive import Primitive, call, next_in

__all__ = ["WaitGroup"]

P = ParamSpec("P")
T = TypeVar("T")

_REASON = "sync.WaitGroup.Wait"
_NEGATIVE = "sync: negative WaitGroup counter"
_REUSED = "sync: WaitGroup is reused before previous Wait has returned"


class WaitGroup(Primitive):
    """Waits for a number of things to be done; mirrors ``sync.WaitGroup``."""

    __slots__ = ("_counter", "_leaving", "_queue")

    def __init__(self) -> None:
        super().__init__()
        self._counter = 0
        self._leaving = 0
        self._queue = WaitQueue()

    def __repr__(self) -> str:
        return f"<WaitGroup at {id(self):#x} of {self._counter}>"

    def add(self, delta: int = 1) -> None:
        """Count `delta` more things to wait for, or less if it is negative.

        At zero all who wait go on.

        Raises:
            RuntimeError: The counter would become negative; or this begins a new round, but not
                everybody has returned from waiting for the last one. Nothing has changed then.
            TypeError: `delta` is no integer.
        """
        if not isinstance(delta, int):
            msg = f"a WaitGroup counts by integers, got {delta!r}"
            raise TypeError(msg)
        self.latch.acquire()
        if self.busy:
            self.latch.release()
            self._add_from_within(delta)
            return
        self.busy = True
        heirs = []
        try:
            counter = self._counter + delta
            if counter < 0:
                raise RuntimeError(_NEGATIVE)
            if delta > 0 and self._leaving:
                raise RuntimeError(_REUSED)
            is_over = not counter and self._queue.first is not None
            if is_over:
                need_room()
            self._counter = counter
            if is_over:
                while (heir := next_in(self._queue)) is not None:
                    heir.ok = True
                    self._leaving += 1
                    heirs.append(heir)
        finally:
            self.busy = False
            self.latch.release()
        for heir in heirs:
            resume(heir.g)

    def done(self) -> None:
        """Count one thing less; mirrors ``Done``.

        Raises:
            RuntimeError: There was none.
        """
        self.add(-1)

    def wait(self) -> None:
        """Wait until the counter is zero."""
        sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
        if not self._counter:
            return
        waiter = Waiter(sched.current or refuse(_REASON))
        self.enter()
        try:
            if not self._counter:
                return
            self._queue.push(waiter)
        finally:
            self.leave()
        try:
            self._park(sched, waiter, _REASON)
        except BaseException:
            self._withdraw(waiter, self._queue)
            raise
        self._leaving -= 1  # one line, without a call: it cannot be torn, see `Waiter.claim`

    def go(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Goroutine[T]:
        """Start ``fn(*args, **kwargs)`` as a goroutine that counts until it has ended.

        However it ends: an exception ends it as it ends any goroutine. Mirrors ``WaitGroup.Go``.

        Raises:
            RuntimeError: See `add`.
            TypeError: `fn` cannot be called.
        """
        if not callable(fn):
            msg = f"go() needs something to call, got {fn!r}"
            raise TypeError(msg)
        sched = this.sched
        if sched.goroutines.size == 1:
            interrupt.install()
        # Not by go(): the goroutine is the caller's, and created where the caller says so.
        self.add(1)
        task = _Task(self, fn, args, kwargs)
        g: Goroutine[T] = Goroutine.create(sched, task.run, (), {}, 2)
        name = getattr(fn, "__qualname__", None)
        g.name = name if isinstance(name, str) else type(fn).__qualname__
        sched.start(g)
        return g

    def renew_after_fork(self) -> None:
        """In a child nobody waits any more; the counter stays. See `Guard`."""
        super().renew_after_fork()
        self._queue = WaitQueue()
        self._leaving = 0

    def _add_from_within(self, delta: int) -> None:
        """Count from a handler or finalizer that interrupted a change of this very WaitGroup."""
        if self._counter + delta < 0:
            raise RuntimeError(_NEGATIVE)
        this.sched.post(_add_later, (self, delta))


def _add_later(what: tuple[WaitGroup, int]) -> None:
    wg, delta = what
    if wg._counter + delta >= 0:
        wg.add(delta)


class _Task(Generic[T]):
    """What a goroutine of a WaitGroup does; one object, which weighs less than its parts."""

    __slots__ = ("args", "begun", "fn", "kwargs", "wg")

    def __init__(
        self, wg: WaitGroup, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.wg = wg
        self.begun = False
        self.fn = fn
        self.args = args
        self.kwargs = kwargs

    def __del__(self) -> None:
        if not self.begun:  # its thread ended before; those who wait in others must not for ever
            self.wg.done()

    def run(self) -> T:
        self.begun = True
        try:
            return call(self.fn, self.args, self.kwargs)
        finally:
            self.wg.done()
