"""The mutex: exclusion, its two modes, its misuse."""

import pytest

import gopoll
from gopoll import go, testing
from gopoll.sync import Mutex
from tests.support.parking import end, in_thread, outcome, parked
from tests.support.threads import at_once
from tests.sync.support import Boom, interrupt, next_wait

PATIENCE = 0.001


@pytest.fixture
def clock():
    with testing.fake_clock() as clock:
        yield clock


@pytest.mark.parametrize("seed", range(5))
def test_many_hammer_one_mutex(seed):
    """TestMutex, HammerMutex; and nobody sees another one inside."""
    mu, inside, entries = Mutex(), [], []

    def hammer(n):
        for i in range(100):
            mu.lock()
            inside.append(n)
            if i % 3 == 0:
                gopoll.gosched()
            assert inside == [n]
            inside.clear()
            entries.append(n)
            mu.unlock()

    with testing.seeded(seed):
        goroutines = [go(hammer, n) for n in range(10)]
        for g in goroutines:
            g.result(20)
    assert sorted(entries) == sorted(list(range(10)) * 100)
    assert not mu.locked


def test_lock_and_unlock():
    mu = Mutex()
    assert not mu.locked
    mu.lock()
    assert mu.locked
    assert not mu.try_lock()
    mu.unlock()
    assert mu.try_lock()
    assert not mu.try_lock()
    mu.unlock()
    assert not mu.locked


def test_a_block_unlocks_however_it_is_left():
    mu = Mutex()
    with mu:
        assert mu.locked
    with pytest.raises(Boom), mu:
        raise Boom
    assert not mu.locked


def test_a_block_passes_it_on_to_who_waits():
    mu = Mutex()
    with mu:
        g = parked(mu.lock)
    g.result()
    assert mu.locked
    mu.unlock()


def test_it_is_not_reentrant():
    mu = Mutex()

    def twice():
        mu.lock()
        mu.lock()

    g = parked(twice)
    assert g.state == "sync.Mutex.Lock"
    mu.unlock()
    g.result()
    mu.unlock()


def test_it_tells_who_holds_it():
    mu = Mutex()
    assert "unlocked" in repr(mu)
    with mu:
        assert f"locked by goroutine {gopoll.current().id}" in repr(mu)
        g = parked(mu.lock)
    g.result()
    assert f"locked by goroutine {g.id}" in repr(mu)
    mu.unlock()


def unlock_twice(mu):
    mu.lock()
    mu.unlock()
    mu.unlock()


def unlock_after_waiting(mu):
    with mu:
        g = parked(mu.lock)
    g.result()
    mu.unlock()
    mu.unlock()


@pytest.mark.parametrize("misuse", [Mutex.unlock, unlock_twice, unlock_after_waiting])
def test_unlock_of_unlocked_mutex(misuse):
    """TestMutexMisuse: the mutex is as good as new afterwards."""
    mu = Mutex()
    with pytest.raises(RuntimeError, match=r"^sync: unlock of unlocked mutex$"):
        misuse(mu)
    with mu:
        g = parked(mu.lock)
    g.result()
    mu.unlock()
    assert not mu.locked


def test_a_block_that_somebody_else_unlocked_says_so():
    mu = Mutex()
    with pytest.raises(RuntimeError, match="unlock of unlocked mutex"), mu:
        mu.unlock()


def test_another_goroutine_may_unlock():
    mu = Mutex()
    mu.lock()
    g = parked(mu.lock)
    go(mu.unlock).result()
    g.result()
    in_thread(mu.unlock)
    assert not mu.locked


def test_a_thread_without_goroutines_unlocks_for_one_that_waits():
    mu = Mutex()
    mu.lock()
    g = parked(mu.lock)
    at_once(mu.unlock)
    g.result()
    assert mu.locked
    mu.unlock()


# -- normal mode ---------------------------------------------------------------------------------


def test_who_runs_may_be_faster_than_who_was_woken(clock):
    mu = Mutex()
    mu.lock()
    g = parked(mu.lock)
    mu.unlock()
    assert mu.try_lock()
    testing.wait_idle()
    assert not g.done
    mu.unlock()
    g.result()
    mu.unlock()


def test_only_one_is_woken_at_a_time(clock):
    """The others keep sleeping while the mutex changes hands among those who run."""
    mu = Mutex()
    mu.lock()
    waiting = [parked(mu.lock) for _ in range(3)]
    for _ in range(5):
        mu.unlock()
        mu.lock()
    assert mu._queue.first.g is waiting[1]
    testing.wait_idle()
    for g in waiting:
        assert not g.done
    for g in waiting:
        mu.unlock()
        g.result()
    mu.unlock()


