"""``io`` on goroutines: files over pipes, FIFOs, sockets and terminals park; all others are left.

====================  ======================================================================
opened                is
====================  ======================================================================
a number that is      what the original returns, built from the classes of `_files`
one of those
the path of a FIFO    the same; a worker thread waits for the other end
anything else         the original's result
stdin stdout stderr   when they are pipes or terminals, the same objects, over new buffers;
                      patch before anything is read from stdin: what its buffer holds is lost
``input()``           parks until there is something to read, then calls the original; what
                      is typed on a terminal with `readline` is edited there as ever
====================  ======================================================================
"""

import builtins
import io
import os
import sys
from typing import Any, Final

from gopoll.monkey import _files
from gopoll.monkey._builtin import Builtin
from gopoll.monkey._pipes import is_green
from gopoll.monkey._ready import READ, until_ready
from gopoll.monkey.os import open_in_thread, waits_for_other_end
from gopoll.monkey.registry import Room
from gopoll.runtime.guard import calls_user_code
from gopoll.runtime.sched import this

__all__ = ["ROOM"]

_open: Final = io.open
_input: Final = builtins.input


def open(
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    """Open file and return a stream.  Raise OSError upon failure."""
    if sys.flags.warn_default_encoding and encoding is None and "b" not in str(mode):
        encoding = io.text_encoding(encoding)  # warns where this is called
    if opener is None and type(file) is int and is_green(file):
        with _open(file, mode, buffering, encoding, errors, newline, False) as model:
            raw = _files.FileIO(file, _raw_mode(mode), closefd)
            return _built_as(model, raw, mode, buffering, newline)
    if opener is None and closefd and isinstance(mode, str) and _is_half_open(file, mode):
        raw = _files.FileIO(file, _raw_mode(mode), opener=open_in_thread)
        try:
            number = raw.fileno()
            with _open(number, mode, buffering, encoding, errors, newline, False) as model:
                return _built_as(model, raw, mode, buffering, newline)
        except BaseException:
            raw.close()
            raise
    return _open(file, mode, buffering, encoding, errors, newline, closefd, opener)


def _raw_mode(mode: str) -> str:
    return "".join(letter for letter in mode if letter not in "bt")


def _is_half_open(file: Any, mode: str) -> bool:
    """Whether this is the path of a FIFO, for whose other end we would wait."""
    if isinstance(file, int) or this.sched.current is None or "+" in mode:
        return False
    return waits_for_other_end(file, os.O_RDONLY if "r" in mode else os.O_WRONLY, None)


def _built_as(model: Any, raw: Any, mode: str, buffering: int, newline: Any) -> Any:
    """Return `raw` within such layers as `model`, which the original made of the same."""
    buffer = getattr(model, "buffer", model)
    if isinstance(buffer, io.FileIO):
        return raw
    kind = _files.BufferedReader if isinstance(buffer, io.BufferedReader) else _files.BufferedWriter
    made: Any = kind(raw, buffering if buffering > 1 else raw._blksize)
    if buffer is not model:
        made = io.TextIOWrapper(made, model.encoding, model.errors, newline, model.line_buffering)
        made.mode = mode
    return made


# -- the standard streams ------------------------------------------------------------------------

_replaced: list[tuple[Any, Any]] = []  # streams, and the buffers they had


def _adopt_standard_streams() -> None:
    for stream in (sys.__stdin__, sys.__stdout__, sys.__stderr__):
        if type(stream) is not io.TextIOWrapper or stream.closed:
            continue
        old: Any = stream.buffer
        old_raw = getattr(old, "raw", old)
        if type(old_raw) is not io.FileIO or not is_green(old_raw.fileno()):
            continue
        stream.flush()
        raw: Any = _files.FileIO(old_raw.fileno(), old_raw.mode, closefd=False)
        raw.name = old_raw.name
        new: Any = raw
        if type(old) is io.BufferedReader:
            new = _files.BufferedReader(raw)
        elif type(old) is io.BufferedWriter:
            new = _files.BufferedWriter(raw)
        _replaced.append((stream, old))
        _rebuild(stream, new)


def _return_standard_streams() -> None:
    while _replaced:
        stream, old = _replaced.pop()
        if not stream.closed:
            stream.flush()
            _rebuild(stream, old)


def _rebuild(stream: Any, buffer: Any) -> None:
    """Put the same text layer, which others may hold, over another buffer."""
    stream.__init__(
        buffer,
        stream.encoding,
        stream.errors,
        "\n",
        stream.line_buffering,
        stream.write_through,
    )


# -- input ---------------------------------------------------------------------------------------


@calls_user_code
def input(prompt: Any = "", /) -> str:
    """Read a string from standard input.  The trailing newline is stripped."""
    if this.sched.current is None or not _is_on_terminal():
        return _input(prompt)
    sys.stdout.flush()
    if "readline" in sys.modules:
        _wait_for_first_key(prompt)
        return _input(prompt)
    sys.stdout.write(str(prompt))
    sys.stdout.flush()
    until_ready(0, READ)
    return _input()


def _is_on_terminal() -> bool:
    """Whether the original would talk to the terminal itself."""
    try:
        numbers = sys.stdin.fileno(), sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    return numbers == (0, 1) and os.isatty(0) and os.isatty(1)


def _wait_for_first_key(prompt: Any) -> None:
    """Show the prompt until a key is pressed; then the line is `readline`'s, prompt and all."""
    import termios

    sys.stdout.write(str(prompt))
    sys.stdout.flush()
    was = termios.tcgetattr(0)
    keys = termios.tcgetattr(0)
    keys[3] &= ~(termios.ICANON | termios.ECHO)
    try:
        termios.tcsetattr(0, termios.TCSANOW, keys)
        until_ready(0, READ)
    finally:
        termios.tcsetattr(0, termios.TCSANOW, was)
    sys.stdout.write("\r")
    sys.stdout.flush()


open.__doc__ = _open.__doc__
_open_builtin: Final = Builtin.of("io")(open)

ROOM = Room(
    "io",
    replaces={
        "io:open": _open_builtin,
        "builtins:open": _open_builtin,
        "builtins:input": Builtin.of("builtins")(input),
    },
    leaves={
        "io:FileIO": "the class of all raw files; only what open() makes of pipes parks",
        "io:BufferedReader": "the same: its lock goes by OS threads",
        "io:TextIOWrapper": "has no lock, and waits only in its buffer",
        "io:open_code": "of regular files",
    },
    on_patch=_adopt_standard_streams,
    on_restore=_return_standard_streams,
)
