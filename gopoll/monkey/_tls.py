"""A TLS connection in many hands: who calls OpenSSL, and who waits for which direction.

OpenSSL works on the descriptor by itself, which never blocks, and where it cannot go on it says in
which direction. That need not be the operation's own: within a handshake, or when keys change, a
read wants to write and a write wants to read. An operation holds its own side of the descriptor
from its beginning to its end, so reads queue with reads and writes with writes. Handshakes and
goodbyes count as writes.

    =========  =======================  ========================================================
    wants      that side is             then it
    =========  =======================  ========================================================
    its own    its own                  parks there
    the other  free                     takes it for this wait, and parks there
    the other  somebody's               stands by: whoever holds that side waits for both
    =========  =======================  ========================================================

No wake-up is lost: who stands by tries again when the holder of that side has waited, or leaves;
and whenever a call of somebody else has succeeded, or wants another direction than he, because
within a handshake it is the connection that wants, not the call. So two who stand by for each other
do not both sleep. Nobody holds one side and queues for the other.

One call at a time is inside of OpenSSL: it may call back into Python, which may park there, and
other threads have goroutines too. One thing it cannot do: answer, within a read, a peer that wants
new keys while a record of a write is half out. Then the read fails ("bad length"), here as wherever
a non-blocking socket is both read and written.

There is no rule for short reads: a read stops at the border of a record, and nobody announces what
OpenSSL holds already. So a read tries first. But where questions and answers alternate, that fails
each time, and its exception costs as much as a third of the work. So a read that follows one which
had to wait asks first whether anything is there, in OpenSSL or in the kernel. As with short reads,
that counts only as long as no end of the stream was announced.
"""

import termios
from collections.abc import Callable
from fcntl import ioctl
from ssl import SSLWantReadError, SSLWantWriteError
from typing import Any, Final

from gopoll._side import Side
from gopoll.errors import ClosedError
from gopoll.monkey._sock_state import NOT_YET, READ, WRITE, State, bad_descriptor
from gopoll.monkey._wait import Parked, park
from gopoll.runtime.guard import Guard
from gopoll.runtime.netpoll import READY, Slot
from gopoll.runtime.sched import this
from gopoll.runtime.waitq import WaitQueue, refuse, resume

__all__ = ["Connection"]

_NOTHING: Final = 0
_BYTES_THERE: Final[int | None] = getattr(termios, "FIONREAD", None)
_NO_BYTES: Final = bytes(4)  # a zero, as the kernel writes it
_LATE: Final = {READ: "The read operation timed out", WRITE: "The write operation timed out"}


