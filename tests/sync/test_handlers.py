"""Signal handlers and finalizers that use the very primitive that they interrupt.

`struck` stands in for a method of the queue: it runs the handler in the middle of a change, with
the guard held, where a signal or a collection could strike.
"""

import signal

import pytest

import gopoll
from gopoll import testing
from gopoll.runtime.waitq import WaitQueue
from gopoll.sync import Cond, Mutex, Once, RWMutex, Semaphore, SingleFlight, WaitGroup
from tests.support.parking import outcome, parked
from tests.support.program import must_succeed


class Struck(WaitQueue):
    """A queue that calls `strike` once, as somebody is taken out or put in."""

    __slots__ = ("strike",)

    def __init__(self, strike):
        super().__init__()
        self.strike = strike

    def _now(self):
        strike, self.strike = self.strike, None
        if strike is not None:
            handler = signal.signal(signal.SIGUSR1, lambda signum, frame: strike())
            try:
                signal.raise_signal(signal.SIGUSR1)
            finally:
                signal.signal(signal.SIGUSR1, handler)

    def push(self, waiter):
        super().push(waiter)
        self._now()

    def claim_first(self):
        waiter = super().claim_first()
        self._now()
        return waiter


def test_a_mutex_unlocked_by_a_handler_inside_of_lock():
    mu, came = Mutex(), []

    def strike():
        assert mu.busy
        came.append(mu.try_lock())
        came.append(type(outcome(mu.lock)))
        mu.unlock()
        came.append(mu.locked)

    def enter():
        with mu:
            came.append("in")

    mu._queue = Struck(None)
    mu.lock()
    g = parked(enter)
    mu._queue.strike = strike
    with gopoll.timeout(20):
        mu.lock()
    g.result()
    assert came == [False, RuntimeError, True, "in"]
    mu.unlock()
    assert not mu.locked


def test_a_handler_that_unlocks_an_unlocked_mutex_inside_of_unlock():
    mu, came = Mutex(), []
    mu.lock()
    g = parked(mu.lock)
    first = mu._queue.first
    mu._queue = Struck(lambda: came.append(outcome(mu.unlock)))
    WaitQueue.push(mu._queue, first)
    mu.unlock()
    g.result()
    assert str(came[0]) == "sync: unlock of unlocked mutex"
    assert mu.locked
    mu.unlock()


def test_a_mutex_freed_while_a_handler_is_inside():
    """The fast path of unlock finds that somebody queues up this very moment."""
    mu, came = Mutex(), []
    mu.lock()

    def strike():
        mu._contended = False  # not seen yet
        mu.unlock()
        came.append(mu.locked)
        mu._contended = True

    mu._queue = Struck(strike)
    with gopoll.timeout(20):
        mu.lock()
    assert came == [False]
    assert mu.locked
    mu.unlock()


@pytest.mark.parametrize("reads", [False, True])
def test_an_rwmutex_unlocked_by_a_handler_inside_of_lock(reads):
    rw, came = RWMutex(), []
    (rw.rlock if reads else rw.lock)()

    def strike():
        came.append(rw.try_lock())
        came.append(rw.try_rlock())
        came.append(type(outcome(rw.lock)))
        came.append(type(outcome(rw.rlock)))
        came.append(str(outcome(rw.unlock if reads else rw.runlock)))
        (rw.runlock if reads else rw.unlock)()

    rw._writers_waiting = Struck(strike)
    with gopoll.timeout(20):
        rw.lock()
    assert came[:4] == [False, False, RuntimeError, RuntimeError]
    assert "of unlocked RWMutex" in came[4]
    rw.unlock()
    assert rw.try_lock()


def test_a_waitgroup_is_done_by_a_handler_inside_of_wait():
    wg, came = WaitGroup(), []
    wg.add(1)

    def strike():
        came.append(str(outcome(wg.add, -2)))
        came.append(type(outcome(wg.wait)))
        wg.done()

    wg._queue = Struck(strike)
    with gopoll.timeout(20):
        wg.wait()
    assert came == ["sync: negative WaitGroup counter", RuntimeError]
    assert "of 0" in repr(wg)


