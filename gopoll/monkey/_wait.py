"""How a patched call waits: like any goroutine, but never as a part of a deadlock.

A program for threads may wait for a signal handler, for good, or for a thread that gopoll does not
know. So whoever waits in the standard library's name counts as one whom the outside can wake.

Whoever claims a `Parked` waiter sets its `ok`; what ends the wait otherwise leaves it False. Who
waits in a `Hinted` one looks for himself afterwards, and waits again if there was nothing: so a
signal handler may end that wait, to have for itself what there is, as the kernel ends a call.
"""

from typing import ClassVar

from gopoll.runtime.waitq import Waiter, elapse

__all__ = ["Hinted", "Parked", "park"]


class Parked(Waiter):
    """The waiter of a patched call."""

    external: ClassVar[bool] = True

    __slots__ = ()


class Hinted(Parked):
    """The same, where whoever claims it only says that there may be something; its value is None.

    Another value says more, if the one who waits knows what.
    """

    __slots__ = ()


def park(waiter: Parked, reason: str, timeout: float | None) -> bool:
    """Park until `waiter` is claimed, at most `timeout` seconds; False if nobody has by then.

    If this raises, or answers False, the caller takes the waiter out of wherever it has put it.
    """
    g = waiter.g
    if timeout is None:
        g.sched.park(waiter, reason)
        return waiter.ok
    timeline = g.timeline
    timer = timeline.add(timeline.now() + timeout, elapse, waiter)
    try:
        g.sched.park(waiter, reason)
    finally:
        timeline.cancel(timer)
    return waiter.ok
