"""Tickers: in step, never piling up, silent once stopped."""

import gc

import pytest

import gopoll
from gopoll import Chan, default, go, select, testing, time
from tests.support.parking import end, outcome, parked

HOUR = 3600.0


@pytest.fixture
def clock():
    with testing.fake_clock(0.0) as one:
        yield one


def nothing_in(ch):
    return select(ch.recv, default) == (1, None)


def receive(ch, count):
    return [ch.recv() for _ in range(count)]


def test_ticks_and_ticks_at_another_pace_and_silence(clock):
    """time/tick_test.go, TestTicker."""
    ticker = time.Ticker(20)
    g = go(receive, ticker.c, 5)
    clock.advance(100)
    assert g.result() == [20, 40, 60, 80, 100]
    ticker.reset(40)
    g = go(receive, ticker.c, 5)
    clock.advance(200)
    assert g.result() == [140, 180, 220, 260, 300]
    ticker.stop()
    clock.advance(80)
    assert nothing_in(ticker.c)
    assert len(clock) == 0


def test_stopping_right_after_a_tick(clock):
    """time/tick_test.go, TestTeardown."""
    for n in range(3):
        ticker = time.Ticker(100)
        g = parked(ticker.c.recv)
        clock.advance(100)
        assert g.result() == 100 * (n + 1)
        ticker.stop()
    assert len(clock) == 0


def test_stopping_twice_and_more(clock):
    """time/tick_test.go, TestTickerStopWithDirectInitialization: stop is always harmless."""
    ticker = time.Ticker(1)
    for _ in range(3):
        assert ticker.stop() is None
    ticker.reset(1)
    clock.advance(1)
    assert ticker.c.try_recv() == (1, True)


def test_the_first_of_the_missed_ticks_is_received_and_no_other(clock):
    """time/tick_test.go, TestTickTimes: a slow receiver loses ticks, and finds the first."""
    ticker = time.Ticker(10)
    clock.advance(505)
    assert ticker.c.recv() == 10
    assert nothing_in(ticker.c)
    clock.advance(5)
    assert ticker.c.recv() == 510  # in step with all before
    clock.advance(10)
    assert ticker.c.recv() == 520


def test_ticks_keep_their_step_however_they_are_received(clock):
    ticker = time.Ticker(10)
    got = []

    def slow():
        for at in ticker.c:
            got.append((at, time.now()))
            gopoll.sleep(25)

    g = parked(slow)
    clock.advance(100)
    assert got == [(10, 10), (20, 35), (40, 60), (70, 85)]
    assert all(at % 10 == 0 for at, _ in got)
    end(g)


def test_a_tick_in_the_instant_of_its_receiving(clock):
    """On the very border: the tick of now is received now, the next a period later."""
    ticker = time.Ticker(10)
    clock.advance(30)
    assert ticker.c.recv() == 10
    assert nothing_in(ticker.c)  # those of 20 and 30 were dropped with it
    clock.advance(9)
    assert nothing_in(ticker.c)
    clock.advance(1)
    assert ticker.c.recv() == 40


def test_several_who_wait_get_one_tick_each(clock):
    """time/sleep_test.go, TestTickerConcurrentStress: ten receivers, no tick twice."""
    ticker = time.Ticker(1)
    receivers = [go(receive, ticker.c, 10) for _ in range(10)]
    clock.advance(100)
    got = [at for g in receivers for at in g.result()]
    assert sorted(got) == list(range(1, 101))
    assert all(g.result() == sorted(g.result()) for g in receivers)
    ticker.stop()
    assert len(clock) == 0


def test_a_hasty_ticker_on_the_real_clock():
    """time/sleep_test.go, TestTickerStress: a period far below a turn, and collections."""
    ticker = time.Ticker(1e-9)
    g = go(receive, ticker.c, 100)
    while not g.done:
        gc.collect(0)
        gopoll.gosched()
    got = g.result()
    assert got == sorted(set(got))
    ticker.stop()
    assert nothing_in(ticker.c)


