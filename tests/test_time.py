"""Sleeping, ``after``, and what timers and tickers have in common: order, bad input, storms."""

import gc
import weakref
from fractions import Fraction
from math import inf, nan

import pytest

import gopoll
from gopoll import Chan, default, go, select, testing, time
from gopoll.runtime.sched import this
from tests.support.parking import end, in_thread, outcome, parked
from tests.support.script import run_script

HOUR = 3600.0


@pytest.fixture
def clock():
    with testing.fake_clock(0.0) as one:
        yield one


def test_sleep_lasts_as_long_as_it_was_told_to(clock):
    """time/sleep_test.go, TestSleep."""
    g = go(lambda: (gopoll.sleep(100), time.now())[1])
    go(gopoll.sleep, 50)  # somebody else's end of sleep is not ours
    clock.advance(99)
    assert not g.done
    clock.advance(1)
    assert g.result() == 100


def test_a_sleep_of_nothing_lets_the_others_run(clock):
    """time/sleep_test.go, TestSleepZeroDeadlock, TestOverflowSleep: zero or less never hangs."""
    ran = []
    g = go(ran.append, "other")
    for seconds in (0, -1, -inf):
        gopoll.sleep(seconds)
    assert ran == ["other"]
    assert g.done
    assert len(clock) == 0
    assert time.now() == 0


def test_times_beyond_all_measure(clock):
    """time/sleep_test.go, TestOverflowSleep: a great number is no short one, and harms no other."""
    far = [parked(time.after(big).recv) for big in (inf, 1e300, 2**63, 10**400)]
    near = parked(time.after(25).recv)
    clock.advance(1e9)
    assert near.result() == 25
    assert not any(g.done for g in far)
    for small in (-inf, -1e300, -(10**400)):
        assert time.after(small).recv() == 1e9
    end(*far)
    assert len(clock) == 0


def test_times_beyond_all_measure_on_the_real_clock():
    g = parked(time.after(10**400).recv)
    assert time.after(0).recv() <= time.now()
    assert not g.done
    end(g)


def test_after_gives_the_time_at_which_it_was_due(clock):
    """time/sleep_test.go, TestAfter; tick_test.go, TestAfterTimes: however late one looks."""
    ch = time.after(10)
    g = parked(time.after(10).recv)
    clock.advance(500)
    assert g.result() == 10
    assert ch.recv() == 10
    assert ch.try_recv() == (None, False)


def test_after_gives_no_time_too_early_on_the_real_clock():
    """time/sleep_test.go, TestAfter."""
    start = time.now()
    at = time.after(1e-5).recv()
    assert start + 1e-5 <= at <= time.now()


def test_one_after_the_other(clock):
    """time/sleep_test.go, TestAfterTick."""
    g = go(lambda: [time.after(10).recv() for _ in range(10)])
    clock.advance(100)
    assert g.result() == [10.0 * n for n in range(1, 11)]


def test_they_come_in_the_order_of_their_times(clock):
    """time/sleep_test.go, TestAfterQueuing."""
    slots = [5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0]
    for make in (time.after, newly_called):
        came = []
        start = time.now()

        def wait(slot, make=make, came=came):
            ch = make(slot * 20)
            came.append((slot, ch.recv()))

        for slot in slots:
            go(wait, slot)
        clock.advance(200)
        assert [slot for slot, _ in came] == sorted(slots)
        assert all(at - start == slot * 20 for slot, at in came)


def newly_called(seconds):
    """What `after` does, by way of `after_func`."""
    ch = Chan(1)
    time.after_func(seconds, lambda: ch.send(time.now()))
    return ch


def test_zero_is_now(clock):
    """time/sleep_test.go, TestZeroTimer."""
    for _ in range(1000):
        assert time.Timer(0).c.recv() == 0
        assert select(time.after(0).recv, default) == (0, 0)
    called = [newly_called(0) for _ in range(1000)]
    clock.advance(0)
    assert [ch.recv() for ch in called] == [0] * 1000
    timer = time.Timer(HOUR)
    assert timer.reset(0)
    for _ in range(1000):
        assert timer.c.recv() == 0
        assert not timer.reset(0)


