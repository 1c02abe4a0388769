"""What the worker for gunicorn is made of: a listener, the wait for a request, and an answer.

The listener and its flags are shared with the master and the other workers, so it stays as gunicorn
has made it: non-blocking. Another worker may always be faster.
"""

import socket
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from gopoll._original import Socket
from gopoll.errors import GoExit
from gopoll.fd import FD
from gopoll.runtime.scope import Scope

__all__ = ["Answer", "Awaiting", "Listener"]

_LARGE: Final = 65536  # bytes; from here on copying costs more than another call


class Awaiting(Scope):
    """A connection that waits for a request: for so many seconds, or until it must give up."""

    __slots__ = ("_others", "_seconds", "_timeline", "_timer")

    def __init__(self, others: "set[Awaiting]", seconds: float) -> None:
        super().__init__()
        self._others = others
        self._seconds = seconds

    def __enter__(self) -> Self:
        self._timeline = timeline = self.open().timeline
        self._timer = timeline.add(timeline.now() + self._seconds, self.shoot)
        self._others.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool:
        self._others.discard(self)
        self._timeline.cancel(self._timer)
        return self.close(exc) or isinstance(exc, GoExit)


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

    It stands in for the socket while gunicorn writes one piece of the body: its ``sendall()`` holds
    the data for now.
    """

    __slots__ = ("_held", "_sock", "sendall")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._held: deque[bytes] = deque()
        self.sendall: Callable[[bytes], None] = self._held.append

    def flush(self) -> None:
        """Send it."""
        held = self._held
        if len(held) > 1 and sum(map(len, held)) < _LARGE:
            data = b"".join(held)
            held.clear()
            held.append(data)
        while held:
            self._sock.sendall(held.popleft())