def test_who_was_woken_and_lost_is_first_again(clock):
    mu = Mutex()
    mu.lock()
    first, second = parked(mu.lock), parked(mu.lock)
    mu.unlock()
    mu.lock()
    testing.wait_idle()
    mu.unlock()
    first.result()
    assert not second.done
    mu.unlock()
    second.result()
    mu.unlock()


# -- starvation mode -----------------------------------------------------------------------------


def test_who_has_waited_too_long_is_handed_the_mutex(clock):
    mu = Mutex()
    mu.lock()
    g = parked(mu.lock)
    clock.advance(2 * PATIENCE)
    mu.unlock()
    assert mu.locked
    assert not mu.try_lock()
    g.result()
    mu.unlock()
    assert not mu.locked


def test_newcomers_queue_behind_those_who_starve(clock):
    mu, order = Mutex(), []

    def enter(n):
        with mu:
            order.append(n)

    mu.lock()
    waiting = [parked(enter, n) for n in range(3)]
    clock.advance(2 * PATIENCE)
    mu.unlock()
    enter("newcomer")
    for g in waiting:
        g.result()
    assert order == [0, 1, 2, "newcomer"]


def test_the_mutex_is_normal_again_once_nobody_has_waited_long(clock):
    mu = Mutex()
    mu.lock()
    old = parked(mu.lock)
    clock.advance(2 * PATIENCE)
    young = parked(mu.lock)
    mu.unlock()
    assert mu.locked  # handed on
    old.result()
    mu.unlock()
    assert mu.try_lock()  # barged in, before the young one runs
    testing.wait_idle()
    assert not young.done
    mu.unlock()
    young.result()
    mu.unlock()


@pytest.mark.parametrize("seed", range(3))
def test_nobody_is_starved_by_who_always_comes_back_at_once(clock, seed):
    """TestMutexFairness: with each round of 0.1 ms, a waiter is in after some ten of them."""
    mu, rounds = Mutex(), []

    def hog():
        while len(rounds) < 500:
            mu.lock()
            rounds.append(1)
            gopoll.sleep(PATIENCE / 10)
            mu.unlock()

    def modest():
        needed = []
        for _ in range(10):
            gopoll.sleep(PATIENCE / 10)
            before = len(rounds)
            with mu:
                needed.append(len(rounds) - before)
        return needed

    with testing.seeded(seed):
        greedy, g = go(hog), go(modest)
        clock.advance(0.2)
        needed = g.result(20)
        greedy.join(20)
    assert len(needed) == 10
    assert max(needed) <= 13


# -- interrupts ----------------------------------------------------------------------------------


def test_an_interrupted_waiter_takes_nothing_and_the_others_keep_their_places(clock):
    mu = Mutex()
    mu.lock()
    first, second, third = (parked(mu.lock) for _ in range(3))
    end(second)
    clock.advance(2 * PATIENCE)
    mu.unlock()
    first.result()
    assert not third.done
    mu.unlock()
    third.result()
    mu.unlock()
    assert not mu.locked


def test_a_timeout_ends_the_wait(clock):
    mu = Mutex()
    mu.lock()

    def wait():
        with gopoll.timeout(3), mu:
            return "in"

    g = parked(outcome, wait)
    clock.advance(2)
    assert not g.done
    clock.advance(1)
    assert str(g.result()) == "timed out after 3 seconds"
    mu.unlock()
    assert not mu.locked
    assert mu._queue.first is None


def test_who_was_woken_interrupted_and_lost_does_not_keep_the_next_from_being_woken(clock):
    mu = Mutex()
    mu.lock()

    def interrupted():
        with pytest.raises(Boom):
            mu.lock()

    first, second = parked(interrupted), parked(mu.lock)
    mu.unlock()
    interrupt(first)
    mu.lock()  # first was woken, but finds it locked, and its wait is ended
    first.result()
    mu.unlock()
    second.result()
    mu.unlock()
    assert not mu.locked


def test_who_was_woken_and_interrupted_but_has_it_keeps_it(clock):
    mu = Mutex()
    mu.lock()
    later = []

    def lock():
        mu.lock()
        later.append(next_wait())

    g = parked(lock)
    mu.unlock()
    interrupt(g)
    g.result()
    assert later == [Boom]
    assert mu.locked
    mu.unlock()
