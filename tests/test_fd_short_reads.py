"""Remembered readiness and the short read: how few calls a read costs, and that no edge is lost.

A read that was short has emptied a TCP socket, so the next one waits first. Whatever makes this
untrue (the end of the stream, urgent data, another kind of socket) must switch it off.
"""

import os
import random
import socket
from itertools import pairwise

import pytest

import gopoll
from gopoll import net
from gopoll.runtime.netpoll import READY
from gopoll.testing import wait_idle
from tests.support.pairs import Counted, attempt, foreign_pair, pair, reset, wait_until

pytestmark = pytest.mark.network


def counted(conn):
    conn._recv = Counted(conn._recv)
    return conn._recv


def takes_shortcut(conn):
    """Not on a kqueue, which does not announce urgent data: there every read has to try."""
    return conn._fd.reader.slot.sched.poller.name != "kqueue"


def settle(conn, peer):
    """Bring the connection to where its descriptor is registered and drained."""
    reading = gopoll.go(conn.read)
    wait_idle()
    peer.send(b"first")
    assert reading.result(10) == b"first"


def test_a_drained_read_parks_without_a_failing_call():
    with foreign_pair() as (conn, peer):
        recv = counted(conn)
        settle(conn, peer)
        assert (recv.calls, recv.failed) == (2, 1)
        for number in range(1, 21):
            reading = gopoll.go(conn.read)
            wait_idle()
            assert not reading.done
            peer.send(b"ping")
            assert reading.result(10) == b"ping"
            assert recv.calls - recv.failed == 1 + number
            assert recv.failed == 1 or not takes_shortcut(conn)


def test_a_drained_read_into_parks_without_a_failing_call():
    with foreign_pair() as (conn, peer):
        recv = counted(conn)
        settle(conn, peer)
        buffer = bytearray(100)
        reading = gopoll.go(conn.read_into, buffer)
        wait_idle()
        assert not reading.done
        peer.send(b"ping")
        assert reading.result(10) == 4
        assert bytes(buffer[:4]) == b"ping"
        peer.send(b"pong")  # and a read after a read_into that was short
        assert gopoll.go(conn.read).result(10) == b"pong"
        assert recv.failed == 1 or not takes_shortcut(conn)


@pytest.mark.parametrize("looks", [0, 1, 3])
def test_an_edge_harvested_just_before_a_drained_read_parks_is_not_lost(looks):
    with foreign_pair() as (conn, peer):
        recv = counted(conn)
        settle(conn, peer)
        for round_ in range(5):
            peer.send(b"early %d" % round_)
            for _ in range(looks):
                wait_idle()  # the edge comes while nobody reads
            assert gopoll.go(conn.read).result(10) == b"early %d" % round_
        assert recv.failed == 1 or not takes_shortcut(conn)


def test_a_read_that_was_filled_tries_again_at_once():
    with foreign_pair() as (conn, peer):
        recv = counted(conn)
        settle(conn, peer)
        peer.send(b"123456")
        assert conn.read(3) == b"123"
        failed = recv.failed
        assert conn.read(3) == b"456"
        reading = gopoll.go(conn.read, 3)
        wait_idle()
        assert recv.failed == failed + 1  # nobody could know
        peer.send(b"7")
        assert reading.result(10) == b"7"


@pytest.mark.parametrize("together", [True, False])
def test_the_end_of_the_stream_after_a_short_read(together):
    """The half-close is announced with the data, or after it; either way it is seen, for ever."""
    with foreign_pair() as (conn, peer):
        settle(conn, peer)
        reading = gopoll.go(conn.read)
        wait_idle()
        peer.send(b"last")
        if together:
            peer.shutdown(socket.SHUT_WR)
        assert reading.result(10) == b"last"
        if not together:
            reading = gopoll.go(conn.read)
            wait_idle()
            peer.shutdown(socket.SHUT_WR)
            assert reading.result(10) == b""
        for _ in range(3):
            assert gopoll.go(conn.read).result(10) == b""
        conn.write(b"the other half is open")
        assert peer.recv(100) == b"the other half is open"


def test_the_end_of_the_stream_behind_more_than_one_read():
    with foreign_pair() as (conn, peer):
        settle(conn, peer)
        reading = gopoll.go(conn.read, 4)
        wait_idle()
        peer.send(b"0123456789")
        peer.shutdown(socket.SHUT_WR)
        assert reading.result(10) == b"0123"
        wait_idle()
        assert [gopoll.go(conn.read, 4).result(10) for _ in range(3)] == [b"4567", b"89", b""]


def test_a_reset_after_a_short_read():
    with foreign_pair() as (conn, peer):
        settle(conn, peer)
        reading = gopoll.go(attempt, conn.read)
        wait_idle()
        peer.send(b"last")
        assert reading.result(10) == b"last"
        wait_idle()
        reset(peer)
        outcome = gopoll.go(attempt, conn.read).result(10)
        assert outcome == b"" or isinstance(outcome, ConnectionResetError)


