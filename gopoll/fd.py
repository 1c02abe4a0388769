"""Descriptor life, as in Go's ``internal/poll``: users, deadlines, close, and short reads.

An `FD` has two sides (`_side`), reading and writing. An operation takes its side, so readers queue
with readers, writers with writers, and the two directions run in parallel; calls that do not wait
(socket options, names) only count as users.

    ===========  =====================  =====================================  ==================
    state        operation              close()                                last user leaves
    ===========  =====================  =====================================  ==================
    open         goes on                becomes closing: queued and parked     nothing
                                        users wake with ClosedError
    closing      ClosedError            ClosedError                            becomes closed
    closed       ClosedError            ClosedError
    ===========  =====================  =====================================  ==================

The number is given back when the last user has left, so it is never reused under somebody's hands.
A parked user that close() has woken counts as gone: it will not touch the number again. So within
one thread ``close(2)`` happens inside of close(), and nobody has to run first.

Each operation goes *prepare, system call, wait*: closed and deadline come first, so a deadline that
has passed fails the call even if data is there; the slot is cleared immediately before the call.

**The short read.** A plain read from a TCP socket that returns less than was asked has emptied the
socket. So the next read waits first (`Side.drained`) instead of paying for a call that must fail.
There the slot is *not* cleared: an edge that came since the last call is all that is left of it.
The rule ends for good with the first hang-up, error or urgent data, after which readiness may not
be announced again (`PollDesc.shortcut`); it is not for pollers that do not tell of urgent data, at
whose mark a read stops short; nor for sockets whose reads stop short at borders in the stream.
"""

from collections.abc import Callable, Iterable
from typing import ParamSpec, Protocol, TypeVar

from greenlet import getcurrent

from gopoll._side import Side
from gopoll._typing import Buffer
from gopoll.errors import ClosedError
from gopoll.runtime.guard import Guard
from gopoll.runtime.netpoll import PollDesc, Slot
from gopoll.runtime.poller.base import READ, WRITE
from gopoll.runtime.sched import Scheduler, on_thread_of, this
from gopoll.runtime.timers import check_seconds
from gopoll.runtime.waitq import WaitQueue, need_much_room, resume

__all__ = ["FD", "File"]

P = ParamSpec("P")
T = TypeVar("T")


class File(Protocol):
    """Whatever holds a descriptor: a socket, for one."""

    def fileno(self) -> int:
        """Return the number."""

    def close(self) -> None:
        """Give the number back."""

    def detach(self) -> int:
        """Forget the number without giving it back."""


