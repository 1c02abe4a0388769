"""``socket`` on goroutines: the methods are set on the class, so every socket follows.

That goes for subclasses (``ssl.SSLSocket``), for objects made before the patch, and for names that
others have imported: ``socket.socket`` stays the class it is.

    ==============================  ===========================================================
    name                            what becomes of it
    ==============================  ===========================================================
    recv send and kin               park when there is nothing to do (`_sock_recv`, `_sock_send`)
    connect accept bind             the same (`_sock_open`); a host that is a name is looked up
                                    in a worker thread
    makefile sendfile               files that goroutines can share (`_sock_files`)
    close detach                    wake whoever waits in the socket, with EBADF
    settimeout setblocking          as ever; they count from the next call on
    getaddrinfo and kin             names are looked up in a worker thread (`_resolve`)
    ==============================  ===========================================================

What becomes of the descriptor, and of sockets that have the same, stands in `_sock_state`.
"""

import socket as _module  # noqa: TID251 - the module that is patched
from typing import Any, Final

from gopoll._original import Socket, set_blocking
from gopoll.monkey import (
    _ready,
    _resolve,
    _sock_files,
    _sock_open,
    _sock_recv,
    _sock_send,
    _sock_state,
)
from gopoll.monkey._builtin import Builtin
from gopoll.monkey._sock_state import states
from gopoll.monkey.registry import Room

__all__ = ["ROOM"]

_settimeout: Final = Socket.settimeout
_setblocking: Final = Socket.setblocking
_gettimeout: Final = Socket.gettimeout
_close: Final[Any] = _module.close


def settimeout(self: Any, timeout: Any, /) -> None:
    """Set a timeout on socket operations, in seconds; None means that they wait for ever."""
    _settimeout(self, timeout)
    state = states.get(id(self))
    if state is not None:
        state.timeout = _gettimeout(self)


def setblocking(self: Any, flag: Any, /) -> None:
    """Set the socket to blocking (flag is true) or non-blocking (false)."""
    _setblocking(self, flag)
    state = states.get(id(self))
    if state is not None:
        state.timeout = _gettimeout(self)


def real_close(self: Any, _ss: Any = Socket) -> None:
    _sock_state.close(self)


def detach(self: Any) -> int:
    """Close the socket object without closing the underlying file descriptor.

    The object cannot be used after this call, but the file descriptor can be reused for other
    purposes.  The file descriptor is returned.
    """
    self._closed = True
    return _sock_state.detach(self)


def close(fd: Any, /) -> None:
    """Close an integer socket file descriptor; whoever waits for it learns so."""
    if isinstance(fd, int):
        _ready.closing(fd)
    _close(fd)


def _methods() -> dict[str, Any]:
    """Return the methods that this system has, each looking as the one whose place it takes."""
    methods: dict[str, Any] = {
        **_sock_recv.METHODS,
        **_sock_send.METHODS,
        **_sock_open.METHODS,
        **_sock_files.METHODS,
        "settimeout": settimeout,
        "setblocking": setblocking,
        "_real_close": real_close,
        "detach": detach,
    }
    found = {name: method for name, method in methods.items() if hasattr(_module.socket, name)}
    for name, method in found.items():
        method.__name__ = name
        method.__qualname__ = f"socket.{name}"
        method.__module__ = "socket"
        method.__annotations__ = {}
    return found


def _functions() -> dict[str, Any]:
    builtin = Builtin.of("socket")
    functions = {
        name: builtin(function) if name != "getaddrinfo" else function
        for name, function in {**_resolve.FUNCTIONS, "close": close}.items()
        if hasattr(_module, name)
    }
    functions["getaddrinfo"].__module__ = "socket"
    functions["getaddrinfo"].__annotations__ = {}
    return functions


def _leave_sockets() -> None:
    """Give every socket back to the kernel; whoever is parked in one stays so until it is ready."""
    for state in tuple(states.values()):
        fd = state.fd
        if fd.unblocked and state.timeout is None and not fd.closing:
            set_blocking(fd.number, True)
        if not (fd.reader.held or fd.writer.held or fd.closing):
            fd.forget()
    states.clear()


ROOM = Room(
    "socket",
    replaces={
        **{f"socket:socket.{name}": method for name, method in _methods().items()},
        **{f"socket:{name}": function for name, function in _functions().items()},
    },
    leaves={
        "socket:SocketType": "the C class: an object of its own, not of a subclass, blocks",
        "socket:socket.shutdown": "never waits; whoever waits in the socket sees it by the kernel",
        "socket:socket.accept": "like create_connection, create_server, socketpair and fromfd it is"
        " written in Python, and calls what is patched",
        "socket:socket.sendfile": "calls what is patched",
        "socket:getservbyname": "like getservbyport and getprotobyname it reads a local file",
        "socket:gethostname": "never waits",
    },
    on_restore=_leave_sockets,
)
