"""Deadlines of connections and packets: the scenarios of Go's net/timeout_test.go.

Wherever the deadline is the point the clock is a fake one, so "not before" and "then" are exact.
"""

import random
from contextlib import ExitStack, suppress
from itertools import pairwise
from threading import Thread

import pytest

import gopoll
from gopoll import net, time
from gopoll.testing import fake_clock, wait_idle
from tests.support.pairs import NETWORKS, PAST, attempt, echo, fill, pair

pytestmark = pytest.mark.network

every_network = pytest.mark.parametrize("network", NETWORKS)


def starts_late(call, *args):
    """Start ``call(*args)`` in a goroutine and see it wait."""
    g = gopoll.go(attempt, call, *args)
    wait_idle()
    assert not g.done
    return g


@every_network
def test_a_read_deadline_that_has_passed_beats_data_that_is_there(network):
    """TestReadTimeout, first row."""
    with pair(network) as (a, b):
        writing = gopoll.go(attempt, b.write, b"here")
        wait_idle()
        a.set_read_deadline(PAST)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                a.read()
        a.set_read_deadline(None)
        assert a.read() == b"here"
        assert writing.result(10) == 4


@every_network
def test_a_deadline_of_now_has_passed(network):
    with fake_clock(), pair(network) as (a, _):
        a.set_deadline(time.now())
        with pytest.raises(TimeoutError):
            a.read()
        with pytest.raises(TimeoutError):
            a.write(b"x")


@every_network
def test_a_read_takes_what_is_there_and_then_times_out(network):
    """TestReadTimeout, second row."""
    with fake_clock() as clock, pair(network) as (a, b):
        a.set_read_deadline(time.now() + 0.05)
        writing = gopoll.go(b.write, b"here")
        assert a.read() == b"here"
        writing.join()
        reading = starts_late(a.read)
        clock.advance(0.049)
        assert not reading.done
        clock.advance(0.001)
        assert type(reading.result()) is TimeoutError
        assert "i/o timeout" in str(reading.result())
        with pytest.raises(TimeoutError):
            a.read()


@every_network
def test_a_read_whose_deadline_was_lifted_does_not_return(network):
    """TestReadTimeoutMustNotReturn."""
    with fake_clock() as clock, pair(network) as (a, b):
        a.set_read_deadline(time.now() + 0.1)
        a.set_write_deadline(PAST)  # the other direction's
        a.set_read_deadline(None)
        reading = starts_late(a.read)
        clock.advance(100_000)
        assert not reading.done
        b.close()
        assert reading.result() == b""


@every_network
def test_a_deadline_that_is_lifted_or_moved_while_a_read_waits(network):
    with fake_clock() as clock, pair(network) as (a, _):
        a.set_read_deadline(time.now() + 1)
        reading = starts_late(a.read)
        a.set_read_deadline(None)
        clock.advance(5)
        assert not reading.done
        a.set_read_deadline(time.now() + 5)
        clock.advance(4)
        a.set_read_deadline(time.now() + 5)  # prolonged
        clock.advance(4)
        assert not reading.done
        a.set_read_deadline(time.now() + 0.5)  # cut short: it would have been 1
        clock.advance(0.4)
        assert not reading.done
        clock.advance(0.1)
        assert type(reading.result()) is TimeoutError


@every_network
def test_a_write_times_out_and_says_how_much_went_out(network):
    """TestWriteTimeout."""
    with fake_clock() as clock, pair(network) as (a, b):
        a.set_write_deadline(time.now() + 0.1)
        data = random.Random(4).randbytes(32 << 20)
        writing = starts_late(a.write, data)
        clock.advance(0.09)
        assert not writing.done
        clock.advance(0.02)
        exc = writing.result()
        assert type(exc) is TimeoutError
        assert exc.written < len(data)
        with pytest.raises(TimeoutError) as again:
            a.write(b"x")
        assert again.value.written == 0
        a.close()
        received = bytearray()
        while piece := b.read():
            received += piece
        assert received == data[: exc.written]


@every_network
def test_a_write_whose_deadline_was_lifted_does_not_return(network):
    """TestWriteTimeoutMustNotReturn."""
    with fake_clock() as clock, pair(network) as (a, _):
        a.set_write_deadline(time.now() + 0.1)
        a.set_read_deadline(PAST)
        a.set_write_deadline(None)
        writing = starts_late(fill, a)
        clock.advance(100_000)
        assert not writing.done
        a.close()
        assert isinstance(writing.result(), net.ClosedError)


@every_network
def test_each_read_may_have_a_deadline_of_its_own(network):
    """TestReadTimeoutFluctuation: each ends when its own deadline says, not another's."""
    with fake_clock() as clock, pair(network) as (a, _):
        for patience in (0.001, 1.0, 0.01, 100.0, 1e-9, 0.5, 0.25, 0.125):
            began = time.now()
            a.set_read_deadline(began + patience)
            reading = starts_late(a.read)
            clock.advance(patience / 2)
            assert not reading.done
            clock.advance(patience)
            assert type(reading.result()) is TimeoutError
            assert time.now() >= began + patience


@pytest.mark.parametrize("network", ["tcp", "unix"])
def test_each_write_may_have_a_deadline_of_its_own(network):
    """TestWriteTimeoutFluctuation."""
    with fake_clock() as clock, pair(network) as (a, _):
        for patience in (0.001, 1.0, 0.01, 100.0):
            a.set_write_deadline(time.now() + patience)
            writing = starts_late(fill, a)
            clock.advance(patience / 2)
            assert not writing.done
            clock.advance(patience)
            assert type(writing.result()) is TimeoutError


