"""Channels between OS threads, and channels entered in the middle of their own change."""

import threading
from collections import Counter

import pytest

import gopoll
from gopoll import Chan, ChannelClosed, default, go, select, testing
from tests.support.parking import in_thread, outcome, parked


def test_a_value_crosses_from_a_thread_and_back():
    there, back = Chan(), Chan()

    def body():
        for value in there:
            back.send(value + 1)
        back.close()

    g = go(in_thread, body)
    for i in range(50):
        there.send(i)
        assert back.recv() == i + 1
    there.close()
    assert back.recv_ok() == (None, False)
    g.result()


@pytest.mark.parametrize("cap", [0, 4])
def test_threads_lose_nothing_and_keep_each_senders_order(cap):
    ch = Chan(cap)
    senders, each = 4, 300

    def send(who):
        for i in range(each):
            ch.send((who, i))

    threads = [threading.Thread(target=send, args=(who,)) for who in range(senders)]
    for thread in threads:
        thread.start()
    got = [ch.recv() for _ in range(senders * each)]
    for thread in threads:
        gopoll.offload(thread.join)
    for who in range(senders):
        assert [i for sender, i in got if sender == who] == list(range(each))
    assert ch.try_recv() == (None, False)
    assert ch._senders.first is None


def test_threads_of_goroutines_share_the_receiving():
    """Receivers in three threads, two goroutines each: every value arrives exactly once."""
    ch = Chan(2)
    total = 600

    def receive():
        mine = []
        goroutines = [go(lambda: mine.extend(ch)) for _ in range(2)]
        for g in goroutines:
            g.join()
        return mine

    readers = [go(in_thread, receive) for _ in range(3)]
    for i in range(total):
        ch.send(i)
    ch.close()
    got = [value for g in readers for value in g.result()]
    assert Counter(got) == dict.fromkeys(range(total), 1)


def test_close_from_a_thread_wakes_receivers_here():
    ch = Chan()
    receivers = [parked(ch.recv_ok) for _ in range(3)]
    in_thread(ch.close)
    assert [g.result() for g in receivers] == [(None, False)] * 3


def test_selects_in_threads_with_crossed_channels_do_not_block_each_other():
    """test/chan/select3.go and TestSelectStress, across threads: channels are locked in one order.

    Each side names the channels in another order and in both directions.
    """
    a, b = Chan(), Chan()
    rounds = 300

    def left():
        sent = []
        for i in range(rounds):
            index, _ = select((a.send, i), (b.send, i))
            sent.append(index)
        return sent

    def right():
        got = []
        for _ in range(rounds):
            index, value = select(b.recv, a.recv)
            got.append((index, value))
        return got

    sender = go(in_thread, left)
    got = in_thread(right)
    assert [value for _, value in got] == list(range(rounds))
    assert [1 - index for index, _ in got] == sender.result()
    assert a._senders.first is b._senders.first is None


def test_selects_lock_their_channels_in_one_order():
    """Two threads that name the same channels in another order must not wait for each other."""
    entered = []

    class Noted:
        def __init__(self, ch):
            self.ch = ch
            self.latch = ch.latch

        def acquire(self):
            entered.append(self.ch)
            return self.latch.acquire()

        def release(self):
            self.latch.release()

    channels = [Chan() for _ in range(5)]
    for ch in channels:
        ch.latch = Noted(ch)
    orders = set()
    for turn in range(5):
        entered.clear()
        select(*(ch.recv for ch in channels[turn:] + channels[:turn]), channels[0].recv, default)
        orders.add(tuple(entered))
    assert len(orders) == 1
    assert len(orders.pop()) == len(channels)  # each once


