"""Timers and tickers in a bubble."""

import pytest

import gopoll
from gopoll import Chan, context, default, go, gosched, select, testing, time
from tests.support.parking import parked

pytestmark = pytest.mark.goroutine(timeout=30)


def test_read_before_it_is_due():
    """Go: TestTimerReadBeforeDeadline."""
    with testing.bubble() as b:
        start = time.now()
        assert time.Timer(5).c.recv() == start + 5
        assert b.elapsed == 5


def test_read_after_it_was_due():
    """Go: TestTimerReadAfterDeadline, TestTimerRanInPast; the time is that at which it was."""
    with testing.bubble(0.0) as b:
        first, second = time.Timer(1), time.Timer(1)
        gopoll.sleep(2)
        assert first.c.recv() == 1.0
        assert select(second.c.recv, default) == (0, 1.0)
        assert b.elapsed == 2


def test_reset():
    """Go: TestTimerReset."""
    with testing.bubble(0.0):
        timer = time.Timer(1)
        assert timer.c.recv() == 1.0
        timer.reset(2)
        assert timer.c.recv() == 3.0
        timer.reset(3)
        gopoll.sleep(1)
        timer.reset(3)
        assert timer.c.recv() == 7.0


def test_what_is_called_later():
    """Go: TestTimeAfter; the goroutine of a timer is in the bubble, and so are those it starts."""
    seen = []

    def called():
        seen.append(time.now())
        go(lambda: (gopoll.sleep(1), seen.append(time.now())))

    with testing.bubble(0.0):
        time.after_func(1, called)
        gopoll.sleep(3)
        testing.wait_idle()
    assert seen == [1.0, 2.0]


def test_not_called_after_the_end():
    """Go: TestTimerAfterBubbleExit."""
    seen = []
    with testing.bubble() as b:
        time.after_func(1, seen.append, 1)
    assert (seen, b.elapsed) == ([], 0)


def test_from_outside():
    """Go: TestTimerFromOutsideBubble; it goes by the clock of its maker."""
    with testing.fake_clock() as clock:
        timer = time.Timer(1)
        real = gopoll.current().timeline
    mover = go(lambda: (testing.wait_idle(), clock.advance(1)))
    with testing.bubble() as b:
        go(gopoll.sleep, 3600)
        timer.c.recv()
        assert b.elapsed == 0
        assert gopoll.current().timeline is not real
        gopoll.sleep(3600)
    mover.join()
    assert not timer.stop()


def test_from_inside():
    """Go: TestTimerFromInsideBubble; here the bubble's clock moves it, whoever reads."""
    moved = Chan()

    def read():
        return moved.recv().c.recv()

    reader = go(read)
    with testing.bubble(0.0):
        moved.send(time.Timer(1))
        while reader.state != "chan receive":
            gosched()
        gopoll.sleep(2)
    assert reader.result() == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_chance_among_timers_of_one_instant(seed):
    """Go: TestTimerNondeterminism."""
    chosen = set()
    with testing.seeded(seed), testing.bubble():
        for _ in range(60):
            a, b = time.Timer(1), time.Timer(1)
            chosen.add(select(a.c.recv, b.c.recv)[0])
            testing.wait_idle()
    assert chosen == {0, 1}


def test_chance_among_timers_of_different_age():
    """Which of the two ends a wait at an instant is not decided by which was set first."""
    chosen = set()
    for seed in range(20):
        with testing.seeded(seed), testing.bubble():
            ctx, cancel = context.with_timeout(context.background(), 1)
            chosen.add(select(ctx.done().recv, time.after(1).recv)[0])
            cancel()
    assert chosen == {0, 1}


@pytest.mark.parametrize("seed", range(3))
def test_chance_among_sleepers_of_one_instant(seed):
    """Go: TestSleepNondeterminism."""
    firsts = set()
    with testing.seeded(seed), testing.bubble():
        for _ in range(60):
            woken = []
            for n in (1, 2):
                go(lambda n=n, woken=woken: (gopoll.sleep(1), woken.append(n)))
            gopoll.sleep(1)
            testing.wait_idle()
            firsts.add(woken[0])
    assert firsts == {1, 2}


def test_due_at_once():
    """Go: TestTimerRunsImmediately."""
    with testing.bubble(5.0) as b:
        assert select(time.Timer(0).c.recv, default) == (0, 5.0)
        assert b.elapsed == 0


def test_called_at_once():
    """Go: TestAfterFuncRunsImmediately; it does not wait until all others wait."""
    seen = []
    with testing.bubble() as b:
        time.after_func(0, seen.append, 1)
        while not seen:
            gosched()
        assert b.elapsed == 0


def test_a_stopped_one_moves_nothing():
    with testing.bubble() as b:
        timers = [time.after_func(n, pytest.fail) for n in range(1, 100)]
        assert all(timer.stop() for timer in timers)
        gopoll.sleep(0.5)
        with pytest.raises(gopoll.Deadlock):
            Chan().recv()
        assert b.elapsed == 0.5


def test_ticks():
    with testing.bubble(0.0) as b:
        ticker = time.Ticker(10)
        assert [ticker.c.recv() for _ in range(3)] == [10.0, 20.0, 30.0]
        gopoll.sleep(25)  # a slow receiver finds one tick, and is in step again
        assert [ticker.c.recv() for _ in range(2)] == [40.0, 60.0]
        ticker.reset(1)
        assert ticker.c.recv() == 61.0
        ticker.stop()
        with pytest.raises(gopoll.Deadlock):
            ticker.c.recv()
        assert b.elapsed == 61


def test_a_loop_over_ticks():
    with testing.bubble(0.0) as b:
        for at in time.tick(1):
            if at == 3600.0:
                break
    assert b.elapsed == 3600


def test_a_timer_waits_for_no_one_who_runs():
    with testing.bubble() as b:
        g = parked(time.after(1).recv)
        for _ in range(1000):
            gosched()
        assert not g.done
        assert b.elapsed == 0
        g.join()
        assert b.elapsed == 1


def test_many():
    """Ten thousand timers, armed, half of them stopped, fired in order."""
    fired = []
    with testing.bubble(0.0) as b:
        timers = [time.after_func(n % 100 + 1, fired.append, n % 100 + 1) for n in range(10_000)]
        for timer in timers[::2]:
            timer.stop()
        gopoll.sleep(1000)
    assert fired == sorted(fired)
    assert len(fired) == 5000
    assert b.elapsed == 1000
