"""Waiting until nothing is left to do."""

from gopoll.runtime.bubble import bubble_of, durable
from gopoll.runtime.sched import this
from gopoll.runtime.waitq import Waiter, refuse

__all__ = ["wait_idle"]


def wait_idle() -> None:
    """Park until every other goroutine of this thread waits and no descriptor is ready for one.

    Goroutines that sleep, or wait for a worker thread or another process, count as waiting. In a
    `bubble`, park until every other goroutine of the bubble waits durably; mirrors
    ``synctest.Wait``.
    """
    sched = this.sched
    g = sched.current or refuse("wait idle")
    bubble = bubble_of(g)
    idlers = sched.idlers if bubble is None else bubble.idlers
    waiter = Waiter(g)
    idlers.append(waiter)
    try:
        sched.park(waiter, durable("wait idle", g))
    finally:
        if waiter in idlers:
            idlers.remove(waiter)
