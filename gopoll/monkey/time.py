"""``time`` on goroutines: a sleep parks the goroutine, and nobody else."""

import time  # noqa: TID251 - the module that is patched
from operator import index
from typing import Any, Final

from gopoll.monkey._builtin import Builtin
from gopoll.monkey._wait import Parked, park
from gopoll.monkey.registry import Room
from gopoll.runtime.bubble import bubbles, durable
from gopoll.runtime.guard import calls_user_code
from gopoll.runtime.sched import this

__all__ = ["ROOM"]

_sleep: Final = time.sleep


@Builtin.of("time")  # type: ignore[untyped-decorator]
@calls_user_code
def sleep(seconds: Any, /) -> None:
    """sleep(seconds)

    Delay execution for a given number of seconds.  The argument may be
    a floating point number for subsecond precision.
    """  # noqa: D402, D415 - the words of the standard library
    sched = this.sched
    g = sched.current
    if not isinstance(seconds, (int, float)) and hasattr(seconds, "__index__"):
        seconds = index(seconds)
    if g is None or not isinstance(seconds, (int, float)) or not 0 <= seconds < _TOO_LONG:
        _sleep(seconds)  # which knows what is wrong with it, or must block
        return
    if seconds == 0:
        sched.give_way()
    else:
        park(Parked(g), durable("sleep", g) if bubbles[0] else "sleep", seconds)


_TOO_LONG: Final = 1e9  # seconds; from about here on the real one raises OverflowError

ROOM = Room(
    "time",
    replaces={"time:sleep": sleep},
    leaves={
        "time:monotonic": "like all clocks it reads, and never waits",
        "time:thread_time": "the CPU time of the OS thread, which goroutines share",
    },
)
