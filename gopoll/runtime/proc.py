"""What users say to the scheduler: ``go``, ``run``, ``gosched``, ``goexit``, ``sleep`` and kin."""

from collections.abc import Callable

from gopoll._typing import Any, NoReturn, ParamSpec, TypeVar
from gopoll.errors import GoExit
from gopoll.runtime import interrupt, lifetime
from gopoll.runtime.bubble import bubbles, durable
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.guard import calls_user_code
from gopoll.runtime.sched import schedulers, this
from gopoll.runtime.timers import check_seconds
from gopoll.runtime.waitq import Waiter, elapse, refuse

__all__ = ["conceive", "current", "go", "goexit", "gosched", "num_goroutine", "run", "sleep"]

P = ParamSpec("P")
T = TypeVar("T")
_create = Goroutine.create  # bound once, not at each birth


def go(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Goroutine[T]:
    """Start ``fn(*args, **kwargs)`` as a goroutine and return its handle at once.

    The goroutine runs when the caller next waits. It sees a copy of the caller's context
    variables. Mirrors Go's ``go`` statement.

    Raises:
        TypeError: `fn` cannot be called.
    """
    if not callable(fn):
        msg = f"go() needs something to call, got {fn!r}"
        raise TypeError(msg)
    sched = this.sched
    if sched.goroutines.size == 1:
        interrupt.install()
    g = _create(sched, fn, args, kwargs, 2)
    sched.goroutines.add(g)  # this, and below: `start` without the calls
    sched.runq.append(g)
    if sched.sleeping:
        sched.ring()
    return g


def conceive(
    what: str, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Goroutine[T]:
    """Return a goroutine for `what`, which somebody may start later: its caller has created it.

    Raises:
        TypeError: `fn` cannot be called.
    """
    if not callable(fn):
        msg = f"{what}() needs something to call, got {fn!r}"
        raise TypeError(msg)
    sched = this.sched
    if sched.goroutines.size == 1:
        interrupt.install()
    return Goroutine.create(sched, fn, args, kwargs, 3)


def run(main: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``main(*args, **kwargs)`` as the main goroutine; return its value or raise its error.

    When main returns, nobody waits for the other goroutines of the thread: they end as by
    ``goexit()``. Those that do not within a second are reported on stderr and left behind.

    Raises:
        Deadlock: All goroutines were asleep, or main called ``goexit()`` and the rest ended.
        RuntimeError: Called inside of ``run()``, or in a goroutine that ``go()`` started.
    """
    sched = this.sched
    if sched.running or sched.current is not sched.main:
        msg = "run() belongs at the bottom of a thread: it was called inside of a goroutine"
        raise RuntimeError(msg)
    try:
        sched.running = True
        interrupt.install()
        return _call(main, args, kwargs)
    except GoExit:
        # The others go on; when the last of them ends, or sleeps for ever, that is a deadlock.
        sched.park(Waiter(sched.main), "goexit")
        raise AssertionError from None  # nobody has the waiter
    finally:
        try:
            sched.running = False
            lifetime.shut_down(sched)
        finally:
            interrupt.uninstall()


@calls_user_code
def _call(main: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    return main(*args, **kwargs)


def gosched() -> None:
    """Let other goroutines run; the caller goes on after them. Mirrors ``runtime.Gosched``."""
    this.sched.give_way()


def goexit() -> NoReturn:
    """End the calling goroutine; its ``finally`` blocks run. Mirrors ``runtime.Goexit``.

    In the main goroutine the other goroutines go on; when they have ended, ``run()`` raises
    `Deadlock`.

    Raises:
        RuntimeError: Called in the main goroutine outside of ``run()``.
    """
    sched = this.sched
    if sched.current is sched.main and not sched.running:
        msg = "goexit() in the main goroutine needs run(main)"
        raise RuntimeError(msg)
    end = GoExit()
    if sched.current is not None and sched.current.on_switch is not None:
        sched.current.on_switch.crosses(end)
    raise end


def current() -> Goroutine[Any]:
    """Return the calling goroutine; in a thread that started none, the thread's own.

    Raises:
        RuntimeError: Called in a signal handler that interrupted the scheduler itself.
    """
    g = this.sched.current
    if g is None:
        msg = "no goroutine runs: a signal handler interrupted the scheduler"
        raise RuntimeError(msg)
    return g


def num_goroutine() -> int:
    """Return how many goroutines live in the process. Mirrors ``runtime.NumGoroutine``.

    Each OS thread that uses gopoll counts its own as one.
    """
    return sum(len(sched.goroutines) for sched in list(schedulers.values()))


def sleep(seconds: float) -> None:
    """Pause the calling goroutine for at least `seconds`. Mirrors ``time.Sleep``.

    Zero or less only lets others run.

    Raises:
        ValueError: `seconds` is not a number.
        TypeError: `seconds` is no number at all.
    """
    check_seconds(seconds, "sleep")
    sched = this.sched
    if seconds <= 0:
        sched.give_way()
        return
    g = sched.current
    if g is None:
        refuse("sleep")
    waiter = Waiter(g)
    timeline = g.timeline
    timer = timeline.add(timeline.now() + seconds, elapse, waiter)
    try:
        sched.park(waiter, durable("sleep", g) if bubbles[0] else "sleep")
    finally:
        timeline.cancel(timer)
