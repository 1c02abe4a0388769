"""Connecting, accepting, binding: the methods of ``socket.socket`` that take no flags.

=========  ===================================================================================
method     on a socket that blocks in the kernel
=========  ===================================================================================
connect    does not block for the moment in which the connection is begun, and waits until it
           is made
accept     does not block from the first call on, see `SocketFD.unblock`; what it accepts does
bind       never waits, but for a name to be looked up, as connect may, too
=========  ===================================================================================
"""

import sys
from typing import Any, Final

from gopoll._original import Socket, errno, os_strerror, set_blocking, socket_module
from gopoll.monkey import _resolve
from gopoll.monkey._sock_state import NOT_YET, WRITE, State, adopt, listens
from gopoll.monkey._wait import Parked, park
from gopoll.runtime.sched import this

__all__ = ["METHODS"]

_connect: Final = Socket.connect
_connect_ex: Final = Socket.connect_ex
_accept: Final[Any] = vars(Socket)["_accept"]
_bind: Final = Socket.bind
_BEGUN: Final = frozenset({errno.EINPROGRESS, errno.EINTR})
_TELLS_TWICE: Final = sys.platform == "linux"  # the first who tries again is told of success
_INHERITS_FLAG: Final = sys.platform != "linux"  # an accepted socket has the listener's mode
_SOONEST, _LATEST = 0.001, 0.02  # between two attempts, where nothing tells when to try


def connect(self: Any, address: Any, /) -> None:
    """Connect the socket to a remote address.  For IP sockets, the address is (host, port)."""
    address = _resolve.settled(self, address)
    state = adopt(self)
    if state is None:
        _connect(self, address)
        return
    code = _attempt(state, address)
    if code:
        raise OSError(code, os_strerror(code))


def connect_ex(self: Any, address: Any, /) -> int:
    """Like connect(address), but return an error code instead of raising an exception."""
    address = _resolve.settled(self, address)
    state = adopt(self)
    if state is None:
        return _connect_ex(self, address)
    try:
        return _attempt(state, address)
    except TimeoutError as exc:
        if exc.args != ("timed out",):
            raise
        return errno.EAGAIN


def _attempt(state: State, address: Any) -> int:
    side = state.writer
    deadline = state.begin(side)
    try:
        code = _begin(state, address)
        if deadline == NOT_YET and code:
            deadline = state.deadline()
        if code == errno.EAGAIN and state.timeout is None:
            return _insist(state, address)
        begun = code in _BEGUN or (code == errno.EALREADY and state.timeout is None)
        while begun and state.timeout != 0:
            state.wait(WRITE, deadline)
            state.clear(WRITE)
            code = _outcome(state)
            begun = code == errno.EINPROGRESS
            if code == 0 and _TELLS_TWICE and state.timeout is None:
                state.shadow.connect_ex(address)
        return code
    finally:
        state.give(side)


def _begin(state: State, address: Any) -> int:
    state.clear(WRITE)
    return state.in_passing(state.shadow.connect_ex, address)


def _outcome(state: State) -> int:
    """Return how connecting went; the event may have been a false one."""
    code = state.shadow.getsockopt(socket_module.SOL_SOCKET, socket_module.SO_ERROR)
    if code == errno.EISCONN:
        return 0
    if code:
        return code
    try:
        state.shadow.getpeername()
    except OSError as exc:
        if exc.errno != errno.ENOTCONN:
            return 0
        slot = state.writer.slot
        if slot is not None and slot.desc.hangup:  # a kqueue may take the error for its own
            return errno.ECONNREFUSED
        return errno.EINPROGRESS
    return 0


def _insist(state: State, address: Any) -> int:
    """Connect to a Unix socket whose queue is full; nothing tells when there is room."""
    g = this.sched.current
    pause = _SOONEST
    while True:
        code = _begin(state, address)
        if code != errno.EAGAIN or g is None:
            return code
        park(Parked(g), "IO wait", pause)
        if state.fd.closing:
            return errno.EBADF
        pause = min(2 * pause, _LATEST)


def accept(self: Any, /) -> tuple[int, Any]:
    """_accept() -> (integer fd, address info)."""
    state = adopt(self)
    if state is None:
        found: tuple[int, Any] = _accept(self)
    else:
        found = state.run(state.reader, _accept_one, state)
        if _INHERITS_FLAG and state.timeout is None:
            set_blocking(found[0], True)
    return found


def _accept_one(state: State) -> tuple[int, Any]:
    fd = state.fd
    if state.timeout is None and (fd.unblocked or listens(fd.shadow)):
        fd.unblock()  # each time: whoever shares it may have set the flag again
    shadow: Any = fd.shadow
    found: tuple[int, Any] = shadow._accept()
    return found


def bind(self: Any, address: Any, /) -> None:
    """Bind the socket to a local address.  For IP sockets, the address is (host, port)."""
    _bind(self, _resolve.settled(self, address))


METHODS: Final[dict[str, Any]] = {
    "connect": connect,
    "connect_ex": connect_ex,
    "_accept": accept,
    "bind": bind,
}