def test_a_semaphore_is_released_by_a_handler_inside_of_acquire():
    sem, came = Semaphore(2), []
    sem.acquire(2)

    def strike():
        came.append(sem.try_acquire(0))
        came.append(type(outcome(sem.acquire)))
        came.append(str(outcome(sem.release, 3)))
        sem.release(2)

    sem._scales.queue = Struck(strike)
    with gopoll.timeout(20):
        sem.acquire(2)
    assert came == [False, RuntimeError, "semaphore: released more than held"]
    sem.release(2)


@pytest.mark.parametrize("wake", ["signal", "broadcast"])
def test_a_condition_signalled_by_a_handler_inside_of_wait(wake):
    mu = Mutex()
    cond, came = Cond(mu), []

    def strike():
        came.append(type(outcome(cond.wait)))
        getattr(cond, wake)()

    cond._queue = Struck(strike)
    with gopoll.timeout(20), mu:
        cond.wait()
        assert mu.locked
    assert came == [RuntimeError]


def test_a_once_asked_by_a_handler_inside_of_its_own_end():
    once, came = Once(), []
    once._queue = Struck(lambda: came.append(outcome(once.do, print)))
    once.do(int)
    assert came == [None]
    assert once.done


def test_a_flight_joined_and_forgotten_by_a_handler_inside_of_its_landing():
    flights, came, channels = SingleFlight(), [], []
    gate = gopoll.Chan()
    g = parked(flights.do, "key", gate.recv)

    def strike():
        came.append(type(outcome(flights.do, "key", print)))
        channels.append(flights.do_chan("other", lambda: "other"))
        flights.forget("key")

    flights._flights["key"].queue = Struck(strike)
    gate.send("value")
    assert g.result() == ("value", False)
    assert came == [RuntimeError]
    assert channels[0].recv().value == "other"
    assert "of 0" in repr(flights)


def test_a_finalizer_unlocks_what_its_object_had_locked():
    mu = Mutex()

    class Holder:
        def __init__(self):
            mu.lock()

        def __del__(self):
            mu.unlock()

    holder = Holder()
    g = parked(mu.lock)
    del holder
    g.result()
    assert mu.locked
    mu.unlock()
    assert not mu.locked


def test_what_handlers_may_do_while_the_scheduler_sleeps():
    """What need not wait wakes who waits; what would have to wait is refused."""
    code = """
    from gopoll.sync import *
    mu, rw, wg, sem, once = Mutex(), RWMutex(), WaitGroup(), Semaphore(1), Once()
    cond, tell = Cond(Mutex()), Cond(Mutex())
    for lock in (mu.lock, rw.lock, sem.acquire, wg.add):
        lock()
    waiting = [go(wait) for wait in (mu.lock, rw.rlock, sem.acquire, wg.wait)]
    def wait():
        with cond.lock:
            cond.wait()
    waiting.append(go(wait))
    refused = []
    def handler(signum, frame):
        for wait in (mu.lock, rw.lock, rw.rlock, sem.acquire, wg.wait):
            try:
                wait()
            except RuntimeError:
                refused.append(1)
        tell.lock.lock()  # free: no need to wait
        try:
            tell.wait()
        except RuntimeError:
            refused.append(1)
        tell.lock.unlock()  # it was never unlocked
        once.do(refused.append, 1)
        for give in (mu.unlock, rw.unlock, sem.release, wg.done, cond.signal):
            give()
    signal.signal(signal.SIGUSR1, handler)
    ring(signal.SIGUSR1)
    for g in waiting:
        g.result()
    print(len(refused), tell.lock.locked)
    """
    must_succeed(code, says="7 False", timeout=20)


def test_after_all_that_nobody_is_left():
    testing.wait_idle()
    assert gopoll.num_goroutine() == 1
