"""``subprocess`` on goroutines: the standard library's ``Popen``, whose waiting parks.

Only `_wait` is replaced, in place. The standard library's waits with a timeout by asking again and
again, and without one inside of a lock. Here a goroutine waits first, for the child's end and for
nothing else (pidfd, EVFILT_PROC); then the original, which need not wait any more, takes the status
and shares it with the others who wait. There is no handler for SIGCHLD.

The pipes are files of `io`, which park; `communicate` waits in `selectors`, which parks; the report
of a failed start comes through `os.read`.
"""

import os
import subprocess as _module  # noqa: TID251 - the module that is patched
from typing import Any, Final

from gopoll.monkey._children import wait_for_end
from gopoll.monkey.registry import Room
from gopoll.runtime.sched import this

__all__ = ["ROOM"]

_wait: Final[Any] = _module.Popen._wait  # type: ignore[attr-defined]


def wait(self: Any, timeout: float | None) -> Any:
    """Park until the child has ended; return how."""
    if self.returncode is not None:
        return self.returncode
    if this.sched.current is None:
        return _wait(self, timeout)
    if timeout is None:
        wait_for_end(self.pid, None)
    elif not wait_for_end(self.pid, max(0, timeout)) and self._internal_poll() is None:
        raise _module.TimeoutExpired(self.args, timeout)
    return _wait(self, None)


wait.__name__ = "_wait"
wait.__qualname__ = "Popen._wait"

ROOM = Room(
    "subprocess",
    replaces={"subprocess:Popen._wait": wait} if hasattr(os, "waitid") else {},
    leaves={
        "subprocess:Popen": "the class stays",
        "subprocess:Popen.communicate": "waits in selectors, and for the end by _wait",
        "subprocess:Popen._execute_child": "waits in os.read; a child is started at once",
        "subprocess:Popen._internal_poll": "never waits",
    },
)
