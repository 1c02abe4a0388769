"""Timers: armed, stopped, reset, fired; by a channel and by a call."""

import contextvars
import signal

import pytest

import gopoll
from gopoll import Chan, default, go, nil_chan, select, testing, time
from gopoll.runtime.sched import this
from tests.support.parking import end, in_thread, parked

HOUR = 3600.0


class Called:
    """A timer made of a call: what `time.Timer` is, another way."""

    def __init__(self, seconds):
        self.c = ch = Chan(1)
        self.timer = time.after_func(seconds, lambda: ch.send(time.now()))
        self.stop = self.timer.stop
        self.reset = self.timer.reset


KINDS = pytest.mark.parametrize("make", [time.Timer, Called], ids=["channel", "call"])


@pytest.fixture
def clock():
    with testing.fake_clock(0.0) as one:
        yield one


def nothing_in(ch):
    return select(ch.recv, default) == (1, None)


def test_calls_that_arm_the_next(clock):
    """time/sleep_test.go, TestAfterFunc."""
    left = [10]
    done = Chan(1)

    def call():
        left[0] -= 1
        if left[0] < 0:
            done.send(True)
            return
        time.after_func(0, call)
        gopoll.sleep(1)

    time.after_func(0, call)
    for _ in range(11):
        clock.advance(0)
    assert done.try_recv() == (True, True)
    clock.advance(1)
    assert len(clock) == 0


def test_calls_are_not_starved_by_two_who_keep_each_other_busy():
    """time/sleep_test.go, TestAfterFuncStarvation."""
    ch, over = Chan(1), []

    def send():
        while not over:
            ch.send(True)
        ch.close()

    sender, receiver = go(send), go(lambda: sum(ch))
    time.after_func(1e-6, over.append, True)
    sender.join()
    assert receiver.result() > 0


@KINDS
def test_a_stopped_timer_never_fires(clock, make):
    """time/sleep_test.go, TestAfterStop."""
    called = []
    time.after_func(100, called.append, "first")
    channel = make(50)
    call = time.after_func(150, called.append, "stopped")
    last = parked(time.after(200).recv)
    assert channel.stop()
    assert call.stop()
    clock.advance(200)
    assert last.result() == 200
    assert called == ["first"]
    assert nothing_in(channel.c)
    assert not channel.stop()
    assert not call.stop()


def test_a_hundred_that_are_stopped_in_time(clock):
    """time/sleep_test.go, TestTimerStopStress."""
    late = []

    def one(n):
        timer = time.after_func(2, late.append, n)
        gopoll.sleep(1)
        return timer.stop()

    goroutines = [go(one, n) for n in range(100)]
    clock.advance(3)
    assert all(g.result() for g in goroutines)
    assert late == []


@KINDS
def test_reset(clock, make):
    """time/sleep_test.go, TestReset."""
    timer = make(2)
    clock.advance(1)
    assert timer.reset(3)
    clock.advance(2)
    assert nothing_in(timer.c)
    clock.advance(2)
    assert timer.c.try_recv() == (4, True)
    assert not timer.reset(50)
    assert timer.stop()


@KINDS
def test_moved_earlier_again_and_again(clock, make):
    """time/sleep_test.go, TestTimerModifiedEarlier: none is dropped."""
    for _ in range(100):
        timer = make(HOUR)
        for _ in range(10):
            if not timer.stop():
                assert timer.c.recv() == 0
            assert not timer.reset(-HOUR)
        clock.advance(0)
        assert select(timer.c.recv, default) == (0, 0)


@KINDS
def test_moved_earlier_and_later_in_any_order(clock, make):
    """time/sleep_test.go, TestAdjustTimers: no time is lost."""
    with testing.seeded(1) as dice:
        scripts = {}
        for n in range(100):
            scripts[n] = iter(_adjusted(make, clock))
        while scripts:
            n = dice.choice(list(scripts))
            if next(scripts[n], "done") == "done":
                del scripts[n]
    assert len(clock) == 0


