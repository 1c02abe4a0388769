"""Waiting until nothing is left to do."""

from gopoll.runtime.sched import this
from gopoll.runtime.waitq import Waiter, refuse

__all__ = ["wait_idle"]


def wait_idle() -> None:
    """Park until every other goroutine of this thread waits and no descriptor is ready for one.

    Goroutines that sleep, or wait for a worker thread or another process, count as waiting.
    """
    sched = this.sched
    waiter = Waiter(sched.current or refuse("wait idle"))
    sched.idlers.append(waiter)
    try:
        sched.park(waiter, "wait idle")
    finally:
        if waiter in sched.idlers:
            sched.idlers.remove(waiter)
