"""The goroutine dump, and the signal that asks for it."""

import sys
from types import FrameType

from gopoll._original import SIGQUIT, set_signal
from gopoll.runtime.sched import schedulers
from gopoll.runtime.traceback import format_goroutines

__all__ = ["dump", "install"]


def dump() -> str:
    """Return every goroutine of the process, of all OS threads, in the shape in which Go prints it.

    For each: its id, name, state or what it waits for and for how many minutes, its stack
    (innermost call first), and who created it where. Mirrors ``runtime.Stack(buf, true)``.
    """
    return format_goroutines(
        g for sched in list(schedulers.values()) for g in list(sched.goroutines)
    )


def install() -> None:
    """Print `dump` on stderr at each SIGQUIT, the key Ctrl-backslash; then go on.

    ``GOPOLL_TRACEBACK=1`` in the environment does the same at import.

    Raises:
        ValueError: Not called in the main thread.
    """
    set_signal(SIGQUIT, _print_dump)


def _print_dump(_signum: int, _frame: FrameType | None) -> None:
    try:
        sys.stderr.write(f"SIGQUIT: quit\n\n{dump()}")
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError, RuntimeError):  # no stderr, or it is in use
        return