def _adjusted(make, clock):
    timer = make(0)
    yield
    clock.advance(0)
    assert timer.c.try_recv() == (0, True)
    yield
    for minutes in (1, 3, 2):
        assert not timer.reset(60 * minutes)
        yield
        assert timer.stop()
        yield
    assert not timer.reset(0)
    yield
    clock.advance(0)
    assert timer.c.try_recv() == (0, True)


def test_stop_tells_the_truth_about_what_nobody_received(clock):
    """tick_test.go, TestChan: it has not happened before it is received."""
    timer = time.Timer(1)
    clock.advance(10)
    assert timer.stop()
    assert nothing_in(timer.c)
    assert not timer.reset(HOUR)
    assert timer.reset(1)
    clock.advance(10)
    assert timer.reset(1)  # fired, not received: it is set anew, and the old time is gone
    assert nothing_in(timer.c)
    clock.advance(1)
    assert timer.c.try_recv() == (21, True)
    assert not timer.stop()


def test_stop_and_reset_while_somebody_waits(clock):
    """tick_test.go, TestChan: the timer is in the heap, because somebody waits."""
    timer = time.Timer(10_000)
    g = parked(timer.c.recv)
    assert timer.reset(20_000)
    clock.advance(19_999)
    assert not g.done
    assert timer.stop()
    clock.advance(HOUR)
    assert (g.done, len(clock)) == (False, 0)
    assert not timer.reset(1)
    clock.advance(1)
    assert g.result() == 19_999 + HOUR + 1
    assert nothing_in(timer.c)


def test_two_selects_wait_and_one_gets_it(clock):
    """tick_test.go, TestChan: two goroutines, by select."""
    timer, over = time.Timer(10_000), Chan()
    first, second = [parked(select, timer.c.recv, over.recv) for _ in range(2)]
    assert timer.reset(5)
    clock.advance(6)
    assert first.result() == (0, 5)
    assert not second.done
    assert not timer.stop()
    over.close()
    assert second.result() == (1, None)
    assert len(clock) == 0


def test_waiting_for_a_stopped_timer(clock):
    """tick_test.go, TestChan: enqueueTimerChan when the timer is stopped."""
    timer, over = time.Timer(1), Chan()
    assert timer.stop()
    waiting = [parked(select, timer.c.recv, over.recv) for _ in range(2)]
    clock.advance(HOUR)
    over.close()
    assert [g.result() for g in waiting] == [(1, None)] * 2


def test_those_who_wait_are_served_in_order(clock):
    timer = time.Timer(1)
    waiting = [parked(timer.c.recv) for _ in range(3)]
    for n, g in enumerate(waiting):
        clock.advance(1)
        assert [g.done for g in waiting] == [i <= n for i in range(3)]
        assert g.result() == n + 1
        assert not timer.reset(1)
    assert len(clock) == 0


def test_who_goes_away_leaves_its_place_to_the_next(clock):
    timer = time.Timer(1)
    first, second = parked(timer.c.recv), parked(timer.c.recv)
    end(first)
    clock.advance(1)
    assert second.result() == 1


def test_a_call_has_a_goroutine_and_the_context_of_its_maker(clock):
    """contextvars are those of the moment in which it was made, for each call afresh."""
    var = contextvars.ContextVar("var", default="none")
    seen = []

    def call(*args, **kwargs):
        seen.append((var.get(), args, kwargs))
        var.set("changed by the call")

    var.set("then")
    timer = time.after_func(1, call, 1, 2, key="word")
    var.set("now")
    clock.advance(1)
    assert not timer.reset(1)
    clock.advance(1)
    assert seen == [("then", (1, 2), {"key": "word"})] * 2
    assert var.get() == "now"


