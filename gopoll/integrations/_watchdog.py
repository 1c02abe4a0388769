"""A test as a goroutine, and the watchdog that ends it.

The watchdog is an OS thread, since the one that runs goroutines may be what hangs. It sleeps until
the test is over, or its time is:

    ================================  ==========================================================
    when the time is over, the test   then
    ================================  ==========================================================
    has ended                         nothing
    waits                             the scheduler ends the wait of the caller
    computes, or blocks the thread    signals, again and again, until one strikes in its code:
                                      there it gives way to the caller
    blocks, and hears no signal       the stacks are shown, and the process ends
    ================================  ==========================================================

The caller then fails the test with all stacks as they were when the time was over, and ends what
runs: the goroutines that were born meanwhile, as by ``goexit()``. Those from before, of a fixture
for one, go on.
"""

import sys
from collections.abc import Callable
from functools import wraps
from types import FrameType, TracebackType
from typing import Any, TypeVar

import pytest

from gopoll._original import (
    SIGINT,
    allocate_lock,
    fork_exit,
    get_ident,
    getsignal,
    main_thread,
    set_signal,
    start_new_thread,
    thread_kill,
)
from gopoll.debug import dump
from gopoll.runtime import lifetime, outside
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.guard import in_user_code
from gopoll.runtime.proc import go
from gopoll.runtime.sched import Scheduler, this
from gopoll.runtime.scope import Scope, timeout
from gopoll.runtime.timers import check_seconds
from gopoll.runtime.traceback import format_goroutines

__all__ = ["as_goroutine"]

T = TypeVar("T")

_AGAIN = 0.05  # seconds from signal to signal
_SIGNALS = 200  # how many; then the watchdog gives up
_LONGEST = 1_000_000.0
_FAILED = 1  # the exit status of pytest when tests failed


def as_goroutine(
    fn: Callable[..., T], timeout: float | None = 60.0, *, show: Callable[[str], object]
) -> Callable[..., T]:
    """Return a function that calls `fn` as a goroutine, fails if that takes longer than `timeout`.

    `show` gets the stacks if all else fails.
    """
    check_seconds(timeout, "timeout of a goroutine")

    @wraps(fn)
    def test(*args: Any, **kwargs: Any) -> T:
        sched = this.sched
        before = set(sched.goroutines)
        g = go(fn, *args, **kwargs)
        with _Watchdog(timeout, show):
            try:
                value = g.result()
            except BaseException:
                sys.stderr.write(_end(sched, before))
                raise
            if refused := _end(sched, before):
                pytest.fail(refused, pytrace=False)
            return value

    return test


def _end(sched: Scheduler, before: set[Goroutine[Any]]) -> str:
    """End all goroutines but those from before; return a report of those that refuse."""
    told: set[Goroutine[Any]] = set()
    left: list[Goroutine[Any]] = []
    try:
        with timeout(lifetime._GRACE):
            while left := [g for g in sched.goroutines if g not in before]:
                for g in left:
                    if g not in told:
                        told.add(g)
                        lifetime._tell_to_end(sched, g)
                for g in left:
                    g.join()
    except TimeoutError:
        left = [g for g in left if not g.done]
        return f"gopoll: {len(left)} goroutines refused to end:\n\n{format_goroutines(left)}"
    finally:
        for g in left:
            if not g.done:
                lifetime.forget(sched, g)
    return ""


class _Watchdog(Scope):
    """A block that may take so many seconds, whatever it does."""

    __slots__ = (
        "_before",
        "_caller",
        "_ended",
        "_hears",
        "_is_late",
        "_is_over",
        "_mutex",
        "_over",
        "_seconds",
        "_show",
        "_stacks",
    )

    def __init__(self, seconds: float | None, show: Callable[[str], object]) -> None:
        super().__init__()
        self._seconds = seconds
        self._show = show
        self._stacks = ""
        self._is_late = False
        self._is_over = False
        self._hears = False
        self._before: Any = None  # who handled the signal
        self._mutex = allocate_lock()  # no signal is sent once it is over
        self._over, self._ended = allocate_lock(), allocate_lock()
        self._over.acquire()
        self._ended.acquire()

    def __enter__(self) -> None:
        self._caller = self.open()
        if self._seconds is None:
            return
        if get_ident() == main_thread().ident:
            self._hears = True
            self._before = getsignal(SIGINT)
            set_signal(SIGINT, self._hear)
        outside.own_threads[0] += 1
        start_new_thread(self._watch, (self._seconds,))

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._seconds is not None:
            with self._mutex:
                self._is_over = True
            self._over.release()
            self._ended.acquire()
            if self._hears:
                set_signal(SIGINT, self._before)  # what was sent before is heard first
        if self.close(exc):
            msg = f"it still ran after {self._seconds:g} seconds\n\n{self._stacks}"
            raise pytest.fail.Exception(msg, pytrace=False) from None

    def _watch(self, seconds: float) -> None:
        """The body of the thread."""
        try:
            if self._over.acquire(True, min(max(seconds, 0.0), _LONGEST)):
                return
            self._stacks = dump()
            self._is_late = True
            self._caller.sched.post(self.shoot, None)
            for _ in range(_SIGNALS):
                if self._over.acquire(True, _AGAIN):
                    return
                with self._mutex:
                    if self._hears and not self._is_over:
                        thread_kill(main_thread().ident, SIGINT)
            self._show(
                f"\ngopoll: a test still runs after {seconds:g} seconds, and cannot be ended; "
                f"the process ends instead\n\n{self._stacks}"
            )
            fork_exit(_FAILED)
        finally:
            outside.own_threads[0] -= 1
            self._ended.release()

    def _hear(self, signum: int, frame: FrameType | None) -> None:
        """The signal handler: let the caller run instead of the program's code."""
        if not self._is_late:
            if callable(self._before):
                self._before(signum, frame)
            return
        sched = self._caller.sched
        g = sched.current
        if g is None or g is self._caller or not in_user_code(frame):
            return  # it will come again
        self.shoot()
        sched.give_way()
