"""The network: TCP, Unix and UDP sockets on which waiting parks one goroutine and nobody else.

Names and defaults are those of Go's ``net``: TCP_NODELAY and keep-alive (15 s) are on, listeners
reuse addresses and take the system's backlog. A deadline is a time on the clock of
``gopoll.time.now()``.
"""

from gopoll.errors import AddrError, ClosedError
from gopoll.net.addr import Addr, InetAddr, UnixAddr, join_host_port, split_host_port
from gopoll.net.conn import Conn
from gopoll.net.dial import dial
from gopoll.net.listener import Listener, listen, serve
from gopoll.net.packet import PacketConn, listen_packet
from gopoll.net.pipe import pipe
from gopoll.net.resolver import lookup_host

__all__ = [
    "Addr",
    "AddrError",
    "ClosedError",
    "Conn",
    "InetAddr",
    "Listener",
    "PacketConn",
    "UnixAddr",
    "dial",
    "join_host_port",
    "listen",
    "listen_packet",
    "lookup_host",
    "pipe",
    "serve",
    "split_host_port",
]
