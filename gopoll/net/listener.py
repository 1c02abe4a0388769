"""Listeners: sockets that accept connections, and `serve`, the loop around them."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Final, overload

from gopoll._original import AF_INET, AF_INET6, Socket, errno, socket_module
from gopoll.errors import AddrError, ClosedError
from gopoll.net.addr import Addr, unix_sockaddr
from gopoll.net.conn import Conn, SocketConn, set_tcp_defaults
from gopoll.net.owner import Bound
from gopoll.net.resolver import resolve
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.guard import calls_user_code
from gopoll.runtime.poller.base import READ
from gopoll.runtime.proc import go, sleep
from gopoll.runtime.sched import this
from gopoll.runtime.timers import check_seconds

if TYPE_CHECKING:
    from gopoll.net._workers import Share

__all__ = ["Listener", "bind_inet", "bind_unix", "listen", "serve"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 1.0
_TEMPORARY = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SOMAXCONN = Path("/proc/sys/net/core/somaxconn")
_WORKERS_GRACE: Final = 30.0
# Whether a connection has the options of its listener, which spares four system calls for each.
_INHERITS: Final = sys.platform == "linux"


class Listener(Bound):
    """A socket that accepts connections; mirrors ``net.Listener``.

    Any number of goroutines, of any threads, may accept from it. A ``with`` block closes it. Those
    who accept wake with ClosedError then; connections that were accepted live on.
    """

    __slots__ = ("_accept",)

    def __init__(self, sock: Socket, network: str, unlink: str | None = None) -> None:
        """Take over `sock`, which listens and is non-blocking."""
        super().__init__(sock, network, unlink)
        accept: Callable[[], tuple[int, Any]] = sock._accept  # type: ignore[attr-defined]
        self._accept = lambda _: accept()

    @property
    def addr(self) -> Addr:
        """The address it listens on; ``str()`` of it is what `dial` takes."""
        return self._local_addr()

    def accept(self) -> Conn:
        """Wait for a connection and return it. Mirrors ``net.Listener.Accept``.

        A connection that its client gave up before it was accepted is passed over.

        Raises:
            TimeoutError: The deadline has passed.
            ClosedError: The listener is closed, or was while this waited.
            OSError: What the kernel says; EMFILE if there are too many open files.
        """
        while True:
            try:
                number, peer = self._fd.reader.run(self._accept, None)
                break
            except ConnectionAbortedError:
                continue
        sock = Socket(self._sock.family, self._sock.type, self._sock.proto, number)
        sock.setblocking(False)
        if self._network == "tcp" and not _INHERITS:
            set_tcp_defaults(sock)
        return SocketConn(sock, self._network, peer)

    def __iter__(self) -> Iterator[Conn]:
        """Accept until the listener is closed.

        While there are too many open files this pauses, from 5 ms doubling to 1 s, and goes on.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                conn = self.accept()
            except ClosedError:
                return
            except OSError as exc:
                if exc.errno not in _TEMPORARY:
                    raise
                sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                pause = _FIRST_PAUSE
                yield conn

    def set_deadline(self, deadline: float | None) -> None:
        """Let `accept`, present and future, fail with TimeoutError from `deadline` on.

        See ``Conn.set_read_deadline``.

        Raises:
            ClosedError: The listener is closed.
        """
        self._fd.set_deadline(READ, deadline)


def listen(
    network: str, address: str, *, backlog: int | None = None, reuse_port: bool = False
) -> Listener:
    """Listen on `address`. Mirrors ``net.Listen``.

    Args:
        network: "tcp", "tcp4", "tcp6" or "unix".
        address: ``host:port``, where port 0 lets the system choose and an empty host means every
            interface, IPv6 and IPv4 together for "tcp"; or the path of a Unix socket.
        backlog: How many connections may wait to be accepted; None: as many as the system allows.
        reuse_port: Share the port with other listeners that ask for it.

    Raises:
        AddrError: The network is unknown, or the address cannot be used on it.
        OSError: What the kernel says, EADDRINUSE for one.
        ValueError: `backlog` is negative.
    """
    if backlog is None:
        backlog = _system_backlog()
    elif backlog < 0:
        msg = f"backlog cannot be negative: {backlog}"
        raise ValueError(msg)
    path = None
    if network == "unix":
        sock, path = bind_unix(address, socket_module.SOCK_STREAM)
    elif isinstance(network, str) and network.startswith("tcp"):
        sock = bind_inet(network, address, socket_module.SOCK_STREAM, reuse_port=reuse_port)
        set_tcp_defaults(sock)
    else:
        msg = f"unknown network {network!r} to listen on"
        raise AddrError(msg)
    try:
        sock.listen(backlog)
    except OSError as exc:
        sock.close()
        raise _named(exc, address) from None
    return Listener(sock, network[:3] if path is None and network != "unix" else "unix", path)


@overload
def serve(
    listener: Listener, handler: Callable[[Conn], object], *, grace: float | None = 0.0
) -> None: ...


@overload
def serve(
    listener: Listener,
    handler: Callable[[Conn], object],
    *,
    workers: int | None,
    grace: float | None = ...,
) -> None: ...