def test_zero_is_now_on_the_real_clock():
    """time/sleep_test.go, TestZeroTimer: the scheduler misses none."""
    for _ in range(200):
        start = time.now()
        for ch in (time.Timer(0).c, newly_called(0)):
            assert start <= ch.recv() <= time.now()


def test_the_channel_seems_unbuffered(clock):
    """tick_test.go, TestChan: len and cap are 0, always."""
    for ch in (time.after(1), time.tick(1), time.Timer(1).c, time.Ticker(1).c):
        assert (len(ch), ch.cap) == (0, 0)
        clock.advance(2)
        assert (len(ch), ch.cap) == (0, 0)
        assert ch.try_recv()[1]
        assert ch.closed is False


def test_the_channel_is_only_received_from(clock):
    """What Go's compiler refuses: <-chan Time."""
    for ch in (time.after(1), time.tick(1)):
        for operation in (
            lambda ch=ch: ch.send(1.0),
            lambda ch=ch: ch.try_send(1.0),
            lambda ch=ch: select((ch.send, 1.0), default),
            ch.close,
        ):
            with pytest.raises(TypeError, match="receive-only"):
                operation()
        clock.advance(1)
        assert ch.recv_ok() == (1.0, True)


@pytest.mark.parametrize("bad", [None, "5", b"5", [1], 1j, Fraction(1, 2), nan], ids=repr)
def test_what_is_no_duration(bad):
    wrong = ValueError if isinstance(bad, float) else TypeError
    timer, ticker = time.Timer(HOUR), time.Ticker(HOUR)
    for call in (
        time.Timer,
        time.Ticker,
        time.after,
        time.tick,
        timer.reset,
        ticker.reset,
        lambda seconds: time.after_func(seconds, print),
    ):
        with pytest.raises(wrong, match=r"number|nan|None"):
            call(bad)
    assert timer.stop()  # what was refused has changed nothing


@pytest.mark.parametrize("period", [0, -1, -0.0, -inf, False])
def test_what_is_no_period(period):
    """tick_test.go, TestNewTickerLtZeroDuration, TestTickerResetLtZeroDuration, TestTick.

    Go's Tick gives a nil channel instead.
    """
    ticker = time.Ticker(HOUR)
    for call in (time.Ticker, time.tick, ticker.reset):
        with pytest.raises(ValueError, match=r"non-positive interval for (Ticker|tick)"):
            call(period)
    ticker.stop()


def test_a_select_with_after_is_a_wait_with_a_limit(clock):
    ch = Chan()
    g = parked(select, ch.recv, time.after(5).recv)
    assert len(clock) == 1
    ch.send("in time")
    assert g.result() == (0, "in time")
    assert len(clock) == 0
    g = parked(select, ch.recv, time.after(5).recv)
    clock.advance(5)
    assert g.result() == (1, 5)
    assert ch._receivers.first is None


def test_one_channel_named_twice(clock):
    timer = time.Timer(1)
    g = parked(select, timer.c.recv, timer.c.recv_ok)
    clock.advance(1)
    assert g.result() in {(0, 1.0), (1, (1.0, True))}
    assert (len(clock), timer.c._waiting) == (0, {})


def test_a_scope_ends_the_wait_for_a_timer(clock):
    timer = time.Timer(10)

    def limited():
        with gopoll.timeout(3):
            timer.c.recv()

    g = parked(outcome, limited)
    clock.advance(3)
    assert isinstance(g.result(), TimeoutError)
    assert (len(clock), timer.c._waiting) == (0, {})
    clock.advance(7)
    assert timer.c.recv() == 10


def test_a_scope_that_ends_in_the_same_instant_drops_nothing(clock):
    """The time is received or still there, never gone."""
    for first in (True, False):
        got = []

        def limited(first=first, got=got):
            timer = time.Timer(3) if first else None
            with gopoll.timeout(3):
                timer = timer or time.Timer(3)
                got.append(timer)
                got.append(timer.c.recv())

        start = time.now()
        g = parked(outcome, limited)
        clock.advance(3)
        g.join()
        timer, *values = got
        values += [timer.c.try_recv()[0]] * (not values)
        assert values == [start + 3]
        assert not timer.stop()


