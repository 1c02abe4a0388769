"""Packet sockets: UDP and Unix datagrams, which have borders and senders."""

from typing import Any

from gopoll._original import AF_INET6, Socket, socket_module
from gopoll._typing import Buffer
from gopoll.errors import AddrError, ClosedError
from gopoll.net.addr import Addr, InetAddr, UnixAddr, from_sockaddr, literal_family, unix_sockaddr
from gopoll.net.listener import bind_inet, bind_unix
from gopoll.net.owner import Bound
from gopoll.net.resolver import resolve
from gopoll.runtime.poller.base import READ, READ_WRITE, WRITE

__all__ = ["PacketConn", "listen_packet"]

_LARGEST = 65536


class PacketConn(Bound):
    """A socket for datagrams; mirrors ``net.PacketConn``. A ``with`` block closes it."""

    __slots__ = ("_family", "_heard")

    def __init__(self, sock: Socket, network: str, unlink: str | None = None) -> None:
        """Take over `sock`, which is bound and non-blocking."""
        super().__init__(sock, network, unlink)
        self._family = sock.family
        # The last sender, as we and as the kernel call it: most datagrams are answers, and to find
        # out anew what to call it would cost more than all the rest.
        self._heard: tuple[Addr | None, Any] = (None, None)

    @property
    def local_addr(self) -> Addr:
        """The address it is bound to."""
        return self._local_addr()

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
        known, sockaddr = self._heard
        if known is None or sender != sockaddr:
            known = from_sockaddr(self._network, sender)
            if sender:  # to who has no name nothing can be sent
                self._heard = known, sender
        return data, known

    def write_to(self, data: Buffer, address: Addr | str) -> int:
        """Send `data` as one datagram to `address`, an address or its text; return its length.

        Raises:
            AddrError: The address cannot be used on this socket.
            TimeoutError: The write deadline has passed.
            ClosedError: The socket is closed, or was while this waited.
            OSError: What the kernel says, EMSGSIZE for one.
        """
        known, sockaddr = self._heard
        target = sockaddr if address is known else self._sockaddr(address)
        return self._fd.writer.run(lambda packet: self._sock.sendto(packet, target), data)

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
