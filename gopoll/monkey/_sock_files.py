"""Files over sockets, and files sent by them: ``makefile`` and ``sendfile``.

What `makefile` returns is the standard library's, but for buffers whose lock goes by OS threads:
they have a subclass for which goroutines queue up. A file is sent by the kernel, in pieces of which
none blocks, and nothing of another goroutine goes out in between.
"""

import io
import os
import socket  # noqa: TID251 - the module that is patched
from typing import Any, Final

from gopoll._original import os_fstat
from gopoll.monkey import _files
from gopoll.monkey._sock_state import NOT_YET, WRITE, State, adopt

__all__ = ["METHODS"]

_makefile: Final[Any] = vars(socket.socket)["makefile"]
_use_sendfile: Final[Any] = vars(socket.socket).get("_sendfile_use_sendfile")
_sendfile: Final[Any] = getattr(os, "sendfile", None)
_GiveUp: Final[Any] = getattr(socket, "_GiveupOnSendfile", OSError)
_LARGEST: Final = 2**30  # bytes for one call


def makefile(
    self: Any,
    mode: str = "r",
    buffering: Any = None,
    *,
    encoding: Any = None,
    errors: Any = None,
    newline: Any = None,
) -> Any:
    """makefile(...) -> an I/O stream connected to the socket

    The arguments are as for io.open() after the filename, except the only supported mode values are
    'r' (default), 'w', 'b', or a combination of those.
    """  # noqa: D402, D415 - the words of the standard library
    binary = "b" in str(mode)
    if buffering == 0 or not (isinstance(mode, str) and set(mode) <= set("rwb")):
        return _makefile(self, mode, buffering, encoding=encoding, errors=errors, newline=newline)
    raw = _makefile(self, mode if binary else mode + "b", 0)
    size = io.DEFAULT_BUFFER_SIZE if buffering is None or buffering < 0 else buffering
    buffer: Any
    if raw.readable() and raw.writable():
        buffer = BufferedRWPair(raw, raw, size)
    elif raw.readable():
        buffer = _files.BufferedReader(raw, size)
    else:
        buffer = _files.BufferedWriter(raw, size)
    if binary:
        return buffer
    text: Any = io.TextIOWrapper(buffer, io.text_encoding(encoding), errors, newline)
    text.mode = mode
    return text


class BufferedRWPair(io.BufferedRWPair):
    """A buffer for each direction; goroutines queue for each of them."""

    __module__ = "_io"

    def __init__(self, reader: Any, writer: Any, buffer_size: int = io.DEFAULT_BUFFER_SIZE) -> None:
        # Nothing of the base but its name is used: it would make buffers of its own.
        self._reader = _files.BufferedReader(reader, buffer_size)
        self._writer = _files.BufferedWriter(writer, buffer_size)
        for name in ("read", "read1", "readinto", "readinto1", "readline", "peek", "readable"):
            setattr(self, name, getattr(self._reader, name))
        for name in ("write", "flush", "writable"):
            setattr(self, name, getattr(self._writer, name))

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._writer.closed

    def isatty(self) -> bool:
        """Whether it is a terminal: no."""
        return self._writer.isatty() or self._reader.isatty()

    def close(self) -> None:
        """Send what is left, and close both directions."""
        try:
            self._writer.close()
        finally:
            self._reader.close()


# -- sendfile ------------------------------------------------------------------------------------


def use_sendfile(self: Any, file: Any, offset: int = 0, count: int | None = None) -> int:
    """Send a file from `offset` on, `count` bytes of it, by the kernel."""
    state = adopt(self)
    if state is None or _sendfile is None:
        sent: int = _use_sendfile(self, file, offset, count)
        return sent
    self._check_sendfile_params(file, offset, count)
    try:
        number = file.fileno()
        size = os_fstat(number).st_size
    except (AttributeError, OSError) as exc:  # no regular file
        raise _GiveUp(exc) from exc
    if not size:
        return 0
    total = 0
    side = state.writer
    deadline = state.begin(side)
    try:
        while count is None or total < count:
            size = min(count - total if count else size, _LARGEST)
            try:
                sent = _send_piece(state, number, offset + total, size)
            except BlockingIOError:
                sent = -1
            except OSError as exc:
                if total:
                    raise
                raise _GiveUp(exc) from exc
            if sent > 0:
                total += sent
                deadline = NOT_YET  # the timeout is for each piece
            elif sent == 0:
                break
            else:
                deadline = state.deadline() if deadline == NOT_YET else deadline
                state.wait(WRITE, deadline)
        return total
    finally:
        state.give(side)
        if total > 0 and hasattr(file, "seek"):
            file.seek(offset + total)


def _send_piece(state: State, number: int, offset: int, size: int) -> int:
    """Send as much as the kernel takes at once."""
    state.clear(WRITE)
    sent: int = state.in_passing(_sendfile, state.fd.number, number, offset, size)
    return sent


METHODS: Final[dict[str, Any]] = {
    "makefile": makefile,
    "_sendfile_use_sendfile": use_sendfile,
}
