"""``ssl`` on goroutines: a TLS socket parks where it would wait; nothing else changes.

`SSLContext` is neither replaced nor subclassed: its properties, and those of subclasses in many
programs, find their base by the name of the class. Only methods of `SSLSocket` are set, in place,
so connections and contexts made before, stale names and subclasses follow.

    =============================  =============================================================
    name                           what becomes of it
    =============================  =============================================================
    read write send do_handshake   call OpenSSL until it wants nothing more, and park in between
    unwrap                         (`_tls`); everything else that waits is made of these: recv,
                                   recv_into, sendfile, accept, connect, makefile
    sendall                        is made of send(), and spares bytes being cut into pieces
    shutdown                       also tells those who wait for the direction of others
    settimeout setblocking         tell what the program asked for, which OpenSSL must not see
    gettimeout getblocking
    timeout
    =============================  =============================================================

OpenSSL reads and writes the descriptor itself. So from the first operation that may wait, a socket
over which TLS is spoken does not block, for the kernel and for the C class alike; until it is given
back: by unwrap(), by detach(), or with the patch:

    =============  ========================  =================================================
    socket is      C object and kernel       next
    =============  ========================  =================================================
    new            as the program says       an operation that may wait: held
    held           never wait                settimeout(): still held; unwrap(), restore: given
                                             back
    given back     as the program says       an operation of TLS that may wait: held
    =============  ========================  =================================================

Who asked for a non-blocking socket gets SSLWantReadError and SSLWantWriteError as ever. An
`SSLObject` over memory never waits. The room `socket`, on which this one rests, goes in with it.
"""

import ssl
from typing import Any, Final

from gopoll._original import Socket
from gopoll.monkey import registry
from gopoll.monkey._sock_state import adopt, states
from gopoll.monkey._tls import Connection
from gopoll.monkey.registry import Room

__all__ = ["ROOM"]

_SSLSocket: Final[Any] = ssl.SSLSocket
_Base: Final[Any] = _SSLSocket.__mro__[1]  # socket.socket
_sendall: Final = _SSLSocket.sendall
_settimeout: Final = Socket.settimeout
_gettimeout: Final = Socket.gettimeout
_getblocking: Final = Socket.getblocking
_KEPT: Final = "_gopoll_connection"  # in the dictionary of a socket that is held
_WRITE_LATE: Final = "The write operation timed out"
_HANDSHAKE_LATE: Final = "The handshake operation timed out"


def _hold(sock: Any) -> Connection | None:
    """Return what a socket's goroutines share; None if this call must not or cannot park."""
    connection: Connection | None = sock.__dict__.get(_KEPT)
    if connection is None:
        state = adopt(sock)
        if state is None:
            return None
        connection = sock.__dict__.setdefault(_KEPT, Connection(state))
        _unblock(sock, connection)
    return connection


def _unblock(sock: Any, connection: Connection) -> None:
    connection.state.fd.unblocked = True
    _settimeout(sock, 0.0)


def _give_back(sock: Any) -> None:
    """Let the socket wait, for the kernel and for C, as the program says."""
    connection = sock.__dict__.pop(_KEPT, None)
    if connection is not None and sock.fileno() >= 0:
        connection.state.fd.unblocked = False
        _settimeout(sock, connection.state.timeout)


# -- operations ----------------------------------------------------------------------------------


def read(self: Any, len: int = 1024, buffer: Any = None) -> Any:
    """Read at most `len` bytes; none at the end of the stream."""
    self._checkClosed()
    sslobj = self._sslobj
    if sslobj is None:
        raise ValueError("Read on closed or unwrapped SSL socket.")
    connection = self.__dict__.get(_KEPT) or _hold(self)
    args = (len,) if buffer is None else (len, buffer)
    try:
        if connection is None:
            return sslobj.read(*args)
        return connection.read(sslobj, *args)
    except ssl.SSLError as exc:
        if exc.args[0] == ssl.SSL_ERROR_EOF and self.suppress_ragged_eofs:
            return b"" if buffer is None else 0
        raise


def write(self: Any, data: Any) -> Any:
    """Write all of `data`; return how many bytes."""
    self._checkClosed()
    if self._sslobj is None:
        raise ValueError("Write on closed or unwrapped SSL socket.")
    return _write(self, data)


