"""What is handed over in the instant of an interrupt: it is had by one or by the other, never lost.

Each case waits for something that one other can give. Whoever claims the wait first decides: the
giver, then it is had and the interrupt comes at the next wait; or the interrupt, then the gift is
the next one's.
"""

import pytest

import gopoll
from gopoll import go, testing
from gopoll.sync import Cond, Mutex, RWMutex, Semaphore
from tests.support.parking import outcome, parked
from tests.sync.support import Boom, interrupt, next_wait


class Case:
    """Something to wait for; `give` ends one wait, `give_back` undoes what a wait has got."""

    def __init__(self, wait, give, give_back):
        self.wait, self.give, self.give_back = wait, give, give_back


def a_mutex():
    mu = Mutex()
    mu.lock()
    return Case(mu.lock, mu.unlock, mu.unlock)


def a_write_lock():
    rw = RWMutex()
    rw.lock()
    return Case(rw.lock, rw.unlock, rw.unlock)


def a_write_lock_that_a_reader_holds():
    rw = RWMutex()
    rw.rlock()
    return Case(rw.lock, rw.runlock, rw.unlock)


def a_semaphore():
    sem = Semaphore(3)
    sem.acquire(3)
    return Case(lambda: sem.acquire(3), lambda: sem.release(3), lambda: sem.release(3))


def a_condition():
    mu, tokens = Mutex(), []
    cond = Cond(mu)

    def wait():
        with mu:
            cond.wait_for(lambda: tokens)
            tokens.pop()

    def give():
        with mu:
            tokens.append(1)
        cond.signal()

    return Case(wait, give, give)


CASES = [a_mutex, a_write_lock, a_write_lock_that_a_reader_holds, a_semaphore, a_condition]


@pytest.fixture(params=CASES)
def case(request):
    return request.param()


def test_given_then_interrupted(case):
    def body():
        case.wait()
        return next_wait()

    g = parked(body)
    case.give()
    interrupt(g)
    assert g.result() is Boom
    following = parked(case.wait)
    case.give_back()
    following.result()


def test_interrupted_then_given(case):
    g = parked(outcome, case.wait)
    interrupt(g)
    case.give()
    assert isinstance(g.result(), Boom)
    with gopoll.timeout(20):
        case.wait()


def test_interrupted_then_given_to_the_next(case):
    first, second = parked(outcome, case.wait), parked(case.wait)
    interrupt(first)
    case.give()
    assert isinstance(first.result(), Boom)
    second.result()


@pytest.mark.parametrize("giver_first", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_a_timeout_at_the_very_time(case, seed, giver_first):
    """Both are due at once, in either order of arming, in any order of running."""
    with testing.fake_clock() as clock, testing.seeded(seed):

        def give():
            gopoll.sleep(1)
            case.give()

        def take():
            try:
                with gopoll.timeout(1):
                    case.wait()
            except TimeoutError:
                return False
            return True

        parts = [give, take] if giver_first else [take, give]
        goroutines = {part: parked(part) for part in parts}
        clock.advance(1)
        goroutines[give].result()
        took = goroutines[take].result()
        assert next_wait() is None
        following = go(case.wait)
        testing.wait_idle()
        assert following.done is not took, "given once, had twice or never"
        if took:
            case.give_back()
        following.result()


@pytest.mark.parametrize("seed", range(8))
def test_many_timeouts_and_many_gifts_at_the_same_times(case, seed):
    """Ten waiters with limits of one to three; a gift passes from hand to hand at those times."""
    with testing.fake_clock() as clock, testing.seeded(seed) as dice:
        inside, served = [], []

        def take(limit):
            try:
                with gopoll.timeout(limit):
                    case.wait()
            except TimeoutError:
                return
            inside.append(1)
            assert len(inside) == 1
            gopoll.sleep(dice.choice([0, 0, 1]))
            inside.pop()
            served.append(1)
            case.give_back()

        goroutines = [go(take, dice.randint(1, 3)) for _ in range(10)]
        testing.wait_idle()
        clock.advance(1)
        case.give()
        clock.advance(30)
        for g in goroutines:
            g.result()
        with gopoll.timeout(1):  # it is still there
            go(case.wait).result()
        assert len(served) <= 10
