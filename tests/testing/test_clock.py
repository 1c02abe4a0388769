"""The fake clock: whose it is, how it moves, what moves with it."""

import pytest

import gopoll
from gopoll import Chan, go, testing, time
from tests.support.parking import end, outcome, parked


def test_time_stands_still():
    with testing.fake_clock(100.0) as clock:
        assert time.now() == clock.now() == 100.0
        testing.wait_idle()
        assert time.now() == 100.0
        clock.advance(2.5)
        assert time.now() == 102.5
    assert time.now() != 102.5


def test_it_belongs_to_the_goroutine_and_to_those_it_starts():
    real = go(time.now)
    with testing.fake_clock(5.0):
        inside = go(lambda: go(time.now).result())
        assert inside.result() == 5.0
        assert real.result() > 5.0


def test_a_goroutine_keeps_the_clock_it_was_born_with():
    gate = Chan()
    with testing.fake_clock(5.0):
        g = go(lambda: [gate.recv(), time.now()][1])
    gate.send(None)
    assert g.result() == 5.0


def test_sleepers_wake_when_their_time_has_come():
    woken = []
    with testing.fake_clock(0.0) as clock:
        for seconds in (1, 2, 3):
            go(lambda s=seconds: (gopoll.sleep(s), woken.append((s, time.now()))))
        assert len(clock) == 0  # they have not run yet
        clock.advance(2)
        assert woken == [(1, 1.0), (2, 2.0)]
        assert len(clock) == 1
        clock.advance(0.999)
        assert len(woken) == 2
        clock.advance(0.001)
        assert woken[-1] == (3, 3.0)


def test_it_stops_at_each_timer_on_the_way():
    """What one timer causes has happened before the next one fires."""
    ticks = []

    def tick():
        while True:
            gopoll.sleep(1)
            ticks.append(time.now())

    with testing.fake_clock(0.0) as clock:
        g = go(tick)
        clock.advance(5)
        assert ticks == [1.0, 2.0, 3.0, 4.0, 5.0]
        end(g)


def test_deadlines_go_by_it():
    with testing.fake_clock() as clock:
        g = parked(outcome, parked(Chan().recv).join, 3600)
        clock.advance(3599)
        assert not g.done
        clock.advance(1)
        assert isinstance(g.result(), TimeoutError)
        end(*[h for h in g.sched.goroutines if h.state == "chan receive"])


def test_advancing_by_nothing_fires_what_is_due():
    with testing.fake_clock(0.0) as clock:
        g = go(gopoll.sleep, 1e-6)
        clock.advance(0)
        assert not g.done
        clock.advance(1e-6)
        assert g.done


def test_it_cannot_go_back():
    with testing.fake_clock(1.0) as clock:
        with pytest.raises(ValueError, match="cannot go back: -1"):
            clock.advance(-1)
        assert clock.now() == 1.0


def test_clocks_nest():
    with testing.fake_clock(1.0) as outer:
        with testing.fake_clock(2.0) as inner:
            inner.advance(1)
            assert time.now() == 3.0
        assert time.now() == 1.0
        outer.advance(1)
        assert time.now() == 2.0


def test_the_real_clock_comes_back_after_a_failure():
    real = gopoll.current().timeline
    with pytest.raises(KeyError), testing.fake_clock():
        raise KeyError
    assert gopoll.current().timeline is real


def test_it_shows_itself():
    with testing.fake_clock(1.5) as clock:
        assert repr(clock) == "<FakeClock at 1.500000, 0 timers>"
