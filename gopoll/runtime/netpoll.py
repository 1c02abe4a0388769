"""Waiting for descriptors: where the poller's hints meet the goroutines.

A `PollDesc` is a descriptor as one scheduler knows it; two schedulers that park on one descriptor
have one each, and the kernel tells both of every edge. So all that is here belongs to one thread.
It has a `Slot` for each direction, Go's rg and wg:

    ==========  =================  ===================  ==================  ====================
    slot.state  wait()             deliver()            clear, by the user  claim()
    ==========  =================  ===================  ==================  ====================
    None        parks: a Goroutine  READY               None                False
    READY       None, goes on      READY                None                False
    Goroutine   (a double wait)    None, it is readied  (it is parked)      None, True: the
                                                                            winner readies it
    ==========  =================  ===================  ==================  ====================

Readiness that arrives while nobody waits is remembered. The user clears the slot immediately before
a system call and never at another time, so an edge that comes after the call is never lost.

Deadlines are lazy: the timer of a slot is armed only while somebody waits, is left alone when the
deadline moves away, and looks at the deadline again when it fires.

Descriptors that gopoll does not own (`wait_read`, `wait_write`) are `_Borrowed`: armed for each
wait, disarmed after it, never remembered.
"""

from stat import S_ISREG

from greenlet import greenlet

from gopoll._original import os_close, os_dup, os_fstat
from gopoll._typing import Any, ClassVar, Final, Protocol
from gopoll.errors import ClosedError
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.poller.base import HANGUP, READ, READ_WRITE, WRITE
from gopoll.runtime.sched import Scheduler, this
from gopoll.runtime.timers import Timer
from gopoll.runtime.waitq import Waiter, refuse, wait

__all__ = ["PollDesc", "Slot", "wait_read", "wait_write"]


class _Ready:
    def __repr__(self) -> str:
        return "READY"


READY: Final = _Ready()


class Slot:
    """One direction of a `PollDesc`; it is the waiter of the goroutine parked in it."""

    external: ClassVar[bool] = True
    __slots__ = ("deadline", "desc", "mode", "sched", "state", "timeline", "timer")

    def __init__(self, desc: "PollDesc", mode: int) -> None:
        self.desc = desc
        self.sched = desc.sched
        self.mode = mode
        self.state: Goroutine[Any] | _Ready | None = None
        self.deadline: float | None = None  # of the present wait
        self.timer: Timer | None = None
        self.timeline = desc.sched.timeline  # of the timer

    def __repr__(self) -> str:
        return f"<Slot {'r' if self.mode == READ else 'w'} {self.state!r}>"

    def wait(self, deadline: float | None, me: greenlet | None = None) -> None:
        """Park until the descriptor may be ready; at once if that is remembered or it was shut.

        `me` is the calling greenlet, from those who know it.

        Raises:
            TimeoutError: The deadline has passed.
            ClosedError: The descriptor was closed or evicted.
        """
        if self.state is READY:
            self.state = None
            return
        sched = self.sched
        g = sched.current or refuse("IO wait")
        self.deadline = deadline
        if deadline is not None:
            self._arm(g, deadline)
        if not self.desc.edge:
            self.desc.want(self.mode)
        self.state = g
        try:
            sched.park(self, "IO wait", me)
        except RecursionError:
            if self.state is g:
                self.state = None  # without a call: there may have been no room even for this one
            self.undo(g)
            raise

    def undo(self, g: Goroutine[Any]) -> None:
        """Undo a wait of `g` for which the stack had no room, however far it came.

        There was room for what is called here. To ask for it first, as others do, would cost 6 %
        of an echo.
        """
        g.waiter = None
        sched = self.sched
        if sched.current is not g:
            sched._put_back(g)
        if g in sched.runq:  # a handler has woken it
            sched.runq.remove(g)
            g.thrown = None

    def claim(self) -> bool:
        """Win the right to wake the goroutine that is parked here."""
        if self.state is None or self.state is READY:
            return False
        self.state = None
        return True

    def fail(self, exc: OSError) -> bool:
        """Wake the parked goroutine with `exc`; False if there is none."""
        g = self.state
        if g is None or isinstance(g, _Ready):
            return False
        self.state = None
        g.thrown = exc
        self.sched.ready(g)
        return True

    def move_deadline(self, deadline: float | None) -> None:
        """Let the present wait, if any, end at `deadline` instead."""
        g = self.state
        if g is None or isinstance(g, _Ready):
            return
        self.deadline = None
        if deadline is not None:
            self._arm(g, deadline)

    def disarm(self) -> None:
        """Drop the timer."""
        timer, self.timer = self.timer, None
        if timer is not None:
            self.timeline.cancel(timer)

    def _arm(self, g: Goroutine[Any], deadline: float) -> None:
        self.deadline = deadline
        timer = self.timer
        if timer is None or timer.when > deadline or self.timeline is not g.timeline:
            self.disarm()
            self.timeline = g.timeline
            self.timer = self.timeline.add(deadline, self._expired)

    def _expired(self, _: object) -> None:
        self.timer = None
        g = self.state
        if g is None or isinstance(g, _Ready) or self.deadline is None:
            return
        if self.deadline <= g.timeline.now():
            self.fail(TimeoutError("i/o timeout"))
        else:
            self._arm(g, self.deadline)


class Owner(Protocol):
    """Whoever holds a descriptor."""

    def stolen(self) -> None:
        """Hear that the number was closed behind its back, and is somebody else's by now."""


