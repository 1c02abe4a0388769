"""``pdb`` on goroutines: while the debugger talks to its user, the world stands still.

No other goroutine of the OS thread runs until a command lets the program go on, whatever the
debugger waits for; what it starts itself does run (see `gopoll.debug.world`). All debuggers that
are made of `pdb` follow. How they step is a matter of `bdb`.
"""

import pdb as _module  # noqa: T100 - the module that is patched
from typing import Any, Final

from gopoll.debug.world import stop_world
from gopoll.monkey.registry import Room
from gopoll.runtime.sched import this

__all__ = ["ROOM"]

_interaction: Final = _module.Pdb.interaction


def interaction(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Talk to the user until a command lets the program go on."""
    self._goroutine = this.sched.current  # which is the one to step in, for `bdb`
    with stop_world():
        return _interaction(self, *args, **kwargs)


ROOM = Room(
    "pdb",
    replaces={"pdb:Pdb.interaction": interaction},
    leaves={
        "sys:breakpointhook": "calls pdb.set_trace, or what PYTHONBREAKPOINT names, as ever",
    },
)
