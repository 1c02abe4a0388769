"""One call for all who ask in the same moment."""

import os

import pytest

import gopoll
from gopoll import Chan, go, testing
from gopoll.sync import Result, SingleFlight
from tests.support.parking import end, in_thread, outcome, parked
from tests.sync.support import Boom, interrupt


@pytest.fixture
def flights():
    return SingleFlight()


def fail():
    raise ValueError("some error")


def gone(flights):
    """Nothing is under way any more."""
    return "of 0" in repr(flights)


def test_do(flights):
    """TestDo."""
    assert flights.do("key", lambda: "bar") == ("bar", False)
    assert gone(flights)


def test_an_error(flights):
    """TestDoErr."""
    with pytest.raises(ValueError, match="some error"):
        flights.do("key", fail)
    assert flights.do("key", lambda: 1) == (1, False)


@pytest.mark.parametrize("seed", range(3))
def test_duplicates_are_suppressed(flights, seed):
    """TestDoDupSuppress: of ten who ask at once, one calls."""
    gate, calls = Chan(), []

    def fn():
        calls.append(1)
        return gate.recv()

    with testing.seeded(seed):
        goroutines = [go(flights.do, "key", fn) for _ in range(10)]
        testing.wait_idle()
        assert calls == [1]
        gate.send("bar")
        assert [g.result(20) for g in goroutines] == [("bar", True)] * 10
    assert gone(flights)


def test_keys_do_not_wait_for_each_other(flights):
    gate = Chan()
    g = parked(flights.do, 1, gate.recv)
    assert flights.do(2, lambda: "two") == ("two", False)
    gate.send("one")
    assert g.result() == ("one", False)


def test_forget(flights):
    """TestForget: who asks after it starts anew; the forgotten call harms nobody."""
    first_gate, second_gate = Chan(), Chan()
    first = parked(flights.do, "key", first_gate.recv)
    flights.forget("key")
    second = flights.do_chan("key", second_gate.recv)
    testing.wait_idle()
    first_gate.send(1)
    assert first.result() == (1, False)
    third = flights.do_chan("key", lambda: 3)
    second_gate.send(2)
    assert second.recv() == third.recv() == Result(2, None, shared=True)
    assert gone(flights)
    flights.forget("unknown")


def test_do_chan(flights):
    """TestDoChan."""
    assert flights.do_chan("key", lambda: "bar").recv() == ("bar", None, False)
    assert gone(flights)


def test_an_error_on_a_channel(flights):
    """TestPanicDoChan: here it is the receiver's, and nobody's panic."""
    value, error, shared = flights.do_chan("key", fail).recv()
    assert (value, str(error), shared) == (None, "some error", False)


def test_an_error_is_shared_by_all(flights):
    """TestPanicDo, TestPanicDoSharedByDoChan."""
    gate = Chan()

    def fn():
        gate.recv()
        fail()

    goroutines = [parked(outcome, flights.do, "key", fn) for _ in range(5)]
    channel = flights.do_chan("key", fn)
    gate.send(None)
    errors = [g.result() for g in goroutines]
    assert [str(error) for error in errors] == ["some error"] * 5
    assert channel.recv() == (None, errors[0], True)


def test_goexit_ends_all_who_wait(flights):
    """TestGoexitDo; on a channel nothing comes."""
    gate, returned = Chan(), []

    def fn():
        gate.recv()
        gopoll.goexit()

    def body():
        flights.do("key", fn)
        returned.append(1)

    goroutines = [parked(body) for _ in range(5)]
    channel = flights.do_chan("key", fn)
    gate.send(None)
    for g in goroutines:
        g.join()
    assert channel.recv_ok() == (None, False)
    assert returned == []
    assert gone(flights)


def test_goexit_alone_on_a_channel(flights):
    assert flights.do_chan("key", gopoll.goexit).recv_ok() == (None, False)


def test_a_follower_that_gives_up_only_leaves(flights):
    gate = Chan()
    leader, follower = (parked(flights.do, "key", gate.recv) for _ in range(2))
    assert follower.state == "singleflight.Do"
    end(follower)
    gate.send(1)
    assert leader.result() == (1, False)


def test_the_timeout_of_the_leader_is_not_the_timeout_of_all(flights):
    """The first follower calls its own function, and leads the others."""
    with testing.fake_clock() as clock:
        gate = Chan()

        def impatient():
            with gopoll.timeout(1):
                flights.do("key", Chan().recv)

        leader = parked(outcome, impatient)
        followers = [parked(flights.do, "key", gate.recv) for _ in range(3)]
        channel = flights.do_chan("key", lambda: "unused")
        clock.advance(1)
        assert isinstance(leader.result(), TimeoutError)
        testing.wait_idle()
        gate.send("mine")
        assert gate.try_send("another one leads") is False
        assert [g.result() for g in followers] == [("mine", True)] * 3
        assert channel.recv() == ("mine", None, True)
        assert gone(flights)


def test_a_follower_that_leads_alone_shares_with_nobody(flights):
    gate = Chan()
    leader, follower = (parked(outcome, flights.do, "key", gate.recv) for _ in range(2))
    interrupt(leader)
    leader.join()
    gate.send(1)
    assert follower.result() == (1, False)


def test_channels_go_on_without_the_leader(flights):
    leader = parked(outcome, flights.do, "key", Chan().recv)
    channels = [flights.do_chan("key", lambda n=n: n) for n in range(2)]
    interrupt(leader)
    assert isinstance(leader.result(), Boom)
    assert [ch.recv() for ch in channels] == [(0, None, True)] * 2
    assert gone(flights)


def test_a_leader_that_is_interrupted_alone(flights):
    leader = parked(outcome, flights.do, "key", Chan().recv)
    interrupt(leader)
    assert isinstance(leader.result(), Boom)
    assert gone(flights)
    assert flights.do("key", lambda: 1) == (1, False)


def test_a_follower_that_is_interrupted_as_it_is_told(flights):
    gate, later = Chan(), []

    def follow():
        later.append(flights.do("key", gate.recv))
        gopoll.gosched()

    leader, follower = parked(flights.do, "key", gate.recv), parked(outcome, follow)
    gate.send(7)
    leader.join()
    interrupt(follower)
    assert isinstance(follower.result(), Boom)
    assert later == [(7, True)]


def test_a_function_that_asks_for_itself(flights):
    """In Go: a deadlock."""
    with pytest.raises(RuntimeError, match="the call for 'key' asks for itself"):
        flights.do("key", lambda: flights.do("key", print))
    assert gone(flights)
    assert flights.do(1, lambda: flights.do(2, lambda: "in")[0]) == ("in", False)


def test_across_threads(flights):
    gate = Chan()
    leader = parked(flights.do, "key", gate.recv)
    follower = parked(in_thread, flights.do, "key", gate.recv)
    while not flights._flights["key"].followers:
        os.sched_yield()
    gate.send("both")
    assert leader.result() == follower.result() == ("both", True)


def test_what_is_no_key_and_no_function(flights):
    for ask in (flights.do, flights.do_chan):
        with pytest.raises(TypeError, match="unhashable"):
            ask([], print)
        with pytest.raises(TypeError, match="something to call"):
            ask("key", None)
    assert gone(flights)
