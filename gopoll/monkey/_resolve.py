"""Names and addresses: what may ask a server does so in a worker thread.

What needs no server is answered in the goroutine: numeric addresses and "localhost", with numeric
ports. The methods that take an address look the host up as well, in C; so they are given a numeric
one, see `settled`.
"""

import _socket
import socket  # noqa: TID251 - the module that is patched
from typing import Any, Final

from gopoll._literal import literal_family
from gopoll._original import Socket, socket_module
from gopoll.runtime.offload import offload
from gopoll.runtime.sched import this

__all__ = ["FUNCTIONS", "settled"]

_getaddrinfo: Final = socket.getaddrinfo
_gethostbyname: Final = socket.gethostbyname
_gethostbyname_ex: Final = socket.gethostbyname_ex
_gethostbyaddr: Final = socket.gethostbyaddr
_getnameinfo: Final = socket.getnameinfo
_lookup: Final[Any] = _socket.getaddrinfo
_family: Final[Any] = vars(Socket)["family"].__get__
_LENGTHS: Final = {socket_module.AF_INET: (2,), socket_module.AF_INET6: (2, 3, 4)}
_LOCAL: Final = "localhost"  # must not be asked for (RFC 6761); a file tells
_SPECIAL: Final = ("", "<broadcast>", _LOCAL)
_NUMERIC: Final = socket_module.NI_NUMERICHOST | socket_module.NI_NUMERICSERV


def getaddrinfo(
    host: Any, port: Any, family: Any = 0, type: Any = 0, proto: Any = 0, flags: Any = 0
) -> Any:
    """Resolve host and port into list of address info entries."""
    if this.sched.current is None or (_is_numeric_port(port) and _is_numeric(host, _LOCAL)):
        return _getaddrinfo(host, port, family, type, proto, flags)
    return offload(_getaddrinfo, host, port, family, type, proto, flags)


def gethostbyname(hostname: Any, /) -> str:
    """Return the IP address (a string of the form '255.255.255.255') for a host."""
    if this.sched.current is None or _is_numeric(hostname, *_SPECIAL):
        return _gethostbyname(hostname)
    return offload(_gethostbyname, hostname)


def gethostbyname_ex(hostname: Any, /) -> tuple[str, list[str], list[str]]:
    """Return the true host name, a list of aliases, and a list of IP addresses, for a host."""
    if this.sched.current is None or _is_numeric(hostname, _LOCAL):
        return _gethostbyname_ex(hostname)
    return offload(_gethostbyname_ex, hostname)


def gethostbyaddr(ip_address: Any, /) -> tuple[str, list[str], list[str]]:
    """Return the true host name, a list of aliases, and a list of IP addresses, for a host."""
    if this.sched.current is None:
        return _gethostbyaddr(ip_address)
    return offload(_gethostbyaddr, ip_address)


def getnameinfo(sockaddr: Any, flags: Any, /) -> tuple[str, str]:
    """Get host and port for a sockaddr."""
    numeric = isinstance(flags, int) and flags & _NUMERIC == _NUMERIC
    try:
        if this.sched.current is None or numeric or type(sockaddr) is not tuple:
            return _getnameinfo(sockaddr, flags)
        return offload(_getnameinfo, sockaddr, flags)
    finally:
        del sockaddr  # a traceback keeps no more of it than that of the original


def settled(sock: Any, address: Any) -> Any:
    """Return `address`, its host looked up if it is one of the Internet and has a name.

    Raises:
        socket.gaierror: The name is unknown, or the resolver failed.
    """
    if type(address) is not tuple or this.sched.current is None:
        return address
    family = _family(sock)
    if len(address) not in _LENGTHS.get(family, ()):
        return address
    host: Any = address[0]
    if _is_numeric(host, *_SPECIAL):
        return address
    found: Any = offload(_lookup, host, None, family)
    return (found[0][4][0], *address[1:])


def _is_numeric(host: Any, *others: str) -> bool:
    """Whether `host` is a numeric address or one of `others`, or nothing to look up at all."""
    if isinstance(host, (bytes, bytearray)):
        try:
            host = host.decode("ascii")
        except UnicodeDecodeError:
            return False
    return not isinstance(host, str) or host in others or literal_family(host) is not None


def _is_numeric_port(port: Any) -> bool:
    return not isinstance(port, (str, bytes)) or port.isdigit()


FUNCTIONS: Final[dict[str, Any]] = {
    "getaddrinfo": getaddrinfo,
    "gethostbyname": gethostbyname,
    "gethostbyname_ex": gethostbyname_ex,
    "gethostbyaddr": gethostbyaddr,
    "getnameinfo": getnameinfo,
}
