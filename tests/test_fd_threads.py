"""One descriptor under several OS threads: each parks at its own poller, close() ends all."""

import os
import socket
from contextlib import suppress
from threading import Event, Thread

import pytest

import gopoll
from gopoll import net
from gopoll.fd import FD
from gopoll.testing import wait_idle
from tests.support.pairs import attempt, is_open, pair, wait_until

pytestmark = pytest.mark.network


class Foreign(Thread):
    """A call in a thread of its own, which has a scheduler of its own."""

    def __init__(self, call, *args):
        super().__init__()
        self.call = call
        self.args = args
        self.outcome = None
        self.start()

    def run(self):
        self.outcome = attempt(self.call, *self.args)

    def result(self):
        self.join(30)
        assert not self.is_alive()
        return self.outcome


def in_thread(call, *args):
    """Start a foreign call from a goroutine; only that one waits for it."""
    return gopoll.go(lambda: gopoll.offload(Foreign(call, *args).result))


def parked(conn, side, count=1):
    """Whether a goroutine waits on this side, and `count` threads know the descriptor."""
    slot = getattr(conn._fd, side).slot
    return slot is not None and slot.state is not None and len(conn._fd.descs) >= count


@pytest.mark.parametrize("network", ["tcp", "unix"])
def test_two_threads_read_one_connection(network):
    """Every byte comes out once, whoever gets it."""

    def collect(conn):
        received = 0
        while data := conn.read(512):
            received += len(data)
        return received

    with pair(network) as (a, b):
        readers = [in_thread(collect, a), in_thread(collect, a), gopoll.go(collect, a)]
        for _ in range(500):
            b.write(bytes(700))
        b.close_write()
        assert sum(g.result(30) for g in readers) == 500 * 700


@pytest.mark.parametrize("network", ["tcp", "unix"])
def test_two_threads_write_one_connection(network):
    """Whole writes do not interleave across threads either."""
    size, rounds = 200_000, 10

    def write(conn, number):
        for _ in range(rounds):
            conn.write(bytes([number]) * size)

    with pair(network) as (a, b):
        writers = [in_thread(write, a, 1), in_thread(write, a, 2), gopoll.go(write, a, 3)]
        blocks = [b.read_exactly(size) for _ in range(3 * rounds)]
        for g in writers:
            assert g.result(30) is None
    assert all(block == block[:1] * size for block in blocks)
    assert sorted(block[0] for block in blocks) == [1] * rounds + [2] * rounds + [3] * rounds


def test_one_thread_reads_and_another_writes():
    total = 4 << 20
    with pair("tcp") as (a, b):
        reading = in_thread(lambda: len(a.read_exactly(total)))
        writing = gopoll.go(a.write, bytes(total))
        answering = gopoll.go(b.write, bytes(total))
        assert len(b.read_exactly(total)) == total
        assert (writing.result(30), answering.result(30), reading.result(30)) == (total,) * 3


def test_two_threads_accept_from_one_listener():
    def accept(listener):
        accepted = 0
        with suppress(net.ClosedError):
            while True:
                with listener.accept() as conn:
                    conn.write(b"x")
                    accepted += 1
        return accepted

    with net.listen("tcp", "127.0.0.1:0") as listener:
        acceptors = [in_thread(accept, listener), in_thread(accept, listener)]
        acceptors.append(gopoll.go(accept, listener))
        address = str(listener.addr)
        for _ in range(60):
            with net.dial("tcp", address) as conn:
                assert conn.read() == b"x"
        listener.close()
        assert sum(g.result(30) for g in acceptors) == 60


def test_a_close_here_wakes_a_reader_there_and_frees_the_number():
    with pair("tcp") as (a, b):
        reading = in_thread(a.read)
        wait_until(lambda: parked(a, "reader"))
        number = a.fileno()
        a.close()
        assert isinstance(reading.result(10), net.ClosedError)
        assert a._fd.closed
        assert b.read() == b""  # it really is: the peer sees the end
        assert number >= 0


def test_a_close_there_wakes_a_reader_here():
    with pair("tcp") as (a, b):
        reading = gopoll.go(attempt, a.read)
        wait_idle()
        closing = in_thread(a.close)
        assert isinstance(reading.result(10), net.ClosedError)
        assert closing.result(10) is None
        assert b.read() == b""


def test_readers_of_two_threads_and_their_queue_all_wake():
    """The side's lock is one for all threads: who queues for it wakes like who holds it."""
    with pair("tcp") as (a, _):
        first = in_thread(a.read)
        wait_until(lambda: parked(a, "reader"))
        second = in_thread(a.read)
        third = gopoll.go(attempt, a.read)
        wait_until(lambda: a._fd.reader.queue.first is not a._fd.reader.queue.last)
        a.close()
        for g in (first, second, third):
            assert isinstance(g.result(10), net.ClosedError)


