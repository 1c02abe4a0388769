"""What comes in the very instant in which a scope ends: nothing of it is lost."""

import pytest

import gopoll
from gopoll import Chan, nil_chan, select, testing
from gopoll.runtime.sched import this
from tests.support.pairs import pair
from tests.support.parking import outcome, parked

pytestmark = pytest.mark.network


@pytest.fixture
def clock():
    with testing.fake_clock(0.0) as one:
        yield one


def at(seconds, fn, *args):
    """Have something happen at that time, before the scope that is made later ends."""
    gopoll.current().timeline.add(seconds, lambda _: fn(*args))


HANDED_OVER = {
    "recv": lambda ch: ch.recv(),
    "recv_ok": lambda ch: ch.recv_ok()[0],
    "select": lambda ch: select(nil_chan.recv, ch.recv)[1],
    "iteration": lambda ch: next(iter(ch)),
}


@pytest.mark.parametrize("receive", HANDED_OVER.values(), ids=HANDED_OVER)
def test_a_value_handed_over_in_the_same_instant_is_received(clock, receive):
    ch, got = Chan(), []
    at(5, ch.try_send, "value")

    def limited():
        with gopoll.timeout(5):
            got.append(receive(ch))
            got.append(gopoll.current().pending is not None)
            receive(ch)

    g = parked(outcome, limited)
    clock.advance(5)
    assert got == ["value", True]
    assert isinstance(g.result(), TimeoutError)
    assert ch._receivers.first is None


def test_a_value_taken_over_in_the_same_instant_is_sent(clock):
    ch, taken = Chan(), []
    at(5, lambda: taken.append(ch.try_recv()))

    def limited():
        with gopoll.timeout(5) as scope:
            ch.send("value")
        return scope.expired

    g = parked(limited)
    clock.advance(5)
    assert taken == [("value", True)]
    assert g.result() is True


def test_a_value_that_comes_after_the_end_is_for_the_next(clock):
    ch = Chan()

    def limited():
        with gopoll.timeout(5):
            ch.recv()

    g = parked(outcome, limited)
    at(5, lambda: sent.append(ch.try_send("value")))
    sent = []
    clock.advance(5)
    assert isinstance(g.result(), TimeoutError)
    assert sent == [False]


def test_bytes_that_come_in_the_same_instant_are_read(clock):
    with pair("tcp") as (here, there):

        def limited():
            with gopoll.timeout(5):
                return here.read()

        g = parked(outcome, limited)
        there.write(b"data")
        clock.advance(5)
        got = g.result()
        assert got == b"data" or (isinstance(got, TimeoutError) and here.read() == b"data")


def test_a_scope_left_before_its_end_was_raised_leaves_nothing_behind(clock):
    ch = Chan()
    at(5, ch.try_send, "value")

    def limited():
        with gopoll.timeout(5) as scope:
            value = ch.recv()
        gopoll.sleep(1)  # is not ended
        return value, scope.expired, gopoll.current().pending

    g = parked(limited)
    clock.advance(6)
    assert g.result() == ("value", True, None)


def test_a_scope_left_in_time_leaves_no_timer(clock):
    for _ in range(1000):
        with gopoll.timeout(5):
            pass
    assert len(clock) == 0
    assert len(clock._timeline.heap) < 200


def test_a_ctrl_c_just_before_the_end_arrives_and_so_does_the_end(clock):
    seen = []
    at(5, lambda: this.sched.interrupt(g, KeyboardInterrupt()))

    def limited():
        with gopoll.timeout(5):
            try:
                Chan().recv()
            except KeyboardInterrupt:
                seen.append("interrupt")
            Chan().recv()

    g = parked(outcome, limited)
    clock.advance(5)
    assert seen == ["interrupt"]
    assert isinstance(g.result(), TimeoutError)


def test_a_ctrl_c_just_after_the_end_arrives_and_so_does_the_end(clock):
    seen = []

    def limited():
        try:
            with gopoll.timeout(5):
                Chan().recv()
        except TimeoutError:
            seen.append("limit")
        Chan().recv()

    g = parked(outcome, limited)
    at(5, lambda: this.sched.interrupt(g, KeyboardInterrupt()))
    clock.advance(5)
    assert seen == ["limit"]
    assert isinstance(g.result(), KeyboardInterrupt)


def test_a_ctrl_c_that_leaves_the_block_takes_the_end_along(clock):
    at(5, lambda: this.sched.interrupt(g, KeyboardInterrupt()))

    def limited():
        try:
            with gopoll.timeout(5):
                Chan().recv()
        except KeyboardInterrupt:
            gopoll.sleep(1)  # is not ended
            return gopoll.current().pending

    g = parked(limited)
    clock.advance(6)
    assert g.result() is None
