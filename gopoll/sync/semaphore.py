"""The weighted semaphore of golang.org/x/sync.

    =========================  =======================  ==========================================
    state                      acquire(n)               release(n)
    =========================  =======================  ==========================================
    n fits, nobody waits       takes it                 RuntimeError if less than n is taken; else
    n fits, somebody waits     waits behind them        gives it back, and serves those who wait,
    n does not fit             waits                    in order, as long as the first one fits
    n is more than there is    waits, and is not served
    =========================  =======================  ==========================================

A small waiter behind a big one waits, though it would fit: otherwise the big one might wait for
ever. One that can never be served stands in nobody's way: it is not in the queue.

Invariant, whenever nobody is inside the guard: the first in the queue does not fit.
"""

from types import TracebackType

from gopoll.runtime.sched import this
from gopoll.runtime.scope import Endable, until
from gopoll.runtime.waitq import Waiter, WaitQueue, need_room, refuse, resume
from gopoll.sync._primitive import Primitive, Uncopied

__all__ = ["Semaphore"]

_REASON = "semacquire"
_TOO_MUCH = "semaphore: released more than held"
_NOBODY: list[Waiter] = []


class Semaphore(Uncopied):
    """Bounds how much goes on at a time; mirrors ``semaphore.Weighted``.

    `n` is the weight that can be taken in all. ``with semaphore:`` takes 1 for a block.

    Raises:
        ValueError: `n` is negative.
        TypeError: `n` is no integer.
    """

    __slots__ = ("__weakref__", "_scales")

    def __init__(self, n: int) -> None:
        _check(n)
        self._scales = _Scales(n)

    def __repr__(self) -> str:
        return f"<Semaphore at {id(self):#x} {self._scales.taken}/{self._scales.size}>"

    def acquire(self, n: int = 1, ctx: Endable | None = None) -> None:
        """Take the weight `n`; wait until it fits, behind those who came before, or `ctx` is done.

        What is more than there is at all waits for the end of `ctx`, or of a ``timeout()``.

        Raises:
            Canceled, DeadlineExceeded: `ctx` was done, before or while this waited; nothing is
                taken then.
            ValueError: `n` is negative.
        """
        _check(n)
        if ctx is None:
            self._scales.wait(n)
            return
        with until(ctx):
            self._scales.wait(n)
        error = ctx.err()
        if error is not None:  # it was done in the instant in which this was served
            self._scales.give(n)
            raise error

    def try_acquire(self, n: int = 1) -> bool:
        """Take the weight `n` if it fits and nobody waits; tell whether it was taken.

        Raises:
            ValueError: `n` is negative.
        """
        _check(n)
        return self._scales.take(n)

    def release(self, n: int = 1) -> None:
        """Give back the weight `n`, and serve those who wait.

        Raises:
            RuntimeError: Less than `n` is taken; then nothing is given back.
            ValueError: `n` is negative.
        """
        _check(n)
        self._scales.give(n)

    def __enter__(self) -> None:
        self._scales.wait(1)

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._scales.give(1)


class _Scales(Primitive):
    """What a Semaphore weighs with: its guard is not the semaphore's own."""

    __slots__ = ("queue", "size", "taken")

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.taken = 0
        self.queue = WaitQueue()

    def take(self, n: int) -> bool:
        """Take `n` if it fits and nobody waits."""
        self.latch.acquire()
        if self.busy:  # in the middle of a change, by a handler: not to be had now
            self.latch.release()
            return False
        self.busy = True
        try:
            if n > self.size - self.taken or self.queue.first is not None:
                return False
            self.taken += n
            return True
        finally:
            self.busy = False
            self.latch.release()

    def wait(self, n: int) -> None:
        """Take `n`; wait until it fits."""
        sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
        if self.take(n):
            return
        waiter = Waiter(sched.current or refuse(_REASON), n)
        if n <= self.size:
            self.enter()
            try:
                self.queue.push(waiter)
                heirs = self._serve()
            finally:
                self.leave()
            for heir in heirs:
                if heir is not waiter:
                    resume(heir.g)
            if waiter in heirs:  # it was given back meanwhile
                return
        try:
            self._park(sched, waiter, _REASON)
        except BaseException:
            self._leave_queue(waiter)
            raise

    def give(self, n: int) -> None:
        """Give back `n`, and serve those who wait."""
        self.latch.acquire()
        if self.busy:  # a handler or finalizer interrupted a change of this very semaphore
            self.latch.release()
            if n > self.taken:
                raise RuntimeError(_TOO_MUCH)
            this.sched.post(self._give_later, n)
            return
        self.busy = True
        try:
            if n > self.taken:
                raise RuntimeError(_TOO_MUCH)
            if self.queue.first is not None:
                need_room()
            self.taken -= n
            heirs = _NOBODY if self.queue.first is None else self._serve()
        finally:
            self.busy = False
            self.latch.release()
        for heir in heirs:
            resume(heir.g)

    def renew_after_fork(self) -> None:
        """In a child nobody waits any more; what is taken stays taken. See `Guard`."""
        super().renew_after_fork()
        self.queue = WaitQueue()

    def _serve(self) -> list[Waiter]:
        """Let in those who wait, as long as the first one fits."""
        heirs = []
        while (first := self.queue.first) is not None:
            if first.g.done or first.claimed:  # it has given up
                self.queue.discard(first)
            elif first.value > self.size - self.taken:
                break
            else:
                self.queue.discard(first)
                if first.claim():
                    self.taken += first.value
                    first.ok = True
                    heirs.append(first)
        return heirs

    def _leave_queue(self, waiter: Waiter) -> None:
        """Take out a waiter that gave up, and serve those whom it kept waiting."""
        self.enter()
        try:
            self.queue.discard(waiter)
            heirs = self._serve()
        finally:
            self.leave()
        for heir in heirs:
            resume(heir.g)

    def _give_later(self, n: int) -> None:
        if n <= self.taken:
            self.give(n)


def _check(n: int) -> None:
    if not isinstance(n, int):
        msg = f"the weight of a semaphore is an integer, got {n!r}"
        raise TypeError(msg)
    if n < 0:
        msg = f"the weight of a semaphore cannot be negative: {n}"
        raise ValueError(msg)