class Connection(Guard):
    """What goroutines share that use one TLS socket."""

    __slots__ = ("_alternates", "_inside", "_line", "_standing_by", "state")

    def __init__(self, state: State) -> None:
        super().__init__()
        self.state = state
        self._alternates = False  # the last read had to wait for what it got
        self._inside = False  # somebody is in OpenSSL
        self._line = WaitQueue()  # who wants to be
        self._standing_by: list[tuple[Parked, int]] = []  # and for which direction

    def read(self, sslobj: Any, *args: Any) -> Any:
        """Make the call ``sslobj.read(...)`` as `run` does."""
        state = self.state
        if state.timeout == 0:
            return self._try_once(sslobj.read, args)
        sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
        side = state.reader
        late = _LATE[READ]
        held, side.held = side.held, True
        deadline = NOT_YET if not held else self._queue_up(side, late)
        try:
            alternates, self._alternates = self._alternates, False
            slot = None
            if alternates and _wants_something(args):
                slot = self._slot_if_empty(side, sslobj)
            if slot is not None:
                if deadline == NOT_YET:
                    deadline = state.deadline()
                self._await_data(slot, deadline, late)
            found, waited = self._repeat(side, deadline, late, sslobj.read, args)
            self._alternates = bool(found) and (waited or slot is not None)
            return found
        finally:
            side.held = False
            if side.contended:
                side.settle()
            if self._standing_by:
                self._wake(_NOTHING)

    def run(self, side: Side, late: str | None, call: Callable[..., Any], *args: Any) -> Any:
        """Repeat the call until it wants nothing more, within the timeout of the socket.

        `late` is what the standard library says when that is over; by direction if it is None.

        Raises:
            OSError: The socket was closed meanwhile.
            TimeoutError: The time is over.
        """
        if self.state.timeout == 0:
            return self._try_once(call, args)
        sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
        held, side.held = side.held, True
        deadline = NOT_YET if not held else self._queue_up(side, late)
        try:
            return self._repeat(side, deadline, late, call, args)[0]
        finally:
            side.held = False
            if side.contended:
                side.settle()
            if self._standing_by:
                self._wake(_NOTHING)

    def look_again(self) -> None:
        """Have those try again who stand by."""
        self._wake(_NOTHING)

    def renew_after_fork(self) -> None:
        """In a child only the goroutine that forked is left."""
        super().renew_after_fork()
        self._inside = False
        self._line = WaitQueue()
        self._standing_by = []

    # -- an operation --------------------------------------------------------------------------

    def _queue_up(self, side: Side, late: str | None) -> float | None:
        """Wait for a side that somebody else has; return the deadline."""
        deadline = self.state.deadline()
        try:
            self.state.queue_up(side, deadline)
        except TimeoutError as exc:
            raise _said(exc, late or _LATE[side.mode]) from None
        return deadline

    def _repeat(
        self,
        side: Side,
        deadline: float | None,
        late: str | None,
        call: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> tuple[Any, bool]:
        """Repeat the call until it wants nothing more; return the result, and whether it waited."""
        state = self.state
        waited = False
        while True:
            if state.fd.closing:
                raise bad_descriptor()
            slot = side.slot
            if slot is not None and slot.state is READY:
                slot.state = None
            inside, self._inside = self._inside, True
            if inside:
                self._line_up()
            try:
                return call(*args), waited
            except SSLWantReadError:
                wanted = READ
            except SSLWantWriteError:
                wanted = WRITE
            finally:
                self._inside = False
                if self._line.first is not None:
                    self._let_in()
            if self._standing_by:
                self._wake(wanted)
            if deadline == NOT_YET:
                deadline = state.deadline()
            self._wait_in_time(side, wanted, deadline, late or _LATE[wanted])
            waited = True

    def _try_once(self, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Make the call for who does not want to wait."""
        inside, self._inside = self._inside, True
        if inside:
            self._line_up()
        try:
            return call(*args)
        finally:
            self._inside = False
            if self._line.first is not None:
                self._let_in()
            if self._standing_by:
                self._wake(_NOTHING)

    def _slot_if_empty(self, side: Side, sslobj: Any) -> Slot | None:
        """Return the slot where to wait, if neither OpenSSL nor the kernel has anything to read.

        Not if what comes might not be announced.
        """
        slot = side.slot
        if slot is None or slot.sched is not this.sched or slot.desc.hangup or not _BYTES_THERE:
            return None
        fd = self.state.fd
        if fd.closing or self._inside or sslobj.pending() or slot.sched.current is None:
            return None
        slot.state = None  # what comes from here on ends the wait
        return slot if ioctl(fd.number, _BYTES_THERE, _NO_BYTES) == _NO_BYTES else None

    # -- waiting for the descriptor ------------------------------------------------------------

    def _await_data(self, slot: Slot, deadline: float | None, late: str) -> None:
        """Park until there is something to read: the short way of `_wait_in_time`."""
        try:
            slot.wait(deadline)
        except ClosedError:
            raise bad_descriptor() from None
        except TimeoutError as exc:
            raise _said(exc, late) from None
        finally:
            if self._standing_by:
                self._wake(_NOTHING)

    def _wait_in_time(self, side: Side, wanted: int, deadline: float | None, late: str) -> None:
        try:
            self._wait(side, wanted, deadline)
        except TimeoutError as exc:
            raise _said(exc, late) from None
        finally:
            if self._standing_by:
                self._wake(_NOTHING)

    def _wait(self, side: Side, wanted: int, deadline: float | None) -> None:
        """Park until the descriptor may be ready in that direction, or something has changed."""
        state = self.state
        if wanted == side.mode:
            state.wait(wanted, deadline)
            return
        other = state.reader if wanted == READ else state.writer
        held, other.held = other.held, True
        if held:
            self._stand_by(other, wanted, deadline)
            return
        try:
            state.wait(wanted, deadline)
        finally:
            state.give(other)

    def _stand_by(self, other: Side, wanted: int, deadline: float | None) -> None:
        """Park until whoever holds the other side tells of it, or somebody changes something."""
        g = this.sched.current
        if g is None:  # a handler, inside of the scheduler
            self.state.wait(wanted, deadline)
            return
        waiter = Parked(g)
        entry = waiter, wanted
        self._standing_by.append(entry)
        try:
            if not other.held:  # its holder left before he could see us
                return
            left = None if deadline is None else deadline - g.timeline.now()
            if not park(waiter, "IO wait", left):
                raise TimeoutError("timed out")
        finally:
            if entry in self._standing_by:
                self._standing_by.remove(entry)

    def _wake(self, wanted: int) -> None:
        """Have those try again who stand by for anything else than `wanted`."""
        for waiter, want in tuple(self._standing_by):
            if want != wanted and waiter.claim():
                waiter.ok = True
                resume(waiter.g)

    # -- one at a time in OpenSSL --------------------------------------------------------------

    def _line_up(self) -> None:
        """Wait until we are let in."""
        g = this.sched.current or refuse("sync.Mutex.Lock")
        waiter = Parked(g)
        self.enter()
        self._line.push(waiter)  # before the last try: whoever comes out after it sees us
        inside, self._inside = self._inside, True
        if not inside:
            self._line.discard(waiter)
        self.leave()
        if not inside:
            return
        try:
            park(waiter, "sync.Mutex.Lock", None)
        except BaseException:
            self.enter()
            self._line.discard(waiter)
            self.leave()
            raise

    def _let_in(self) -> None:
        """Let the first in line in, unless somebody was faster."""
        heir = None
        self.enter()
        inside, self._inside = self._inside, True
        if not inside:
            heir = self._line.claim_first()
            self._inside = heir is not None
        self.leave()
        if heir is not None:
            heir.ok = True
            resume(heir.g)


def _wants_something(args: tuple[Any, ...]) -> bool:
    """Whether a read with these arguments is sure to ask for at least one byte."""
    if len(args) == 2:
        buffer = args[1]
        return type(buffer) in (memoryview, bytearray) and bool(memoryview(buffer).nbytes)
    return type(args[0]) is int and args[0] > 0


def _said(exc: TimeoutError, late: str) -> TimeoutError:
    """Return what the standard library says in place of ours; others are left alone."""
    return TimeoutError(late) if exc.args in (("timed out",), ("i/o timeout",)) else exc
