"""``pipe()``: a synchronous connection in memory, with deadlines; Go's ``net.Pipe``.

There is no buffer: a write waits until reads have taken all of it. Each direction is a channel of
memory views and one that answers how much of a view was taken. Closing either end, and a deadline
that passes, are channels too, so each operation is one select.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from gopoll._original import errno
from gopoll._select import select
from gopoll._typing import Buffer
from gopoll.chan import Chan
from gopoll.errors import ClosedError
from gopoll.net.addr import Addr, UnixAddr
from gopoll.net.conn import Conn
from gopoll.runtime.guard import Guard
from gopoll.runtime.sched import on_thread_of, this
from gopoll.runtime.timers import check_seconds
from gopoll.runtime.waitq import refuse

__all__ = ["pipe"]

_ADDR = UnixAddr("pipe", "pipe")


class _Deadline(Guard):
    """A deadline as a channel, `expired`, that is closed once it has passed."""

    __slots__ = ("_disarm", "_setting", "expired")

    def __init__(self) -> None:
        super().__init__()
        self.expired: Chan[None] = Chan()
        self._setting = 0  # which one is in force: the timer of an earlier one does nothing
        self._disarm: Callable[[], object] | None = None

    def set(self, deadline: float | None) -> None:
        check_seconds(deadline, "deadline")
        g = this.sched.current or refuse("set deadline")
        passed = deadline is not None and deadline <= g.timeline.now()
        self.enter()
        try:
            self._setting += 1
            setting = self._setting
            if self.expired.closed and not passed:
                self.expired = Chan()
            disarm, self._disarm = self._disarm, None
        finally:
            self.leave()
        if disarm is not None:
            disarm()
        if passed:
            self._expire(setting)
        elif deadline is not None:
            timer = g.timeline.add(deadline, self._expire, setting)
            self._disarm = partial(on_thread_of, g.sched, g.timeline.cancel, timer)

    def _expire(self, setting: Any) -> None:
        expired = self.expired
        if setting == self._setting and not expired.closed:
            expired.close()


class _PipeConn(Conn):
    """One end."""

    __slots__ = (
        "_done",
        "_peer_done",
        "_read",
        "_rx",
        "_rx_taken",
        "_turn",
        "_tx",
        "_tx_taken",
        "_write",
    )

    def __init__(
        self, rx: "_Direction", tx: "_Direction", done: Chan[None], peer_done: Chan[None]
    ) -> None:
        self._rx, self._rx_taken = rx
        self._tx, self._tx_taken = tx
        self._done = done
        self._peer_done = peer_done
        self._turn: Chan[None] = Chan(1)  # of the writers: whole writes never interleave
        self._read = _Deadline()
        self._write = _Deadline()

    def __repr__(self) -> str:
        return f"<Conn pipe{' closed' if self.closed else ''}>"

    def read(self, n: int = 65536) -> bytes:
        if n < 0:
            msg = f"cannot read {n} bytes"
            raise ValueError(msg)
        data = bytearray(n)
        return bytes(data[: self.read_into(data)])

    def read_into(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        if view.readonly:
            msg = "read_into() needs a writable buffer"
            raise TypeError(msg)
        if not self._may_go_on(self._read):
            return 0
        if not view:
            return 0
        index, offered = select(
            self._rx.recv, self._done.recv, self._peer_done.recv, self._read.expired.recv
        )
        if index or offered is None:
            return self._why_not(index)
        n = min(len(view), len(offered))
        view[:n] = offered[:n]
        self._rx_taken.send(n)
        return n

    def write(self, data: Buffer) -> int:
        view = memoryview(data).cast("B")
        total = len(view)
        written = 0
        try:
            if not total and self._may_go_on(self._write):
                return 0
            self._turn.send(None)
            try:
                while True:
                    if not self._may_go_on(self._write):
                        raise _broken()
                    index, _ = select(
                        (self._tx.send, view[written:]),
                        self._done.recv,
                        self._peer_done.recv,
                        self._write.expired.recv,
                    )
                    if index:
                        self._why_not(index)
                        raise _broken()
                    written += self._tx_taken.recv() or 0
                    if written >= total:
                        return written
            finally:
                self._turn.recv()
        except BaseException as exc:
            exc.written = written  # type: ignore[attr-defined]
            raise

    def close(self) -> None:
        if self._done.closed:
            raise ClosedError("use of closed pipe")
        self._done.close()
        self._read.set(None)
        self._write.set(None)

    @property
    def closed(self) -> bool:
        return self._done.closed

    @property
    def local_addr(self) -> Addr:
        return _ADDR

    @property
    def remote_addr(self) -> Addr:
        return _ADDR

    def set_read_deadline(self, deadline: float | None) -> None:
        self._set(self._read, deadline)

    def set_write_deadline(self, deadline: float | None) -> None:
        self._set(self._write, deadline)

    def _set(self, which: _Deadline, deadline: float | None) -> None:
        if self._done.closed:
            raise ClosedError("use of closed pipe")
        which.set(deadline)

    def _may_go_on(self, deadline: _Deadline) -> bool:
        """Check what ends an operation before it begins; False if the peer is gone."""
        if self._done.closed:
            self._why_not(1)
        if deadline.expired.closed:
            self._why_not(3)
        return not self._peer_done.closed

    def _why_not(self, index: int) -> int:
        """Raise what the chosen case of a select says; 0 if it says that the peer is gone."""
        if index == 1:
            raise ClosedError("use of closed pipe")
        if index == 3:
            raise TimeoutError("i/o timeout")
        return 0


def _broken() -> BrokenPipeError:
    return BrokenPipeError(errno.EPIPE, "write on closed pipe")


_Direction = tuple[Chan[memoryview], Chan[int]]


def pipe() -> tuple[Conn, Conn]:
    """Return the two ends of a connection in memory. Mirrors ``net.Pipe``.

    It is synchronous: a write returns when the other end has read all of it. Reads see the end of
    the stream once the other end is closed; writes then raise BrokenPipeError.
    """
    there: _Direction = (Chan(), Chan())
    back: _Direction = (Chan(), Chan())
    done_a: Chan[None] = Chan()
    done_b: Chan[None] = Chan()
    return _PipeConn(back, there, done_a, done_b), _PipeConn(there, back, done_b, done_a)
