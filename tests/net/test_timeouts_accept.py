"""Deadlines of listeners and packets: the rest of Go's net/timeout_test.go."""

import pytest

import gopoll
from gopoll import net, time
from gopoll.testing import fake_clock, wait_idle
from tests.support.pairs import PAST, attempt

pytestmark = pytest.mark.network


def starts_late(call, *args):
    """Start ``call(*args)`` in a goroutine and see it wait."""
    g = gopoll.go(attempt, call, *args)
    wait_idle()
    assert not g.done
    return g


def listening():
    return net.listen("tcp", "127.0.0.1:0")


def test_accept_with_a_deadline_that_has_passed_fails_even_with_a_client_waiting():
    """TestAcceptTimeout, first row."""
    with listening() as listener, net.dial("tcp", str(listener.addr)):
        listener.set_deadline(PAST)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                listener.accept()
        listener.set_deadline(None)
        listener.accept().close()


def test_accept_times_out_then_and_not_before():
    """TestAcceptTimeout, TestAcceptTimeoutMustReturn."""
    with fake_clock() as clock, listening() as listener:
        listener.set_deadline(time.now() + 10_000)
        accepting = starts_late(listener.accept)
        listener.set_deadline(time.now() + 0.05)
        clock.advance(0.04)
        assert not accepting.done
        clock.advance(0.01)
        assert type(accepting.result()) is TimeoutError
        listener.set_deadline(time.now() + 1)  # it goes on after a timeout
        accepting = gopoll.go(listener.accept)
        with net.dial("tcp", str(listener.addr)), accepting.result():
            pass


def test_accept_whose_deadline_was_lifted_does_not_return():
    """TestAcceptTimeoutMustNotReturn."""
    with fake_clock() as clock, listening() as listener:
        listener.set_deadline(time.now() + 0.1)
        listener.set_deadline(None)
        accepting = starts_late(listener.accept)
        clock.advance(100_000)
        assert not accepting.done
        listener.close()
        assert isinstance(accepting.result(), net.ClosedError)


@pytest.mark.parametrize("network", ["udp", "unixgram"])
def test_packets_with_deadlines(network, tmp_path):
    """TestReadFromTimeout, TestWriteToTimeout."""
    here = "127.0.0.1:0" if network == "udp" else str(tmp_path / "a")
    with fake_clock() as clock, net.listen_packet(network, here) as conn:
        conn.write_to(b"to myself", conn.local_addr)
        wait_idle()
        conn.set_read_deadline(PAST)
        with pytest.raises(TimeoutError):
            conn.read_from()
        conn.set_read_deadline(time.now() + 0.05)
        assert conn.read_from() == (b"to myself", conn.local_addr)
        reading = starts_late(conn.read_from)
        clock.advance(0.04)
        assert not reading.done
        clock.advance(0.01)
        assert type(reading.result()) is TimeoutError
        conn.set_write_deadline(PAST)
        with pytest.raises(TimeoutError):
            conn.write_to(b"late", conn.local_addr)
        conn.set_deadline(None)
        conn.write_to(b"again", conn.local_addr)
        assert conn.read_from(100)[0] == b"again"


@pytest.mark.parametrize("network", ["udp", "unixgram"])
def test_each_packet_may_have_a_deadline_of_its_own(network, tmp_path):
    """TestReadFromTimeoutFluctuation."""
    here = "127.0.0.1:0" if network == "udp" else str(tmp_path / "a")
    with fake_clock() as clock, net.listen_packet(network, here) as conn:
        for patience in (0.001, 1.0, 0.01, 100.0, 1e-9, 0.5):
            began = time.now()
            conn.set_read_deadline(began + patience)
            reading = starts_late(conn.read_from)
            clock.advance(patience / 2)
            assert not reading.done
            clock.advance(patience)
            assert type(reading.result()) is TimeoutError
            assert time.now() >= began + patience
