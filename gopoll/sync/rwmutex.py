"""The reader/writer lock: Go's, in which neither side can starve the other.

    =======  ========  ===============  ==================  ====================================
    readers  writing   waiting          rlock()             lock()
    =======  ========  ===============  ==================  ====================================
    0        False     nobody           goes on             goes on
    n        False     nobody           goes on             waits
    n        False     a writer         waits: the writer   waits behind the writer
                                        holds it back
    0        True      readers,         waits               waits
                       writers
    =======  ========  ===============  ==================  ====================================

When the writer leaves, all readers that wait by then go on at once; when the last reader leaves,
the first writer does. So the two take turns, and both queues are FIFO. Who waits is handed the lock
and need not compete for it.

Invariants, whenever nobody is inside the guard:

- Readers wait only while a writer writes or waits; nobody waits while the lock is free.
- A writer that gives up waiting, and was the last, lets the readers in that it held back.
"""

from types import TracebackType

from gopoll.errors import Deadlock
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.sched import Scheduler, this
from gopoll.runtime.waitq import Waiter, WaitQueue, need_room, refuse, resume
from gopoll.sync._primitive import Primitive, Uncopied, is_a_ghost, next_in

__all__ = ["RWMutex", "ReadLocker"]

_READ = "sync.RWMutex.RLock"
_WRITE = "sync.RWMutex.Lock"
_UNLOCKED = "sync: Unlock of unlocked RWMutex"
_RUNLOCKED = "sync: RUnlock of unlocked RWMutex"
_NOBODY: list[Waiter] = []


