"""Waiting for the end of a goroutine, from a goroutine of whatever thread.

The one who ends sets its state first and looks for joiners second; the one who joins queues up
first and looks at the state second. So one of the two sees the other. The queue is guarded by the
scheduler of the goroutine that ends.
"""

from gopoll._typing import TYPE_CHECKING, Any
from gopoll.runtime.bubble import durable
from gopoll.runtime.waitq import Waiter, WaitQueue, refuse, resume, wait

if TYPE_CHECKING:
    from gopoll.runtime.goroutine import Goroutine

__all__ = ["enlist", "join", "strike_off", "wake_joiners"]


def join(
    g: "Goroutine[Any]",
    caller: "Goroutine[Any] | None",
    timeout: float | None,
    *,
    wants_error: bool,
) -> None:
    """Park `caller` until `g` has ended; `wants_error` tells `g` that its error will be seen."""
    if g.done:
        return
    if caller is g:
        msg = "a goroutine cannot wait for its own end"
        raise RuntimeError(msg)
    if caller is None:
        refuse("goroutine join")
    waiter = Waiter(caller, wants_error)
    if not enlist(g, waiter):
        return
    try:
        wait(waiter, durable("goroutine join", caller, g.timeline), timeout)
    except BaseException:
        strike_off(g, waiter)
        raise


def enlist(g: "Goroutine[Any]", waiter: Waiter) -> bool:
    """Let `waiter` be claimed when `g` ends; False if it has ended and never will claim it."""
    guard = g.sched.guard
    guard.enter()
    if g.joiners is None:
        g.joiners = WaitQueue()
    g.joiners.push(waiter)
    guard.leave()
    return not (g.done and waiter.claim())  # it may have ended before it could see us


def strike_off(g: "Goroutine[Any]", waiter: Waiter) -> None:
    """Take `waiter` out if `g` has not ended."""
    guard = g.sched.guard
    guard.enter()
    if g.joiners is not None:
        g.joiners.discard(waiter)
    guard.leave()


def wake_joiners(g: "Goroutine[Any]") -> bool:
    """Wake whoever joined `g`, which has ended; True if one of them wants its error."""
    guard = g.sched.guard
    guard.enter()
    queue, g.joiners = g.joiners, None
    guard.leave()
    watched = False
    while queue is not None and (waiter := queue.claim_first()) is not None:
        watched = watched or bool(waiter.value)
        resume(waiter.g)
    return watched
