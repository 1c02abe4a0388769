"""The condition variable: waiting until what a lock protects has changed.

    ============  ======================================  =====================================
    state         signal(), broadcast()                   an interrupt: timeout, Ctrl-C, goexit
    ============  ======================================  =====================================
    holds lock    nothing                                 at the next wait
    waits         claims the first, or all: signalled     claims it: interrupted
    signalled     nothing                                 after `wait` has returned
    interrupted   for the others only                     after this one
    ============  ======================================  =====================================

`wait` queues up before it unlocks, so no signal that comes after the unlocking is missed.

A wait is claimed once, by a signal or by an interrupt. So no interrupted waiter swallows a signal:
the one who signals wakes another. And who was signalled returns, though interrupted a moment later:
the interrupt is raised at its next wait, and the signal was not in vain.

However `wait` ends, the lock is held again: it stands in a ``with`` block that will unlock it. So
locking again cannot be interrupted. What would interrupt it is put off until the lock is held; then
the one that ended the wait is raised, and the others at the next waits. There is one exception:
`Deadlock`, which says that the lock will never be had.
"""

from collections.abc import Callable
from typing import TypeVar

from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.sched import Scheduler, this
from gopoll.runtime.waitq import Waiter, WaitQueue, need_room, refuse, resume
from gopoll.sync._primitive import Primitive, call, next_in
from gopoll.sync.mutex import Locker

__all__ = ["Cond"]

T = TypeVar("T")
_REASON = "sync.Cond.Wait"


class Cond(Primitive):
    """A place to wait for a change of what `lock` protects; mirrors ``sync.Cond``.

    `lock` is a `Mutex`, an `RWMutex`, its `reading` side, or any other `Locker`::

        with cond.lock:
            while not done():
                cond.wait()
    """

    __slots__ = ("_queue", "_relock", "lock")

    def __init__(self, lock: Locker) -> None:
        super().__init__()
        if not callable(getattr(lock, "lock", None)) or not callable(getattr(lock, "unlock", None)):
            msg = f"a Cond needs something to lock and unlock, got {lock!r}"
            raise TypeError(msg)
        self.lock = lock  # mirrors ``Cond.L``
        # Ours can be locked whatever happens; see `_insist` for others.
        self._relock: Callable[[list[BaseException]], None] | None
        self._relock = getattr(lock, "_lock_again", None)
        self._queue = WaitQueue()

    def __repr__(self) -> str:
        return f"<Cond at {id(self):#x} on {self.lock!r}>"

    def wait(self) -> None:
        """Unlock the lock, wait for a signal, and lock it again, whatever happens.

        Nothing is promised about what is true then: ask again, in a loop.

        Raises:
            RuntimeError: The lock is not locked.
        """
        sched = this.sched
        g = sched.current
        if g is None or g.waiter is not None:  # while it still holds the lock
            refuse(_REASON)
        waiter = Waiter(g)
        self.enter()
        self._queue.push(waiter)
        self.leave()
        try:
            self.lock.unlock()
        except BaseException:
            self._give_up(sched, waiter)
            raise
        try:
            self._park(sched, waiter, _REASON)
        except BaseException:
            self._withdraw(waiter, self._queue)
            self._lock_again(g)
            raise
        self._lock_again(g)

    def wait_for(self, predicate: Callable[[], T]) -> T:
        """Wait until ``predicate()`` is true, and return what it returned.

        It is called with the lock held, before the first wait and after each.
        """
        while not (answer := call(predicate)):
            self.wait()
        return answer

    def signal(self) -> None:
        """Wake the one who has waited longest, if anybody waits. Needs no lock."""
        self._wake(1)

    def broadcast(self) -> None:
        """Wake all who wait. Needs no lock."""
        self._wake(-1)

    def renew_after_fork(self) -> None:
        """In a child nobody waits any more; see `Guard`."""
        super().renew_after_fork()
        self._queue = WaitQueue()

    def _wake(self, most: int) -> None:
        if self._queue.first is not None:
            need_room()
        self.latch.acquire()
        if self.busy:
            self.latch.release()
            this.sched.post(self._wake, most)
            return
        self.busy = True
        heirs: list[Waiter] = []
        try:
            while len(heirs) != most and (heir := next_in(self._queue)) is not None:
                heirs.append(heir)
        finally:
            self.leave()
        for heir in heirs:
            resume(heir.g)

    def _give_up(self, sched: Scheduler, waiter: Waiter) -> None:
        """The lock could not be unlocked: a signal that has come meanwhile is another's."""
        if not waiter.claim():
            self._park(sched, waiter, _REASON)  # the signal is on its way here: it must be used up
            self.signal()
        self._withdraw(waiter, self._queue)

    def _lock_again(self, g: Goroutine[object]) -> None:
        """Lock, and put off what would interrupt that."""
        put_off: list[BaseException] = []
        try:
            if self._relock is not None:
                self._relock(put_off)
            else:
                _insist(self.lock, put_off)
        finally:
            if put_off:
                g.pending = [*put_off, *(g.pending or ())]


def _insist(lock: Locker, put_off: list[BaseException]) -> None:
    """Lock a lock of the program's own, whose errors are final."""
    while True:
        try:
            lock.lock()
        except Exception:
            raise
        except BaseException as exc:
            put_off.append(exc)
        else:
            return
