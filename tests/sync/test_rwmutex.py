"""The reader/writer lock: who may be inside with whom, and who is next."""

import pytest

import gopoll
from gopoll import Chan, default, go, select, testing
from gopoll.sync import RWMutex
from tests.support.parking import end, in_thread, outcome, parked
from tests.support.threads import at_once


@pytest.mark.parametrize("readers", [1, 3, 4])
def test_readers_read_in_parallel(readers):
    """TestParallelReaders: all hold it at once."""
    rw, locked, unlock, done = RWMutex(), Chan(), Chan(), Chan()

    def read():
        rw.rlock()
        locked.send(True)
        unlock.recv()
        rw.runlock()
        done.send(True)

    for _ in range(readers):
        go(read)
    for _ in range(readers):
        assert locked.recv()
    for _ in range(readers):
        unlock.send(True)
    for _ in range(readers):
        assert done.recv()
    assert rw.try_lock()
    rw.unlock()


@pytest.mark.parametrize("readers", [1, 3, 10])
@pytest.mark.parametrize("seed", range(3))
def test_readers_and_writers_hammer_it(readers, seed):
    """TestRWMutex, HammerRWMutex: writers are alone, readers among themselves."""
    rw, activity = RWMutex(), [0]
    rounds = 60

    def read():
        for i in range(rounds):
            with rw.reading:
                activity[0] += 1
                assert 1 <= activity[0] < 10_000
                if i % 2:
                    gopoll.gosched()
                activity[0] -= 1

    def write():
        for i in range(rounds):
            with rw:
                activity[0] += 10_000
                assert activity[0] == 10_000
                if i % 2:
                    gopoll.gosched()
                activity[0] -= 10_000

    with testing.seeded(seed):
        goroutines = [go(write)]
        goroutines += [go(read) for _ in range(readers // 2)]
        goroutines += [go(write)]
        goroutines += [go(read) for _ in range(readers - readers // 2)]
        for g in goroutines:
            g.result(20)
    assert activity == [0]


def test_the_readers_side_is_a_lock_of_its_own():
    """TestRLocker."""
    rw, n = RWMutex(), 10
    reading, wlocked, rlocked = rw.reading, Chan(1), Chan(1)

    def both():
        for _ in range(n):
            reading.lock()
            reading.lock()
            rlocked.send(True)
            rw.lock()
            wlocked.send(True)

    g = go(both)
    for _ in range(n):
        rlocked.recv()
        reading.unlock()
        testing.wait_idle()
        assert select(wlocked.recv, default) == (1, None), "it was not locked for reading"
        reading.unlock()
        wlocked.recv()
        testing.wait_idle()
        assert select(rlocked.recv, default) == (1, None), "the write lock was not respected"
        rw.unlock()
    g.result()


def test_what_needs_no_waiting():
    rw = RWMutex()
    assert rw.try_rlock()
    assert rw.reading.try_lock()
    assert not rw.try_lock()
    rw.runlock()
    rw.reading.unlock()
    assert rw.try_lock()
    assert not rw.try_lock()
    assert not rw.try_rlock()
    assert not rw.reading.try_lock()
    rw.unlock()
    with rw.reading, rw.reading:
        assert "2 readers" in repr(rw)
    with rw:
        assert "write-locked" in repr(rw)
    assert "0 readers" in repr(rw)


def rlock_unlock(rw):
    rw.rlock()
    rw.unlock()


def lock_unlock_unlock(rw):
    rw.lock()
    rw.unlock()
    rw.unlock()


def lock_runlock(rw):
    rw.lock()
    rw.runlock()


def rlock_runlock_runlock(rw):
    rw.rlock()
    rw.runlock()
    rw.runlock()


@pytest.mark.parametrize(
    ("misuse", "says"),
    [
        (RWMutex.unlock, "sync: Unlock of unlocked RWMutex"),
        (rlock_unlock, "sync: Unlock of unlocked RWMutex"),
        (lock_unlock_unlock, "sync: Unlock of unlocked RWMutex"),
        (RWMutex.runlock, "sync: RUnlock of unlocked RWMutex"),
        (lock_runlock, "sync: RUnlock of unlocked RWMutex"),
        (rlock_runlock_runlock, "sync: RUnlock of unlocked RWMutex"),
    ],
)
def test_misuse(misuse, says):
    """TestMutexMisuse, the cases of RWMutex."""
    with pytest.raises(RuntimeError, match=f"^{says}$"):
        misuse(RWMutex())


def test_a_waiting_writer_holds_new_readers_back():
    rw = RWMutex()
    rw.rlock()
    writer = parked(rw.lock)
    assert writer.state == "sync.RWMutex.Lock"
    assert not rw.try_rlock()
    reader = parked(rw.rlock)
    assert reader.state == "sync.RWMutex.RLock"
    rw.runlock()
    writer.result()
    assert not reader.done
    rw.unlock()
    reader.result()
    rw.runlock()


def test_the_readers_who_waited_for_a_writer_come_before_the_next_writer():
    rw = RWMutex()
    rw.lock()
    first, reader, second, other = map(parked, (rw.lock, rw.rlock, rw.lock, rw.rlock))
    rw.unlock()
    reader.result()
    other.result()
    testing.wait_idle()
    assert not first.done
    assert not rw.try_rlock()  # the next writer waits by now
    rw.runlock()
    rw.runlock()
    first.result()
    assert not second.done
    rw.unlock()
    second.result()
    rw.unlock()


def test_writers_come_in_the_order_of_their_coming():
    rw, order = RWMutex(), []

    def write(n):
        with rw:
            order.append(n)

    with rw:
        writers = [parked(write, n) for n in range(6)]
    for g in writers:
        g.result()
    assert order == list(range(6))


def test_a_writer_that_gives_up_lets_the_readers_in_that_it_held_back():
    rw = RWMutex()
    rw.rlock()
    writer = parked(rw.lock)
    readers = [parked(rw.rlock) for _ in range(2)]
    end(writer)
    for g in readers:
        g.result()
    for _ in range(3):
        rw.runlock()
    assert rw.try_lock()
    rw.unlock()


def test_one_of_two_waiting_writers_that_gives_up_lets_nobody_in():
    rw = RWMutex()
    rw.rlock()
    first, second, reader = map(parked, (rw.lock, rw.lock, rw.rlock))
    end(first)
    testing.wait_idle()
    assert not reader.done
    rw.runlock()
    second.result()
    assert not reader.done
    rw.unlock()
    reader.result()
    rw.runlock()


def test_a_reader_that_gives_up_takes_nothing():
    rw = RWMutex()
    rw.lock()
    reader, writer = parked(rw.rlock), parked(rw.lock)
    end(reader)
    rw.unlock()
    writer.result()
    rw.unlock()
    assert rw.try_lock()
    rw.unlock()


def test_a_timeout_ends_each_wait():
    with testing.fake_clock() as clock:
        rw = RWMutex()
        rw.lock()

        def wait(lock):
            with gopoll.timeout(1):
                lock()

        waiting = [parked(outcome, wait, lock) for lock in (rw.lock, rw.rlock)]
        clock.advance(1)
        assert [type(g.result()) for g in waiting] == [TimeoutError] * 2
        rw.unlock()
        assert rw.try_lock()
        rw.unlock()


def test_threads_unlock_for_goroutines_that_wait():
    rw = RWMutex()
    rw.lock()
    readers = [parked(rw.rlock) for _ in range(2)]
    at_once(rw.unlock)
    for g in readers:
        g.result()
    writer = parked(rw.lock)
    in_thread(rw.runlock)
    testing.wait_idle()
    assert not writer.done
    at_once(rw.runlock)
    writer.result()
    rw.unlock()
