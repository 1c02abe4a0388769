"""In a bubble: the waits that let its time pass."""

import pytest

import gopoll
from gopoll import go
from gopoll.sync import Cond, Mutex, Semaphore, SingleFlight, WaitGroup
from gopoll.testing import bubble


def wait_for_a_group():
    wg = WaitGroup()
    wg.go(gopoll.sleep, 3600)
    wg.wait()


def wait_for_a_condition():
    cond = Cond(Mutex())

    def signal():
        gopoll.sleep(3600)
        cond.signal()

    go(signal)
    with cond.lock:
        cond.wait()


def wait_for_a_semaphore():
    sem = Semaphore(1)

    def hold():
        with sem:
            gopoll.sleep(3600)

    go(hold)
    gopoll.gosched()
    sem.acquire()


def wait_for_the_answer_of_another():
    flights = SingleFlight()
    go(flights.do, "key", lambda: gopoll.sleep(3600))
    gopoll.gosched()
    assert flights.do("key", pytest.fail) == (None, True)


@pytest.mark.parametrize(
    "wait",
    [
        wait_for_a_group,
        wait_for_a_condition,
        wait_for_a_semaphore,
        wait_for_the_answer_of_another,
    ],
)
def test_time_passes_while_all_wait_for_each_other(wait):
    """TestWaitGroupInBubble, TestCond of internal/synctest."""
    with bubble() as time:
        wait()
        assert time.elapsed == 3600
