"""Addresses: how they are written, what they become for the kernel, and back.

An internet address is written ``host:port``, an IPv6 host in brackets; an empty host means every
interface to listen on, and this host to dial. A Unix address is a path, or ``@name`` in Linux's
abstract namespace. What cannot be used raises AddrError before anything is opened.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from gopoll._literal import literal_family
from gopoll._original import socket_module
from gopoll.errors import AddrError

__all__ = [
    "Addr",
    "InetAddr",
    "UnixAddr",
    "from_sockaddr",
    "join_host_port",
    "literal_family",
    "parse_port",
    "split_host_port",
    "unix_sockaddr",
]

_MAX_PORT = 65535
_MAPPED = "::ffff:"  # an IPv4 peer, as a dual-stack socket sees it


@dataclass(frozen=True, slots=True)
class InetAddr:
    """A TCP or UDP address; mirrors ``net.TCPAddr`` and ``net.UDPAddr``."""

    network: str  # "tcp" or "udp"
    host: str
    port: int

    def __str__(self) -> str:
        return join_host_port(self.host, self.port)


@dataclass(frozen=True, slots=True)
class UnixAddr:
    """A Unix socket address; mirrors ``net.UnixAddr``. The path of an unnamed peer is empty."""

    network: str  # "unix" or "unixgram"
    path: str

    def __str__(self) -> str:
        return self.path


Addr: TypeAlias = InetAddr | UnixAddr


def split_host_port(address: str) -> tuple[str, str]:
    """Split ``host:port`` or ``[host]:port`` into host and port; mirrors ``net.SplitHostPort``.

    Raises:
        AddrError: The port is missing, or colons and brackets are not where they belong.
        TypeError: `address` is no string.
    """
    if not isinstance(address, str):
        msg = f"an address is a string, got {address!r}"
        raise TypeError(msg)
    host, colon, port = address.rpartition(":")
    if address.startswith("["):
        end = address.find("]")
        if end < 0:
            raise _bad(address, "missing ']' in address")
        if end + 1 == len(address):
            raise _bad(address, "missing port in address")
        if address[end + 1] != ":":
            raise _bad(address, "unexpected characters after ']' in address")
        host, port = address[1:end], address[end + 2 :]
        if ":" in port:
            raise _bad(address, "too many colons in address")
    elif not colon:
        raise _bad(address, "missing port in address")
    elif ":" in host:
        raise _bad(address, "too many colons in address")
    if set("[]") & set(host + port):
        raise _bad(address, "unexpected bracket in address")
    return host, port


def join_host_port(host: str, port: int | str) -> str:
    """Join host and port to ``host:port``; mirrors ``net.JoinHostPort``."""
    return f"[{host}]:{port}" if ":" in host or "%" in host else f"{host}:{port}"


def parse_port(network: str, port: str) -> int:
    """Return the number of a port that is written as a number or as the name of a service.

    Raises:
        AddrError: It is neither, or out of range.
    """
    if not port:
        return 0
    if port.isdecimal() and port.isascii():
        number = int(port)
    else:
        try:
            number = socket_module.getservbyname(port, network[:3])
        except (OSError, UnicodeError):
            raise _bad(port, f"unknown port for {network}") from None
    if number > _MAX_PORT:
        raise _bad(port, "port out of range")
    return number


def unix_sockaddr(path: str) -> str:
    """Return what the kernel calls `path`.

    Raises:
        AddrError: It is empty or contains a null character.
        TypeError: `path` is no string.
    """
    if not isinstance(path, str):
        msg = f"the address of a unix socket is a string, got {path!r}"
        raise TypeError(msg)
    if not path or "\0" in path:
        raise _bad(path, "not a path")
    return "\0" + path[1:] if path.startswith("@") else path


def from_sockaddr(network: str, sockaddr: Any) -> Addr:
    """Return the address that the kernel calls `sockaddr`."""
    if network.startswith("unix"):
        path = (
            sockaddr.decode("utf-8", "surrogateescape") if isinstance(sockaddr, bytes) else sockaddr
        )
        path = path or ""
        return UnixAddr(network, "@" + path[1:] if path.startswith("\0") else path)
    host, port, *rest = sockaddr
    if host.startswith(_MAPPED) and "." in host:
        host = host[len(_MAPPED) :]
    elif rest and rest[1] and "%" not in host:
        host = f"{host}%{_interface(rest[1])}"
    return InetAddr(network[:3], host, port)


def _interface(index: int) -> str:
    name: Callable[[int], str] = socket_module.if_indextoname
    try:
        return name(index)
    except OSError:
        return str(index)


def _bad(address: str, what: str) -> AddrError:
    return AddrError(f"address {address!r}: {what}")
