"""Files over pipes, FIFOs, sockets and terminals: what `io.open` makes of them under the patch.

The standard library's ``FileIO`` makes its own system calls, and its buffers have a lock that goes
by OS threads: a second goroutine that enters while the first is parked below would be told of a
"reentrant call". So these files have subclasses of both: the raw file parks before it calls, and
goroutines queue for the buffer in the order of their coming, as threads do. A handler or finalizer
that enters again in the same goroutine meets the standard library's answer.

They look as what they stand for: names, repr, modes, errors, warnings.
"""

import io
from collections.abc import Callable
from typing import Any, ClassVar

from gopoll.monkey import _pipes
from gopoll.monkey._ready import READ, WRITE, closing, until_ready
from gopoll.monkey._wait import Parked, park
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.guard import Guard, calls_user_code
from gopoll.runtime.sched import this
from gopoll.runtime.waitq import WaitQueue, resume

__all__ = ["BufferedReader", "BufferedWriter", "FileIO", "Turn"]

_CHUNK = 65536


def _as_original(text: str) -> str:
    return "<_io." + text.removeprefix("<").removeprefix("_io.")


class FileIO(io.FileIO):
    """A raw file that parks until a call would not block."""

    __module__ = "_io"

    def __repr__(self) -> str:
        return _as_original(super().__repr__())

    @calls_user_code
    def readinto(self, buffer: Any, /) -> Any:
        """Same as RawIOBase.readinto()."""
        self._await(READ)
        return super().readinto(buffer)

    @calls_user_code
    def read(self, size: Any = -1, /) -> Any:
        """Read at most size bytes, returned as bytes."""
        if size is None or (isinstance(size, int) and size < 0):
            return self.readall()
        if size != 0:
            self._await(READ)
        return super().read(size)

    def readall(self) -> Any:
        """Read all data from the file, returned as bytes."""
        chunks: list[bytes] = []
        while True:
            chunk = self.read(_CHUNK)
            if not chunk:
                return b"".join(chunks) if chunks or chunk is not None else None
            chunks.append(chunk)

    @calls_user_code
    def write(self, data: Any, /) -> Any:
        """Write buffer b to file, return number of bytes written."""
        if self.closed or not self.writable() or this.sched.current is None:
            return super().write(data)
        with memoryview(data) as view:
            size = view.nbytes
        number = self.fileno()
        if size > _pipes.PIPE_BUF and _pipes.blocks(number):
            return _pipes.write_all(number, data)
        self._await(WRITE)
        return super().write(data)

    def close(self) -> None:
        """Close the file; whoever waits for it learns so."""
        if not self.closed and self.closefd:
            try:
                closing(self.fileno())
            except (AttributeError, TypeError):  # the interpreter ends, and took gopoll's names
                pass
        super().close()

    def _await(self, mode: int) -> None:
        if not self.closed and (self.readable() if mode == READ else self.writable()):
            until_ready(self.fileno(), mode)


class Turn(Guard):
    """Whose turn it is: a lock of goroutines, handed over in order.

    It is one word, `owner`, taken by an exchange that nobody can tear apart (see ``Waiter.claim``),
    so that it costs next to nothing as long as nobody else wants it. Who finds it taken queues
    first and looks again then; who has given it back looks for a queue then. So one sees the other.
    """

    __slots__ = ("owner", "queue")

    def __init__(self) -> None:
        super().__init__()
        self.owner: Goroutine[Any] | None = None
        self.queue = WaitQueue()

    def queue_up(self, g: Goroutine[Any]) -> None:
        """Wait for the turn of `g`, the goroutine that calls, and has found it taken."""
        waiter = Parked(g)
        self.enter()
        self.queue.push(waiter)
        owner, self.owner = self.owner, self.owner or g
        if owner is None:
            self.queue.discard(waiter)
            self.leave()
            return
        self.leave()
        try:
            park(waiter, "sync.Mutex.Lock", None)
        except BaseException:
            self.enter()
            self.queue.discard(waiter)
            self.leave()
            raise

    def pass_on(self, g: Goroutine[Any]) -> None:
        """Let the next one have it, which `g` has just given back."""
        owner, self.owner = self.owner, self.owner or g
        if owner is not None:  # another thread was faster; it will look for the queue as well
            return
        self.enter()
        heir = self.queue.claim_first()
        self.owner = None if heir is None else heir.g
        self.leave()
        if heir is not None:
            heir.ok = True
            resume(heir.g)

    def renew_after_fork(self) -> None:
        """In a child only the goroutine that forked is left."""
        super().renew_after_fork()
        self.queue = WaitQueue()
        if self.owner is not this.sched.current:
            self.owner = None


def _in_turn(name: str, base: type) -> Callable[..., Any]:
    """Return the method of `base`, for one goroutine at a time."""
    call = getattr(base, name)

    def method(self: Any, *args: Any) -> Any:
        turn = self._turn
        g = this.sched.current
        if turn is None or g is None or turn.owner is g:
            return call(self, *args)
        owner, turn.owner = turn.owner, turn.owner or g
        if owner is not None:
            turn.queue_up(g)
        try:
            return call(self, *args)
        finally:
            turn.owner = None
            if turn.queue.first is not None:
                turn.pass_on(g)

    method.__name__ = name
    method.__qualname__ = f"{base.__name__}.{name}"
    method.__doc__ = call.__doc__
    return method


class BufferedReader(io.BufferedReader):
    """A buffer for reading that goroutines queue for."""

    __module__ = "_io"
    _turn: ClassVar[Turn | None] = None

    def __init__(self, raw: Any, buffer_size: int = io.DEFAULT_BUFFER_SIZE) -> None:
        super().__init__(raw, buffer_size)
        self.__dict__["_turn"] = Turn()

    def __repr__(self) -> str:
        return _as_original(super().__repr__())


class BufferedWriter(io.BufferedWriter):
    """A buffer for writing that goroutines queue for."""

    __module__ = "_io"
    _turn: ClassVar[Turn | None] = None

    def __init__(self, raw: Any, buffer_size: int = io.DEFAULT_BUFFER_SIZE) -> None:
        super().__init__(raw, buffer_size)
        self.__dict__["_turn"] = Turn()

    def __repr__(self) -> str:
        return _as_original(super().__repr__())


for _name in ("read", "read1", "readinto", "readinto1", "readline", "peek", "detach", "close"):
    setattr(BufferedReader, _name, _in_turn(_name, io.BufferedReader))
for _name in ("write", "flush", "detach", "close"):
    setattr(BufferedWriter, _name, _in_turn(_name, io.BufferedWriter))