class RWMutex(Primitive):
    """A lock for many readers or one writer; mirrors ``sync.RWMutex``.

    ``with rw:`` locks it for writing, ``with rw.reading:`` for reading. A writer that waits holds
    new readers back; so who holds it for reading must not lock it for reading again: a writer may
    have come in between.
    """

    __slots__ = ("_holder", "_readers", "_readers_waiting", "_writers_waiting", "_writing")

    def __init__(self) -> None:
        super().__init__()
        self._readers = 0
        self._writing = False
        self._holder: Goroutine[object] | None = None  # who writes; for forks
        self._readers_waiting = WaitQueue()
        self._writers_waiting = WaitQueue()

    def __repr__(self) -> str:
        state = "write-locked" if self._writing else f"{self._readers} readers"
        return f"<RWMutex at {id(self):#x} {state}>"

    @property
    def reading(self) -> "ReadLocker":
        """The side of the readers, as a lock of its own; mirrors ``RLocker``."""
        return ReadLocker(self)

    def lock(self) -> None:
        """Lock it for writing; wait until nobody reads or writes."""
        sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
        if not self._begin_writing():
            self._wait_to_write(sched, None)

    def try_lock(self) -> bool:
        """Lock it for writing if nobody reads or writes; tell whether it was locked."""
        return self._begin_writing()

    def unlock(self) -> None:
        """Undo `lock`: let in all readers that wait, or else the first writer.

        Raises:
            RuntimeError: It is not locked for writing.
        """
        self.latch.acquire()
        if self.busy:
            self.latch.release()
            if not self._writing:
                raise RuntimeError(_UNLOCKED)
            this.sched.post(_unlock_later, self)
            return
        self.busy = True
        heirs = _NOBODY
        try:
            if not self._writing:
                raise RuntimeError(_UNLOCKED)
            waited_for = self._readers_waiting.first or self._writers_waiting.first
            if waited_for is not None:
                need_room()
            self._writing = False
            self._holder = None
            if waited_for is not None:
                heirs = self._admit_readers() or self._admit_writer()
        finally:
            self.busy = False
            self.latch.release()
        for heir in heirs:
            resume(heir.g)

    def rlock(self) -> None:
        """Lock it for reading; wait until nobody writes or waits to write."""
        sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
        if not self._begin_reading():
            self._wait_to_read(sched, None)

    def try_rlock(self) -> bool:
        """Lock it for reading if nobody writes or waits to write; tell whether it was locked."""
        return self._begin_reading()

    def runlock(self) -> None:
        """Undo one `rlock`; the last reader lets in the first writer that waits.

        Raises:
            RuntimeError: It is not locked for reading.
        """
        self.latch.acquire()
        if self.busy:
            self.latch.release()
            if not self._readers:
                raise RuntimeError(_RUNLOCKED)
            this.sched.post(_runlock_later, self)
            return
        self.busy = True
        heirs = _NOBODY
        try:
            if not self._readers:
                raise RuntimeError(_RUNLOCKED)
            if self._writers_waiting.first is not None:
                need_room()
            self._readers -= 1
            if not self._readers and self._writers_waiting.first is not None:
                heirs = self._admit_writer() or self._admit_readers()
        finally:
            self.busy = False
            self.latch.release()
        for heir in heirs:
            resume(heir.g)

    def __enter__(self) -> None:
        self.lock()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.unlock()

    def _lock_again(self, put_off: list[BaseException]) -> None:
        """Lock it for a `Cond`, whatever happens; see `Mutex`."""
        if not self._begin_writing():
            self._wait_to_write(this.sched, put_off)

    def _rlock_again(self, put_off: list[BaseException]) -> None:
        """Lock it for reading for a `Cond`, whatever happens; see `Mutex`."""
        if not self._begin_reading():
            self._wait_to_read(this.sched, put_off)

    def renew_after_fork(self) -> None:
        """Free it in a child if the writer does not exist there; see `Guard`."""
        super().renew_after_fork()
        self._readers_waiting = WaitQueue()
        self._writers_waiting = WaitQueue()
        if self._writing and is_a_ghost(self._holder):
            self._writing = False
            self._holder = None

    # -- the states --------------------------------------------------------------------------

    def _begin_writing(self) -> bool:
        self.latch.acquire()
        if self.busy:  # in the middle of a change, by a handler: not to be had now
            self.latch.release()
            return False
        self.busy = True
        try:
            if self._writing or self._readers or self._writers_waiting.first is not None:
                return False
            self._writing = True
            self._holder = this.sched.current
            return True
        finally:
            self.busy = False
            self.latch.release()

    def _begin_reading(self) -> bool:
        self.latch.acquire()
        if self.busy:
            self.latch.release()
            return False
        self.busy = True
        try:
            if self._writing or self._writers_waiting.first is not None:
                return False
            self._readers += 1
            return True
        finally:
            self.busy = False
            self.latch.release()

    def _admit_readers(self) -> list[Waiter]:
        """Let in all readers that wait."""
        heirs = []
        while (heir := next_in(self._readers_waiting)) is not None:
            heir.ok = True
            self._readers += 1
            heirs.append(heir)
        return heirs

    def _admit_writer(self) -> list[Waiter]:
        """Let in the first writer that waits."""
        heir = next_in(self._writers_waiting)
        if heir is None:
            return []
        heir.ok = True
        self._writing = True
        self._holder = heir.g
        return [heir]

    # -- waiting -----------------------------------------------------------------------------

    def _wait_to_write(self, sched: Scheduler, put_off: list[BaseException] | None) -> None:
        g = sched.current or refuse(_WRITE)
        while True:
            waiter = Waiter(g)
            self.enter()
            try:
                self._writers_waiting.push(waiter)
                heirs = [] if self._writing or self._readers else self._admit_writer()
            finally:
                self.leave()
            for heir in heirs:  # it has become free meanwhile
                if heir is waiter:
                    return
                resume(heir.g)
            try:
                sched.park(waiter, _WRITE)
            except BaseException as exc:
                self._give_up_writing(waiter)
                if put_off is None or isinstance(exc, Deadlock):
                    raise
                put_off.append(exc)
            else:
                return

    def _give_up_writing(self, waiter: Waiter) -> None:
        """Take out a writer, and let in the readers that nobody else holds back."""
        heirs = []
        self.enter()
        try:
            self._writers_waiting.discard(waiter)
            if self._writers_waiting.first is None and not self._writing:
                heirs = self._admit_readers()
        finally:
            self.leave()
        for heir in heirs:
            resume(heir.g)

    def _wait_to_read(self, sched: Scheduler, put_off: list[BaseException] | None) -> None:
        g = sched.current or refuse(_READ)
        while True:
            waiter = Waiter(g)
            self.enter()
            try:
                if not self._writing and self._writers_waiting.first is None:
                    self._readers += 1
                    return
                self._readers_waiting.push(waiter)
            finally:
                self.leave()
            try:
                sched.park(waiter, _READ)
            except BaseException as exc:
                self._withdraw(waiter, self._readers_waiting)
                if put_off is None or isinstance(exc, Deadlock):
                    raise
                put_off.append(exc)
            else:
                return


def _unlock_later(rw: RWMutex) -> None:
    if rw._writing:
        rw.unlock()


def _runlock_later(rw: RWMutex) -> None:
    if rw._readers:
        rw.runlock()


class ReadLocker(Uncopied):
    """The readers' side of an `RWMutex`, for ``with rw.reading:`` and ``Cond(rw.reading)``."""

    __slots__ = ("_rw",)

    def __init__(self, rw: RWMutex) -> None:
        self._rw = rw

    def __repr__(self) -> str:
        return f"<reading of {self._rw!r}>"

    def lock(self) -> None:
        """Lock it for reading."""
        self._rw.rlock()

    def try_lock(self) -> bool:
        """Lock it for reading if that needs no waiting; tell whether it was locked."""
        return self._rw.try_rlock()

    def unlock(self) -> None:
        """Undo one `lock`."""
        self._rw.runlock()

    def __enter__(self) -> None:
        self._rw.rlock()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._rw.runlock()

    def _lock_again(self, put_off: list[BaseException]) -> None:
        """Lock it for a `Cond`, whatever happens; see `Mutex`."""
        self._rw._rlock_again(put_off)
