"""One side of a descriptor: who may use it, until when, and the one retry loop.

    ==========  ===========================  =================================================
    lock        queue                        meaning
    ==========  ===========================  =================================================
    free        empty                        nobody uses this side
    held        empty                        one user, in a system call or parked in the slot
    held        waiters                      the others, in the order of their coming
    ==========  ===========================  =================================================

The lock is held across waits and changes hands without being free in between, so nobody can push
in. A user that is interrupted leaves it as any other. `contended` is all that the fast path looks
at when it leaves: somebody queues, or the descriptor is closing.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from gopoll._original import allocate_lock
from gopoll.errors import ClosedError
from gopoll.runtime import fork
from gopoll.runtime.netpoll import Slot
from gopoll.runtime.sched import Scheduler, resume, this
from gopoll.runtime.waitq import Waiter, WaitQueue, refuse

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
        "generation",
        "lock",
        "mode",
        "queue",
        "retired",
        "slot",
        "unlock",
    )

    def __init__(self, fd: "FD", mode: int) -> None:
        self.fd = fd
        self.mode = mode
        self.deadline: float | None = None
        self.contended = False  # somebody queues, or the descriptor is closing: see `settle`
        self.drained = False
        self.retired = False  # closing, and nobody on this side will use the number again
        self.slot: Slot | None = None  # of the scheduler that waited here last
        self.queue = WaitQueue()
        self._new_lock()

    def _new_lock(self) -> None:
        lock = allocate_lock()
        self.lock = lock.acquire
        self.unlock = lock.release
        self.generation = fork.generation[0]

    def run(self, call: Callable[[A], T], arg: A) -> T:
        """Make the system call ``call(arg)``, alone on this side, waiting as often as it takes."""
        if not self.lock(False):
            self.queue_up()
        try:
            return self.retry(call, arg)
        finally:
            self.unlock()
            if self.contended:
                self.settle()

    def retry(self, call: Callable[[A], T], arg: A) -> T:
        """Repeat ``call(arg)`` until it does not say that it would block; the side is locked."""
        sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
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
            if not slot.desc.hangup:
                slot.wait(self.deadline)
        while not fd.closing:
            if slot is not None:
                slot.state = None
            try:
                return call(arg)
            except BlockingIOError:
                pass
            if slot is None:
                slot = self.slot = fd.register(sched, self.mode)
            slot.wait(self.deadline)
        raise ClosedError

    def settle(self) -> None:
        """After unlocking: hand over to the next in the queue; close if that is left to do."""
        if self.queue.first is not None:
            self._hand_over()
        if self.fd.closing:
            self.fd.close_if_unused()

    def check_deadline(self, sched: Scheduler) -> None:
        """Raise TimeoutError if the deadline has passed."""
        timeline = sched.timeline if sched.current is None else sched.current.timeline
        if self.deadline is not None and self.deadline <= timeline.now():
            msg = "i/o timeout"
            raise TimeoutError(msg)

    def queue_up(self) -> None:
        """Wait for the lock, behind those who came before.

        Raises:
            ClosedError: The descriptor was closed meanwhile.
        """
        if self.generation != fork.generation[0]:
            self._new_lock()  # it is held by a goroutine that does not exist in this process
            self.queue = WaitQueue()
            if self.lock(False):
                return
        fd = self.fd
        sched = this.sched
        waiter = Waiter(sched.current or refuse("fd lock"))
        fd.enter()
        try:
            if fd.closing:
                raise ClosedError
            self.queue.push(waiter)
            self.contended = True  # before the last try: a holder who leaves after it sees us
            if self.lock(False):
                self.queue.discard(waiter)
                return
        finally:
            fd.leave()
        try:
            sched.park(waiter, "fd lock")
        except BaseException:
            fd.acquire()
            self.queue.discard(waiter)
            fd.release()
            raise
        if not waiter.ok:
            raise ClosedError

    def _hand_over(self) -> None:
        """Lock again on behalf of the first in the queue, unless somebody was faster."""
        fd = self.fd
        heir = None
        fd.enter()
        try:
            if self.queue.first is not None and self.lock(False):
                heir = self.queue.claim_first()
                self.contended = fd.closing or self.queue.first is not None
                if heir is None:
                    self.unlock()
                else:
                    heir.ok = True
        finally:
            fd.leave()
        if heir is not None:
            resume(heir.g)
