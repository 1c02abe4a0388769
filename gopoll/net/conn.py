"""Connections: what both ends of a stream can do, and how a socket does it.

`Conn` is what every stream offers, whatever carries it; `SocketConn` is TCP, Unix and dialled UDP
sockets: thin over `FD`, which knows about locks, waiting, deadlines and closing.
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import IO, Any, Final, Self

from gopoll._original import Socket, socket_module
from gopoll._typing import Buffer
from gopoll.errors import ClosedError
from gopoll.fd import FD
from gopoll.net.addr import Addr, from_sockaddr
from gopoll.net.makefile import make_file
from gopoll.net.owner import Owner
from gopoll.runtime.poller.base import READ, READ_WRITE, WRITE

__all__ = ["Conn", "SocketConn"]

_CHUNK = 65536
_MAX_BUFFERS = 1024  # IOV_MAX
_KEEP_ALIVE = 15.0

_IDLE: Final = getattr(socket_module, "TCP_KEEPIDLE", getattr(socket_module, "TCP_KEEPALIVE", None))
_INTERVAL: Final = getattr(socket_module, "TCP_KEEPINTVL", None)
_COUNT: Final = getattr(socket_module, "TCP_KEEPCNT", None)
_TCP: Final = socket_module.IPPROTO_TCP
_NO_DELAY: Final = socket_module.TCP_NODELAY


class Conn(ABC):
    """A stream between two ends; mirrors ``net.Conn``.

    Any number of goroutines, of any threads, may use it at once: reads queue behind reads, writes
    behind writes. `close` wakes them all with ClosedError. A ``with`` block closes it at its end.
    """

    __slots__ = ("__weakref__",)

    @abstractmethod
    def read(self, n: int = _CHUNK) -> bytes:
        """Read what is there, at most `n` bytes; wait until something is.

        Returns:
            The bytes; ``b""`` at the end of the stream (on a datagram socket: an empty datagram),
            and for `n` = 0.

        Raises:
            TimeoutError: The read deadline has passed.
            ClosedError: The connection is closed, or was while this waited.
            OSError: What the kernel says, ConnectionResetError for one.
            ValueError: `n` is negative.
        """

    @abstractmethod
    def read_into(self, buffer: Buffer) -> int:
        """Read into a writable `buffer`; return how many bytes, 0 at the end of the stream.

        Raises:
            As `read`; TypeError if the buffer cannot be written to.
        """

    @abstractmethod
    def write(self, data: Buffer) -> int:
        """Write all of `data`, waiting as often as it takes; return its length in bytes.

        Whole writes never interleave with those of other goroutines.

        Raises:
            TimeoutError: The write deadline has passed.
            ClosedError: The connection is closed, or was while this waited.
            OSError: What the kernel says, BrokenPipeError for one.
            TypeError: `data` is no bytes-like object.

        Whatever it raises once it has begun carries `written`, the number of bytes that went out.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connection; whoever waits in it wakes with ClosedError.

        Raises:
            ClosedError: It is closed already.
        """

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether `close` was called."""

    @property
    @abstractmethod
    def local_addr(self) -> Addr:
        """The address of this end; ``str()`` of it is what `dial` takes."""

    @property
    @abstractmethod
    def remote_addr(self) -> Addr:
        """The address of the other end."""

    @abstractmethod
    def set_read_deadline(self, deadline: float | None) -> None:
        """Let reads, present and future, fail with TimeoutError from `deadline` on.

        `deadline` is absolute, on the clock of ``gopoll.time.now()``; None removes it. One that has
        passed wakes whoever reads now. It stays until it is changed.

        Raises:
            ClosedError: The connection is closed.
        """

    @abstractmethod
    def set_write_deadline(self, deadline: float | None) -> None:
        """Do the same for writes."""

    def set_deadline(self, deadline: float | None) -> None:
        """Do the same for both directions."""
        self.set_read_deadline(deadline)
        self.set_write_deadline(deadline)

    def close_read(self) -> None:
        """Tell the kernel that no more will be read; a waiting reader sees the end of the stream.

        Raises:
            ClosedError: The connection is closed.
            OSError: It is not connected, or no socket.
        """
        raise _unsupported("close_read")

    def close_write(self) -> None:
        """Tell the other end that no more will be written; it sees the end of the stream.

        Raises:
            ClosedError: The connection is closed.
            OSError: It is not connected, or no socket.
        """
        raise _unsupported("close_write")

    def fileno(self) -> int:
        """Return the descriptor's number, which stays gopoll's; -1 once it is closed.

        Raises:
            OSError: It has none.
        """
        raise _unsupported("fileno")

    def set_no_delay(self, on: bool) -> None:
        """Send small writes at once (True, the default of gopoll), or let the kernel gather them.

        Raises:
            ClosedError: The connection is closed.
            OSError: It is not a TCP connection.
        """
        raise _unsupported("set_no_delay")

    def set_keep_alive(
        self,
        on: bool,
        *,
        idle: float = _KEEP_ALIVE,
        interval: float = _KEEP_ALIVE,
        count: int = 9,
    ) -> None:
        """Probe a silent peer: after `idle` seconds, every `interval` seconds, `count` times.

        On for TCP by default. Seconds are rounded up to whole ones.

        Raises:
            ClosedError: The connection is closed.
            OSError: It is not a TCP connection.
        """
        raise _unsupported("set_keep_alive")

    def read_exactly(self, n: int) -> bytes:
        """Read exactly `n` bytes; mirrors ``io.ReadFull``.

        Raises:
            EOFError: The stream ended before; `partial` holds what came.
            OSError, ValueError: As `read`; `partial` holds what came before.
        """
        if n < 0:
            raise _negative(n)
        data = bytearray(n)
        view = memoryview(data)
        got = 0
        try:
            while got < n:
                more = self.read_into(view[got:])
                if not more:
                    msg = f"unexpected end of stream after {got} of {n} bytes"
                    raise EOFError(msg)
                got += more
        except BaseException as exc:
            exc.partial = bytes(data[:got])  # type: ignore[attr-defined]
            raise
        return bytes(data)

    def writev(self, buffers: Iterable[Buffer]) -> int:
        """Write all buffers as one write; return how many bytes. Mirrors ``net.Buffers``.

        Raises:
            As `write`.
        """
        return self.write(b"".join(buffers))

    def makefile(
        self,
        mode: str = "rwb",
        buffering: int = -1,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Return a file object for the connection, in `mode` "r", "w" or "rw", with "b" or text.

        Buffering is the standard library's, made safe for several goroutines: reads queue behind
        reads, writes behind writes. Closing the file flushes it and leaves the connection open.

        Raises:
            ValueError: `mode` is none of these, or unbuffered text was asked for.
        """
        return make_file(self, mode, buffering, encoding, errors, newline)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if not self.closed:
            self.close()


class SocketConn(Owner, Conn):
    """A connection over a socket."""

    __slots__ = ("_fd", "_network", "_peer", "_recv", "_recv_into", "_send", "_sock")

    def __init__(self, sock: Socket, network: str, peer: Any = None, fd: FD | None = None) -> None:
        """Take over `sock`, which is non-blocking, and its `fd` if there is one already."""
        self._sock = sock
        self._network = network
        self._peer = peer
        # Unix sockets stop short at passed descriptors, datagrams at their borders.
        self._fd = fd or FD(sock, short_reads=network.startswith("tcp"))
        self._recv = sock.recv
        self._send = sock.send

    def _described(self) -> str:
        return f"{self._network} {self.local_addr} -> {self.remote_addr}"

    def read(self, n: int = _CHUNK) -> bytes:
        if n <= 0:
            return self._read_nothing(n)
        return self._fd.read(self._recv, n)

    def read_into(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        if view.readonly:
            msg = "read_into() needs a writable buffer"
            raise TypeError(msg)
        if not view:
            return len(self._read_nothing(0))
        return self._fd.read_into(self._sock.recv_into, view)

    def write(self, data: Buffer) -> int:
        return self._fd.write(self._send, data)

    def writev(self, buffers: Iterable[Buffer]) -> int:
        return self._fd.writev(self._sock.sendmsg, buffers, _MAX_BUFFERS)

    def close(self) -> None:
        self._fd.close()

    def close_read(self) -> None:
        self._fd.use(self._sock.shutdown, socket_module.SHUT_RD)

    def close_write(self) -> None:
        self._fd.use(self._sock.shutdown, socket_module.SHUT_WR)

    @property
    def local_addr(self) -> Addr:
        return self._local_addr()

    @property
    def remote_addr(self) -> Addr:
        if self._peer is None:
            self._peer = self._fd.use(self._sock.getpeername)
        return from_sockaddr(self._network, self._peer)

    def set_deadline(self, deadline: float | None) -> None:
        self._fd.set_deadline(READ_WRITE, deadline)

    def set_read_deadline(self, deadline: float | None) -> None:
        self._fd.set_deadline(READ, deadline)

    def set_write_deadline(self, deadline: float | None) -> None:
        self._fd.set_deadline(WRITE, deadline)

    def set_no_delay(self, on: bool) -> None:
        self._fd.use(self._sock.setsockopt, _TCP, _NO_DELAY, int(on))

    def set_keep_alive(
        self,
        on: bool,
        *,
        idle: float = _KEEP_ALIVE,
        interval: float = _KEEP_ALIVE,
        count: int = 9,
    ) -> None:
        option = self._fd.use
        option(self._sock.setsockopt, socket_module.SOL_SOCKET, socket_module.SO_KEEPALIVE, int(on))
        if on:
            for name, value in ((_IDLE, idle), (_INTERVAL, interval), (_COUNT, count)):
                if name is not None:
                    option(self._sock.setsockopt, _TCP, name, max(1, -int(-value // 1)))

    def _read_nothing(self, n: int) -> bytes:
        if n < 0:
            raise _negative(n)
        if self._fd.closing:
            raise ClosedError
        return b""


def set_tcp_defaults(sock: Socket) -> None:
    """Give a new TCP socket Go's defaults; what fails here shows at the first read or write."""
    try:
        sock.setsockopt(_TCP, _NO_DELAY, 1)
        sock.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_KEEPALIVE, 1)
        for name in (_IDLE, _INTERVAL):
            if name is not None:
                sock.setsockopt(_TCP, name, int(_KEEP_ALIVE))
    except OSError:  # the peer is gone already
        return


def _unsupported(what: str) -> io.UnsupportedOperation:
    return io.UnsupportedOperation(f"{what}: not a socket")


def _negative(n: int) -> ValueError:
    return ValueError(f"cannot read {n} bytes")
