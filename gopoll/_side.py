"""One side of a descriptor: who may use it, until when, and the one retry loop.

    =====  ===========================  ======================================================
    held   queue                        meaning
    =====  ===========================  ======================================================
    False  empty                        nobody uses this side
    True   empty                        one user, in a system call or parked in the slot
    True   waiters                      the others, in the order of their coming
    =====  ===========================  ======================================================

The side is held across waits and changes hands without being free in between, so nobody can push
in. A user that is interrupted leaves it as any other. `contended` is all that the fast path looks
at when it leaves: somebody queues, or the descriptor is closing.

To take a side is to exchange `held` for True (and to queue up if it was True), all in one line: an
exchange cannot be torn, see ``Waiter.claim``, and costs a tenth of a lock. The fast path spells it
out::

    held, side.held = side.held, True
    if held:
        side.queue_up()
    try:
        ...
    finally:
        side.held = False
        if side.contended:
            side.settle()
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from gopoll.errors import ClosedError
from gopoll.runtime.netpoll import Slot
from gopoll.runtime.sched import Scheduler, this
from gopoll.runtime.waitq import Waiter, WaitQueue, elapse, refuse, resume

if TYPE_CHECKING:
    from gopoll.fd import FD

__all__ = ["Side"]

A = TypeVar("A")
T = TypeVar("T")


class Side:
    """One direction of an `FD`: its lock and who queues for it, its deadline, its slot."""

    __slots__ = (
        "contended",
        "deadline",
        "drained",
        "fd",
        "held",
        "mode",
        "queue",
        "retired",
        "sched",
        "slot",
    )

    def __init__(self, fd: "FD", mode: int, sched: Scheduler) -> None:
        self.fd = fd
        self.mode = mode
        self.deadline: float | None = None
        self.contended = False  # somebody queues, or the descriptor is closing: see `settle`
        self.drained = False
        self.retired = False  # closing, and nobody on this side will use the number again
        self.slot: Slot | None = None  # of the scheduler that waited here last
        # Whose turn an operation counts in: of who used this side last, a guess that spares looking
        # for ours. Wrong, it makes somebody's turn shorter, and is set right when that ends.
        self.sched = sched
        self.queue = WaitQueue()
        self.held = False

    def take(self) -> bool:
        """Take the side if nobody has it."""
        held, self.held = self.held, True
        return not held

    def run(self, call: Callable[[A], T], arg: A) -> T:
        """Make the system call ``call(arg)``, alone on this side, waiting as often as it takes."""
        held, self.held = self.held, True
        if held:
            self.queue_up()
        try:
            return self.retry(call, arg)
        finally:
            self.held = False
            if self.contended:
                self.settle()

    def retry(self, call: Callable[[A], T], arg: A) -> T:
        """Repeat ``call(arg)`` until it does not say that it would block; the side is held."""
        sched = self.count()
        fd = self.fd
        if fd.closing:
            raise ClosedError
        if self.deadline is not None:
            self.check_deadline(sched)
        slot = self.slot
        if slot is None or slot.sched is not sched:
            slot = self.slot = fd.find_slot(sched, self.mode)
        if self.drained:
            self.drained = False
            if slot is None:
                slot = self.slot = fd.register(sched, self.mode)
            if slot.desc.shortcut:
                slot.wait(self.deadline)
                if fd.closing:
                    raise ClosedError
        if slot is not None:
            slot.state = None
        try:
            return call(arg)
        except BlockingIOError:
            pass
        return self.wait_and_retry(call, arg)

    def count(self) -> Scheduler:
        """Count an operation, and let the others run first if the turn is over."""
        sched = self.sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
        return sched

    def wait_and_retry(self, call: Callable[[A], T], arg: A) -> T:
        """Do the same after ``call(arg)`` has said so."""
        fd = self.fd
        while True:
            slot = self.slot
            sched = this.sched
            if slot is None or slot.sched is not sched:
                slot = fd.find_slot(sched, self.mode) or fd.register(sched, self.mode)
                self.slot = slot
            slot.wait(self.deadline)
            if fd.closing:
                raise ClosedError
            slot.state = None
            try:
                return call(arg)
            except BlockingIOError:
                pass

    def settle(self) -> None:
        """After unlocking: hand over to the next in the queue; close if that is left to do."""
        if self.queue.first is not None:
            self._hand_over()
        if self.fd.closing:
            self.fd.user_left()

    def check_deadline(self, sched: Scheduler) -> None:
        """Raise TimeoutError if the deadline has passed."""
        timeline = sched.timeline if sched.current is None else sched.current.timeline
        if self.deadline is not None and self.deadline <= timeline.now():
            msg = "i/o timeout"
            raise TimeoutError(msg)

    def apply_deadline(self, slot: Slot) -> None:
        """On the thread of `slot`: let its present wait go by the deadline of now."""
        slot.move_deadline(self.deadline)

    def queue_up(self, deadline: float | None = None) -> None:
        """Wait for the side, behind those who came before, at most until `deadline`.

        Raises:
            ClosedError: The descriptor was closed meanwhile.
            TimeoutError: `deadline` has passed.
        """
        fd = self.fd
        sched = this.sched
        waiter = Waiter(sched.current or refuse("fd wait"))
        fd.enter()
        try:
            if fd.closing:
                raise ClosedError
            self.queue.push(waiter)
            self.contended = True  # before the last try: a holder who leaves after it sees us
            if self.take():
                self.queue.discard(waiter)
                return
        finally:
            fd.leave()
        timeline = waiter.g.timeline
        timer = None if deadline is None else timeline.add(deadline, elapse, waiter)
        try:
            sched.park(waiter, "fd wait")
        except BaseException:
            fd.latch.acquire()
            self.queue.discard(waiter)
            fd.latch.release()
            raise
        finally:
            if timer is not None:
                timeline.cancel(timer)
        if not waiter.ok:
            if fd.closing:
                raise ClosedError
            fd.latch.acquire()
            self.queue.discard(waiter)
            fd.latch.release()
            msg = "i/o timeout"
            raise TimeoutError(msg)

    def _hand_over(self) -> None:
        """Lock again on behalf of the first in the queue, unless somebody was faster."""
        fd = self.fd
        heir = None
        fd.enter()
        try:
            if self.queue.first is not None and self.take():
                heir = self.queue.claim_first()
                self.contended = fd.closing or self.queue.first is not None
                if heir is None:
                    self.held = False
                else:
                    heir.ok = True
        finally:
            fd.leave()
        if heir is not None:
            resume(heir.g)