class PollDesc:
    """A descriptor that gopoll owns, as one scheduler knows it."""

    __slots__ = (
        "edge",
        "evicted",
        "fd",
        "hangup",
        "owner",
        "reader",
        "sched",
        "shortcut",
        "wanted",
        "writer",
    )

    def __init__(self, sched: Scheduler, fd: int, owner: Owner) -> None:
        """Register `fd` for its `owner`."""
        poller = sched.need_poller()
        self.sched = sched
        self.fd = fd
        self.owner = owner
        self.edge = poller.edge
        self.evicted = False
        self.hangup = False  # for good: from now on nothing more may be announced
        self.shortcut = poller.tells_urgent  # whether a short read tells that nothing is left
        self.wanted = 0  # armed at a level-triggered poller
        self.reader = Slot(self, READ)
        self.writer = Slot(self, WRITE)
        stranger = poller.register(fd, self)
        if stranger is not None:
            stranger.evict()

    def __repr__(self) -> str:
        return f"<PollDesc {self.fd} {self.reader!r} {self.writer!r}>"

    def deliver(self, modes: int) -> None:
        """Remember readiness, or ready the goroutine that waits for it."""
        if modes >= HANGUP:
            self.hangup = True
            self.shortcut = False
            modes &= READ_WRITE
        if modes != WRITE:
            slot = self.reader
            g = slot.state
            if g is None:
                slot.state = READY
            elif g is not READY:
                slot.state = None
                self.sched.runq.append(g)  # type: ignore[arg-type]
        if modes != READ:
            slot = self.writer
            g = slot.state
            if g is not READY:  # mostly it is
                if g is None:
                    slot.state = READY
                else:
                    slot.state = None
                    self.sched.runq.append(g)  # type: ignore[arg-type]
        if not self.edge:
            # The report disarmed both directions: ask again for the one that was not reported.
            self.wanted &= ~modes
            if self.wanted and not self.evicted:
                self.sched.need_poller().arm(self.fd, self, self.wanted)

    def want(self, mode: int) -> None:
        """Arm a level-triggered poller for one more direction."""
        self.wanted |= mode
        self.sched.need_poller().arm(self.fd, self, self.wanted)

    def evict(self) -> None:
        """Give up the number, which was closed behind our back and registered by another."""
        self.shut()
        self.owner.stolen()

    def shut(self) -> int:
        """Leave the poller; wake who waits, with ClosedError; return the modes they waited for."""
        self.evicted = True
        if self.sched.poller is not None:
            self.sched.poller.unregister(self.fd, self)
        vacated = 0
        for slot in (self.reader, self.writer):
            slot.disarm()
            if isinstance(slot.state, Goroutine) and slot.fail(ClosedError()):
                vacated |= slot.mode
            slot.state = READY  # a wait that was about to begin must look again
        return vacated


class _Borrowed:
    """A descriptor that somebody else owns, while goroutines of this scheduler wait for it."""

    __slots__ = ("fd", "readers", "sched", "writers")

    def __init__(self, sched: Scheduler, fd: int) -> None:
        self.sched = sched
        self.fd = fd
        self.readers: list[Waiter] = []
        self.writers: list[Waiter] = []

    def waiters(self, mode: int) -> list[Waiter]:
        return self.readers if mode == READ else self.writers

    def arm(self) -> bool:
        """Ask for what is waited for now; disarm if that is nothing."""
        modes = (READ if self.readers else 0) | (WRITE if self.writers else 0)
        return self.sched.need_poller().arm(self.fd, self, modes)

    def deliver(self, modes: int) -> None:
        for mode in (READ, WRITE):
            if modes & mode:
                waiters = self.waiters(mode)
                for waiter in waiters:
                    if waiter.claim():
                        self.sched.ready(waiter.g)
                waiters.clear()
        self.arm()

    def evict(self) -> None:
        self.deliver(READ | WRITE)  # the number is somebody else's now: let the callers find out


def wait_read(fd: int, timeout: float | None = None) -> None:
    """Park until `fd`, a descriptor that the caller owns, is readable; at most `timeout` seconds.

    For libraries that do their own system calls. A descriptor that is always ready, as a regular
    file is, returns at once. Nothing is remembered between two calls.

    Raises:
        TimeoutError: It was not readable by then.
        OSError: `fd` is no open descriptor.
        ValueError: `fd` is negative.
        TypeError: `fd` is neither a number nor has a ``fileno()``.
    """
    _wait(fd, READ, timeout)


def wait_write(fd: int, timeout: float | None = None) -> None:
    """Park until `fd`, a descriptor that the caller owns, is writable; otherwise as `wait_read`."""
    _wait(fd, WRITE, timeout)


def _wait(fd: Any, mode: int, timeout: float | None) -> None:
    if not isinstance(fd, int) and not hasattr(fd, "fileno"):
        msg = f"a descriptor is a number, or what has a fileno(); got {fd!r}"
        raise TypeError(msg)
    number = fd if isinstance(fd, int) else fd.fileno()
    if number < 0:
        msg = f"a descriptor cannot be negative: {number}"
        raise ValueError(msg)
    if S_ISREG(os_fstat(number).st_mode):  # EBADF comes from here, whatever the poller says
        return
    sched = this.sched
    g = sched.current
    if g is None:
        refuse("IO wait")
    poller = sched.need_poller()
    target = poller.find(number)
    copy = None
    if target is not None and not isinstance(target, _Borrowed):
        # gopoll owns it: a copy has a number, and so a registration, of its own.
        number = copy = os_dup(number)
        target = None
    borrowed = target or _Borrowed(sched, number)
    waiter = Waiter(g)
    waiters = borrowed.waiters(mode)
    waiters.append(waiter)
    sched.external += 1
    try:
        if borrowed.arm():
            wait(waiter, "IO wait", timeout)
    finally:
        sched.external -= 1
        if waiter in waiters:
            waiters.remove(waiter)
            borrowed.arm()
        if copy is not None:
            poller.unregister(copy, borrowed)
            os_close(copy)
