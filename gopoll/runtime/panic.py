"""What becomes of an exception that nobody caught in a goroutine.

Go ends the process. In Python a peer's reset is an exception, and a peer must not be able to end a
server; so here the default is to report it in Go's shape, end the goroutine and go on.

    =========  ==============================================================
    policy     effect
    =========  ==============================================================
    report     the report on stderr; the program goes on (default)
    crash      the report on stderr; the process ends with status 2, as Go's
    callable   called with the goroutine and the exception, instead of both
    =========  ==============================================================

``GOPOLL_PANIC`` names the first policy.
"""

import os
import sys
from collections.abc import Callable

from gopoll._original import fork_exit
from gopoll._typing import Any, Literal
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.traceback import format_origin

__all__ = ["PanicPolicy", "flush_output", "panicked", "report", "set_panic"]

PanicHook = Callable[[Goroutine[Any], BaseException], object]
PanicPolicy = Literal["report", "crash"] | PanicHook

_CRASH_STATUS = 2


def _check(policy: Any, source: str) -> PanicPolicy:
    if policy in ("report", "crash") or callable(policy):
        return policy  # type: ignore[no-any-return]
    msg = f"{source}: expected 'report', 'crash' or a callable, got {policy!r}"
    raise ValueError(msg)


_policy: PanicPolicy = _check(os.environ.get("GOPOLL_PANIC") or "report", "GOPOLL_PANIC")


def set_panic(policy: PanicPolicy) -> PanicPolicy:
    """Choose what an unhandled exception in a goroutine does; return the policy until now.

    ``"report"`` prints it and goes on, ``"crash"`` prints it and ends the process with status 2 as
    Go does, a callable gets the goroutine and the exception and replaces both.

    Raises:
        ValueError: `policy` is none of these.
    """
    global _policy
    previous, _policy = _policy, _check(policy, "set_panic")
    return previous


def panicked(g: Goroutine[Any], exc: BaseException) -> None:
    """Apply the policy to `exc`, which ended `g`."""
    if callable(_policy):
        try:
            _policy(g, exc)
        except BaseException as failure:
            failure.__context__ = exc
            report(g, failure)
        return
    report(g, exc)
    if _policy == "crash":
        flush_output()
        fork_exit(_CRASH_STATUS)


def report(g: Goroutine[Any], exc: BaseException) -> None:
    """Write `exc` on stderr in Go's shape, with Python's traceback in the place of Go's stack."""
    what, stack = _in_words(exc)
    text = f'panic: {what}\n\ngoroutine {g.id} "{g.name}" [running]:\n{stack}{format_origin(g)}'
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # no stderr, or a closed one
        return


def _in_words(exc: BaseException) -> tuple[str, str]:
    """Return what happened, in one line, and the traceback."""
    tb = exc.__traceback__
    if tb is not None and tb.tb_next is not None:
        tb = tb.tb_next  # the first is the frame that runs every goroutine
    try:
        import traceback  # costs as much as a third of gopoll, and most programs never need it
    except Exception:  # no descriptor is left to read it, or Python ends
        return f"{type(exc).__name__}: {exc}", "(no traceback)\n"
    what = "".join(traceback.format_exception_only(type(exc), exc)).strip()
    return what, "".join(traceback.format_exception(type(exc), exc, tb))


def flush_output() -> None:
    """Flush what Python buffers, before an exit that will not."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            continue
