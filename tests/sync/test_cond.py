"""The condition variable: no signal is lost, and the lock is held again however a wait ends."""

import pytest

import gopoll
from gopoll import Chan, default, go, select, testing
from gopoll.sync import Cond, Mutex, Once, RWMutex
from tests.support.parking import end, in_thread, outcome, parked
from tests.support.program import must_succeed
from tests.support.threads import at_once
from tests.sync.support import Boom, interrupt, next_wait


def wait_on(cond, note=None):
    """Lock, wait, unlock; returns whether the lock was held after the wait, however it ended."""

    def wait():
        cond.lock.lock()
        try:
            cond.wait()
        finally:
            if note is not None:
                note.append(gopoll.current())
            cond.lock.unlock()

    return wait


@pytest.fixture
def cond():
    return Cond(Mutex())


def test_a_signal_wakes_one(cond):
    """TestCondSignal."""
    n = 2
    running, awake = Chan(n), Chan(n)

    def body():
        with cond.lock:
            running.send(True)
            cond.wait()
            awake.send(True)

    for _ in range(n):
        go(body)
    for _ in range(n):
        running.recv()
    for _ in range(n):
        assert select(awake.recv, default) == (1, None), "not asleep"
        with cond.lock:
            cond.signal()
        awake.recv()
        testing.wait_idle()
        assert select(awake.recv, default) == (1, None), "too many awake"
    cond.signal()


def test_signals_wake_in_the_order_of_waiting(cond):
    """TestCondSignalGenerations."""
    n = 100
    running, awake = Chan(n), Chan(n)

    def body(i):
        with cond.lock:
            running.send(True)
            cond.wait()
            awake.send(i)

    for i in range(n):
        go(body, i)
        if i > 0:
            assert awake.recv() == i - 1
        running.recv()
        with cond.lock:
            cond.signal()
    assert awake.recv() == n - 1


@pytest.mark.parametrize("seed", range(2))
def test_a_broadcast_wakes_all_who_wait_and_nobody_twice(cond, seed):
    """TestCondBroadcast."""
    n, rounds, leave = 20, 20, []
    running, awake = Chan(n), Chan(n)

    def body(i):
        with cond.lock:
            while not leave:
                running.send(i)
                cond.wait()
                awake.send(i)

    with testing.seeded(seed):
        goroutines = [go(body, i) for i in range(n)]
        for i in range(rounds):
            for _ in range(n):
                running.recv()
            if i == rounds - 1:
                with cond.lock:
                    leave.append(True)
            assert select(awake.recv, default) == (1, None), "not asleep"
            with cond.lock:
                cond.broadcast()
            assert sorted(awake.recv() for _ in range(n)) == list(range(n))
        for g in goroutines:
            g.result(20)
    assert select(running.recv, default) == (1, None), "did not leave"
    cond.broadcast()


@pytest.mark.parametrize("seed", range(10))
def test_three_steps_in_turn(cond, seed):
    """TestRace: each sees what the one before has done."""
    x = [0]

    def first():
        with cond.lock:
            x[0] = 1
            cond.wait()
            assert x[0] == 2
            x[0] = 3
            cond.signal()

    def second():
        cond.lock.lock()
        while x[0] != 1:
            cond.lock.unlock()
            gopoll.gosched()
            cond.lock.lock()
        x[0] = 2
        cond.signal()
        cond.lock.unlock()

    def third():
        cond.lock.lock()
        while x[0] not in {2, 3}:
            cond.lock.unlock()
            gopoll.gosched()
            cond.lock.lock()
        if x[0] == 2:
            cond.wait()
            assert x[0] == 3
        cond.lock.unlock()

    with testing.seeded(seed):
        for g in [go(step) for step in (first, second, third)]:
            g.result(20)
    assert x == [3]


