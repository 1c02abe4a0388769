"""The life of connections and listeners: closing, half-closing, ends of streams, aborted clients.

The scenarios of Go's net/net_test.go, and of tcpsock_test.go and server_test.go what is about
traffic.
"""

import errno
import gc
import os
import random
import socket
import sys
import warnings
from array import array

import pytest

import gopoll
from gopoll import net, time
from gopoll.runtime.sched import this
from gopoll.testing import wait_idle
from tests.support.pairs import (
    NETWORKS,
    attempt,
    echo,
    fill,
    foreign_pair,
    is_open,
    local_address,
    pair,
    reset,
    roundtrip,
)
from tests.support.parking import end, parked

pytestmark = pytest.mark.network

sockets = pytest.mark.parametrize("network", ["tcp", "unix"])
everything = pytest.mark.parametrize("network", NETWORKS)


@sockets
def test_close_read_ends_reads_and_leaves_writes_alone(network):
    """TestCloseRead."""
    with pair(network) as (a, b):
        reading = gopoll.go(a.read)
        wait_idle()
        a.close_read()
        assert reading.result(10) == b""
        assert a.read() == b""
        a.write(b"still writes")
        assert b.read() == b"still writes"


@sockets
def test_close_write_ends_the_stream_and_leaves_reads_alone(network):
    """TestCloseWrite."""
    with pair(network) as (a, b):
        reading = gopoll.go(b.read_exactly, 5)
        a.write(b"bye")
        a.close_write()
        with pytest.raises(EOFError) as caught:
            reading.result(10)
        assert caught.value.partial == b"bye"
        assert b.read() == b""
        b.write(b"answer")
        b.close_write()
        assert a.read() == b"answer"
        assert a.read() == b""
        with pytest.raises(BrokenPipeError) as broken:
            a.write(b"more")
        assert broken.value.written == 0


@everything
def test_close_is_final(network):
    """TestConnClose."""
    with pair(network) as (a, b):
        assert not a.closed
        a.close()
        assert a.closed
        with pytest.raises(net.ClosedError, match="closed"):
            a.close()
        with pytest.raises(net.ClosedError):
            a.write(b"x")
        with pytest.raises(net.ClosedError):
            a.read()
        assert b.read() == b""


@everything
def test_close_wakes_a_reader(network):
    """TestCloseUnblocksRead."""
    with pair(network) as (a, b):
        reading = gopoll.go(attempt, a.read)
        wait_idle()
        a.close()
        outcome = reading.result(10)
        assert type(outcome) is net.ClosedError
        assert outcome.errno == errno.EBADF
        assert b.read() == b""


@everything
def test_close_wakes_everybody_in_both_directions(network):
    with pair(network) as (a, _):
        readers = [gopoll.go(attempt, a.read) for _ in range(10)]
        writers = [gopoll.go(fill, a) for _ in range(10)]
        wait_idle()
        assert not any(g.done for g in readers + writers)
        a.close()
        assert {type(g.result(10)) for g in readers + writers} == {net.ClosedError}


@everything
def test_the_other_end_sees_the_end(network):
    with pair(network) as (a, b):
        reading = gopoll.go(b.read)
        wait_idle()
        a.close()
        assert reading.result(10) == b""
        assert b.read() == b""
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(100):
                b.write(b"into the void")


@sockets
def test_what_was_sent_before_the_close_arrives(network):
    with pair(network) as (a, b):
        a.write(b"last words")
        a.close()
        assert b.read(4) == b"last"
        assert b.read() == b" words"
        assert b.read() == b""


@everything
def test_reads_and_writes_of_nothing(network):
    """TestZeroByteRead; and nothing written is not taken for the end of the stream."""
    with pair(network) as (a, b):
        assert a.read(0) == b""
        assert a.read_into(bytearray(0)) == 0
        assert a.read_exactly(0) == b""
        reading = gopoll.go(b.read)
        wait_idle()
        writing = gopoll.go(a.write, b"")
        wait_idle()
        assert not reading.done
        assert writing.result(10) == 0
        a.write(b"something")
        assert reading.result(10) == b"something"


