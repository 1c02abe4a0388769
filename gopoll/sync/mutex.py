"""The mutual exclusion lock: Go's, with its two modes, and two words instead of one.

`_held` is the lock. It is taken and given back by an exchange, all in one line, which nobody can
tear apart (see ``Waiter.claim``) and which costs a tenth of a guard. The rest is for those who
queue, and is changed inside the guard only:

    ======  =======================  =========================================================
    _held   _queue                   unlock()
    ======  =======================  =========================================================
    False   empty                    RuntimeError
    True    empty                    frees it
    True    first waits <= 1 ms      frees it and wakes the first, who competes with whoever runs
                                     now: *normal mode*, cheap, since nobody waits for a switch
    True    first waits longer       hands it on to the first, and it is never free in between:
                                     *starvation mode*, since others were faster for too long
    False   waiters                  RuntimeError; one of them was woken (`_woken`), and no other
                                     is until that one has tried
    ======  =======================  =========================================================

Who was woken and lost goes back to the head of the queue, with the time of its first arrival. So
the mode needs no flag: a mutex starves while its first waiter has waited too long, and once the
queue is short again it does not.

`_contended` tells that somebody queues, or did: then `unlock` takes the slow path. It is set
*before* the last try to take the lock, and `unlock` looks at it once more *after* freeing the lock,
so one of the two sees the other.

`_holder` is who locked it, for reports and for forks only: a mutex belongs to nobody, and whoever
likes may unlock it.
"""

from types import TracebackType
from typing import Protocol

from gopoll.errors import Deadlock
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.sched import Scheduler, this
from gopoll.runtime.waitq import Waiter, WaitQueue, need_room, refuse, resume
from gopoll.sync._primitive import Primitive, is_a_ghost, next_in

__all__ = ["Locker", "Mutex"]

_PATIENCE = 0.001  # seconds that a waiter lets others be faster
_REASON = "sync.Mutex.Lock"
_UNLOCKED = "sync: unlock of unlocked mutex"


class Locker(Protocol):
    """What can be locked and unlocked; mirrors ``sync.Locker``."""

    def lock(self) -> None:
        """Wait until it is free, and take it."""

    def unlock(self) -> None:
        """Give it back."""