def test_a_select_that_waits_here_is_served_by_one_thread_only():
    """Both threads offer a value at once: one is taken, the other still waits to be received."""
    for _ in range(30):
        a, b = Chan(), Chan()
        g = parked(select, a.recv, b.recv)
        threads = [threading.Thread(target=ch.send, args=(ch,)) for ch in (a, b)]
        for thread in threads:
            thread.start()
        index, value = g.result()
        assert value is (a, b)[index]
        assert (a, b)[1 - index].recv() is (a, b)[1 - index]
        for thread in threads:
            gopoll.offload(thread.join)


# -- a signal handler or a finalizer inside the critical section -------------------------------


@pytest.fixture
def inside():
    """Stand in the middle of a change of a channel, as an interrupted operation does."""

    def enter(ch):
        ch.latch.acquire()
        ch.busy = True
        entered.append(ch)
        return ch

    def leave():
        while entered:
            ch = entered.pop()
            ch.busy = False
            ch.latch.release()

    entered = []
    enter.leave = leave
    yield enter
    leave()


def test_a_send_that_fits_is_done_a_moment_later(inside):
    ch = inside(Chan(2))
    ch.send("later")
    assert ch.try_send("also")
    assert len(ch) == 0  # not now: the interrupted change comes first
    inside.leave()
    assert {ch.recv(), ch.recv()} == {"later", "also"}


def test_a_send_to_a_waiting_receiver_is_done_a_moment_later(inside):
    ch = Chan()
    receiver = parked(ch.recv)
    inside(ch)
    ch.send("later")
    inside.leave()
    assert receiver.result() == "later"


def test_what_would_have_to_wait_is_refused(inside):
    ch = inside(Chan())
    for operation in (lambda: ch.send(1), ch.recv, ch.recv_ok, lambda: next(iter(ch))):
        with pytest.raises(RuntimeError, match="interrupted this operation"):
            operation()
    assert ch.try_send(1) is False
    assert ch.try_recv() == (None, False)
    inside.leave()
    assert ch._senders.first is ch._receivers.first is None


def test_select_is_refused_and_leaves_every_channel_free(inside):
    other = Chan(1)
    ch = inside(Chan(1))
    for cases in ((ch.recv, other.recv, default), (other.recv, (ch.send, 1), default)):
        with pytest.raises(RuntimeError, match="interrupted this operation"):
            select(*cases)
    inside.leave()
    assert not other.busy
    assert in_thread(other.try_send, 1)  # another thread finds both locks free
    assert in_thread(ch.try_send, 1)
    assert (other.recv(), ch.recv()) == (1, 1)


def test_a_close_is_done_a_moment_later(inside):
    ch = Chan()
    receiver = parked(ch.recv_ok)
    inside(ch)
    ch.close()
    assert not ch.closed
    inside.leave()
    assert receiver.result() == (None, False)
    assert ch.closed


def test_a_closed_channel_says_so_even_then(inside):
    ch = Chan(1)
    ch.close()
    inside(ch)
    with pytest.raises(ChannelClosed, match=r"^send on closed channel$"):
        ch.send(1)
    with pytest.raises(ChannelClosed, match=r"^send on closed channel$"):
        ch.try_send(1)


def test_another_thread_simply_waits_for_the_lock(inside):
    """Only the thread that is inside is told anything: for others the lock is taken, no more."""
    ch = inside(Chan(1))
    thread = threading.Thread(target=ch.send, args=("from outside",))
    thread.start()
    inside.leave()
    assert ch.recv() == "from outside"
    gopoll.offload(thread.join)


def test_a_real_finalizer_may_send():
    """A value whose __del__ sends on the very channel that drops it."""
    ch = Chan(4)

    class Farewell:
        def __del__(self):
            ch.send("farewell")

    ch.send(Farewell())
    testing.wait_idle()
    del ch._buffer[0]
    assert ch.recv() == "farewell"


def test_a_failed_operation_frees_the_channel():
    ch = Chan()
    ch.close()
    for operation in (lambda: ch.send(1), ch.close, ch.try_recv):
        assert isinstance(outcome(operation), ChannelClosed)
        assert not ch.busy
    assert in_thread(ch.recv_ok) == (None, False)
