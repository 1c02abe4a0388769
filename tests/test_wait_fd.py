"""wait_read and wait_write: waiting for descriptors that somebody else owns."""

import os
import socket
import tempfile
from contextlib import contextmanager

import pytest

import gopoll
from gopoll import wait_read, wait_write
from gopoll._original import Socket
from gopoll.net.conn import SocketConn
from gopoll.testing import fake_clock, wait_idle
from tests.support.pairs import attempt, pair

pytestmark = pytest.mark.network


@contextmanager
def piped():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def stuff(writer):
    """Fill a pipe; return how many bytes went in."""
    count = 0
    while True:
        try:
            count += os.write(writer, bytes(4096))
        except BlockingIOError:
            return count


def test_a_pipe_becomes_readable():
    with piped() as (reader, writer):
        waiting = gopoll.go(wait_read, reader)
        wait_idle()
        assert not waiting.done
        os.write(writer, b"x")
        assert waiting.result(10) is None
        assert os.read(reader, 10) == b"x"


def test_a_pipe_becomes_writable():
    with piped() as (reader, writer):
        wait_write(writer)
        count = stuff(writer)
        waiting = gopoll.go(wait_write, writer)
        wait_idle()
        assert not waiting.done
        while count:
            count -= len(os.read(reader, 65536))
        assert waiting.result(10) is None


def test_the_end_of_a_pipe_counts_as_readable():
    reader, writer = os.pipe()
    waiting = gopoll.go(wait_read, reader)
    wait_idle()
    os.close(writer)
    assert waiting.result(10) is None
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_nothing_is_remembered_between_two_waits():
    """Readiness that is still there is reported each time; one that is gone is not."""
    with piped() as (reader, writer):
        os.write(writer, b"xy")
        for _ in range(3):
            assert gopoll.go(wait_read, reader).result(10) is None
        os.read(reader, 2)
        waiting = gopoll.go(wait_read, reader)
        wait_idle()
        assert not waiting.done
        os.write(writer, b"z")
        assert waiting.result(10) is None


def test_a_descriptor_may_be_given_by_an_object_that_has_one():
    with piped() as (reader, writer), open(reader, "rb", closefd=False) as file:
        os.write(writer, b"x")
        assert wait_read(file) is None


def test_a_wait_may_time_out():
    with fake_clock() as clock, piped() as (reader, writer):
        poller = gopoll.current().sched.need_poller()
        before = len(poller.targets())
        waiting = gopoll.go(attempt, wait_read, reader, 1.5)
        clock.advance(1.4)
        assert not waiting.done
        clock.advance(0.2)
        assert type(waiting.result()) is TimeoutError
        assert len(poller.targets()) == before  # nobody waits, nothing is watched
        os.write(writer, b"x")
        assert wait_read(reader, 1.5) is None
        assert len(clock) == 0
        assert len(poller.targets()) == before


def test_several_wait_for_one_number():
    with piped() as (reader, writer):
        readers = [gopoll.go(wait_read, reader) for _ in range(3)]
        wait_idle()
        assert not any(g.done for g in readers)
        os.write(writer, b"x")
        assert [g.result(10) for g in readers] == [None] * 3


def test_a_reader_and_a_writer_wait_for_one_number():
    a, b = socket.socketpair()
    with a, b:
        for sock in (a, b):
            sock.setblocking(False)
        count = 0
        while True:
            try:
                count += a.send(bytes(4096))
            except BlockingIOError:
                break
        reading = gopoll.go(wait_read, a.fileno())
        writing = gopoll.go(wait_write, a.fileno())
        wait_idle()
        assert not reading.done
        assert not writing.done
        b.send(b"x")
        assert reading.result(10) is None
        wait_idle()
        assert not writing.done  # the other one's event has not ended its wait, nor its interest
        while count:
            count -= len(b.recv(65536))
        assert writing.result(10) is None


def test_one_waiter_that_gives_up_leaves_the_other_waiting():
    with fake_clock() as clock, piped() as (reader, writer):
        patient = gopoll.go(wait_read, reader)
        hasty = gopoll.go(attempt, wait_read, reader, 1)
        clock.advance(2)
        assert type(hasty.result()) is TimeoutError
        assert not patient.done
        os.write(writer, b"x")
        assert patient.result() is None


def test_a_regular_file_is_always_ready():
    with tempfile.TemporaryFile() as file:
        assert wait_read(file.fileno()) is None
        assert wait_write(file.fileno()) is None


def test_a_number_that_is_not_open():
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    for wait in (wait_read, wait_write):
        with pytest.raises(OSError, match="Bad file descriptor"):
            wait(reader)


@pytest.mark.parametrize(
    ("what", "exception"), [(-1, ValueError), (None, TypeError), ("0", TypeError), (1.5, TypeError)]
)
def test_what_is_no_descriptor(what, exception):
    for wait in (wait_read, wait_write):
        with pytest.raises(exception):
            wait(what)


@pytest.mark.parametrize("network", ["tcp", "unix"])
def test_a_descriptor_that_gopoll_owns(network):
    """It can be waited for while reads of the connection wait too."""
    with pair(network) as (a, b):
        reading = gopoll.go(a.read)
        waiting = gopoll.go(wait_read, a.fileno())
        wait_idle()
        assert not waiting.done
        assert wait_write(a.fileno()) is None
        b.write(b"for both")
        assert waiting.result(10) is None
        assert reading.result(10) == b"for both"
        reading = gopoll.go(a.read)  # the connection works as before
        wait_idle()
        b.write(b"more")
        assert reading.result(10) == b"more"


def test_a_number_may_be_somebody_elses_next_time():
    """A library closes its descriptor and gets the same number again: each wait looks anew."""
    for _ in range(5):
        with piped() as (reader, writer):
            waiting = gopoll.go(wait_read, reader)
            wait_idle()
            assert not waiting.done
            os.write(writer, b"x")
            assert waiting.result(10) is None


def test_a_waiter_whose_number_becomes_gopolls_is_told_to_look_again():
    """The number was closed under the waiter and registered by a connection."""
    with pair("tcp") as (a, b):
        reader, writer = os.pipe()
        waiting = gopoll.go(attempt, wait_read, reader)
        wait_idle()
        number = a.fileno()
        a._fd._file.detach()
        os.dup2(number, reader)
        os.close(number)
        os.close(writer)
        a._fd.closed = a._fd.closing = True  # it lives on under the other number
        with SocketConn(Socket(socket.AF_INET, socket.SOCK_STREAM, 0, reader), "tcp") as moved:
            moved._sock.setblocking(False)
            reading = gopoll.go(moved.read)
            assert waiting.result(10) is None
            wait_idle()
            assert not reading.done
            b.write(b"x")
            assert reading.result(10) == b"x"
