"""Goroutines that wait, and how a test gets rid of them."""

import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import gopoll
from gopoll import testing
from gopoll.errors import GoExit
from gopoll.runtime.sched import this

__all__ = ["end", "in_thread", "outcome", "parked"]

P = ParamSpec("P")
T = TypeVar("T")


def parked(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> gopoll.Goroutine[T]:
    """Start a goroutine, let everybody run, and see that it waits."""
    g = gopoll.go(fn, *args, **kwargs)
    testing.wait_idle()
    assert not g.done, f"{fn} did not wait"
    return g


def outcome(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | BaseException:
    """Call `fn` and return what it returned or raised: for goroutines that are meant to fail."""
    try:
        return fn(*args, **kwargs)
    except BaseException as exc:
        return exc


def end(*goroutines: gopoll.Goroutine[Any]) -> None:
    """End goroutines of this thread that wait for ever, as by goexit()."""
    for g in goroutines:
        if not g.done:
            this.sched.interrupt(g, GoExit())
    for g in goroutines:
        g.join()


def in_thread(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `fn` in an OS thread of its own, wait for the thread's end, and hand on the outcome."""
    came: list[Any] = []
    thread = threading.Thread(target=lambda: came.append(outcome(fn, *args, **kwargs)))
    thread.start()
    gopoll.offload(thread.join)
    if isinstance(came[0], BaseException):
        raise came[0]
    return came[0]
