"""The weighted semaphore: bounded, in order, and it honours a context."""

import pytest

import gopoll
from gopoll import go, testing
from gopoll.sync import Semaphore
from tests.support.parking import end, in_thread, outcome, parked
from tests.support.threads import at_once
from tests.sync.support import Boom, Context, interrupt


class CanceledError(Exception):
    pass


@pytest.mark.parametrize("seed", range(3))
def test_never_more_than_there_is(seed):
    """TestWeighted, HammerWeighted: weights from 0 to all."""
    size, taken = 4, [0]
    sem = Semaphore(size)

    def hammer(n):
        for i in range(60):
            sem.acquire(n)
            taken[0] += n
            assert taken[0] <= size
            if i % 2:
                gopoll.gosched()
            taken[0] -= n
            sem.release(n)

    with testing.seeded(seed):
        for g in [go(hammer, n) for n in range(size + 1)]:
            g.result(20)
    assert sem.try_acquire(size)


def test_release_of_what_was_not_taken():
    """TestWeightedPanic."""
    sem = Semaphore(2)
    with pytest.raises(RuntimeError, match=r"^semaphore: released more than held$"):
        sem.release()
    sem.acquire()
    with pytest.raises(RuntimeError, match="released more than held"):
        sem.release(2)
    assert "1/2" in repr(sem)
    sem.release()
    assert "0/2" in repr(sem)


def test_what_needs_no_waiting():
    """TestWeightedTryAcquire."""
    sem = Semaphore(2)
    sem.acquire(1)
    tries = [sem.try_acquire(1), sem.try_acquire(1)]
    sem.release(2)
    tries.append(sem.try_acquire(1))
    sem.acquire(1)
    tries.append(sem.try_acquire(1))
    assert tries == [True, False, True, False]


def test_what_takes_at_most_a_moment():
    """TestWeightedAcquire."""
    with testing.fake_clock() as clock:
        sem = Semaphore(2)

        def acquire():
            try:
                with gopoll.timeout(0.01):
                    sem.acquire(1)
            except TimeoutError:
                return False
            return True

        def attempt():
            g = go(acquire)
            clock.advance(0.02)
            return g.result()

        sem.acquire()
        tries = [attempt(), attempt()]
        sem.release(2)
        tries.append(attempt())
        sem.acquire(1)
        tries.append(attempt())
        assert tries == [True, False, True, False]


def test_what_can_never_be_had_stands_in_nobodys_way():
    """TestWeightedDoesntBlockIfTooBig."""
    sem, ctx = Semaphore(2), Context()
    too_big = parked(outcome, sem.acquire, 3, ctx)
    assert too_big.state == "semacquire"

    def work():
        with sem:
            gopoll.gosched()

    for g in [go(work) for _ in range(6)]:
        g.result()
    assert not sem.try_acquire(3)
    ctx.cancel(CanceledError())
    assert isinstance(too_big.result(), CanceledError)
    assert sem.try_acquire(2)


@pytest.mark.parametrize("seed", range(3))
def test_who_wants_much_is_not_starved(seed):
    """TestLargeAcquireDoesntStarve."""
    n, running = 4, [True]
    sem = Semaphore(n)

    def small():
        while running:
            gopoll.gosched()
            sem.release()
            sem.acquire()
        sem.release()

    with testing.seeded(seed):
        for _ in range(n):
            sem.acquire()
        goroutines = [go(small) for _ in range(n)]
        with gopoll.timeout(20):
            sem.acquire(n)
        running.clear()
        sem.release(n)
        for g in goroutines:
            g.result(20)
    assert sem.try_acquire(n)


def test_a_big_one_holds_back_the_small_ones_behind_it():
    sem = Semaphore(3)
    sem.acquire(2)
    big, small = parked(sem.acquire, 3), parked(sem.acquire, 1)
    assert not sem.try_acquire(1)
    sem.release(1)
    testing.wait_idle()
    assert not small.done
    sem.release(1)
    big.result()
    assert not small.done
    sem.release(3)
    small.result()
    sem.release()


