"""Files: pipes, FIFOs, terminals, devices and the standard streams, waited for as sockets are.

A `File` has the life of Go's ``os.File``: readers queue behind readers, deadlines are absolute,
`close` wakes whoever waits, and the number is given back when the last user has left. What it does
depends on what the descriptor is:

    ==================================  ============================  =========================
    the descriptor                      reads and writes wait         deadlines
    ==================================  ============================  =========================
    pipe, FIFO, terminal, character     for the poller                as on a connection
    device
    socket                              for the poller                as on a connection
    regular file, directory, block      in a worker OS thread, since  none: setting one raises
    device                              no poller can watch it        io.UnsupportedOperation
    ==================================  ============================  =========================

**Non-blocking mode belongs to the open file, which other processes may share**: the shell does,
whose terminal must not be left so. gopoll opens a pipe or terminal once more and makes only that
non-blocking. Where the system refuses (the terminal of another user, a system without ``/proc``),
what is shared is made non-blocking; and blocking again by `close` or when the program ends, except
by a signal that kills it. Sockets need no such mode, and keep theirs.

In a read of a regular file a wait that is interrupted, by ``gopoll.timeout()`` for one, does not
interrupt the worker thread: what it reads is lost. Nothing is lost on files that are waited for.
"""

import errno
import io
import os
import stat
import warnings
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import IO, Any, Final, Self, cast

from gopoll._original import (
    Socket,
    os_dup,
    os_fstat,
    os_pipe,
    os_read,
    os_write,
    set_blocking,
    socket_module,
)
from gopoll._typing import Buffer
from gopoll.errors import ClosedError
from gopoll.fd import FD
from gopoll.net.makefile import make_file
from gopoll.os._descriptor import (
    Descriptor,
    Path,
    copy_of,
    is_fifo,
    is_pollable,
    opened,
    past_the_beginning,
    take_over,
)
from gopoll.os._system import os_lseek, os_readv
from gopoll.runtime.offload import offload
from gopoll.runtime.poller.base import READ, READ_WRITE, WRITE

__all__ = ["File", "open_fifo", "pipe", "stderr", "stdin", "stdout"]

_CHUNK = 65536
_CLOSED = "use of closed file"
_DONT_WAIT: Final = socket_module.MSG_DONTWAIT