@pytest.mark.parametrize("waiting", [True, False])
def test_urgent_data_with_data_behind_the_mark(waiting):
    """A read stops at the mark although there is more: what is behind it must not get stuck."""
    with foreign_pair() as (conn, peer):
        settle(conn, peer)
        reading = gopoll.go(conn.read) if waiting else None
        wait_idle()
        peer.send(b"before")
        peer.send(b"!", socket.MSG_OOB)
        peer.send(b"behind")
        received = b""
        while len(received) < len(b"beforebehind"):
            reading = reading or gopoll.go(conn.read)
            received += reading.result(10)
            reading = None
        assert received == b"beforebehind"
        for _ in range(3):
            reading = gopoll.go(conn.read)
            wait_idle()
            assert not reading.done
            peer.send(b"and on")
            assert reading.result(10) == b"and on"


def test_urgent_data_ends_the_shortcut_for_good():
    with foreign_pair() as (conn, peer):
        recv = counted(conn)
        settle(conn, peer)
        reading = gopoll.go(conn.read)
        wait_idle()
        peer.send(b"!", socket.MSG_OOB)
        if takes_shortcut(conn):
            wait_until(lambda: conn._fd.reader.slot.desc.hangup)
        peer.send(b"behind")
        assert reading.result(10) == b"behind"
        if not takes_shortcut(conn):
            return
        for _ in range(3):
            failed = recv.failed
            reading = gopoll.go(conn.read)
            wait_idle()
            assert recv.failed == failed + 1  # it tried before it waited
            peer.send(b"more")
            assert reading.result(10) == b"more"


@pytest.mark.parametrize("accepted", [True, False])
def test_reads_of_other_sockets_always_try(accepted):
    """A Unix socket stops short at a passed descriptor, and says nothing about what is behind."""
    with pair("unix") as ends:
        a, b = reversed(ends) if accepted else ends
        recv = counted(a)
        for number in range(1, 4):
            reading = gopoll.go(a.read)
            wait_idle()
            assert recv.failed == number
            b.write(b"ping")
            assert reading.result(10) == b"ping"


@pytest.mark.parametrize("accepted", [True, False])
def test_what_is_behind_a_passed_descriptor_is_read(accepted):
    with pair("unix") as both:
        a, b = reversed(both) if accepted else both
        reading = gopoll.go(a.read)
        wait_idle()
        ends = os.pipe()
        plain = socket.socket(fileno=os.dup(b.fileno()))
        with plain:
            plain.send(b"before")
            socket.send_fds(plain, [b"with it"], [ends[0]])
            plain.send(b"behind")
        for end in ends:
            os.close(end)
        received = reading.result(10)
        while len(received) < len(b"beforewith itbehind"):
            received += gopoll.go(a.read).result(10)
        assert received == b"beforewith itbehind"


def test_readiness_of_both_directions_is_kept_apart():
    """A remembered edge of one direction does not wake the other."""
    with pair("tcp") as (a, b):
        writing = gopoll.go(a.write, bytes(16 << 20))
        wait_idle()
        assert not writing.done
        a._send = send = Counted(a._send)
        b.write(b"readable")
        wait_idle()
        assert send.calls == 0
        assert a.read() == b"readable"
        b.read_exactly(16 << 20)
        assert writing.result(10) == 16 << 20


@pytest.mark.parametrize("seed", range(4))
def test_segments_half_closes_and_urgent_data_at_random(seed):
    """Forty connections; every byte that was sent in the stream comes out, and then the end."""
    dice = random.Random(seed)

    def collect(conn, size):
        received = bytearray()
        while data := conn.read(size):
            received += data
        return bytes(received)

    def talk(peer, sent):
        urgent_after = dice.randrange(12)  # one at most: a second one would push the first in line
        cuts = sorted({0, len(sent), *dice.choices(range(len(sent)), k=6)})
        for index, (start, end) in enumerate(pairwise(cuts)):
            peer.sendall(sent[start:end])
            if index == urgent_after:
                peer.send(b"!", socket.MSG_OOB)
            for _ in range(dice.randrange(4)):
                gopoll.gosched()
            if dice.random() < 0.3:
                wait_idle()
        peer.shutdown(socket.SHUT_WR)

    for _ in range(40):
        with foreign_pair() as (conn, peer):
            sent = dice.randbytes(dice.randrange(7, 5000))
            reading = gopoll.go(collect, conn, dice.choice((1, 16, 4096, 65536)))
            if dice.random() < 0.7:
                wait_idle()
            talking = gopoll.go(talk, peer, sent)
            assert reading.result(10) == sent
            talking.result(10)


@pytest.mark.parametrize("operation", ["read", "write"])
def test_what_ends_a_wait_has_no_other_error_behind_it(operation):
    """Neither the call that would have blocked, nor what it raised, is kept while one waits."""
    with net.listen("tcp", "127.0.0.1:0") as listener, net.dial("tcp", str(listener.addr)) as peer:
        conn = listener.accept()
        if operation == "read":
            g = gopoll.go(conn.read)
            wait_idle()
            peer.write(b"short")
            assert g.result() == b"short"
            conn._fd.reader.slot.state = READY  # an event that was only a hint
            g = gopoll.go(conn.read)
        else:
            with pytest.raises(BlockingIOError):
                while True:
                    conn._sock.send(bytes(1_000_000))
            g = gopoll.go(conn.write, b"no room")
        wait_idle()
        assert g.state == "IO wait"
        conn.close()
        with pytest.raises(net.ClosedError) as caught:
            g.result()
        assert caught.value.__context__ is None
        assert operation == "read" or caught.value.written == 0