def test_the_lock_of_a_side_is_handed_to_another_thread():
    with pair("tcp") as (a, b):
        first = gopoll.go(a.read, 1)
        wait_idle()
        second = in_thread(a.read, 1)
        wait_until(lambda: a._fd.reader.queue.first is not None)
        third = gopoll.go(a.read, 1)
        wait_idle()
        b.write(b"123")
        assert [g.result(10) for g in (first, second, third)] == [b"1", b"2", b"3"]


def test_the_number_is_released_when_the_user_of_another_thread_has_left():
    sock, peer = socket.socketpair()
    sock.setblocking(False)
    fd = FD(sock, short_reads=False)
    inside, leave = Event(), Event()

    def stay():
        inside.set()
        leave.wait(30)
        return is_open(fd.number)

    with peer:
        staying = in_thread(fd.use, stay)
        wait_until(inside.is_set)
        fd.close()
        assert not fd.closed
        assert is_open(fd.number)
        with pytest.raises(net.ClosedError):
            fd.use(stay)
        leave.set()
        assert staying.result(10) is True
        assert fd.closed
        assert peer.recv(1) == b""


def test_a_deadline_set_here_wakes_a_reader_there():
    with pair("tcp") as (a, b):
        reading = in_thread(a.read)
        wait_until(lambda: parked(a, "reader"))
        a.set_read_deadline(0.0)
        assert isinstance(reading.result(10), TimeoutError)
        a.set_read_deadline(None)
        b.write(b"still usable")
        assert a.read() == b"still usable"


def test_a_thread_that_ended_leaves_nothing_in_the_way():
    """What a dead thread's poller knew of the descriptor keeps neither reading nor closing back."""
    with pair("tcp") as (a, b):
        b.write(b"1")
        assert in_thread(a.read).result(10) == b"1"
        reading = in_thread(a.read)
        wait_until(lambda: parked(a, "reader"))
        b.write(b"2")
        assert reading.result(10) == b"2"
        reading = gopoll.go(a.read)
        wait_idle()
        b.write(b"3")
        assert reading.result(10) == b"3"
        a.close()
        assert a._fd.closed
        assert b.read() == b""


def closed_meanwhile(fd):
    """A call that would block, and during which another thread closes the descriptor."""

    def call(_):
        Foreign(fd.close).result()
        raise BlockingIOError

    return call


@pytest.mark.parametrize("known", [True, False])
def test_a_close_there_between_the_call_and_the_wait_here(known):
    """Also where it is the first wait, with which the descriptor becomes known to the poller."""
    sock, peer = socket.socketpair()
    sock.setblocking(False)
    fd = FD(sock, short_reads=False)
    with peer:
        if known:
            reading = gopoll.go(fd.read, sock.recv, 1)
            wait_idle()
            peer.send(b"x")
            assert reading.result(10) == b"x"
        outcome = gopoll.go(attempt, fd.read, closed_meanwhile(fd), 1).result(10)
        assert isinstance(outcome, net.ClosedError)
        assert fd.closed
        assert peer.recv(1) == b""


def test_a_deadline_set_there_between_the_call_and_the_wait_here():
    sock, peer = socket.socketpair()
    sock.setblocking(False)
    fd = FD(sock, short_reads=False)

    def call(_):
        Foreign(fd.set_deadline, 3, 0.0).result()
        raise BlockingIOError

    with peer:
        assert isinstance(gopoll.go(attempt, fd.read, call, 1).result(10), TimeoutError)
        fd.close()


def test_a_close_here_of_a_number_that_was_closed_behind_our_back_harms_no_thread():
    """The kernel's complaint is nobody's business over there."""
    with pair("tcp") as (a, _):

        def read():
            return attempt(a.read), attempt(gopoll.go(lambda: "goes on").result, 10)

        reading = in_thread(read)
        wait_until(lambda: parked(a, "reader"))
        os.close(a.fileno())
        attempt(a.close)
        outcome, after = reading.result(10)
        assert isinstance(outcome, OSError)
        assert after == "goes on"


def test_a_thread_that_ends_before_it_heard_of_a_close():
    """Its scheduler would have had to say that nobody waits there; its end says so as well."""
    known, leave = Event(), Event()
    with pair("tcp") as (a, b):

        def linger():
            data = a.read()
            known.set()
            leave.wait(30)
            return data

        lingering = in_thread(linger)
        wait_until(lambda: parked(a, "reader"))
        b.write(b"x")
        wait_until(known.is_set)
        number = a.fileno()
        a.close()
        assert is_open(number)  # not before it has left the poller over there
        leave.set()
        assert lingering.result(10) == b"x"
        wait_until(lambda: a._fd.closed)
        assert b.read() == b""