def send(self: Any, data: Any, flags: int = 0) -> Any:
    self._checkClosed()
    if self._sslobj is None:
        return _Base.send(self, data, flags)
    if flags != 0:
        raise ValueError(f"non-zero flags not allowed in calls to send() on {self.__class__}")
    return _write(self, data)


def sendall(self: Any, data: Any, flags: int = 0) -> None:
    if type(data) is bytes and data and not flags and self._sslobj is not None:
        sent = self.send(data)
        if sent == len(data):  # as ever: OpenSSL takes all, or fails
            return
        data = memoryview(data)[sent:]
    _sendall(self, data, flags)


def _write(self: Any, data: Any) -> Any:
    call = self._sslobj.write
    connection = self.__dict__.get(_KEPT) or _hold(self)
    if connection is None:
        return call(data)
    return connection.run(connection.state.writer, _WRITE_LATE, call, data)


def do_handshake(self: Any, block: bool = False) -> None:
    self._check_connected()
    asked_to_wait = block and self.gettimeout() == 0.0
    if asked_to_wait:
        self.settimeout(None)
    try:
        call = self._sslobj.do_handshake
        connection = _hold(self)
        if connection is None:
            call()
        else:
            connection.run(connection.state.writer, _HANDSHAKE_LATE, call)
    finally:
        if asked_to_wait:
            self.settimeout(0.0)


def unwrap(self: Any) -> Any:
    if not self._sslobj:
        raise ValueError("No SSL wrapper around " + str(self))
    call = self._sslobj.shutdown
    connection = _hold(self)
    found = call() if connection is None else connection.run(connection.state.writer, None, call)
    self._sslobj = None
    _give_back(self)
    return found


def shutdown(self: Any, how: int) -> None:
    self._checkClosed()
    self._sslobj = None
    _Base.shutdown(self, how)
    connection = self.__dict__.get(_KEPT)
    if connection is not None:
        connection.look_again()


# -- what the program asked for ------------------------------------------------------------------


def settimeout(self: Any, value: Any, /) -> None:
    _Base.settimeout(self, value)
    connection = self.__dict__.get(_KEPT)
    if connection is not None:
        _unblock(self, connection)


def setblocking(self: Any, flag: Any, /) -> None:
    _Base.setblocking(self, flag)
    connection = self.__dict__.get(_KEPT)
    if connection is not None:
        _unblock(self, connection)


def gettimeout(self: Any, /) -> float | None:
    connection = self.__dict__.get(_KEPT)
    return _gettimeout(self) if connection is None else connection.state.timeout


def getblocking(self: Any, /) -> bool:
    connection = self.__dict__.get(_KEPT)
    return _getblocking(self) if connection is None else connection.state.timeout != 0


def _dress_up() -> dict[str, Any]:
    """Give each replacement the looks of what it replaces."""
    own = (read, write, send, sendall, do_handshake, unwrap, shutdown)
    inherited = (settimeout, setblocking, gettimeout, getblocking)
    for function in own + inherited:
        real = getattr(_SSLSocket, function.__name__)
        function.__doc__ = real.__doc__
        function.__qualname__ = real.__qualname__
        function.__module__ = "ssl"
        function.__annotations__ = {}
    places: dict[str, Any] = {f"ssl:SSLSocket.{f.__name__}": f for f in own + inherited}
    places["ssl:SSLSocket.timeout"] = property(gettimeout, doc=Socket.timeout.__doc__)
    return places


def _rest_on_sockets() -> None:
    registry.enter("socket", "socket")


def _give_all_back() -> None:
    for state in tuple(states.values()):
        sock = state.ref()
        if isinstance(sock, _SSLSocket):
            _give_back(sock)


ROOM = Room(
    "ssl",
    replaces=_dress_up(),
    leaves={
        "ssl:SSLContext": "never waits, and its properties look for their base by its name",
        "ssl:SSLObject": "works on memory and never waits",
        "ssl:MemoryBIO": "the same",
        "ssl:SSLSocket.recv": "is made of read(), as recv_into() is",
        "ssl:SSLSocket.sendfile": "is made of send()",
        "ssl:SSLSocket.accept": "is made of socket.accept() and of a handshake, as connect() is",
        "ssl:SSLSocket.pending": "tells what OpenSSL holds, and never waits",
        "ssl:get_server_certificate": "connects by what is patched",
        "ssl:create_default_context": "reads certificates from regular files",
    },
    on_patch=_rest_on_sockets,
    on_restore=_give_all_back,
)