class File:
    """An open file; mirrors ``os.File``. It is binary: `makefile` gives text and lines.

    Any number of goroutines, of any threads, may use it at once. A ``with`` block closes it.

    Args:
        fd: A descriptor, which is the file's from now on; a pipe or terminal is opened anew under
            the same number, so that only this process sees it non-blocking.
        name: What it is called in reports.

    Raises:
        TypeError: `fd` is no integer.
        ValueError: `fd` is negative.
        OSError: `fd` is no open descriptor.
    """

    __slots__ = ("__weakref__", "_fd", "_pollable", "_read", "_readv", "_write", "name")

    def __init__(self, fd: int, name: str | None = None) -> None:
        if not isinstance(fd, int):
            msg = f"a descriptor is a number, got {fd!r}"
            raise TypeError(msg)
        if fd < 0:
            msg = f"a descriptor cannot be negative: {fd}"
            raise ValueError(msg)
        if stat.S_ISSOCK(os_fstat(fd).st_mode):
            self._own_socket(_socket_of(fd), name)
        else:
            self._own(take_over(fd), name)

    @classmethod
    def open(cls, path: Path, mode: str = "r", permissions: int = 0o666) -> "File":
        """Open the file at `path`; mirrors ``os.OpenFile``.

        A FIFO waits for the other end as with `open_fifo`. A new file gets `permissions`, less the
        process's umask.

        Args:
            path: Its path.
            mode: As of Python's own ``open``, without "t": "r", "w", "a", "x", and "+".
            permissions: Of a new file.

        Raises:
            OSError: What the kernel says, FileNotFoundError for one.
            ValueError: `mode` is none of these.
        """
        descriptor = opened(path, mode, permissions)
        file = file_of(descriptor, os.fsdecode(path))
        if descriptor.precedes_writers:
            file._wait_for_writer()
        return file

    def _own(self, descriptor: Descriptor, name: str | None) -> None:
        number = descriptor.fileno()
        self.name = f"<fd {number}>" if name is None else name
        self._pollable = is_pollable(number)
        self._fd = fd = FD(descriptor, short_reads=False)
        self._read: Callable[[int], bytes]
        self._readv: Callable[[memoryview], int]
        self._write: Callable[[Buffer], int]
        if self._pollable:
            self._read = partial(os_read, number)
            self._readv = lambda view: os_readv(number, (view,))
            self._write = partial(os_write, number)
        else:  # as a user of the number, in case the goroutine gives up before the thread does
            self._read = lambda n: offload(lambda: fd.use(os_read, number, n))
            self._readv = lambda view: offload(lambda: fd.use(os_readv, number, (view,)))
            self._write = lambda data: offload(lambda: fd.use(os_write, number, data))

    def _own_socket(self, sock: Socket, name: str | None) -> None:
        self.name = f"<fd {sock.fileno()}>" if name is None else name
        self._pollable = True
        self._fd = FD(sock, short_reads=False)
        self._read = lambda n: sock.recv(n, _DONT_WAIT)
        self._readv = lambda view: sock.recv_into(view, 0, _DONT_WAIT)
        self._write = lambda data: sock.send(data, _DONT_WAIT)

    def _wait_for_writer(self) -> None:
        """Let no reader see an end of the stream before anybody has opened the FIFO to write."""
        number, read, readv = self._fd.number, self._read, self._readv
        self._read = lambda n: past_the_beginning(number, read, n)
        self._readv = lambda view: past_the_beginning(number, readv, view)

    def __repr__(self) -> str:
        return f"<File {self.name!r} {'closed' if self._fd.closing else self._fd.number}>"

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:  # also at the very end
        fd = getattr(self, "_fd", None)
        if fd is not None and not fd.closing:
            try:
                _warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
            finally:  # warnings may be errors
                fd.close()

    def read(self, n: int = _CHUNK) -> bytes:
        """Read what is there, at most `n` bytes; wait until something is.

        Returns:
            The bytes; ``b""`` at the end of the file, and for `n` = 0.

        Raises:
            TimeoutError: The read deadline has passed.
            ClosedError: The file is closed, or was while this waited.
            OSError: What the kernel says; EBADF if it was opened to write.
            ValueError: `n` is negative.
        """
        if n < 0:
            msg = f"cannot read {n} bytes"
            raise ValueError(msg)
        try:
            if n == 0:
                return self._fd.use(bytes)
            return self._fd.read(self._read, n)
        except ClosedError as exc:
            _rename(exc)
            raise

    def read_into(self, buffer: Buffer) -> int:
        """Read into a writable `buffer`; return how many bytes, 0 at the end of the file.

        Raises:
            As `read`; TypeError if the buffer cannot be written to.
        """
        view = memoryview(buffer).cast("B")
        if view.readonly:
            msg = "read_into() needs a writable buffer"
            raise TypeError(msg)
        try:
            if not view:
                return self._fd.use(int)
            return self._fd.read_into(self._readv, view)
        except ClosedError as exc:
            _rename(exc)
            raise

    def write(self, data: Buffer) -> int:
        """Write all of `data`, waiting as often as it takes; return its length in bytes.

        Whole writes never interleave with those of other goroutines. Whatever it raises once it has
        begun carries `written`, the number of bytes that went out.

        Raises:
            TimeoutError: The write deadline has passed.
            ClosedError: The file is closed, or was while this waited.
            OSError: What the kernel says, BrokenPipeError if nobody reads the pipe any more.
            TypeError: `data` is no bytes-like object.
        """
        try:
            return self._fd.write(self._write, data)
        except ClosedError as exc:
            _rename(exc)
            raise

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset`, from the beginning or as `whence` says; return the new position.

        Raises:
            ClosedError: The file is closed.
            OSError: It cannot seek: pipes and terminals have no position.
        """
        try:
            return self._fd.use(os_lseek, self._fd.number, offset, whence)
        except ClosedError as exc:
            _rename(exc)
            raise

    def close(self) -> None:
        """Close the file; whoever waits in it wakes with ClosedError.

        Raises:
            ClosedError: It is closed already.
        """
        try:
            self._fd.close()
        except ClosedError as exc:
            _rename(exc)
            raise

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._fd.closing

    def fileno(self) -> int:
        """Return the descriptor's number, which stays the file's; -1 once it is closed."""
        return -1 if self._fd.closing else self._fd.number

    def set_deadline(self, deadline: float | None) -> None:
        """Let reads and writes, present and future, fail with TimeoutError from `deadline` on.

        `deadline` is absolute, on the clock of ``gopoll.time.now()``; None removes it. One that has
        passed wakes whoever waits now. It stays until it is changed.

        Raises:
            ClosedError: The file is closed.
            io.UnsupportedOperation: It is not waited for: a regular file.
        """
        self._set_deadline(READ_WRITE, deadline)

    def set_read_deadline(self, deadline: float | None) -> None:
        """Do the same for reads."""
        self._set_deadline(READ, deadline)

    def set_write_deadline(self, deadline: float | None) -> None:
        """Do the same for writes."""
        self._set_deadline(WRITE, deadline)

    def _set_deadline(self, modes: int, deadline: float | None) -> None:
        if not self._pollable and not self._fd.closing:
            msg = f"{self.name}: file type does not support deadlines"
            raise io.UnsupportedOperation(msg)
        try:
            self._fd.set_deadline(modes, deadline)
        except ClosedError as exc:
            _rename(exc)
            raise

    def makefile(
        self,
        mode: str = "rb",
        buffering: int = -1,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Return a buffered file object over this, in `mode` "r", "w" or "rw", with "b" or text.

        As ``Conn.makefile``: closing it flushes it and leaves this file open.

        Raises:
            ValueError: `mode` is none of these, or unbuffered text was asked for.
        """
        return make_file(cast("Any", self), mode, buffering, encoding, errors, newline)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if not self._fd.closing:
            self.close()


def pipe() -> tuple[File, File]:
    """Make a pipe; return its ends, to read from and to write to. Mirrors ``os.Pipe``.

    Raises:
        OSError: No descriptor is left.
    """
    ends = []
    for number, name in zip(os_pipe(), ("|0", "|1"), strict=True):
        set_blocking(number, False)
        ends.append(file_of(Descriptor(number), name))
    return ends[0], ends[1]


def open_fifo(path: Path, mode: str = "r") -> File:
    """Open a FIFO, "r" or "w"; wait for the other end as a blocking open would.

    To write waits until somebody reads. To read returns at once, and the first read waits for
    somebody who writes; only where the system cannot tell that, the opening waits instead.

    Raises:
        OSError: What the kernel says, FileNotFoundError for one; EINVAL if it is no FIFO.
        ValueError: `mode` is none of these.
    """
    if mode.replace("b", "", 1) not in ("r", "w"):
        msg = f"invalid mode {mode!r} of a FIFO (r or w)"
        raise ValueError(msg)
    if not is_fifo(path):
        raise OSError(errno.EINVAL, "not a FIFO", path)
    return File.open(path, mode)


def stdin() -> File:
    """Return the standard input as a file that can be waited for.

    Each call opens it anew; closing that leaves the standard stream open.

    Raises:
        OSError: The program was started without it.
    """
    return _standard(0, "stdin")


def stdout() -> File:
    """Return the standard output, otherwise as `stdin`."""
    return _standard(1, "stdout")


def stderr() -> File:
    """Return the standard error stream, otherwise as `stdin`."""
    return _standard(2, "stderr")


def _standard(number: int, name: str) -> File:
    if stat.S_ISSOCK(os_fstat(number).st_mode):
        file = File.__new__(File)
        file._own_socket(_socket_of(os_dup(number)), name)
        return file
    return file_of(copy_of(number), name)


def _socket_of(number: int) -> Socket:
    """Return a socket in the mode that it has, which a default timeout would change."""
    mode = os.get_blocking(number)
    sock = Socket(fileno=number)
    sock.setblocking(mode)
    return sock


def file_of(descriptor: Descriptor, name: str) -> File:
    """Return a file that has `descriptor`, which is non-blocking if it can be waited for."""
    file = File.__new__(File)
    file._own(descriptor, name)
    return file


def _rename(exc: ClosedError) -> None:
    """Let the error not speak of a network."""
    exc.args = exc.errno, _CLOSED
    exc.strerror = _CLOSED
