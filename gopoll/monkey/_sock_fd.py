"""A socket's number as goroutines use it: the parts that `_sock_state` is made of.

`SocketFD` is gopoll's `FD` for a number that several socket objects may have; `State` is one such
object. How they live together stands there.
"""

import weakref
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

from gopoll._original import (
    Socket,
    errno,
    os_strerror,
    select_module,
    select_select,
    set_blocking,
    socket_module,
)
from gopoll._side import Side
from gopoll.errors import ClosedError
from gopoll.fd import FD
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.netpoll import Slot
from gopoll.runtime.poller.base import READ
from gopoll.runtime.sched import this

__all__ = [
    "DONTWAIT",
    "NOT_YET",
    "SocketFD",
    "State",
    "bad_descriptor",
    "by_number",
    "may_wait",
    "size_of",
    "timed_out",
]

P = ParamSpec("P")
T = TypeVar("T")

NOT_YET: Final = -1.0  # a deadline that is worked out when somebody has to wait

DONTWAIT: Final = socket_module.MSG_DONTWAIT

by_number: Final[dict[int, "SocketFD"]] = {}


def bad_descriptor() -> OSError:
    """Return what the kernel says of a number that is closed."""
    return OSError(errno.EBADF, os_strerror(errno.EBADF))


def may_wait(flags: Any) -> bool:
    """Whether these are flags, and do not say that the call must not wait."""
    return isinstance(flags, int) and not flags & DONTWAIT


def size_of(data: Any) -> int:
    """Return how many bytes there are."""
    if type(data) is bytes or type(data) is bytearray:
        return len(data)
    if type(data) is memoryview:
        return data.nbytes
    with memoryview(data) as view:
        return view.nbytes


def timed_out() -> TimeoutError:
    """Return what the standard library says when the timeout is over."""
    return TimeoutError("timed out")


class SocketFD(FD):
    """A number, and all socket objects that have it."""

    __slots__ = ("identity", "is_stream", "shadow", "sharers", "unblocked")

    def __init__(self, shadow: Socket, identity: tuple[int, int], *, short_reads: bool) -> None:
        super().__init__(shadow, short_reads=short_reads)
        self.shadow = shadow
        self.identity = identity  # of the open file
        self.is_stream = shadow.type == socket_module.SOCK_STREAM
        self.sharers: list[State] = []
        self.unblocked = False  # its flag is not what the program asked for: see `unblock`

    def unblock(self) -> None:
        """Let the kernel not block a call that takes no flags, from now on.

        For listeners: to ask first would not do, as another process may take the connection, and
        to take the flag back would not, as it is shared with all of them.
        """
        self.unblocked = True
        set_blocking(self.number, False)

    def forget(self) -> None:
        """Leave the number to whoever has it now; who waits for it wakes."""
        if by_number.get(self.number) is self:
            del by_number[self.number]
        super().stolen()

    def stolen(self) -> None:
        self.forget()

    def _close_if_unused(self) -> None:
        """Close at once, although other threads have not heard of it yet.

        Whoever is parked there fails as soon as it wakes, before any call. The others are inside of
        a call that does not wait, and close when they leave.
        """
        self.enter()
        try:
            if self.closed or self.users or not self.closing:
                return
            for side in (self.reader, self.writer):
                side.retired = side.retired or side.take() or self._is_parked(side.mode)
            if not (self.reader.retired and self.writer.retired):
                return
            self.closed = True
        finally:
            self.leave()
        self.shadow.close()

    def is_in_use(self) -> bool:
        """Whether somebody in another thread may be inside of a call with the number."""
        sides = (self.reader, self.writer)
        return any(s.held and not s.retired and not self._is_parked(s.mode) for s in sides)

    def _is_parked(self, mode: int) -> bool:
        slots = [desc.reader if mode == READ else desc.writer for desc in self.descs]
        return any(isinstance(slot.state, Goroutine) for slot in slots)


