"""The heap of timers, without a scheduler around it."""

import random

import pytest

from gopoll.runtime.timers import Timeline


class Clock:
    def __init__(self):
        self.reads = 0.0

    def now(self):
        return self.reads


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def timeline(clock):
    return Timeline(clock.now)


def test_timers_fire_in_the_order_of_their_times(clock, timeline):
    fired = []
    times = random.Random(1).sample(range(1000), 200)
    for when in times:
        timeline.add(when, fired.append, when)
    clock.reads = 499
    timeline.run_due()
    assert fired == sorted(when for when in times if when <= 499)
    clock.reads = 1000
    timeline.run_due()
    assert fired == sorted(times)
    assert len(timeline) == 0


def test_timers_of_one_instant_fire_in_the_order_of_their_making(clock, timeline):
    """time/sleep_test.go, TestAfterQueuing."""
    fired = []
    for i in range(20):
        timeline.add(5, fired.append, i)
    clock.reads = 5
    timeline.run_due()
    assert fired == list(range(20))


def test_a_timer_fires_at_its_time_and_not_before(clock, timeline):
    fired = []
    timer = timeline.add(2, fired.append, "x")
    clock.reads = 1.999
    timeline.run_due()
    assert (fired, timeline.next_due()) == ([], 2)
    assert "armed" in repr(timer)
    clock.reads = 2
    timeline.run_due()
    timeline.run_due()
    assert fired == ["x"]
    assert "spent" in repr(timer)


def test_a_cancelled_timer_does_not_fire(clock, timeline):
    """time/sleep_test.go, TestAfterStop."""
    fired = []
    keep = timeline.add(1, fired.append, "kept")
    drop = timeline.add(1, fired.append, "dropped")
    assert timeline.cancel(drop) is True
    assert timeline.cancel(drop) is False
    clock.reads = 1
    timeline.run_due()
    assert fired == ["kept"]
    assert timeline.cancel(keep) is False


def test_the_earliest_live_timer_is_due_next(timeline):
    timers = [timeline.add(when, print) for when in (3, 1, 2)]
    assert timeline.next_due() == 1
    timeline.cancel(timers[1])
    assert timeline.next_due() == 2
    timeline.cancel(timers[2])
    timeline.cancel(timers[0])
    assert timeline.next_due() is None
    assert timeline.heap == []


def test_a_timer_may_cancel_the_next_one(clock, timeline):
    fired = []
    second = timeline.add(2, fired.append, "second")
    timeline.add(1, timeline.cancel, second)
    clock.reads = 3
    timeline.run_due()
    assert fired == []


def test_a_timer_that_arms_itself_again_waits_for_the_next_look(clock, timeline):
    """Otherwise a timer for "now" would keep the scheduler for ever."""
    fired = []

    def again(_):
        fired.append(clock.reads)
        timeline.add(0, again)

    timeline.add(0, again)
    for _ in range(3):
        timeline.run_due()
    assert len(fired) == 3


def test_cancelled_timers_do_not_pile_up(timeline):
    """Thousands of deadlines armed and cancelled leave a short heap, and no argument alive."""
    live = [timeline.add(10**6 + i, print) for i in range(10)]
    longest = 0
    for i in range(20_000):
        timer = timeline.add(i, print, "argument")
        timeline.cancel(timer)
        assert timer.arg is None
        longest = max(longest, len(timeline.heap))
    assert longest < 200
    assert len(timeline) == len(live)


def test_timers_survive_the_clearing_of_the_others(clock, timeline):
    fired = []
    timers = [timeline.add(i, fired.append, i) for i in range(500)]
    for timer in timers[::2]:
        timeline.cancel(timer)
    assert len(timeline) == 250
    clock.reads = 500
    timeline.run_due()
    assert fired == list(range(1, 500, 2))


def test_a_failing_callback_leaves_the_rest_in_place(clock, timeline):
    fired = []
    timeline.add(1, lambda _: 1 / 0)
    timeline.add(2, fired.append, "after")
    clock.reads = 3
    with pytest.raises(ZeroDivisionError):
        timeline.run_due()
    timeline.run_due()
    assert fired == ["after"]