class Mutex(Primitive):
    """A mutual exclusion lock; mirrors ``sync.Mutex``.

    ``with mutex:`` locks it for a block. It does not belong to the goroutine that locked it:
    another one may unlock it, and who locks it twice waits for himself.
    """

    __slots__ = ("_contended", "_held", "_holder", "_queue", "_woken")

    def __init__(self) -> None:
        super().__init__()
        self._held = False
        self._contended = False
        self._woken = False
        self._holder: Goroutine[object] | None = None
        self._queue = WaitQueue()

    def __repr__(self) -> str:
        holder = self._holder
        by = "" if holder is None else f" by goroutine {holder.id}"
        return f"<Mutex at {id(self):#x} {'locked' + by if self._held else 'unlocked'}>"

    @property
    def locked(self) -> bool:
        """Whether somebody has locked it."""
        return self._held

    def lock(self) -> None:
        """Lock it; wait until it is unlocked."""
        sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
        held, self._held = self._held, True
        if held:
            self._wait(sched, None)
        else:
            self._holder = sched.current

    def try_lock(self) -> bool:
        """Lock it if it is unlocked; tell whether it was."""
        held, self._held = self._held, True
        if held:
            return False
        self._holder = this.sched.current
        return True

    def unlock(self) -> None:
        """Unlock it.

        Raises:
            RuntimeError: It is not locked.
        """
        if self._contended:
            self._hand_on()
            return
        self._holder = None
        held, self._held = self._held, False
        if not held:
            raise RuntimeError(_UNLOCKED)
        if self._contended:  # somebody has queued up in between
            self._wake_one()

    def __enter__(self) -> None:
        # What `lock` and `unlock` do, once more: a call costs as much as the rest.
        sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
        held, self._held = self._held, True
        if held:
            self._wait(sched, None)
        else:
            self._holder = sched.current

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._contended:
            self._hand_on()
            return
        self._holder = None
        held, self._held = self._held, False
        if not held:
            raise RuntimeError(_UNLOCKED)
        if self._contended:
            self._wake_one()

    def _lock_again(self, put_off: list[BaseException]) -> None:
        """Lock it for a `Cond`, which must hold it in any case: interrupts go to `put_off`.

        Raises:
            Deadlock: Nobody will ever unlock it.
        """
        held, self._held = self._held, True
        if held:
            self._wait(this.sched, put_off)
        else:
            self._holder = this.sched.current

    def renew_after_fork(self) -> None:
        """Free it in a child unless the goroutine that forked has locked it; see `Guard`."""
        super().renew_after_fork()
        self._queue = WaitQueue()
        self._contended = self._woken = False
        if self._held and is_a_ghost(self._holder):
            self._held = False
            self._holder = None

    # -- the slow paths ----------------------------------------------------------------------

    def _wait(self, sched: Scheduler, put_off: list[BaseException] | None) -> None:
        g = sched.current or refuse(_REASON)
        arrival = g.timeline.now()
        woken = False
        while True:
            waiter = Waiter(g, arrival)
            if self._queue_up(waiter, woken=woken):
                return
            try:
                sched.park(waiter, _REASON)
            except BaseException as exc:
                self._withdraw(waiter, self._queue)
                if put_off is None or isinstance(exc, Deadlock):
                    raise
                put_off.append(exc)
                woken = False
                continue
            if waiter.ok:
                return
            woken = True

    def _queue_up(self, waiter: Waiter, *, woken: bool) -> bool:
        """Queue `waiter`, unless the lock can be had now; True if it could."""
        queue = self._queue
        self.enter()
        try:
            if woken:
                self._woken = False
                _push_first(queue, waiter)
            else:
                queue.push(waiter)
            self._contended = True
            held, self._held = self._held, True
            if held:
                return False
            self._holder = waiter.g
            queue.discard(waiter)
            self._contended = queue.first is not None
            return True
        finally:
            self.leave()

    def _hand_on(self) -> None:
        """Unlock while others queue."""
        need_room()
        self.latch.acquire()
        if self.busy:  # a handler or finalizer interrupted a change of this very mutex
            self.latch.release()
            if not self._held:
                raise RuntimeError(_UNLOCKED)
            this.sched.post(_unlock_later, self)
            return
        self.busy = True
        try:
            if not self._held:
                raise RuntimeError(_UNLOCKED)
            heir = next_in(self._queue) if self._starves() else None
            if heir is not None:
                heir.ok = True
                self._holder = heir.g
            else:
                self._holder = None
                self._held = False
                heir = self._choose()
            self._contended = self._queue.first is not None
        finally:
            self.leave()
        if heir is not None:
            resume(heir.g)

    def _wake_one(self) -> None:
        """The lock was freed: wake the first to try, unless somebody is on the way already."""
        self.latch.acquire()
        if self.busy:
            self.latch.release()
            this.sched.post(Mutex._wake_one, self)
            return
        self.busy = True
        try:
            heir = None if self._held else self._choose()
            self._contended = self._queue.first is not None
        finally:
            self.leave()
        if heir is not None:
            resume(heir.g)

    def _starves(self) -> bool:
        first = self._queue.first
        if first is None or self._woken:  # who was woken came before the first
            return False
        return bool(first.g.timeline.now() - first.value > _PATIENCE)

    def _choose(self) -> Waiter | None:
        if self._woken:
            return None
        heir = next_in(self._queue)
        self._woken = heir is not None
        return heir


def _unlock_later(mutex: Mutex) -> None:
    if mutex._held:
        mutex.unlock()


def _push_first(queue: WaitQueue, waiter: Waiter) -> None:
    first = queue.first
    if first is None:
        queue.last = waiter
    else:
        first.prev = waiter
        waiter.next = first
    queue.first = waiter
