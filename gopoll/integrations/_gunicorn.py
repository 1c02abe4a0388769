"""What the worker for gunicorn is made of: a listener, the wait for a request, and an answer.

The listener and its flags are shared with the master and the other workers, so it stays as gunicorn
has made it: non-blocking. Another worker may always be faster.
"""

import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from gopoll._original import Socket
from gopoll.errors import GoExit
from gopoll.fd import FD
from gopoll.runtime.scope import timeout

__all__ = ["Answer", "Awaiting", "Listener"]

_LARGE: Final = 65536  # bytes; from here on copying costs more than another call


class Awaiting:
    """A connection that waits for a request: for so many seconds, or until it must give up."""

    __slots__ = ("_others", "_scope")

    def __init__(self, others: "set[Awaiting]", seconds: float) -> None:
        self._others = others
        self._scope = timeout(seconds)

    def __enter__(self) -> Self:
        self._scope.__enter__()
        self._others.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool:
        self._others.discard(self)
        try:
            self._scope.__exit__(kind, exc, tb)
        except TimeoutError:
            return True
        return isinstance(exc, GoExit)

    def give_up(self) -> None:
        """End the wait as if the time were over."""
        self._scope.shoot()


class Listener:
    """A listener that the worker shares with others."""

    def __init__(self, shared: Any) -> None:
        self._shared = shared
        self._name = shared.getsockname()
        self._kind = (shared.family, shared.type, shared.proto)
        self._socket = Socket(*self._kind, shared.fileno())
        self._socket.setblocking(False)
        self._accept: Callable[[], tuple[int, Any]] = self._socket._accept  # type: ignore[attr-defined]
        self._fd = FD(self._socket, short_reads=False)

    def __str__(self) -> str:
        return str(self._shared)

    def accept(self) -> tuple[socket.socket, Any]:
        """Wait for a connection."""
        number, peer = self._fd.reader.run(lambda _: self._accept(), None)
        return socket.socket(*self._kind, number), peer

    def getsockname(self) -> Any:
        """Return where it listens, or has listened."""
        return self._name

    def close(self) -> None:
        """Leave it to the others; whoever accepts wakes with ClosedError."""
        self._shared.detach()  # its number is that of `_socket`
        self._fd.close()


class Answer:
    """Takes what gunicorn would send in pieces, the head of an answer for one, and sends it once.

    It stands in for the socket while gunicorn writes one piece of the body.
    """

    __slots__ = ("_held", "_sock")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._held: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        """Hold it for now."""
        self._held.append(data)

    def flush(self) -> None:
        """Send it."""
        held, self._held = self._held, []
        if len(held) > 1 and sum(map(len, held)) < _LARGE:
            held = [b"".join(held)]
        for data in held:
            self._sock.sendall(data)
