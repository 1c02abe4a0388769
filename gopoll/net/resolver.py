"""From names to addresses.

A numeric address never leaves the goroutine; a name goes to the system's resolver in a worker
thread, since libc blocks.
"""

from typing import Any

from gopoll._original import AF_INET, AF_INET6, gaierror, getaddrinfo, socket_module
from gopoll.errors import AddrError
from gopoll.net.addr import literal_family, parse_port, split_host_port
from gopoll.runtime.offload import offload

__all__ = ["INET_NETWORKS", "lookup_host", "resolve"]

# Network -> (families it admits, socket type).
INET_NETWORKS: dict[str, tuple[tuple[int, ...], int]] = {
    name + suffix: (families, kind)
    for name, kind in (("tcp", socket_module.SOCK_STREAM), ("udp", socket_module.SOCK_DGRAM))
    for suffix, families in (("", (AF_INET, AF_INET6)), ("4", (AF_INET,)), ("6", (AF_INET6,)))
}


def lookup_host(name: str) -> list[str]:
    """Return the addresses of a host name, best first; mirrors ``net.LookupHost``.

    Raises:
        socket.gaierror: The name is unknown, or the resolver failed.
        TypeError: `name` is no string.
    """
    if not isinstance(name, str):
        msg = f"a host name is a string, got {name!r}"
        raise TypeError(msg)
    if literal_family(name) is not None:
        return [name]
    if not name:
        raise gaierror(socket_module.EAI_NONAME, "no host name given")
    return list(dict.fromkeys(sockaddr[0] for _, sockaddr in _lookup(name, 0)))


def resolve(network: str, address: str, *, passive: bool) -> list[tuple[int, Any]]:
    """Return (family, address for the kernel) for each address that `address` may mean.

    An empty host means every interface if `passive`, else this host.

    Raises:
        AddrError: The network is unknown, or the address cannot be used on it.
        socket.gaierror: The name is unknown, or the resolver failed.
    """
    families, _ = _families(network)
    host, port_text = split_host_port(address)
    port = parse_port(network, port_text)
    if not host:
        hosts = {AF_INET: "0.0.0.0", AF_INET6: "::"} if passive else _LOOPBACK  # noqa: S104 - asked for
        found = [(family, (hosts[family], port)) for family in families]
    else:
        literal = literal_family(host)
        if literal is not None and "%" not in host:
            found = [(literal, (host, port))]
        else:
            found = _lookup(host, port)
    found = [entry for entry in found if entry[0] in families]
    if not found:
        msg = f"address {address!r}: no suitable address for {network}"
        raise AddrError(msg)
    return found


_LOOPBACK = {AF_INET: "127.0.0.1", AF_INET6: "::1"}


def _families(network: str) -> tuple[tuple[int, ...], int]:
    try:
        return INET_NETWORKS[network]
    except (KeyError, TypeError):
        msg = f"unknown network {network!r}"
        raise AddrError(msg) from None


def _lookup(host: str, port: int) -> list[tuple[int, Any]]:
    try:
        answers = offload(getaddrinfo, host, port, 0, socket_module.SOCK_STREAM)
    except UnicodeError:
        msg = f"address {host!r}: not a host name"
        raise AddrError(msg) from None
    return [(family, sockaddr) for family, _, _, _, sockaddr in answers]