@pytest.mark.parametrize("seed", range(10))
def test_who_waits_already_is_woken_before_who_comes_now(cond, seed):
    """TestCondSignalStealing."""
    with testing.seeded(seed):
        first = parked(wait_on(cond))
        done = []

        def late():
            with cond.lock:
                while not done:
                    cond.wait()

        go(cond.broadcast)
        second = go(late)
        first.result(20)
        done.append(True)
        cond.broadcast()
        second.result(20)
    assert not cond.lock.locked


def test_wait_for(cond):
    asked = []

    def ready():
        asked.append(cond.lock.locked)
        return "three" if len(asked) == 3 else ""

    def wait():
        with cond.lock:
            return cond.wait_for(ready)

    g = parked(wait)
    assert g.state == "sync.Cond.Wait"
    assert not cond.lock.locked
    cond.signal()
    testing.wait_idle()
    assert not g.done
    cond.broadcast()
    assert g.result() == "three"
    assert asked == [True] * 3
    with cond.lock:
        assert cond.wait_for(lambda: 7) == 7


def test_a_signal_that_nobody_waits_for_is_forgotten(cond):
    cond.signal()
    cond.broadcast()
    g = parked(wait_on(cond))
    cond.signal()
    g.result()
    assert not cond.lock.locked


def test_a_wait_without_the_lock_is_refused_and_swallows_nothing(cond):
    other = parked(wait_on(cond))
    with pytest.raises(RuntimeError, match="unlock of unlocked mutex"):
        cond.wait()
    cond.signal()
    other.result()
    assert cond._queue.first is None


def test_a_signal_that_comes_while_the_lock_cannot_be_unlocked_goes_to_another():
    class Stuck:
        def __init__(self):
            self.locked = False

        def lock(self):
            self.locked = True

        def unlock(self):
            if not self.locked:
                at_once(cond.signal)
                at_once(cond.signal)
                raise ValueError("stuck")
            self.locked = False

    cond = Cond(Stuck())
    with pytest.raises(ValueError, match="stuck"):
        cond.wait()
    assert next_wait() is None
    g = parked(wait_on(cond))
    with pytest.raises(ValueError, match="stuck"):
        cond.wait()
    g.result()


def test_what_is_no_lock():
    for lock in (None, Once(), 7):
        with pytest.raises(TypeError, match="something to lock and unlock"):
            Cond(lock)


def test_threads_signal_goroutines_and_wait_for_them(cond):
    g = parked(wait_on(cond))
    at_once(cond.signal)
    g.result()
    running = Chan(1)

    def wait():
        with cond.lock:
            running.send(True)
            cond.wait()

    g = go(in_thread, wait)
    running.recv()
    with cond.lock:  # so it waits by now
        cond.signal()
    g.result()
    assert not cond.lock.locked


# -- interrupts ----------------------------------------------------------------------------------


class Plain:
    """A lock of the program's own."""

    def __init__(self):
        self.mu = Mutex()

    def lock(self):
        self.mu.lock()

    def unlock(self):
        self.mu.unlock()


LOCKS = {
    "Mutex": lambda: (lock := Mutex(), lock),
    "RWMutex": lambda: (lock := RWMutex(), lock),
    "reading": lambda: ((rw := RWMutex()).reading, rw),
    "own": lambda: (lock := Plain(), lock),
}


@pytest.fixture(params=LOCKS)
def locks(request):
    """The lock of a Cond, and what keeps it from being had while it is locked."""
    return LOCKS[request.param]()


def test_an_interrupted_wait_holds_the_lock_again(locks):
    lock, barrier = locks
    cond, came = Cond(lock), []

    def wait():
        lock.lock()
        try:
            cond.wait()
        except Boom:
            came.append("interrupted")
            lock.unlock()  # raises if it is not locked

    g = parked(wait)
    barrier.lock()
    interrupt(g)
    testing.wait_idle()
    assert not came
    barrier.unlock()
    g.result()
    assert came == ["interrupted"]
    barrier.lock()
    barrier.unlock()