class FD(Guard):
    """A non-blocking descriptor that gopoll owns; knows nothing of what it is but the number."""

    __slots__ = (
        "_file",
        "closed",
        "closing",
        "descs",
        "number",
        "reader",
        "short_reads",
        "users",
        "writer",
    )

    def __init__(self, file: File, *, short_reads: bool) -> None:
        """Own the descriptor of `file`, which is non-blocking.

        `short_reads` promises that a read which returns less than was asked has emptied it.
        """
        super().__init__()
        self._file = file
        self.number = file.fileno()
        self.short_reads = short_reads
        self.closing = False
        self.closed = False
        self.users = 0  # of those who take no side
        self.descs: tuple[PollDesc, ...] = ()  # one for each scheduler that has waited here
        sched = this.sched
        self.reader = Side(self, READ, sched)
        self.writer = Side(self, WRITE, sched)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "closing" if self.closing else "open"
        return f"<FD {self.number} {state}>"

    # -- operations --------------------------------------------------------------------------

    def read(self, call: Callable[[int], bytes], n: int) -> bytes:
        """Read at most `n` bytes by ``call(n)``."""
        side = self.reader
        held, side.held = side.held, True
        if held:
            side.queue_up()
        try:
            slot = side.slot
            if (
                side.drained
                and side.deadline is None
                and slot is not None
                and (g := slot.sched.current) is not None
                and g.greenlet is (me := getcurrent())  # so the slot is of our thread
            ):
                # What `retry` and `wait` do in a conversation, spelled out: a quarter of an echo.
                try:
                    if slot.state is None and slot.desc.edge:
                        slot.deadline = None
                        slot.state = g
                        slot.sched.park(slot, "IO wait", me)
                    else:
                        slot.wait(None, me)
                    if self.closing:
                        raise ClosedError
                    slot.state = None
                    data = None
                    try:
                        data = call(n)
                    except BlockingIOError:
                        pass  # nobody parks in here: what it is woken with would have this context
                    if data is None:
                        data = side.wait_and_retry(call, n)
                except BaseException as exc:
                    side.drained = False
                    if slot.state is g:
                        slot.state = None
                    if isinstance(exc, RecursionError):
                        slot.undo(g)
                    raise
                if len(data) == n or not data or not slot.desc.shortcut:
                    side.drained = False
                return data
            data = side.retry(call, n)
            if len(data) < n and data and self.short_reads:
                slot = side.slot
                side.drained = slot is None or slot.desc.shortcut
            return data
        finally:
            side.held = False
            if side.contended:
                side.settle()

    def read_into(self, call: Callable[[memoryview], int], view: memoryview) -> int:
        """Read into `view` by ``call(view)``."""
        side = self.reader
        held, side.held = side.held, True
        if held:
            side.queue_up()
        try:
            n = side.retry(call, view)
            if self.short_reads and 0 < n < len(view):
                slot = side.slot
                side.drained = slot is None or slot.desc.shortcut
            return n
        finally:
            side.held = False
            if side.contended:
                side.settle()

    def write(self, call: Callable[[Buffer], int], data: Buffer) -> int:
        """Write all of `data` by ``call(data)``; return its length.

        Whole writes never interleave. Whatever interrupts one carries `written`, the number of
        bytes that went out.
        """
        side = self.writer
        held, side.held = side.held, True
        if held:
            side.queue_up()
        written = 0
        try:
            sched = side.sched
            sched.operations -= 1
            if sched.operations < 0 or self.closing or side.deadline is not None:
                written = side.retry(call, data)
            else:  # the same, spelled out
                slot = side.slot
                if slot is not None:
                    slot.state = None
                blocked = False
                try:
                    written = call(data)
                except BlockingIOError:
                    blocked = True
                if blocked:
                    written = side.wait_and_retry(call, data)
            if type(data) is not bytes or written < len(data):
                view = memoryview(data).cast("B")
                while written < len(view):
                    written += side.retry(call, view[written:])
        except BaseException as exc:
            exc.written = written  # type: ignore[attr-defined]
            raise
        finally:
            side.held = False
            if side.contended:
                side.settle()
        return written

    def writev(
        self, call: Callable[[list[memoryview]], int], buffers: Iterable[Buffer], most: int
    ) -> int:
        """Write all buffers as one write, at most `most` of them by one ``call(list)``."""
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        views.reverse()  # what is next is at the end
        side = self.writer
        held, side.held = side.held, True
        if held:
            side.queue_up()
        written = 0
        try:
            while views:
                n = side.retry(call, views[-1 : -most - 1 : -1])
                written += n
                while views and n >= len(views[-1]):
                    n -= len(views.pop())
                if n:
                    views[-1] = views[-1][n:]
        except BaseException as exc:
            exc.written = written  # type: ignore[attr-defined]
            raise
        finally:
            side.held = False
            if side.contended:
                side.settle()
        return written

    def use(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call that does not wait; the number stays valid as long as it lasts."""
        self.enter()
        try:
            if self.closing:
                raise ClosedError
            self.users += 1
        finally:
            self.leave()
        try:
            return call(*args, **kwargs)
        finally:
            self.enter()
            self.users -= 1
            self.leave()
            if self.closing:
                self.user_left()

    def set_deadline(self, modes: int, deadline: float | None) -> None:
        """Let operations in these directions, present and future, fail from `deadline` on.

        Raises:
            ClosedError: The descriptor is closed.
            TypeError, ValueError: `deadline` is no time.
        """
        check_seconds(deadline, "deadline")
        if self.closing:
            raise ClosedError
        for side in (self.reader, self.writer):
            if side.mode & modes:
                side.deadline = deadline
                for desc in self.descs:
                    slot = desc.reader if side.mode == READ else desc.writer
                    on_thread_of(desc.sched, side.apply_deadline, slot)

    def close(self) -> None:
        """Close: wake whoever waits with ClosedError, give the number back after the last user.

        Raises:
            ClosedError: It is closed already.
        """
        need_much_room()
        self.latch.acquire()
        if self.busy:  # a handler inside of a short critical section of this very descriptor
            self.latch.release()
            this.sched.post(_close_later, self)
            return
        self.busy = True
        woken = []
        try:
            if self.closing:
                raise ClosedError
            self.closing = True
            for side in (self.reader, self.writer):
                side.contended = True
                while (waiter := side.queue.claim_first()) is not None:
                    woken.append(waiter.g)
        finally:
            self.leave()
        for desc in self.descs:
            on_thread_of(desc.sched, self._evict, desc)
        for g in woken:
            resume(g)
        if not self.closed:  # by the eviction
            self._close_if_unused()

    def renew_after_fork(self) -> None:
        """Free what goroutines hold that do not exist in a child; see `Guard`."""
        super().renew_after_fork()
        self.users = 0
        for side in (self.reader, self.writer):
            side.held = side.retired
            side.queue = WaitQueue()

    # -- the netpoller's side ----------------------------------------------------------------

    def find_slot(self, sched: Scheduler, mode: int) -> Slot | None:
        """Return the slot in which goroutines of `sched` wait, if they ever have."""
        for desc in self.descs:
            if desc.sched is sched:
                return desc.reader if mode == READ else desc.writer
        return None

    def register(self, sched: Scheduler, mode: int) -> Slot:
        """Make the descriptor known to the poller of `sched`."""
        desc = PollDesc(sched, self.number, self)
        self.enter()
        self.descs = (*[d for d in self.descs if not d.sched.dead], desc)
        self.leave()
        if self.closing:  # by another thread, which could not know of this desc
            self._evict(desc)
            raise ClosedError
        return desc.reader if mode == READ else desc.writer

    def user_left(self) -> None:
        """Close if that was the last user of a closing descriptor; its closer has gone on."""
        try:
            self._close_if_unused()
        except OSError:  # the number was closed behind our back
            return

    def _close_if_unused(self) -> None:
        """Give the number back, once, if this was the last user of a closing descriptor."""
        self.enter()
        try:
            if self.closed or self.users or not all(desc.sched.dead for desc in self.descs):
                return
            for side in (self.reader, self.writer):
                # The side is taken for ever: whoever comes now queues up and learns the truth.
                side.retired = side.retired or side.take()
            if not (self.reader.retired and self.writer.retired):
                return
            self.closed = True
        finally:
            self.leave()
        self._file.close()

    def _evict(self, desc: PollDesc) -> None:
        """On the thread of `desc`: forget it, and retire the sides whose users parked in it."""
        vacated = desc.shut()
        self.enter()
        self.descs = tuple([d for d in self.descs if d is not desc])
        for side in (self.reader, self.writer):
            side.retired = side.retired or bool(vacated & side.mode)
        self.leave()
        self.user_left()

    def stolen(self) -> None:
        """The number was closed behind our back and is another's: never touch it again."""
        self.closed = True
        self._file.detach()
        if not self.closing:
            self.close()


def _close_later(fd: FD) -> None:
    if not fd.closing:
        fd.close()