@everything
def test_a_read_that_timed_out_loses_nothing(network):
    """TestReadTimeoutUnblocksRead, TestNotTemporaryRead."""
    with pair(network) as (a, b):
        reading = gopoll.go(attempt, a.read)
        wait_idle()
        a.set_read_deadline(time.now() - 1)
        assert type(reading.result(10)) is TimeoutError
        a.set_read_deadline(None)
        echoing = gopoll.go(echo, b)
        roundtrip(a)
        a.close()
        echoing.join(10)


def test_a_peer_that_resets():
    with foreign_pair() as (conn, peer):
        reading = gopoll.go(attempt, conn.read)
        wait_idle()
        reset(peer)
        outcome = reading.result(10)
        # A kqueue in the way may take the error for its own, and leaves the end of the stream.
        assert isinstance(outcome, ConnectionResetError) or outcome == b""
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(3):
                conn.write(b"x")


def test_a_peer_that_resets_while_a_write_waits():
    with foreign_pair() as (conn, peer):
        writing = gopoll.go(fill, conn)
        wait_idle()
        assert not writing.done
        reset(peer)
        assert isinstance(writing.result(10), (ConnectionResetError, BrokenPipeError))


@sockets
def test_closing_a_listener_wakes_who_accepts(network):
    """TestListenerClose, TestClosingListener."""
    with local_address(network) as address:
        listener = net.listen(network, address)
        where = str(listener.addr)
        accepting = [gopoll.go(attempt, listener.accept) for _ in range(3)]
        wait_idle()
        number = listener.fileno()
        listener.close()
        assert not is_open(number)
        assert {type(g.result(10)) for g in accepting} == {net.ClosedError}
        for call in (listener.accept, listener.close, lambda: listener.addr):
            with pytest.raises(net.ClosedError):
                call()
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            net.dial(network, where)


def test_iteration_ends_with_the_listener():
    with net.listen("tcp", "127.0.0.1:0") as listener:
        counting = gopoll.go(lambda: [conn.close() for conn in listener])
        for _ in range(3):
            with net.dial("tcp", str(listener.addr)) as conn:
                assert conn.read() == b""
        listener.close()
        assert len(counting.result(10)) == 3


@sockets
def test_an_address_can_be_listened_on_again_at_once(network):
    """TestListenCloseListen, also with connections that lived then."""
    with local_address(network) as somewhere:
        address = somewhere
        for _ in range(10):
            with net.listen(network, address) as listener:
                address = str(listener.addr)
                with net.dial(network, address) as a, listener.accept() as b:
                    b.close()
                    assert a.read() == b""


def test_connections_outlive_their_listener():
    with net.listen("tcp", "127.0.0.1:0") as listener:
        a = net.dial("tcp", str(listener.addr))
        b = listener.accept()
    with a, b:
        a.write(b"x")
        assert b.read() == b"x"


def test_a_client_that_gave_up_before_it_was_accepted_is_passed_over():
    """TestAcceptIgnoreAbortedConnRequest."""
    with net.listen("tcp", "127.0.0.1:0") as listener:
        accept, aborted = listener._accept, []

        def abort_twice(*args):
            if len(aborted) < 2:
                aborted.append(1)
                raise ConnectionAbortedError(errno.ECONNABORTED, "Software caused abort")
            return accept(*args)

        listener._accept = abort_twice
        with net.dial("tcp", str(listener.addr)), listener.accept() as conn:
            assert len(aborted) == 2
            assert conn.remote_addr.port


def test_a_client_that_resets_before_it_is_accepted_harms_nobody():
    with net.listen("tcp", "127.0.0.1:0") as listener:
        first = socket.create_connection(("127.0.0.1", listener.addr.port))
        reset(first)
        with net.dial("tcp", str(listener.addr)) as a:
            a.write(b"second")
            seen = []
            while b"second" not in seen:
                with listener.accept() as conn:
                    seen.append(attempt(conn.read))
        assert len(seen) <= 2


