"""Packet sockets: UDP and Unix datagrams, which have borders and senders."""

import warnings
from pathlib import Path
from typing import Any, Self

from gopoll._original import AF_INET6, Socket, socket_module
from gopoll._typing import Buffer
from gopoll.errors import AddrError, ClosedError
from gopoll.fd import FD
from gopoll.net.addr import Addr, InetAddr, UnixAddr, from_sockaddr, literal_family, unix_sockaddr
from gopoll.net.listener import bind_inet, bind_unix
from gopoll.net.resolver import resolve
from gopoll.runtime.poller.base import READ, READ_WRITE, WRITE

__all__ = ["PacketConn", "listen_packet"]

_LARGEST = 65536


class PacketConn:
    """A socket for datagrams; mirrors ``net.PacketConn``. A ``with`` block closes it."""

    __slots__ = ("__weakref__", "_family", "_fd", "_network", "_sock", "_unlink")

    def __init__(self, sock: Socket, network: str, unlink: str | None = None) -> None:
        """Take over `sock`, which is bound and non-blocking."""
        self._sock = sock
        self._family = sock.family
        self._network = network
        self._unlink = unlink
        self._fd = FD(sock, short_reads=False)

    def __repr__(self) -> str:
        try:
            return f"<PacketConn {'closed' if self._fd.closing else self.local_addr}>"
        except OSError:  # the descriptor was closed behind our back
            return f"<PacketConn {self._fd!r}>"

    def __del__(self) -> None:
        fd = getattr(self, "_fd", None)
        if fd is not None and not fd.closing:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
            fd.close()

    @property
    def local_addr(self) -> Addr:
        """The address it is bound to."""
        return from_sockaddr(self._network, self._fd.use(self._sock.getsockname))

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._fd.closing

    def read_from(self, n: int = _LARGEST) -> tuple[bytes, Addr]:
        """Wait for a datagram; return its first `n` bytes, which may be none, and its sender.

        Raises:
            TimeoutError: The read deadline has passed.
            ClosedError: The socket is closed, or was while this waited.
            OSError: What the kernel says.
            ValueError: `n` is negative.
        """
        if n < 0:
            msg = f"cannot read {n} bytes"
            raise ValueError(msg)
        data, sender = self._fd.reader.run(self._sock.recvfrom, n)
        return data, from_sockaddr(self._network, sender)

    def write_to(self, data: Buffer, address: Addr | str) -> int:
        """Send `data` as one datagram to `address`, an address or its text; return its length.

        Raises:
            AddrError: The address cannot be used on this socket.
            TimeoutError: The write deadline has passed.
            ClosedError: The socket is closed, or was while this waited.
            OSError: What the kernel says, EMSGSIZE for one.
        """
        target = self._sockaddr(address)
        return self._fd.writer.run(lambda packet: self._sock.sendto(packet, target), data)

    def close(self) -> None:
        """Close the socket; whoever waits in it wakes with ClosedError.

        Raises:
            ClosedError: It is closed already.
        """
        if self._unlink is not None and not self._fd.closing:
            Path(self._unlink).unlink(missing_ok=True)
        self._fd.close()

    def fileno(self) -> int:
        """Return the descriptor's number, which stays gopoll's; -1 once it is closed."""
        return -1 if self._fd.closing else self._fd.number

    def set_deadline(self, deadline: float | None) -> None:
        """Set both deadlines; see ``Conn.set_read_deadline``.

        Raises:
            ClosedError: The socket is closed.
        """
        self._fd.set_deadline(READ_WRITE, deadline)

    def set_read_deadline(self, deadline: float | None) -> None:
        """Let `read_from` fail with TimeoutError from `deadline` on."""
        self._fd.set_deadline(READ, deadline)

    def set_write_deadline(self, deadline: float | None) -> None:
        """Let `write_to` fail with TimeoutError from `deadline` on."""
        self._fd.set_deadline(WRITE, deadline)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if not self._fd.closing:
            self.close()

    def _sockaddr(self, address: Addr | str) -> Any:
        if isinstance(address, UnixAddr) or (
            isinstance(address, str) and self._network == "unixgram"
        ):
            return unix_sockaddr(str(address))
        if isinstance(address, InetAddr):
            address = str(address)
        if self._network == "unixgram":
            msg = f"address {address!r}: not a path"
            raise AddrError(msg)
        if self._fd.closing:
            raise ClosedError
        family, sockaddr = resolve("udp", address, passive=False)[0]
        if self._family == AF_INET6 and family != AF_INET6:
            return (f"::ffff:{sockaddr[0]}", sockaddr[1])
        if self._family != AF_INET6 and literal_family(sockaddr[0]) == AF_INET6:
            msg = f"address {address!r}: an IPv4 socket cannot send to it"
            raise AddrError(msg)
        return sockaddr


def listen_packet(network: str, address: str) -> PacketConn:
    """Bind a datagram socket to `address`. Mirrors ``net.ListenPacket``.

    Args:
        network: "udp", "udp4", "udp6" or "unixgram".
        address: As for `listen`.

    Raises:
        AddrError: The network is unknown, or the address cannot be used on it.
        OSError: What the kernel says, EADDRINUSE for one.
    """
    if network == "unixgram":
        sock, path = bind_unix(address, socket_module.SOCK_DGRAM)
        return PacketConn(sock, network, path)
    if not isinstance(network, str) or not network.startswith("udp"):
        msg = f"unknown network {network!r} for packets"
        raise AddrError(msg)
    return PacketConn(bind_inet(network, address, socket_module.SOCK_DGRAM), "udp")
