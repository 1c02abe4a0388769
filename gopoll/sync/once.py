"""Doing something one time, however many ask for it.

    ========  ==================================  =============================================
    state     do(fn)                              then
    ========  ==================================  =============================================
    new       calls fn: running                   fn returns or raises: done; all who wait go on
    running   waits; in the goroutine that runs
              fn: RuntimeError
    done      nothing                             never
    ========  ==================================  =============================================

A function that raises has had its one time, as in Go. `once_func` and `once_value` remember what it
raised and raise it again; what did not come out of the function but ended its caller (the end of a
``timeout()`` block, a Ctrl-C, ``goexit()``) concerns nobody else: later callers get RuntimeError.
"""

from collections.abc import Callable
from functools import update_wrapper
from types import TracebackType
from typing import Any, Generic, TypeVar

from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.sched import this
from gopoll.runtime.waitq import Waiter, WaitQueue, refuse, resume
from gopoll.sync._primitive import Primitive, Uncopied, call, is_a_ghost, next_in

__all__ = ["Once", "once_func", "once_value"]

T = TypeVar("T")
_REASON = "sync.Once.Do"


class Once(Primitive):
    """Does something one time; mirrors ``sync.Once``."""

    __slots__ = ("_queue", "_runner", "_running", "done")

    def __init__(self) -> None:
        super().__init__()
        self.done = False  # whether the one time has been
        self._running = False
        self._runner: Goroutine[Any] | None = None
        self._queue = WaitQueue()

    def __repr__(self) -> str:
        state = "done" if self.done else "running" if self._running else "new"
        return f"<Once at {id(self):#x} {state}>"

    def do(self, fn: Callable[..., object], /, *args: Any) -> None:
        """Call ``fn(*args)`` if nothing was called here before; return when that has ended.

        Whatever `fn` raises comes out of this call; it counts as done all the same.

        Raises:
            RuntimeError: `fn` itself calls this: it would wait for its own end.
            TypeError: `fn` cannot be called.
        """
        if self.done:
            return
        if not callable(fn):
            msg = f"do() needs something to call, got {fn!r}"
            raise TypeError(msg)
        if self._begin():
            try:
                call(fn, args)
            finally:
                self._finish()

    def renew_after_fork(self) -> None:
        """In a child nobody is doing it any more, unless it is who forked; see `Guard`."""
        super().renew_after_fork()
        self._queue = WaitQueue()
        if self._running and is_a_ghost(self._runner):
            self._running = False
            self._runner = None

    def _begin(self) -> bool:
        """Become the one who does it, True; or wait for that one."""
        sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
        g = sched.current
        self.enter()
        try:
            if self.done:
                return False
            if not self._running:
                self._running = True
                self._runner = g
                return True
            if g is not None and self._runner is g:
                msg = "sync: Once.do called by the function that it calls: it would wait for itself"
                raise RuntimeError(msg)
            waiter = Waiter(g or refuse(_REASON))
            self._queue.push(waiter)
        finally:
            self.leave()
        try:
            sched.park(waiter, _REASON)
        except BaseException:
            self._withdraw(waiter, self._queue)
            raise
        return False

    def _finish(self) -> None:
        heirs = []
        self.enter()
        try:
            self.done = True
            self._running = False
            self._runner = None
            while (heir := next_in(self._queue)) is not None:
                heirs.append(heir)
        finally:
            self.leave()
        for heir in heirs:
            resume(heir.g)


class _Outcome(Uncopied, Generic[T]):
    """A function, and later what came of it."""

    __slots__ = ("error", "fn", "name", "once", "trace", "value")

    def __init__(self, fn: Callable[[], T]) -> None:
        if not callable(fn):
            msg = f"a function to call once is needed, got {fn!r}"
            raise TypeError(msg)
        self.once = Once()
        self.fn: Callable[[], T] | None = fn
        self.name = getattr(fn, "__qualname__", repr(fn))
        self.value: T | None = None
        self.error: BaseException | None = None
        self.trace: TracebackType | None = None

    def find(self) -> None:
        """Call the function, and forget it."""
        assert self.fn is not None
        try:
            self.value = call(self.fn)
        except BaseException as exc:
            self.error = exc
            self.trace = exc.__traceback__
            raise
        finally:
            self.fn = None

    def get(self) -> T:
        """Return what it returned or raise what it raised."""
        if not self.once.done:
            self.once.do(self.find)
        error = self.error
        if error is None:
            return self.value  # type: ignore[return-value]
        try:
            if isinstance(error, Exception):
                raise error.with_traceback(self.trace)  # as it was: each raise adds to it
            msg = f"sync: the one call of {self.name} was ended by {type(error).__name__}"
            raise RuntimeError(msg) from error
        finally:
            del error


def once_func(fn: Callable[[], object]) -> Callable[[], None]:
    """Return a function that calls `fn` the first time, and then never again.

    What `fn` raised is raised at each call. Mirrors ``sync.OnceFunc``; may be used as a decorator.
    """
    outcome = _Outcome(fn)

    def once() -> None:
        outcome.get()

    return _like(fn, once)


def once_value(fn: Callable[[], T]) -> Callable[[], T]:
    """Return a function that calls `fn` the first time, and returns its value each time.

    What `fn` raised is raised at each call. Mirrors ``sync.OnceValue``; may be used as a decorator.
    """
    outcome = _Outcome(fn)

    def once() -> T:
        return outcome.get()

    return _like(fn, once)


def _like(fn: Callable[[], object], wrapper: Callable[[], T]) -> Callable[[], T]:
    update_wrapper(wrapper, fn)
    del wrapper.__wrapped__  # type: ignore[attr-defined]  # it would keep `fn` alive
    return wrapper