class State:
    """What gopoll knows of one socket object."""

    __slots__ = (
        "fd",
        "key",
        "reader",
        "recv",
        "recv_into",
        "ref",
        "send",
        "shadow",
        "short_reads",
        "timeout",
        "writer",
    )

    def __init__(
        self,
        sock: Any,
        fd: SocketFD,
        timeout: float | None,
        collected: Callable[[int], object],
    ) -> None:
        self.fd = fd
        self.timeout = timeout
        self.key = key = id(sock)
        self.ref = weakref.ref(sock, lambda _: collected(key))
        self.reader = fd.reader
        self.writer = fd.writer
        self.shadow = shadow = fd.shadow
        self.recv = shadow.recv
        self.recv_into = shadow.recv_into
        self.send = shadow.send
        self.short_reads = fd.short_reads

    def __repr__(self) -> str:
        return f"<State of {self.ref()!r} {self.fd!r}>"

    # -- an operation ------------------------------------------------------------------------

    def run(self, side: Side, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Repeat ``call()``, alone on that side, until it does not raise BlockingIOError."""
        deadline = self.begin(side)
        try:
            side.drained = False
            return self.attempt(side, deadline, call, *args, **kwargs)
        finally:
            side.held = False
            if side.contended:
                side.settle()

    def begin(self, side: Side) -> float | None:
        """Be alone on that side, after those who came before; return the deadline.

        Let the others run first if the turn is over. In the end comes `give`.
        """
        sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
        held, side.held = side.held, True
        if not held:
            return NOT_YET
        if self.timeout == 0:
            raise BlockingIOError(errno.EAGAIN, os_strerror(errno.EAGAIN))
        deadline = self.deadline()
        self.queue_up(side, deadline)
        return deadline

    def attempt(
        self,
        side: Side,
        deadline: float | None,
        call: Callable[P, T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Make the call, and repeat it as long as it has to wait; the side is held."""
        slot = side.slot
        if slot is not None:
            slot.state = None
        try:
            return call(*args, **kwargs)
        except BlockingIOError:
            pass
        return self.retry(side, deadline, call, *args, **kwargs)

    def retry(
        self,
        side: Side,
        deadline: float | None,
        call: Callable[P, T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Wait, and repeat ``call()``, which had to wait; the side is held."""
        if deadline == NOT_YET:
            deadline = self.deadline()
        while self.timeout != 0:
            self.wait(side.mode, deadline)
            slot = side.slot
            if slot is not None:
                slot.state = None
            try:
                return call(*args, **kwargs)
            except BlockingIOError:
                pass
        return call(*args, **kwargs)

    def read(
        self, side: Side, wanted: int, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Read by ``call()``, having waited if the last read left nothing; the side is held."""
        side.count()
        deadline = self._await_more(side, wanted) if side.drained else NOT_YET
        return self.attempt(side, deadline, call, *args, **kwargs)

    def _await_more(self, side: Side, wanted: int) -> float | None:
        """Before a read of what the last one had emptied: wait; return the deadline.

        Not if that cannot be relied on any more, or nothing is wanted: then the read itself tells.
        """
        side.drained = False
        slot = self._slot(side)
        if self.timeout == 0 or slot is None or not slot.desc.shortcut or wanted <= 0:
            return NOT_YET
        deadline = self.deadline()
        self._wait(slot, deadline)
        return deadline

    def in_passing(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call that would block; the kernel's flag is as before afterwards."""
        fd = self.fd
        blocks = self.timeout is None and not fd.unblocked
        if blocks:
            set_blocking(fd.number, False)
        try:
            return call(*args, **kwargs)
        finally:
            if blocks and not fd.closed:
                set_blocking(fd.number, True)

    # -- its steps ---------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when an operation that begins now is over; None: never."""
        timeout = self.timeout
        if timeout is None:
            return None
        sched = this.sched
        timeline = sched.timeline if sched.current is None else sched.current.timeline
        return timeline.now() + timeout

    def take(self, side: Side, deadline: float | None) -> None:
        """Be alone on that side, after those who came before."""
        held, side.held = side.held, True
        if held:
            self.queue_up(side, deadline)

    def give(self, side: Side) -> None:
        """Let the next one have it."""
        side.held = False
        if side.contended:
            side.settle()

    def queue_up(self, side: Side, deadline: float | None) -> None:
        """Wait for a side that somebody else has."""
        try:
            side.queue_up(deadline)
        except ClosedError:
            raise bad_descriptor() from None
        except TimeoutError as exc:
            if exc.args != ("i/o timeout",):
                raise
            raise timed_out() from None

    def clear(self, mode: int) -> None:
        """Forget remembered readiness: what comes from now on ends the next wait."""
        side = self.reader if mode == READ else self.writer
        slot = side.slot
        if slot is not None:
            slot.state = None
        side.drained = False

    def wait(self, mode: int, deadline: float | None) -> None:
        """Park until a call in that direction may not have to wait."""
        slot = self._slot(self.reader if mode == READ else self.writer)
        if slot is None:
            _block(self.fd.number, mode, deadline)
        else:
            self._wait(slot, deadline)

    def _slot(self, side: Side) -> Slot | None:
        """Return where goroutines of this thread wait; None if nobody can, here and now."""
        sched = this.sched
        slot = side.slot
        if slot is not None and slot.sched is sched and sched.current is not None:
            return slot
        if sched.current is None or sched.dead:
            return None
        if self.fd.closing:  # to register the number would evict whoever has it by now
            raise bad_descriptor()
        try:
            found = self.fd.find_slot(sched, side.mode) or self.fd.register(sched, side.mode)
        except ClosedError:
            raise bad_descriptor() from None
        side.slot = found
        return found

    def _wait(self, slot: Slot, deadline: float | None) -> None:
        if self.fd.closing:  # the slot may be shut already, and nobody would wake us
            raise bad_descriptor()
        try:
            slot.wait(deadline)
        except ClosedError:
            raise bad_descriptor() from None
        except TimeoutError as exc:
            if exc.args != ("i/o timeout",):
                raise
            raise timed_out() from None
        if self.fd.closing:
            raise bad_descriptor()


def _block(number: int, mode: int, deadline: float | None) -> None:
    """Wait without parking, in a handler inside of the scheduler or at the end of the thread."""
    timeline = this.sched.timeline
    left = None if deadline is None else max(0.0, deadline - timeline.now())
    if hasattr(select_module, "poll"):
        asking = select_module.poll()
        asking.register(number, 0x001 if mode == READ else 0x004)
        found = asking.poll(None if left is None else left * 1000)
    else:
        files = ([number], []) if mode == READ else ([], [number])
        found = any(select_select(*files, [], left))
    if not found:
        raise timed_out()