def test_a_call_may_wait_and_its_goroutine_tells_who_made_it(clock):
    found = []

    def call():
        found.append(gopoll.current())
        gopoll.sleep(5)  # by the same clock

    time.after_func(1, call)
    clock.advance(1)
    [g] = found
    assert g.name == "test_a_call_may_wait_and_its_goroutine_tells_who_made_it.<locals>.call"
    assert g.site[0] is test_a_call_may_wait_and_its_goroutine_tells_who_made_it.__code__
    assert not g.done
    clock.advance(5)
    assert g.done


def test_calls_of_one_timer_may_overlap(clock):
    """Timer.Reset: the one before may still run."""
    running, most = [], []

    def call():
        running.append(1)
        most.append(len(running))
        gopoll.sleep(10)
        running.pop()

    timer = time.after_func(1, call)
    clock.advance(1)
    assert not timer.reset(1)
    clock.advance(1)
    assert most == [1, 2]
    clock.advance(10)
    assert running == []


def test_a_call_set_to_a_later_time_is_not_called_before(clock):
    called = []
    timer = time.after_func(1, lambda: called.append(time.now()))
    for _ in range(20):
        clock.advance(0.5)
        assert timer.reset(1)
        assert len(clock._timeline.heap) <= 2  # a watchdog is fed without touching the heap
    clock.advance(2)
    assert called == [11.0]


def test_what_a_call_raises_ends_its_goroutine_only(clock, panics):
    time.after_func(1, lambda: 1 / 0)
    clock.advance(1)
    [(_, exc)] = panics
    assert isinstance(exc, ZeroDivisionError)


def test_a_call_without_a_channel(clock):
    """AfterFunc: the field C is nil."""
    timer = time.after_func(1, print)
    assert timer.c is nil_chan
    assert timer.stop()


def test_not_callable():
    for wrong in (None, "print", 5):
        with pytest.raises(TypeError, match="something to call"):
            time.after_func(1, wrong)


def test_a_call_belongs_to_the_thread_that_made_it():
    threads = Chan(2)

    def elsewhere():
        time.after_func(0, lambda: threads.send(this.sched.thread))
        mine = this.sched.thread
        return mine, threads.recv()

    mine, called = in_thread(elsewhere)
    assert mine == called != this.sched.thread


@pytest.mark.parametrize("asleep", [True, False])
def test_a_signal_handler_may_stop_and_reset(asleep):
    """It may strike in the middle of a wait for that very timer."""
    timer = time.Timer(HOUR)
    call = time.after_func(HOUR, print)
    answers = []

    def handler(*_):
        answers.append((timer.stop(), timer.reset(0), call.stop(), call.reset(HOUR)))

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        if asleep:
            g = go(gopoll.offload, signal.raise_signal, signal.SIGUSR1)
            assert timer.c.recv() <= time.now()
            g.join()
        else:
            timer.c.latch.acquire()
            timer.c.busy = True
            signal.raise_signal(signal.SIGUSR1)
            timer.c.leave()
            assert timer.c.recv() <= time.now()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert answers == [(True, False, True, False)]
    assert call.stop()


def test_a_change_in_the_middle_of_taking_wins(clock):
    """A handler resets the timer between the look at the clock and the taking of the time."""
    timer = time.Timer(1)
    clock.advance(2)
    real = timer.c._now

    def now_and_reset():
        timer.c._now = real
        answers.append(timer.reset(5))
        return real()

    answers = []
    timer.c._now = now_and_reset
    assert nothing_in(timer.c)
    assert answers == [True]
    clock.advance(5)
    assert timer.c.try_recv() == (7, True)


def test_a_time_that_nobody_could_take_is_put_back(clock):
    """All who waited were claimed by something else in that instant."""
    timer = time.Timer(1)
    g = parked(timer.c.recv)
    [waiter] = timer.c._waiting
    assert waiter.claim()
    clock.advance(1)
    assert not g.done
    g.sched.ready(g)  # whoever has claimed it
    g.join()
    assert timer.c.try_recv() == (1, True)
