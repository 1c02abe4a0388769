"""File objects over a connection, safe for several goroutines.

The standard library's buffers have a lock, but it knows only threads: a second goroutine of the
same thread that enters while the first is parked inside gets an error, or worse. So each direction
has a buffer of its own, and a lock of its own that goroutines queue for.
"""

import io
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

from gopoll.chan import Chan
from gopoll.errors import ClosedError

if TYPE_CHECKING:
    from gopoll.net.conn import Conn

__all__ = ["make_file"]


class _RawConn(io.RawIOBase):
    """The unbuffered bottom: what the standard library's buffers call."""

    def __init__(self, conn: "Conn") -> None:
        self._conn = conn
        self.over = False  # the file is closed: what a buffer has left is let go

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._conn.read_into(buffer)

    def write(self, data: Any) -> int:
        return len(data) if self.over else self._conn.write(data)

    def fileno(self) -> int:
        return self._conn.fileno()


class _Lock:
    """A lock that parks goroutines, in order: a channel with room for one."""

    __slots__ = ("_chan",)

    def __init__(self) -> None:
        self._chan: Chan[None] = Chan(1)

    def __enter__(self) -> None:
        self._chan.send(None)

    def __exit__(self, *exc_info: object) -> None:
        self._chan.recv()


class _ConnFile(io.IOBase):
    """Two buffers, one for each direction, each behind its lock."""

    def __init__(self, raw: _RawConn, reader: Any, writer: Any, mode: str) -> None:
        self._raw = raw
        self._reader = reader
        self._writer = writer
        self._read_lock = _Lock()
        self._write_lock = _Lock()
        self.mode = mode

    def __repr__(self) -> str:
        return f"<ConnFile {self.mode!r} of {self._raw._conn!r}>"

    def readable(self) -> bool:
        return self._reader is not None

    def writable(self) -> bool:
        return self._writer is not None

    def fileno(self) -> int:
        return self._raw.fileno()

    def read(self, n: int | None = -1) -> Any:
        with self._read_lock:
            return self._for_reading().read(n)

    def read1(self, n: int = -1) -> Any:
        with self._read_lock:
            return self._for_reading().read1(n)

    def readinto(self, buffer: Any) -> int:
        with self._read_lock:
            count: int = self._for_reading().readinto(buffer)
            return count

    def readline(self, limit: int | None = -1) -> Any:
        with self._read_lock:
            return self._for_reading().readline(-1 if limit is None else limit)

    def peek(self, n: int = 0) -> Any:
        with self._read_lock:
            return self._for_reading().peek(n)

    def write(self, data: Any) -> int:
        with self._write_lock:
            count: int = self._for_writing().write(data)
            return count

    def writelines(self, lines: Iterable[Any]) -> None:
        with self._write_lock:
            writer = self._for_writing()
            for line in lines:
                writer.write(line)

    def flush(self) -> None:
        if self._writer is not None and not self.closed:
            with self._write_lock:
                self._writer.flush()

    def close(self) -> None:
        if not self.closed:
            try:
                if not self._raw._conn.closed:
                    self.flush()
            except ClosedError:
                return
            finally:
                self._raw.over = True
                super().close()

    def _for_reading(self) -> Any:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if self._reader is None:
            raise io.UnsupportedOperation("not readable")
        return self._reader

    def _for_writing(self) -> Any:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if self._writer is None:
            raise io.UnsupportedOperation("not writable")
        return self._writer


def make_file(
    conn: "Conn",
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> IO[Any]:
    """Return a file object over `conn`; see ``Conn.makefile``."""
    letters = set(mode)
    if not letters <= set("rwb") or not letters & set("rw") or len(mode) != len(letters):
        msg = f"invalid mode {mode!r} (only r, w, b allowed)"
        raise ValueError(msg)
    text = "b" not in letters
    if buffering == 0 and text:
        msg = "unbuffered streams must be binary"
        raise ValueError(msg)
    raw = _RawConn(conn)
    size = io.DEFAULT_BUFFER_SIZE if buffering < 0 else buffering
    reader: Any = None
    writer: Any = None
    if "r" in letters:
        reader = io.BufferedReader(raw, size) if buffering else raw
        if text:
            reader = io.TextIOWrapper(reader, encoding, errors, newline)
    if "w" in letters:
        writer = io.BufferedWriter(raw, size) if buffering else raw
        if text:
            writer = io.TextIOWrapper(
                writer, encoding, errors, newline, line_buffering=buffering == 1
            )
    return _ConnFile(raw, reader, writer, mode)  # type: ignore[return-value]