def serve(
    listener: Listener,
    handler: Callable[[Conn], object],
    *,
    workers: int | None = None,
    grace: float | EllipsisType | None = ...,
) -> None:
    """Accept until the listener is closed; call ``handler(conn)`` in a goroutine for each.

    The connection is closed when its handler returns. ConnectionError and ClosedError that a
    handler lets through mean that the peer is gone, and end it silently; anything else is reported
    as any unhandled exception of a goroutine. Too many open files only make it pause.

    With `workers` that many processes do this, forked from here, and the calling one sees to it
    that they live: who ends is replaced. SIGTERM and Ctrl-C close the listener, once more they end
    the workers at once; SIGHUP replaces the workers. Deadlines of the listener play no part.

    Args:
        listener: Where to accept. Close it to end `serve`.
        handler: Called with each `Conn`.
        workers: How many processes accept; None: this one, and no other.
        grace: Once the listener is closed, how many seconds to wait for handlers before their
            connections are closed; None waits for ever. Without workers the default is 0, which
            leaves them alone and returns at once; with workers it is 30.

    Raises:
        OSError: Accepting failed for good.
        TypeError, ValueError: There can be no such number of workers; `grace` is no number.
        RuntimeError: With `workers`, outside of the main thread.
        NotImplementedError: With `workers`, on a system without ``fork``.
    """
    if isinstance(grace, EllipsisType):  # nobody has said anything
        grace = 0.0 if workers is None else _WORKERS_GRACE
    check_seconds(grace, "grace")
    if workers is None:
        _serve(listener, handler, grace)
        return
    _check_workers(workers)
    if not isinstance(listener, Listener) or not callable(handler):
        msg = f"workers need a Listener and something to call, got {listener!r} and {handler!r}"
        raise TypeError(msg)
    from gopoll.net._workers import Supervisor

    def work(share: "Share") -> None:
        _serve(listener, share.count(handler), grace, share)

    Supervisor(listener, work, workers, grace).run()


def _check_workers(workers: object) -> None:
    if not isinstance(workers, int) or isinstance(workers, bool):
        msg = f"workers: a number of processes or None, got {workers!r}"
        raise TypeError(msg)
    if workers < 1:
        msg = f"workers: there must be one at least, got {workers}"
        raise ValueError(msg)
    if not hasattr(os, "fork"):
        msg = "workers: this system does not fork processes"
        raise NotImplementedError(msg)
    if not this.sched.is_main_thread:
        msg = "serve() has workers in the main thread only: signals come there"
        raise RuntimeError(msg)


def _serve(
    listener: Listener,
    handler: Callable[[Conn], object],
    grace: float | None,
    share: "Share | None" = None,
) -> None:
    """Serve in this process; with a `share` as one of several."""
    handlers: dict[Goroutine[None], Conn] = {}
    for conn in listener:
        g = go(_handle, handlers, handler, conn)
        handlers[g] = conn
        if share is not None:
            share.step_back()
    if share is not None:
        share.end()
    if grace == 0.0:
        return
    now = (
        this.sched.main.timeline.now
        if this.sched.current is None
        else this.sched.current.timeline.now
    )
    until = None if grace is None else now() + grace
    for g, conn in list(handlers.items()):
        try:
            g.join(None if until is None else max(0.0, until - now()))
        except TimeoutError:
            if not conn.closed:
                conn.close()


@calls_user_code
def _handle(
    handlers: dict[Goroutine[None], Conn], handler: Callable[[Conn], object], conn: Conn
) -> None:
    try:
        with conn:
            handler(conn)
    except (ConnectionError, ClosedError):
        return
    finally:
        current = this.sched.current
        if current is not None:
            handlers.pop(current, None)


def bind_inet(network: str, address: str, kind: int, *, reuse_port: bool = False) -> Socket:
    """Return a socket bound to `address`: dual-stack where that is asked for and can be had."""
    found = resolve(network, address, passive=True)
    # One socket serves both families if the host is empty; a name means its first IPv4 address.
    wildcard = address.startswith(":") and network[3:] == ""
    found.sort(key=lambda entry: entry[0] != (AF_INET6 if wildcard else AF_INET))
    for family, sockaddr in found:
        try:
            sock = Socket(family, kind | socket_module.SOCK_NONBLOCK | socket_module.SOCK_CLOEXEC)
        except OSError:
            if (family, sockaddr) == found[-1]:
                raise
            continue  # the kernel has no IPv6
        try:
            if kind == socket_module.SOCK_STREAM:
                sock.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_REUSEADDR, 1)
            else:
                sock.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_BROADCAST, 1)
            if reuse_port:
                sock.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_REUSEPORT, 1)
            if family == AF_INET6:
                only_v6 = not wildcard
                sock.setsockopt(socket_module.IPPROTO_IPV6, socket_module.IPV6_V6ONLY, int(only_v6))
            sock.bind(sockaddr)
        except OSError as exc:
            sock.close()
            if wildcard and family == AF_INET6 and exc.errno == errno.EADDRNOTAVAIL:
                continue
            raise _named(exc, address) from None
        else:
            return sock
    raise AssertionError(found)  # the last entry returned or raised


def bind_unix(path: str, kind: int) -> tuple[Socket, str | None]:
    """Return a socket bound to `path`, and the path to remove when it is closed, if any."""
    sockaddr = unix_sockaddr(path)
    sock = Socket(
        socket_module.AF_UNIX, kind | socket_module.SOCK_NONBLOCK | socket_module.SOCK_CLOEXEC
    )
    try:
        sock.bind(sockaddr)
    except OSError as exc:
        sock.close()
        raise _named(exc, path) from None
    return sock, None if path.startswith("@") else path


def _named(exc: OSError, address: str) -> OSError:
    """Return the same error with the address in its text."""
    if exc.errno is None:
        return exc
    return OSError(exc.errno, exc.strerror, address)


def _system_backlog() -> int:
    try:
        return int(_SOMAXCONN.read_text())
    except (OSError, ValueError):
        return socket_module.SOMAXCONN