def test_a_big_one_that_gives_up_lets_the_small_ones_in():
    """TestAllocCancelDoesntStarve."""
    sem, ctx = Semaphore(10), Context()
    sem.acquire(1)
    big = parked(outcome, sem.acquire, 10, ctx)
    small = parked(sem.acquire, 1)
    ctx.cancel(CanceledError("enough"))
    assert str(big.result()) == "enough"
    small.result()
    assert not ctx.told
    sem.release(2)
    assert sem.try_acquire(10)


def test_a_small_one_that_gives_up_lets_nobody_in():
    sem = Semaphore(2)
    sem.acquire(2)
    first, second = parked(sem.acquire, 1), parked(sem.acquire, 2)
    end(first)
    sem.release(1)
    testing.wait_idle()
    assert not second.done
    sem.release(1)
    second.result()
    sem.release(2)


def test_a_context_that_is_done_takes_nothing():
    """TestWeightedAcquireCanceled: done before."""
    sem, ctx = Semaphore(1), Context()
    ctx.cancel(CanceledError())
    with pytest.raises(CanceledError):
        sem.acquire(1, ctx)
    assert sem.try_acquire()


def test_a_context_that_ends_in_the_instant_of_the_release_takes_nothing():
    """TestWeightedAcquireCanceled: it was served, and gives back what it got, to the next."""
    sem, ctx = Semaphore(2), Context()
    sem.acquire(2)
    g, following = parked(outcome, sem.acquire, 2, ctx), parked(sem.acquire, 2)
    sem.release(2)
    ctx.cancel(CanceledError())
    assert isinstance(g.result(), CanceledError)
    following.result()
    sem.release(2)
    assert sem.try_acquire(2)


def test_a_context_that_goes_on_leaves_no_trace():
    sem, ctx = Semaphore(1), Context()
    sem.acquire(1, ctx)
    g = parked(sem.acquire, 1, ctx)
    sem.release()
    g.result()
    assert not ctx.told
    sem.release()


def test_a_context_that_another_thread_cancels():
    sem, ctx = Semaphore(1), Context()
    sem.acquire()
    g = parked(outcome, sem.acquire, 1, ctx)
    in_thread(ctx.cancel, CanceledError())
    assert isinstance(g.result(), CanceledError)
    sem.release()
    assert sem.try_acquire()


def test_interrupted_in_the_instant_of_the_release():
    sem = Semaphore(1)
    sem.acquire()
    first, second = parked(outcome, sem.acquire), parked(sem.acquire)
    interrupt(first)
    sem.release()
    assert isinstance(first.result(), Boom)
    second.result()
    sem.release()
    assert sem.try_acquire()


def test_a_block_takes_one():
    sem = Semaphore(1)
    with sem:
        assert not sem.try_acquire()
        g = parked(sem.acquire)
    g.result()
    with pytest.raises(Boom), Semaphore(1):
        raise Boom
    sem.release()


def test_threads_release_what_goroutines_wait_for():
    sem = Semaphore(2)
    sem.acquire(2)
    g = parked(sem.acquire, 2)
    at_once(sem.release)
    testing.wait_idle()
    assert not g.done
    in_thread(sem.release)
    g.result()
    assert not sem.try_acquire()


@pytest.mark.parametrize(("n", "error"), [(-1, ValueError), ("1", TypeError), (1.5, TypeError)])
def test_weights_that_are_none(n, error):
    with pytest.raises(error):
        Semaphore(n)
    sem = Semaphore(5)
    for use in (sem.acquire, sem.try_acquire, sem.release):
        with pytest.raises(error):
            use(n)
    assert "0/5" in repr(sem)


def test_the_weight_of_nothing():
    sem = Semaphore(0)
    sem.acquire(0)
    sem.release(0)
    assert sem.try_acquire(0)
    assert not sem.try_acquire(1)
