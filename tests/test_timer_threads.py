"""Timers between OS threads: who stops, resets and receives, and that each arming ends once."""

import threading
from random import Random

import pytest

import gopoll
from gopoll import Chan, default, go, select, testing, time
from tests.support.parking import end, in_thread, parked
from tests.support.threads import at_once, running, when_asleep

HOUR = 3600.0
THREADS, GOROUTINES, ROUNDS = 4, 40, 25


def wait_until(condition):
    while not condition():
        gopoll.gosched()


def test_a_timer_made_here_is_received_there():
    timer = time.Timer(1e-3)
    assert in_thread(timer.c.recv) <= time.now()
    assert not timer.stop()


def test_a_timer_outlives_the_thread_that_made_it():
    timer = in_thread(time.Timer, HOUR)
    g = parked(timer.c.recv)
    assert timer.reset(0)
    assert g.result() <= time.now()
    ticker = in_thread(time.Ticker, 1e-4)
    assert ticker.c.recv() < ticker.c.recv()


def test_a_wait_there_is_ended_by_a_reset_here():
    for timer in (time.Timer(HOUR), time.Timer(0)):
        timer.stop()
        g = go(in_thread, timer.c.recv)
        wait_until(lambda timer=timer: timer.c._waiting)
        timer.reset(0)
        assert g.result() <= time.now()
        assert timer.c._waiting == {}


def test_a_wait_here_is_ended_by_a_reset_there():
    timer = time.Timer(HOUR)
    g = parked(timer.c.recv)
    assert in_thread(timer.reset, 0) is True
    assert g.result() <= time.now()


def test_a_call_is_brought_forward_from_there_while_all_sleep_here():
    ch = Chan()
    timer = time.after_func(HOUR, ch.send, "called")
    with running(when_asleep(timer.reset, 0)):
        assert ch.recv() == "called"


@pytest.mark.parametrize("make", [time.Timer, lambda s: time.after_func(s, print)])
def test_stop_and_reset_tell_the_truth_in_any_thread(make):
    timer = make(HOUR)
    answers = []
    for call in (timer.stop, timer.stop, lambda: timer.reset(HOUR), lambda: timer.reset(HOUR)):
        at_once(lambda call=call: answers.append(call()))
    assert answers == [True, False, False, True]
    assert timer.stop()


def test_a_stop_there_means_that_nothing_is_called_here():
    with testing.fake_clock() as clock:
        called = []
        timer = time.after_func(1, called.append, 1)
        at_once(timer.stop)
        clock.advance(2)
        assert called == []
        at_once(timer.reset, 1)
        clock.advance(2)
        assert called == [1]
        assert len(clock) == 0


def test_waiters_in_two_threads_are_served_one_tick_each():
    ticker = time.Ticker(1e-4)
    got, over = [], Chan()

    def receive():
        while select(over.recv, ticker.c.recv_ok)[0]:
            got.append(threading.get_ident())

    with running(receive, receive):
        receiver = go(receive)
        wait_until(lambda: len(set(got)) == 3)
        over.close()
        receiver.join()
    assert ticker.c._waiting == {}


class Account:
    """How the armings of one timer ended; appended to by any thread."""

    def __init__(self):
        self.armed = [1]
        self.ended = []

    def change(self, timer, dice):
        """Stop or reset."""
        if dice.random() < 0.5:
            if timer.stop():
                self.ended.append("stopped")
        else:
            if timer.reset(dice.choice([0, 1e-6, 1e-4, HOUR])):
                self.ended.append("reset")
            self.armed.append(1)

    def close(self, timer):
        if timer.stop():
            self.ended.append("stopped")
        assert len(self.ended) == len(self.armed)


def hammer(work):
    """Forty goroutines in each of four threads call ``work(dice)`` again and again."""

    def many(seed):
        dice = Random(seed)
        for _ in range(ROUNDS):
            work(dice)
            gopoll.gosched()

    def thread(number):
        for g in [go(many, number * GOROUTINES + n) for n in range(GOROUTINES)]:
            g.result()

    with running(*(lambda number=number: thread(number) for number in range(THREADS))):
        pass


def test_hammered_calls_end_once_per_arming():
    account = Account()
    timer = time.after_func(HOUR, account.ended.append, "fired")
    hammer(lambda dice: account.change(timer, dice))
    account.ended += ["stopped"] * timer.stop()
    testing.wait_idle()  # a call that was due has its goroutine, and must get its turn
    account.close(timer)
    assert {"stopped", "reset", "fired"} >= set(account.ended)
    assert len(account.armed) > 1000


def test_hammered_channels_end_once_per_arming():
    """Receivers wait in every thread, and try; each time is received once, or stopped."""
    account = Account()
    timer = time.Timer(HOUR)
    over = Chan()

    def receive():
        while (case := select(over.recv, timer.c.recv_ok))[0]:
            account.ended.append(case[1])

    def work(dice):
        if dice.random() < 0.3 and timer.c.try_recv()[1]:
            account.ended.append("tried")
        account.change(timer, dice)

    def receivers():
        for g in [go(receive) for _ in range(3)]:
            g.result()

    with running(receivers, receivers):
        here = go(receive)
        hammer(work)
        account.ended += ["stopped"] * timer.stop()
        over.close()
        here.result()
    account.close(timer)
    assert select(timer.c.recv, default) == (1, None)
    assert timer.c._waiting == {}


def test_hammered_tickers_tick_no_tick_twice():
    ticker = time.Ticker(1e-5)
    got = []

    def work(dice):
        if dice.random() < 0.1:
            ticker.reset(dice.choice([1e-6, 1e-5, 1e-4]))
        else:
            got.append(ticker.c.recv())

    hammer(work)
    ticker.stop()
    assert len(got) > 1000
    assert len(set(got)) == len(got)
    assert ticker.c.try_recv() == (None, False)
    assert ticker.c._waiting == {}


def test_a_thread_that_ends_leaves_its_place():
    """A goroutine of a thread is ended while it waits; the next one is served."""
    timer = time.Timer(HOUR)

    def start_and_leave():
        go(timer.c.recv)
        testing.wait_idle()

    in_thread(start_and_leave)
    g = parked(timer.c.recv)
    assert [waiter.g for waiter in timer.c._waiting] == [g]
    assert timer.reset(0)
    assert g.result() <= time.now()
    end(g)
