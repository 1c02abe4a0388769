"""What one channel operation does in each state of the channel."""

import gc
import weakref

import pytest

import gopoll
from gopoll import Chan, ChannelClosed, go, nil_chan, testing
from tests.support.parking import end, outcome, parked


@pytest.mark.parametrize("cap", [0, 1, 3])
def test_values_arrive_in_the_order_of_sending(cap):
    """test/chan/fifo.go, AsynchFifo, with and without a buffer."""
    ch = Chan(cap)

    def send():
        for i in range(50):
            ch.send(i)
        ch.close()

    g = go(send)
    assert list(ch) == list(range(50))
    g.result()


def test_a_chain_passes_its_signal_on_in_order():
    """test/chan/fifo.go, SynchFifo: each goroutine waits for the one before it."""
    ch = Chan()
    first = link = Chan()
    for i in range(20):
        following = Chan()

        def chain(i=i, link=link, following=following):
            assert link.recv() == 0
            assert ch.recv() == i
            following.send(0)

        go(chain)
        link = following
    go(first.send, 0)
    for i in range(20):
        ch.send(i)
    assert link.recv() == 0


def test_waiting_receivers_are_served_in_the_order_of_their_coming():
    ch = Chan()
    receivers = [parked(ch.recv) for _ in range(8)]
    for i in range(8):
        ch.send(i)
    assert [g.result() for g in receivers] == list(range(8))
    assert ch._receivers.first is None


@pytest.mark.parametrize("cap", [0, 2])
def test_waiting_senders_are_served_in_the_order_of_their_coming(cap):
    ch = Chan(cap)
    for i in range(cap):
        ch.send(i)
    senders = [parked(ch.send, cap + i) for i in range(6)]
    assert [ch.recv() for _ in range(6 + cap)] == list(range(6 + cap))
    for g in senders:
        g.result()
    assert ch._senders.first is None


def test_a_sender_goes_on_as_soon_as_there_is_room():
    ch = Chan(1)
    ch.send("a")
    sender = parked(ch.send, "b")
    assert ch.recv() == "a"
    assert len(ch) == 1  # the waiting value moved in at once, before its sender ran
    sender.result()
    assert ch.recv() == "b"


def test_a_waiting_receiver_gets_the_value_without_a_buffer():
    """Direct hand-off: between the send and the receiver's turn the channel is empty."""
    ch = Chan(5)
    receiver = parked(ch.recv)
    ch.send("here")
    assert len(ch) == 0
    assert receiver.result() == "here"


def test_a_receiver_that_comes_later_cannot_take_what_another_was_given():
    ch = Chan(1)
    receiver = parked(ch.recv)
    ch.send("first")
    assert ch.try_recv() == (None, False)
    assert receiver.result() == "first"


def test_an_unbuffered_send_returns_only_once_its_value_was_taken():
    """runtime/chan_test.go, TestChan: unbuffered channels block."""
    ch = Chan()
    sender = parked(ch.send, 1)
    assert sender.state == "chan send"
    assert ch.recv() == 1
    receiver = parked(ch.recv)
    assert receiver.state == "chan receive"
    ch.send(2)
    assert receiver.result() == 2


# -- trying ----------------------------------------------------------------------------------


def test_trying_needs_a_partner_on_an_unbuffered_channel():
    """test/chan/nonblock.go, buffer 0."""
    ch = Chan()
    assert ch.try_recv() == (None, False)
    assert ch.try_send(1) is False
    receiver = parked(ch.recv)
    assert ch.try_send(123) is True
    assert receiver.result() == 123
    sender = parked(ch.send, 234)
    assert ch.try_recv() == (234, True)
    sender.result()
    assert ch.try_recv() == (None, False)


def test_trying_needs_room_or_a_value_on_a_buffered_channel():
    """test/chan/nonblock.go, buffer 10."""
    ch = Chan(10)
    assert ch.try_recv() == (None, False)
    assert all(ch.try_send(i) for i in range(10))
    assert ch.try_send(10) is False
    assert [ch.try_recv() for _ in range(10)] == [(i, True) for i in range(10)]
    assert ch.try_recv() == (None, False)


def test_a_full_buffer_takes_from_a_waiting_sender_when_tried():
    ch = Chan(1)
    ch.send(1)
    sender = parked(ch.send, 2)
    assert ch.try_recv() == (1, True)
    sender.result()
    assert ch.try_recv() == (2, True)


def test_a_failed_try_leaves_nothing_behind():
    ch = Chan()
    assert not ch.try_send(object())
    ch.try_recv()
    assert ch._senders.first is None
    assert ch._receivers.first is None


# -- closing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", [0, 1, 2])
def test_a_closed_channel_answers_at_once_in_every_form(cap):
    """test/closedchan.go."""
    ch = Chan(cap)
    for i in range(cap):
        ch.send(i)
    ch.close()
    assert [ch.recv_ok() for _ in range(cap)] == [(i, True) for i in range(cap)]
    for _ in range(3):
        assert ch.recv() is None
        assert ch.recv_ok() == (None, False)
        with pytest.raises(ChannelClosed, match=r"^receive from closed channel$"):
            ch.try_recv()
        with pytest.raises(ChannelClosed, match=r"^send on closed channel$"):
            ch.send(1)
        with pytest.raises(ChannelClosed, match=r"^send on closed channel$"):
            ch.try_send(1)
        with pytest.raises(ChannelClosed, match=r"^close of closed channel$"):
            ch.close()
        assert list(ch) == []
    assert ch.closed