@every_network
def test_deadlines_far_and_near_against_a_peer_that_never_stops(network):
    """TestVariousDeadlines, on the real clock, from a nanosecond on."""
    patience, received = 1e-9, 0
    while not received:
        with pair(network) as (a, b):
            flooding = gopoll.go(fill, b)
            began = time.now()
            a.set_deadline(began + patience)
            with pytest.raises(TimeoutError):
                while True:
                    received += len(a.read())
            assert time.now() >= began + patience
            a.close()
            assert isinstance(flooding.result(10), (ConnectionError, net.ClosedError))
        patience *= 10


@every_network
def test_deadlines_prolonged_before_each_call_never_expire(network):
    """TestReadWriteProlongedTimeout: in half of each second one message comes; nobody is late."""
    with fake_clock() as clock, pair(network) as (a, b):

        def serve():
            with suppress(net.ClosedError):
                while True:
                    b.set_read_deadline(time.now() + 1)
                    data = b.read(8)
                    if not data:
                        return
                    b.set_write_deadline(time.now() + 1)
                    b.write(data)

        serving = gopoll.go(serve)
        for number in range(200):
            clock.advance(0.5)
            a.write(number.to_bytes(8, "big"))
            assert a.read_exactly(8) == number.to_bytes(8, "big")
        assert not serving.done
        a.close()
        serving.result()


@every_network
def test_a_deadline_that_races_with_reads_and_writes(network):
    """TestReadWriteDeadlineRace."""
    rounds = 200
    dice = random.Random(5)
    with pair(network) as (a, b):
        echoing = gopoll.go(echo, b)

        def tick():
            for _ in range(rounds):
                a.set_deadline(time.now() + dice.choice((-1.0, 0.0, 1e-4, 10.0)))
                gopoll.gosched()
            a.set_deadline(PAST)

        def repeat(call, *args):
            outcomes = [attempt(call, *args) for _ in range(rounds)]
            return {type(outcome) for outcome in outcomes}

        racers = [
            gopoll.go(tick),
            gopoll.go(repeat, a.read, 1),
            gopoll.go(repeat, a.write, b"x"),
        ]
        _, read, wrote = (racer.result(20) for racer in racers)
        assert read <= {bytes, TimeoutError}
        assert wrote <= {int, TimeoutError}
        assert TimeoutError in read | wrote
        a.close()
        echoing.join(10)


@every_network
def test_many_goroutines_set_deadlines_at_once(network):
    """TestConcurrentSetDeadline: sixteen connections, each with its deadline moved by eight."""
    with fake_clock() as clock, ExitStack() as stack:
        conns = [stack.enter_context(pair(network))[0] for _ in range(16)]
        dice = random.Random(6)

        def move(conn):
            for _ in range(20):
                conn.set_read_deadline(time.now() + dice.random())
                gopoll.gosched()

        reading = [gopoll.go(attempt, conn.read) for conn in conns]
        moving = [gopoll.go(move, conn) for conn in conns for _ in range(8)]
        for g in moving:
            g.join()
        assert not any(g.done for g in reading)
        clock.advance(1)
        assert {type(g.result()) for g in reading} == {TimeoutError}


@pytest.mark.parametrize("network", ["tcp", "unix"])
def test_the_deadline_of_one_direction_set_by_another_thread_is_not_undone(network):
    """Deadlines may be set from any thread; the one that was set last is in force."""
    with fake_clock() as clock, pair(network) as (a, _):
        reading = starts_late(a.read)
        foreign = Thread(target=a.set_read_deadline, args=(None,))
        foreign.start()
        foreign.join()
        a.set_read_deadline(time.now() + 1)
        clock.advance(2)
        assert reading.done
        assert type(reading.result()) is TimeoutError


@every_network
def test_deadlines_leave_no_timers_behind(network):
    """However often one is set, moved or lifted: what is not waited for costs no timer."""
    with fake_clock() as clock, pair(network) as (a, _):
        for index in range(1000):
            a.set_deadline(time.now() + 100 + index % 7)
        a.set_deadline(None)
        assert len(clock) == 0


@every_network
def test_a_closed_connection_leaves_no_timer_behind(network):
    with fake_clock() as clock, pair(network) as (a, b):
        a.set_deadline(time.now() + 100)
        reading = starts_late(a.read)
        a.close()
        assert isinstance(reading.result(), net.ClosedError)
        b.close()
        wait_idle()
        assert len(clock) == 0


@every_network
def test_a_connection_that_was_waited_for_under_another_clock(network):
    """What is left of an earlier wait, on another clock, neither ends nor keeps up a later one."""
    with pair(network) as (a, b):
        a.set_read_deadline(time.now() + 1000)
        reading = starts_late(a.read)
        b.write(b"x")
        assert reading.result(10) == b"x"
        with fake_clock() as clock:
            a.set_read_deadline(time.now() + 1)
            reading = starts_late(a.read)
            clock.advance(0.9)
            assert not reading.done
            clock.advance(0.1)
            assert reading.done
            assert type(reading.result()) is TimeoutError
        a.set_read_deadline(time.now() + 1000)
        reading = starts_late(a.read)
        b.write(b"y")
        assert reading.result(10) == b"y"


def test_successive_waits_are_in_order():
    """Deadlines of many connections fire in their order."""
    with fake_clock() as clock, ExitStack() as stack:
        ended = []

        def read(conn, deadline):
            conn.set_read_deadline(deadline)
            with suppress(TimeoutError):
                conn.read()
            ended.append(time.now())

        for number in random.Random(7).sample(range(20), 20):
            a, _ = stack.enter_context(pair("tcp"))
            gopoll.go(read, a, time.now() + 1 + number)
        clock.advance(30)
        assert len(ended) == 20
        assert all(later - earlier == 1 for earlier, later in pairwise(ended))
