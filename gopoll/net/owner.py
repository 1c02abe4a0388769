"""What every object of the network does that owns a socket: it says so, gives it back, complains.

`Owner` is for all of them, `Bound` for those that have an address of their own: listeners and
packet sockets. Whoever forgets to close one gets a ResourceWarning, as from a socket.
"""

import warnings
from pathlib import Path
from typing import Any, Self

from gopoll._original import Socket
from gopoll.fd import FD
from gopoll.net.addr import Addr, from_sockaddr

__all__ = ["Bound", "Owner"]


class Owner:
    """Whoever holds a socket and its `FD`."""

    __slots__ = ()

    _fd: FD
    _network: str
    _sock: Socket

    def __repr__(self) -> str:
        kind = type(self).__name__.removeprefix("Socket")
        if self._fd.closing:
            return f"<{kind} closed>"
        try:
            return f"<{kind} {self._described()}>"
        except OSError:  # the peer is gone, or the descriptor was closed behind our back
            return f"<{kind} {self._network} {self._fd!r}>"

    def __del__(self, _warn: Any = warnings.warn) -> None:  # at the end modules are empty
        fd = getattr(self, "_fd", None)
        if fd is not None and not fd.closing:
            try:
                _warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
            finally:  # warnings may be errors
                fd.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._fd.closing

    def fileno(self) -> int:
        """Return the descriptor's number, which stays gopoll's; -1 once it is closed."""
        return -1 if self._fd.closing else self._fd.number

    def _local_addr(self) -> Addr:
        return from_sockaddr(self._network, self._fd.use(self._sock.getsockname))

    def _described(self) -> str:
        return str(self._local_addr())


class Bound(Owner):
    """A socket that is bound to an address, for Unix sockets a path; a ``with`` block closes it."""

    __slots__ = ("__weakref__", "_fd", "_network", "_sock", "_unlink")

    def __init__(self, sock: Socket, network: str, unlink: str | None = None) -> None:
        """Take over `sock`, which is bound and non-blocking, and made the path `unlink`."""
        self._sock = sock
        self._network = network
        self._unlink = unlink
        self._fd = FD(sock, short_reads=False)

    def close(self) -> None:
        """Close the socket; whoever waits in it wakes with ClosedError. Its path is removed.

        Raises:
            ClosedError: It is closed already.
        """
        if self._unlink is not None and not self._fd.closing:
            Path(self._unlink).unlink(missing_ok=True)
        self._fd.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if not self._fd.closing:
            self.close()
