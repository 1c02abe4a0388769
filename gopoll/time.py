"""Time, as the calling goroutine sees it: seconds on a clock that never goes back.

Deadlines are times on this clock: ``conn.set_deadline(time.now() + 5)``.
"""

from gopoll.runtime.proc import sleep
from gopoll.runtime.sched import this

__all__ = ["now", "sleep"]


def now() -> float:
    """Return the time in seconds on the monotonic clock; mirrors the monotonic part of ``Now``.

    Under a fake clock (`gopoll.testing`) it is that clock's time.
    """
    sched = this.sched
    g = sched.current
    return (sched if g is None else g).timeline.now()