def test_nothing_keeps_a_forgotten_one(clock):
    """tick_test.go, TestTimerGC: neither the heap nor a cycle."""
    gc.disable()
    try:
        for make in (time.after, time.tick, time.Timer, time.Ticker):
            one = make(HOUR)
            gone = weakref.ref(one)
            assert len(clock) == 0
            del one
            assert gone() is None, make
        timer = time.Timer(HOUR)
        g = parked(timer.c.recv)
        assert len(clock) == 1
        timer.reset(1)
        clock.advance(1)
        g.result()
        gone = weakref.ref(timer.c)
        del timer, g
        assert gone() is None
    finally:
        gc.enable()


def test_a_stopped_call_keeps_nothing(clock):
    gc.disable()
    try:

        class Argument:
            pass

        argument = Argument()
        gone = weakref.ref(argument)
        timer = time.after_func(HOUR, print, argument)
        del argument
        assert gone() is not None
        timer.stop()
        del timer
        assert gone() is None
    finally:
        gc.enable()


def test_who_waits_is_all_that_the_heap_knows():
    """Go 1.23: a timer is in the heap only while somebody waits for it."""
    timeline = this.sched.timeline
    ticker = time.Ticker(HOUR)
    assert timeline.next_due() is None
    g = parked(ticker.c.recv)
    assert timeline.next_due() is not None
    ticker.stop()
    testing.wait_idle()
    assert timeline.next_due() is None
    ticker.reset(2 * HOUR)
    testing.wait_idle()
    assert timeline.next_due() is not None
    end(g)
    assert timeline.next_due() is None


def test_a_deadlock_is_seen_through_a_ticker_that_nobody_waits_for():
    done = run_script(
        """
        import gopoll
        ticker = gopoll.time.Ticker(1e-3)
        try:
            gopoll.run(gopoll.Chan().recv)
        except gopoll.Deadlock:
            ticker.stop()
        try:
            gopoll.run(ticker.c.recv)
        except gopoll.Deadlock:
            print("deadlocks")
        """
    )
    assert (done.stdout, done.stderr) == ("deadlocks\n", "")


def test_storm(clock):
    """100,000 timers armed, cancelled and fired: every one is accounted for, the heap is empty."""
    many = 50_000  # of each kind
    fired = []
    calls = [time.after_func(n % 997 + 1, fired.append, n) for n in range(many)]
    timers = [time.Timer(n % 997 + 1) for n in range(many)]
    assert len(clock) == many  # those that nobody waits for weigh nothing
    assert all(timer.stop() for timer in calls[::2])
    assert all(timer.stop() for timer in timers[::2])
    assert len(clock) == many / 2
    assert len(clock._timeline.heap) <= many
    clock.advance(1000)
    assert sorted(fired) == list(range(1, many, 2))
    assert [timer.c.try_recv()[1] for timer in timers] == [False, True] * (many // 2)
    assert not any(timer.stop() for timer in calls + timers)
    assert clock._timeline.heap == []


def test_a_storm_of_calls_called_off_leaves_a_short_heap(clock):
    for n in range(100_000):
        assert time.after_func(HOUR + n, print).stop()
    assert len(clock) == 0
    assert len(clock._timeline.heap) < 200


def test_the_clock_is_that_of_the_maker(clock):
    """Whoever waits, in whatever thread, by whatever clock: the maker's clock decides."""
    timer = time.Timer(5)
    there = go(in_thread, timer.c.recv)  # has the real clock
    while not timer.c._waiting:
        gopoll.gosched()
    testing.wait_idle()
    clock.advance(4)
    assert not there.done
    clock.advance(1)
    assert there.result() == 5
    while len(clock):
        gopoll.gosched()
    assert timer.c._waiting == {}


def test_now_is_the_time_in_seconds(clock):
    assert time.now() == 0
    clock.advance(1.5)
    assert time.now() == 1.5


def test_a_timer_tells_its_state(clock):
    timer, call = time.Timer(1), time.after_func(1, print, end="")
    assert (repr(timer), repr(call)) == ("<Timer due at 1.000000>",) * 2
    timer.stop()
    call.stop()
    assert (repr(timer), repr(call)) == ("<Timer stopped>",) * 2