def test_stop_and_reset_leave_no_stale_tick(clock):
    """tick_test.go, TestChan, for a ticker."""
    ticker = time.Ticker(10_000)
    ticker.stop()
    assert nothing_in(ticker.c)
    ticker.reset(10_000)
    assert nothing_in(ticker.c)
    ticker.reset(1)
    clock.advance(1)
    assert ticker.c.try_recv() == (1, True)
    clock.advance(1)
    ticker.reset(10_000)  # the tick of 2 was there
    assert nothing_in(ticker.c)
    g = parked(ticker.c.recv)
    ticker.reset(20_000)
    clock.advance(10_001)
    assert not g.done
    ticker.reset(1)
    clock.advance(1)
    assert g.result() == 10_004
    clock.advance(1)
    ticker.stop()
    assert nothing_in(ticker.c)


def test_two_selects_wait_for_ticks(clock):
    """tick_test.go, TestChan: with two goroutines, by select."""
    ticker, over = time.Ticker(HOUR), Chan()
    both = [parked(select, ticker.c.recv_ok, over.recv) for _ in range(2)]
    ticker.reset(5)
    clock.advance(5)
    assert [g.done for g in both] == [True, False]
    ticker.stop()
    clock.advance(100)
    over.close()
    assert [g.result() for g in both] == [(0, (5, True)), (1, None)]
    assert (len(clock), ticker.c._waiting) == (0, {})


def test_who_waits_for_a_stopped_ticker_gets_the_first_tick_of_the_next_pace(clock):
    ticker = time.Ticker(1)
    ticker.stop()
    g = parked(ticker.c.recv)
    clock.advance(HOUR)
    assert not g.done
    ticker.reset(3)
    clock.advance(3)
    assert g.result() == HOUR + 3


def test_reset_in_mid_period_counts_from_now(clock):
    """tick_test.go, TestTickerReset (Ticker.Reset): the next tick comes after the new period."""
    ticker = time.Ticker(10)
    clock.advance(7)
    ticker.reset(10)
    clock.advance(9)
    assert nothing_in(ticker.c)
    clock.advance(1)
    assert ticker.c.try_recv() == (17, True)


def test_a_loop_over_ticks_ends_with_its_scope(clock):
    """The channel is never closed; a limit is set from outside."""
    got = []

    def loop():
        with gopoll.timeout(35):
            for at in time.tick(10):
                got.append(at)  # noqa: PERF402 - as users write it

    g = parked(outcome, loop)
    clock.advance(35)
    assert isinstance(g.result(), TimeoutError)
    assert got == [10, 20, 30]
    assert len(clock) == 0


def test_many_who_tick_at_different_paces(clock):
    """Runtime: TestMultiWakeupTicker; nobody disturbs another."""
    counts = dict.fromkeys(range(1, 11), 0)

    def count(period):
        for _ in time.tick(period):
            counts[period] += 1

    goroutines = [go(count, period) for period in counts]
    clock.advance(2520)
    assert counts == {period: 2520 // period for period in counts}
    end(*goroutines)
    assert len(clock) == 0


def test_a_long_heap_of_sleepers_and_thousands_of_limits(clock):
    """time/tick_test.go, TestLongAdjustTimers: arming and forgetting does not slow down."""
    sleepers = [go(gopoll.sleep, 10) for _ in range(2000)]
    work, done = Chan(), []

    def serve():
        done.extend(work)

    server = go(serve)
    for n in range(5000):
        index, _ = select((work.send, n), time.after(5).recv)
        assert index == 0
    work.close()
    server.join()
    assert done == list(range(5000))
    assert len(clock) == len(sleepers)
    clock.advance(10)
    assert all(g.done for g in sleepers)


def test_repr_tells_the_state(clock):
    ticker = time.Ticker(2)
    assert repr(ticker) == "<Ticker due at 2.000000>"
    ticker.stop()
    assert repr(ticker) == "<Ticker stopped>"
