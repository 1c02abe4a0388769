"""Goroutines as text, in the shape in which Go prints them.

    goroutine 18 "reader" [IO wait, 3 minutes]:
    read_lines(...)
        /srv/chat.py:41
    created by accept in goroutine 1
        /srv/chat.py:77

Innermost call first, as Go has it; frames of the runtime itself are left out.
"""

from collections.abc import Iterable, Iterator
from types import CodeType, FrameType

from gopoll._original import current_frames, monotonic
from gopoll._typing import Any
from gopoll.runtime.goroutine import Goroutine

__all__ = ["format_goroutine", "format_goroutines", "format_origin"]

_PACKAGE = __file__.rpartition("runtime")[0]  # without pathlib, which costs as much as the rest
_HIDDEN = (_PACKAGE + "runtime", _PACKAGE + "debug")
_MINUTE = 60.0


def format_goroutines(goroutines: Iterable[Goroutine[Any]]) -> str:
    """Return all of them, by id, separated by empty lines."""
    return "\n".join(format_goroutine(g) for g in sorted(goroutines, key=lambda g: g.id))


def format_goroutine(g: Goroutine[Any]) -> str:
    """Return one goroutine: header, stack and origin, each line ended."""
    lines = [_header(g)]
    for frame, lineno in _frames(g):
        code = frame.f_code
        lines.append(f"{code.co_qualname}(...)\n\t{code.co_filename}:{lineno}\n")
    lines.append(format_origin(g))
    return "".join(lines)


def format_origin(g: Goroutine[Any]) -> str:
    """Return who created `g` and where; empty for a main goroutine."""
    if g.site is None:
        return ""
    code, lasti, creator = g.site
    return (
        f"created by {code.co_qualname} in goroutine {creator}\n"
        f"\t{code.co_filename}:{_line_at(code, lasti)}\n"
    )


def _header(g: Goroutine[Any]) -> str:
    state = g.state
    waits = state not in ("running", "runnable", "dead")
    if waits and (waited := monotonic() - g.since) >= _MINUTE:
        minutes = int(waited // _MINUTE)
        state += f", {minutes} minute{'s' if minutes > 1 else ''}"
    return f'goroutine {g.id} "{g.name}" [{state}]:\n'


def _frames(g: Goroutine[Any]) -> Iterator[tuple[FrameType, int | None]]:
    if g.sched.current is g:
        frame = current_frames().get(g.sched.thread)
    else:
        frame = getattr(g.greenlet, "gr_frame", None)
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_HIDDEN):
            yield frame, frame.f_lineno
        frame = frame.f_back


def _line_at(code: CodeType, lasti: int) -> int:
    line = code.co_firstlineno
    for start, _, lineno in code.co_lines():
        if start > lasti:
            break
        line = lineno or line
    return line