def test_interrupts_while_it_locks_again_are_put_off(locks):
    """The first is raised, with the lock held; the others at the next waits."""
    lock, barrier = locks
    cond, came = Cond(lock), []

    class Again(Boom):
        pass

    class OnceMore(Boom):
        pass

    def wait():
        lock.lock()
        try:
            cond.wait()
        except Boom as exc:
            came.append(type(exc))
            lock.unlock()
        came.extend(next_wait() for _ in range(3))

    g = parked(wait)
    barrier.lock()
    for exc in (Boom(), Again(), OnceMore()):
        interrupt(g, exc)
        testing.wait_idle()
    assert came == []
    barrier.unlock()
    g.result()
    assert came == [Boom, Again, OnceMore, None]


def test_a_signalled_wait_that_is_interrupted_on_its_way_back_returns(locks):
    lock, barrier = locks
    cond, came = Cond(lock), []

    def wait():
        lock.lock()
        cond.wait()
        came.append("signalled")
        lock.unlock()
        came.extend(next_wait() for _ in range(2))

    g = parked(wait)
    barrier.lock()
    cond.signal()
    testing.wait_idle()
    interrupt(g)
    testing.wait_idle()
    assert came == []
    barrier.unlock()
    g.result()
    assert came == ["signalled", Boom, None]


def test_a_signal_in_the_instant_of_an_interrupt_wakes_the_next(cond):
    note = []
    first, second = parked(outcome, wait_on(cond, note)), parked(wait_on(cond, note))
    interrupt(first)
    cond.signal()
    assert isinstance(first.result(), Boom)
    second.result()
    assert note == [first, second]


def test_an_interrupt_in_the_instant_of_a_signal_waits_for_its_turn(cond):
    later = []

    def wait():
        with cond.lock:
            cond.wait()
        later.append(next_wait())

    first, second = parked(wait), parked(wait_on(cond))
    cond.signal()
    interrupt(first)
    first.result()
    testing.wait_idle()
    assert later == [Boom]
    assert not second.done
    cond.signal()
    second.result()


def test_a_timeout_and_the_lock(cond):
    """The time is up while another one holds the lock: TimeoutError, once it can be had."""
    with testing.fake_clock() as clock:

        def wait():
            with cond.lock, gopoll.timeout(1) as limit:
                cond.wait()
            return limit

        g = parked(outcome, wait)
        cond.lock.lock()
        clock.advance(2)
        assert not g.done
        cond.lock.unlock()
        assert isinstance(g.result(), TimeoutError)
        assert not cond.lock.locked


def test_signalled_in_time_but_back_too_late_is_in_time(cond):
    with testing.fake_clock() as clock:

        def wait():
            with cond.lock, gopoll.timeout(1) as limit:
                cond.wait()
            return limit.expired, next_wait()

        g = parked(wait)
        cond.lock.lock()
        cond.signal()
        clock.advance(2)
        assert not g.done
        cond.lock.unlock()
        assert g.result() == (True, None)


def test_goexit_leaves_with_the_lock(cond):
    note = []
    g = parked(wait_on(cond, note))
    end(g)
    assert note == [g]
    assert not cond.lock.locked


def test_a_deadlock_is_raised_with_the_lock_held_if_it_can_be_had():
    code = """
    from gopoll.sync import Cond, Mutex
    cond = Cond(Mutex())
    def main():
        with cond.lock:
            try:
                cond.wait()
            except gopoll.Deadlock as exc:
                print(cond.lock.locked, 'sync.Cond.Wait' in str(exc))
    gopoll.run(main)
    """
    must_succeed(code, says="True True")


def test_a_deadlock_is_raised_without_the_lock_if_nobody_will_ever_give_it():
    code = """
    from gopoll.sync import Cond, Mutex
    cond = Cond(Mutex())
    def keep():
        cond.signal()
        cond.lock.lock()
        Chan().recv()
    def main():
        cond.lock.lock()
        go(keep)
        try:
            cond.wait()
        except gopoll.Deadlock as exc:
            print('sync.Mutex.Lock' in str(exc))
    gopoll.run(main)
    """
    must_succeed(code, says="True")