def test_close_wakes_every_waiting_receiver():
    ch = Chan()
    receivers = [parked(ch.recv_ok) for _ in range(5)]
    ch.close()
    assert [g.result() for g in receivers] == [(None, False)] * 5
    assert ch._receivers.first is None


@pytest.mark.parametrize("cap", [0, 1])
def test_close_fails_every_waiting_sender_and_keeps_what_is_buffered(cap):
    ch = Chan(cap)
    for i in range(cap):
        ch.send(i)
    senders = [parked(outcome, ch.send, "lost") for _ in range(5)]
    ch.close()
    for g in senders:
        assert repr(g.result()) == "ChannelClosed('send on closed channel')"
    assert list(ch) == list(range(cap))
    assert ch._senders.first is None


def test_close_ends_an_iteration_that_waits():
    ch = Chan()
    reader = parked(lambda: list(ch))
    ch.send(1)
    ch.close()
    assert reader.result() == [1]


def test_none_is_a_value_like_any_other():
    ch = Chan(2)
    ch.send(None)
    ch.send(False)
    ch.close()
    assert [ch.recv_ok() for _ in range(3)] == [(None, True), (False, True), (None, False)]


# -- the nil channel -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "state"),
    [
        (lambda: nil_chan.send(1), "chan send (nil chan)"),
        (nil_chan.recv, "chan receive (nil chan)"),
        (nil_chan.recv_ok, "chan receive (nil chan)"),
        (lambda: list(nil_chan), "chan receive (nil chan)"),
    ],
)
def test_the_nil_channel_blocks_for_ever(operation, state):
    """test/chan/select3.go, the nil rows."""
    g = parked(operation)
    assert g.state == state
    end(g)


def test_the_nil_channel_is_never_ready_and_cannot_be_closed():
    """test/closedchan.go, the nil channel; test/chancap.go."""
    assert nil_chan.try_send(1) is False
    assert nil_chan.try_recv() == (None, False)
    assert (len(nil_chan), nil_chan.cap) == (0, 0)
    with pytest.raises(ChannelClosed, match=r"^close of nil channel$"):
        nil_chan.close()
    assert not nil_chan.closed
    assert repr(nil_chan) == "nil_chan"


# -- what it is ------------------------------------------------------------------------------


def test_len_and_cap():
    """test/chancap.go."""
    ch = Chan[int](10)
    assert (len(ch), ch.cap) == (0, 10)
    for i in range(3):
        ch.send(i)
    assert (len(ch), ch.cap) == (3, 10)
    assert (len(Chan()), Chan().cap) == (0, 0)


@pytest.mark.parametrize(("cap", "error"), [(-1, ValueError), (1.5, TypeError), ("1", TypeError)])
def test_a_capacity_that_is_none(cap, error):
    """test/chancap.go: make(chan T, -1) panics."""
    with pytest.raises(error, match="capacity of a channel"):
        Chan(cap)


def test_an_empty_channel_is_true():
    assert Chan()
    assert nil_chan


def test_a_channel_shows_what_it_holds():
    ch = Chan(3)
    ch.send(1)
    assert " 1/3>" in repr(ch)
    ch.close()
    assert " 1/3 closed>" in repr(ch)


class Thing:
    pass


@pytest.mark.parametrize("cap", [0, 1])
def test_a_channel_does_not_keep_what_was_received(cap):
    ch = Chan(cap)
    thing = Thing()
    ref = weakref.ref(thing)
    g = go(ch.send, thing)
    del thing
    ch.recv()
    g.join()
    del g
    gc.collect()
    assert ref() is None


def test_a_channel_that_nobody_holds_goes_away_with_its_values():
    ch = Chan(1)
    thing = Thing()
    ch.send(thing)
    refs = weakref.ref(ch), weakref.ref(thing)
    del ch, thing
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


# -- interrupted waits -----------------------------------------------------------------------


def test_an_interrupted_receiver_takes_no_value_with_it():
    ch = Chan()
    first = parked(ch.recv)
    second = parked(ch.recv)
    end(first)
    assert ch._receivers.first is ch._receivers.last
    ch.send("kept")
    assert second.result() == "kept"
    assert ch._receivers.first is None


def test_an_interrupted_sender_takes_its_value_back():
    ch = Chan()
    first = parked(ch.send, "withdrawn")
    second = parked(ch.send, "stays")
    end(first)
    assert ch.recv() == "stays"
    second.result()
    assert ch.try_recv() == (None, False)
    assert ch._senders.first is None


def test_an_interrupt_that_comes_after_the_hand_over_loses_nothing():
    """The value was handed over first: recv returns it, the interrupt strikes at the next wait."""
    ch = Chan()
    got = []

    def receive():
        got.append(ch.recv())
        got.append("next")
        ch.recv()
        got.append("never")

    g = parked(receive)
    ch.send("value")
    end(g)  # claims nothing any more: the send has
    assert got == ["value", "next"]
    assert ch._receivers.first is None


def test_a_timeout_of_result_does_not_disturb_the_goroutine():
    ch = Chan()
    g = parked(ch.recv)
    with testing.fake_clock() as clock:
        waiter = parked(outcome, g.result, 5)
        clock.advance(5)
        assert isinstance(waiter.result(), TimeoutError)
    assert g.joiners.first is None
    ch.send(1)
    assert g.result() == 1


def test_the_fairness_yield_comes_before_the_operation():
    """What another goroutine does meanwhile, it does before this one has received anything."""
    ch = Chan(1)
    ch.send("taken by the other")
    other = go(lambda: [ch.recv(), ch.send("left")])
    gopoll.current().sched.operations = 0
    assert ch.recv() == "left"
    other.join()
