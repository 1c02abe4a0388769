"""Four OS threads with forty goroutines each, at once: nothing lost, and no hang."""

import gopoll
from gopoll.sync import (
    Cond,
    Mutex,
    Once,
    RWMutex,
    Semaphore,
    SingleFlight,
    WaitGroup,
    once_value,
)
from tests.sync.support import GOROUTINES, THREADS, crowd

EACH = 20


def test_mutex():
    mu, count, inside = Mutex(), [0], []

    def work(thread, number):
        for i in range(EACH):
            with mu:
                inside.append((thread, number))
                before = count[0]
                if i % 4 == 0:
                    gopoll.gosched()
                assert inside == [(thread, number)]
                count[0] = before + 1
                inside.clear()

    assert crowd(work) * EACH == count[0]
    assert not mu.locked
    assert mu._queue.first is None
    assert not mu._woken


def test_mutex_by_try_lock_too():
    mu, count = Mutex(), [0]

    def work(thread, number):
        for _ in range(EACH):
            while not mu.try_lock():
                gopoll.gosched()
            before = count[0]
            if number % 8 == 0:
                gopoll.gosched()
            count[0] = before + 1
            mu.unlock()

    assert crowd(work) * EACH == count[0]


def test_mutex_with_timeouts():
    """Waits end as the lock is handed over: whoever has it gives it back, and nobody else."""
    mu, count, got = Mutex(), [0], []

    def work(thread, number):
        mine = 0
        for i in range(EACH):
            try:
                with gopoll.timeout(0.0005 * (i % 4)):
                    mu.lock()
            except TimeoutError:
                continue
            before = count[0]
            if number % 4 == 0:
                gopoll.gosched()
            count[0] = before + 1
            mine += 1
            mu.unlock()
        got.append(mine)

    crowd(work)
    assert count[0] == sum(got)
    assert not mu.locked


def test_rwmutex():
    rw, activity, written = RWMutex(), [0], [0]

    def work(thread, number):
        for i in range(EACH):
            if number % 5:
                with rw.reading:
                    before = written[0]
                    if i % 4 == 0:
                        gopoll.gosched()
                    assert written[0] == before
            else:
                with rw:
                    activity[0] += 1
                    if i % 4 == 0:
                        gopoll.gosched()
                    assert activity[0] == 1
                    activity[0] -= 1
                    written[0] += 1

    crowd(work)
    assert written[0] == THREADS * (GOROUTINES // 5) * EACH
    assert rw.try_lock()


def test_waitgroup():
    wg, total = WaitGroup(), THREADS * GOROUTINES
    gates = [WaitGroup() for _ in range(3)]
    for gate in gates:
        gate.add(total)

    def work(thread, number):
        for gate in gates:
            gate.done()
            gate.wait()
            assert gate._counter == 0
        for _ in range(EACH):
            wg.go(gopoll.gosched)

    crowd(work)
    wg.wait()
    assert "of 0" in repr(wg)


def test_once():
    calls = []
    onces = [Once() for _ in range(EACH)]
    values = [once_value(lambda n=n: calls.append(n) or n) for n in range(EACH)]

    def work(thread, number):
        for n in range(EACH):
            onces[n].do(lambda n=n: (gopoll.gosched(), calls.append(n)))
            assert n in calls
            assert values[n]() == n

    crowd(work)
    assert sorted(calls) == sorted(list(range(EACH)) * 2)


def test_cond_as_a_queue():
    """As many puts as gets, through a buffer of three."""
    mu, buffer, got = Mutex(), [], []
    not_empty, not_full = Cond(mu), Cond(mu)

    def work(thread, number):
        for i in range(EACH):
            if number % 2:
                with mu:
                    not_full.wait_for(lambda: len(buffer) < 3)
                    buffer.append((thread, number, i))
                not_empty.signal()
            else:
                with mu:
                    not_empty.wait_for(lambda: buffer)
                    got.append(buffer.pop(0))
                not_full.signal()

    assert crowd(work) * EACH == 2 * len(got)
    assert len(set(got)) == len(got)
    assert not buffer


def test_cond_with_timeouts_loses_no_signal():
    """A consumer that gives up has not swallowed the signal for an item."""
    mu, items, got, ended = Mutex(), [], [], []
    cond = Cond(mu)
    producers = THREADS * GOROUTINES // 2

    def produce():
        for i in range(EACH):
            with mu:
                items.append(i)
            cond.signal()
            gopoll.gosched()
        with mu:
            ended.append(1)
        if len(ended) == producers:
            cond.broadcast()

    def consume(number):
        while True:
            try:
                with mu, gopoll.timeout(0.0005 * (number % 5)):
                    cond.wait_for(lambda: items or len(ended) == producers)
                    if not items:
                        return
                    got.append(items.pop())
            except TimeoutError:
                gopoll.gosched()

    crowd(lambda _, number: produce() if number % 2 else consume(number + 1))
    assert len(got) == producers * EACH


def test_semaphore():
    size, taken, mu = 5, [0], Mutex()
    sem = Semaphore(size)

    def work(thread, number):
        n = number % (size + 1)
        for i in range(EACH):
            sem.acquire(n)
            with mu:
                taken[0] += n
                assert taken[0] <= size
            if i % 4 == 0:
                gopoll.gosched()
            with mu:
                taken[0] -= n
            sem.release(n)

    crowd(work)
    assert taken == [0]
    assert sem.try_acquire(size)


def test_singleflight():
    flights, running, shared = SingleFlight(), set(), []

    def work(thread, number):
        for i in range(EACH):
            key = i % 3

            def fn(key=key):
                assert key not in running
                running.add(key)
                gopoll.gosched()
                running.remove(key)
                return key

            if number % 4:
                value, others = flights.do(key, fn)
            else:
                value, error, others = flights.do_chan(key, fn).recv()
                assert error is None
            assert value == key
            shared.append(others)

    assert crowd(work) * EACH == len(shared)
    assert any(shared)
    assert "of 0" in repr(flights)
