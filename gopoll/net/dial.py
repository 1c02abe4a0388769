"""Dialling: from an address to a connection, over whichever of its addresses answers."""

from typing import Any

from gopoll._original import Socket, errno, os_strerror, socket_module
from gopoll.context import Context
from gopoll.errors import AddrError
from gopoll.fd import FD
from gopoll.net.addr import unix_sockaddr
from gopoll.net.conn import Conn, SocketConn, set_tcp_defaults
from gopoll.net.resolver import INET_NETWORKS, resolve
from gopoll.runtime import scope
from gopoll.runtime.poller.base import WRITE
from gopoll.runtime.sched import this
from gopoll.runtime.scope import until
from gopoll.runtime.timers import Timeline, check_seconds
from gopoll.runtime.waitq import refuse

__all__ = ["dial"]

_LEAST_SHARE = 2.0  # seconds that each address gets, if there are that many
_SELF_CONNECTS = 2  # how often the kernel may connect us to ourselves before we believe it
_PENDING = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EINTR, errno.EAGAIN})


def dial(
    network: str, address: str, *, timeout: float | None = None, ctx: Context | None = None
) -> Conn:
    """Connect to `address`. Mirrors ``net.DialTimeout`` and ``Dialer.DialContext``.

    A name with several addresses has them tried in turn; `timeout` is for all of them together, and
    for finding them. What becomes of `ctx` later is nothing to the connection.

    Args:
        network: "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "unix" or "unixgram".
        address: ``host:port``, where an empty host means this one; or the path of a Unix socket.
        timeout: Seconds; None waits as long as the system does.
        ctx: Dialling stops when it is done.

    Raises:
        AddrError: The network is unknown, or the address cannot be used on it.
        TimeoutError: Nobody answered in time.
        Canceled, DeadlineExceeded: `ctx` was done, before or meanwhile.
        OSError: The error of the first address, ConnectionRefusedError for one.
        TypeError: `ctx` is no context, or `timeout` no number.
        ValueError: `timeout` is negative.
    """
    check_seconds(timeout, "timeout")
    if timeout is not None and timeout < 0:
        msg = f"timeout cannot be negative: {timeout}"
        raise ValueError(msg)
    g = this.sched.current or refuse("dial")
    deadline = None if timeout is None else g.timeline.now() + timeout
    if ctx is None:
        return _dial(network, address, g.timeline, deadline, deadline)
    if not isinstance(ctx, Context):
        msg = f"ctx: expected a context, got {ctx!r}"
        raise TypeError(msg)
    with until(ctx):
        ends = [when for when in (deadline, ctx.deadline()) if when is not None]
        conn = _dial(network, address, g.timeline, deadline, min(ends, default=None))
    error = ctx.err()
    if error is not None:  # it was done in the instant in which the peer answered
        conn.close()
        raise error
    return conn


def _dial(
    network: str, address: str, timeline: Timeline, deadline: float | None, end: float | None
) -> Conn:
    """Dial, each address in turn, until `deadline`; share out the time until `end`."""
    now = timeline.now
    targets = _targets(network, address, None if deadline is None else deadline - now())
    first_error: OSError | None = None
    for left, (family, sockaddr) in zip(range(len(targets), 0, -1), targets, strict=True):
        try:
            share = deadline if left == 1 else _share(now(), end, left)
            return _dial_one(network, address, family, sockaddr, share)
        except OSError as exc:
            first_error = first_error or exc
            if end is not None and end <= now():
                break
    try:
        raise first_error or AddrError(f"address {address!r}: nothing to dial")
    finally:
        first_error = None


def _targets(network: str, address: str, seconds: float | None) -> list[tuple[int, Any]]:
    """Return (family, address for the kernel) for each address that `address` may mean."""
    if network in ("unix", "unixgram"):
        return [(socket_module.AF_UNIX, unix_sockaddr(address))]
    if seconds is None:
        return resolve(network, address, passive=False)
    search = scope.timeout(seconds)
    try:
        with search:
            return resolve(network, address, passive=False)
    except TimeoutError:
        if not search.expired:
            raise
        raise _timed_out(network, address) from None


def _share(now: float, deadline: float | None, addresses: int) -> float | None:
    """Return the deadline of the next address: its part of the time left, at least 2 s of it."""
    if deadline is None:
        return None
    left = deadline - now
    return now + min(left, max(left / addresses, _LEAST_SHARE))


def _dial_one(
    network: str, address: str, family: int, sockaddr: Any, deadline: float | None
) -> Conn:
    kind = INET_NETWORKS[network][1] if network in INET_NETWORKS else _UNIX_KINDS[network]
    for attempt in range(_SELF_CONNECTS + 1):
        sock = Socket(family, kind | socket_module.SOCK_NONBLOCK | socket_module.SOCK_CLOEXEC)
        is_tcp = network.startswith("tcp")
        if is_tcp:
            set_tcp_defaults(sock)
        fd = FD(sock, short_reads=is_tcp)
        try:
            fd.set_deadline(WRITE, deadline)
            _connect(fd, sock, sockaddr, address)
            fd.set_deadline(WRITE, None)
            # A dial to a free port of this host may, in theory, meet itself.
            if is_tcp and attempt < _SELF_CONNECTS and sock.getsockname() == sock.getpeername():
                fd.close()
                continue
        except TimeoutError as exc:
            fd.close()
            if exc.errno is not None:  # the kernel's own, ETIMEDOUT
                raise
            raise _timed_out(network, address) from None
        except BaseException:
            fd.close()
            raise
        return SocketConn(sock, network if not is_tcp else "tcp", sockaddr, fd)
    raise AssertionError  # the last attempt returned or raised


def _timed_out(network: str, address: str) -> TimeoutError:
    return TimeoutError(f"dial {network} {address}: i/o timeout")


_UNIX_KINDS = {"unix": socket_module.SOCK_STREAM, "unixgram": socket_module.SOCK_DGRAM}


def _connect(fd: FD, sock: Socket, sockaddr: Any, address: str) -> None:
    code = sock.connect_ex(sockaddr)
    if code == 0:
        return
    if code not in _PENDING:
        raise OSError(code, os_strerror(code), address)
    if code == errno.EAGAIN:  # a Unix listener's backlog is full, and nothing will announce room
        raise OSError(code, os_strerror(code), address)
    fd.writer.run(lambda _: _check_connected(fd, sock, address), None)


def _check_connected(fd: FD, sock: Socket, address: str) -> None:
    """Find out how connecting went; the event may have been a false one."""
    code = sock.getsockopt(socket_module.SOL_SOCKET, socket_module.SO_ERROR)
    if code in _PENDING:
        raise BlockingIOError
    if code not in (0, errno.EISCONN):
        raise OSError(code, os_strerror(code), address)
    try:
        sock.getpeername()
    except OSError as exc:
        if exc.errno != errno.ENOTCONN:
            raise
        slot = fd.writer.slot
        if slot is not None and slot.desc.hangup:  # a kqueue may take the error for its own
            code = errno.ECONNREFUSED
            raise OSError(code, os_strerror(code), address) from None
        raise BlockingIOError from None