def test_many_accept_at_once():
    """TestTCPConcurrentAccept."""
    with net.listen("tcp", "127.0.0.1:0") as listener:
        accepting = [gopoll.go(listener.accept) for _ in range(10)]
        wait_idle()
        dialled = [net.dial("tcp", str(listener.addr)) for _ in range(10)]
        accepted = [g.result(10) for g in accepting]
        ports = {conn.remote_addr.port for conn in accepted}
        assert ports == {conn.local_addr.port for conn in dialled}
        assert len(ports) == 10
        for conn in accepted + dialled:
            conn.close()


@sockets
def test_many_connections_with_messages_of_every_size(network):
    """TestTCPStress, TestTCPServer."""
    dice = random.Random(8)

    def client(address):
        sent = 0
        with net.dial(network, address) as conn:
            for _ in range(50):
                message = dice.randbytes(dice.choice((1, 10, 1000, 100_000)))
                writing = gopoll.go(conn.write, message)
                assert conn.read_exactly(len(message)) == message
                sent += writing.result(10)
        return sent

    def handle(conn):
        with conn:
            return echo(conn)

    with local_address(network) as address, net.listen(network, address) as listener:
        clients = [gopoll.go(client, str(listener.addr)) for _ in range(10)]
        handlers = [gopoll.go(handle, listener.accept()) for _ in range(10)]
        sent = sum(g.result(30) for g in clients)
        assert sum(g.result(30) for g in handlers) == sent


@everything
def test_a_big_write(network):
    """TestTCPBig."""
    size = 64 << 20
    data = random.Random(9).randbytes(1 << 20) * 64
    with pair(network) as (a, b):
        writing = gopoll.go(a.write, memoryview(data))
        received = b.read_exactly(size)
        assert writing.result(30) == size
    assert received == data


@everything
def test_what_can_be_written_and_read_into(network):
    """Whatever is a buffer of any item size: lengths are bytes."""
    numbers = array("i", range(100))
    with pair(network) as (a, b):
        writing = gopoll.go(a.write, numbers)
        received = array("i", bytes(400))
        view, count = memoryview(received).cast("B"), 0
        while count < 400:
            count += b.read_into(view[count:])
        assert writing.result(10) == 400
        assert received == numbers
        writing = gopoll.go(a.writev, [b"one ", bytearray(b"two "), memoryview(b"three"), b""])
        assert b.read_exactly(13) == b"one two three"
        assert writing.result(10) == 13
        assert a.writev([]) == 0


@everything
def test_read_exactly_says_what_came_before_it_failed(network):
    with pair(network) as (a, b):
        writing = gopoll.go(a.write, b"some")
        reading = gopoll.go(attempt, b.read_exactly, 10)
        writing.join(10)
        wait_idle()
        b.set_read_deadline(0.0)
        outcome = reading.result(10)
        assert type(outcome) is TimeoutError
        assert outcome.partial == b"some"


def test_a_with_block_closes_and_may_be_closed_inside():
    with pair("tcp") as (a, b):
        with a:
            pass
        assert a.closed
        with b:
            b.close()
        assert b.closed


def copy_of(sock):
    copy = socket.socket(fileno=os.dup(sock.fileno()))
    copy.setblocking(False)
    return copy


@sockets
def test_an_unclosed_connection_is_warned_about_and_closed(network):
    with pair(network) as (a, b), local_address(network) as address:
        unclosed = type(a)(copy_of(a._sock), network)
        number = unclosed.fileno()
        with pytest.warns(ResourceWarning, match="unclosed <Conn"):
            del unclosed
        assert not is_open(number)
        listener = net.listen(network, address)
        number = listener.fileno()
        with pytest.warns(ResourceWarning, match="unclosed <Listener"):
            del listener
        assert not is_open(number)
        b.write(b"x")
        assert a.read() == b"x"


@sockets
def test_an_unclosed_connection_leaves_the_poller_though_the_warning_is_an_error(
    network, monkeypatch
):
    """Its number will be somebody else's."""
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: complaints.append(what.exc_value))
    with pair(network) as (a, _):
        unclosed = type(a)(copy_of(a._sock), network)
        number = unclosed.fileno()
        end(parked(unclosed.read))
        assert this.sched.poller.find(number) is not None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del unclosed
            gc.collect()
        assert [type(exc) for exc in complaints] == [ResourceWarning]
        assert this.sched.poller.find(number) is None
        assert not is_open(number)
