"""The life of a descriptor: its two locks, its users, closing, and whose number it is.

The first part stands for Go's internal/poll/fd_mutex_test.go.
"""

import os
import random
import socket

import pytest

import gopoll
from gopoll import net, time
from gopoll._original import Socket
from gopoll.fd import FD
from gopoll.net.conn import SocketConn
from gopoll.testing import fake_clock, wait_idle
from tests.support.pairs import Counted, attempt, echo, is_open, pair, roundtrip

pytestmark = pytest.mark.network


class Held:
    """A descriptor and its other end."""

    def __init__(self):
        self.sock, self.peer = socket.socketpair()
        self.sock.setblocking(False)
        self.fd = FD(self.sock, short_reads=False)

    def __enter__(self):
        return self.fd, self.sock, self.peer

    def __exit__(self, *exc_info):
        self.peer.close()
        if not self.fd.closing:
            self.fd.close()


def test_locks_are_given_back():
    """TestMutexLock."""
    with Held() as (fd, sock, peer):
        for _ in range(3):
            assert fd.use(sock.getsockname) == ""
            assert fd.writer.run(sock.send, b"x") == 1
            peer.send(b"y")
            assert fd.reader.run(sock.recv, 1) == b"y"
        assert not fd.closed
        assert is_open(fd.number)


def test_after_close_everything_fails_and_the_number_is_free():
    """TestMutexClose."""
    with Held() as (fd, sock, _):
        number = fd.number
        fd.close()
        for call in (
            lambda: fd.use(sock.getsockname),
            lambda: fd.read(sock.recv, 1),
            lambda: fd.read_into(sock.recv_into, memoryview(bytearray(1))),
            lambda: fd.write(sock.send, b"x"),
            lambda: fd.writev(sock.sendmsg, [b"x"], 10),
            lambda: fd.set_deadline(3, None),
            fd.close,
        ):
            with pytest.raises(net.ClosedError):
                call()
        assert not is_open(number)


def test_close_wakes_the_reader_and_all_who_queue_behind_it():
    """TestMutexCloseUnblock; and within one thread the number is free when close() returns."""
    with Held() as (fd, sock, _):
        number = fd.number
        readers = [gopoll.go(attempt, fd.read, sock.recv, 1) for _ in range(5)]
        wait_idle()
        assert not any(g.done for g in readers)
        fd.close()
        assert not is_open(number)
        assert {type(g.result(10)) for g in readers} == {net.ClosedError}


@pytest.mark.parametrize("seed", range(3))
def test_each_direction_has_one_user_at_a_time(seed):
    """TestMutexStress."""
    dice = random.Random(seed)
    inside = {"read": 0, "write": 0, "both": 0}
    done = {"read": 0, "write": 0, "use": 0}

    def call(which):
        inside[which] += 1
        assert inside[which] == 1
        inside["both"] = max(inside["both"], inside["read"] + inside["write"])
        for _ in range(dice.randrange(3)):
            gopoll.gosched()
        inside[which] -= 1
        done[which] += 1

    def work(fd):
        for _ in range(200):
            match dice.randrange(3):
                case 0:
                    fd.reader.run(call, "read")
                case 1:
                    fd.writer.run(call, "write")
                case _:
                    done["use"] += fd.use(lambda: 1)

    with Held() as (fd, _, _):
        workers = [gopoll.go(work, fd) for _ in range(8)]
        for worker in workers:
            worker.result(20)
        assert sum(done.values()) == 1600
        assert inside == {"read": 0, "write": 0, "both": 2}
        number = fd.number
        fd.close()
        assert not is_open(number)


def test_readers_are_served_in_the_order_they_came():
    with Held() as (fd, sock, peer):
        came, served = [], []

        def read(number):
            came.append(number)
            served.append((number, fd.read(sock.recv, 1)))

        readers = [gopoll.go(read, number) for number in range(10)]
        wait_idle()
        peer.send(b"0123456789")
        for g in readers:
            g.result(10)
        assert [data for _, data in sorted(served, key=lambda item: came.index(item[0]))] == [
            b"%d" % index for index in range(10)
        ]


def queue_for(side, deadline):
    """Wait for the side until then; give it back at once."""
    side.queue_up(deadline)
    side.held = False
    side.settle()
    return "had it"


def test_who_queues_may_give_up_at_its_time():
    """Nobody behind it is forgotten, and what it did not get is not given to it later."""
    with fake_clock() as clock, Held() as (fd, _, _):
        side = fd.reader
        assert side.take()
        soon, late, never = (
            gopoll.go(attempt, queue_for, side, deadline)
            for deadline in (time.now() + 1, time.now() + 10, None)
        )
        wait_idle()
        clock.advance(1)
        assert isinstance(soon.result(), TimeoutError)
        assert not late.done
        side.held = False
        side.settle()
        assert [late.result(), never.result()] == ["had it"] * 2
        assert not side.held
        assert len(clock) == 0


def test_who_queues_with_a_deadline_is_woken_by_close():
    with fake_clock() as clock, Held() as (fd, _, _):
        assert fd.reader.take()
        queued = gopoll.go(attempt, queue_for, fd.reader, time.now() + 1)
        wait_idle()
        fd.close()
        assert isinstance(queued.result(), net.ClosedError)
        clock.advance(1)
        assert len(clock) == 0
        fd.reader.held = False
        fd.reader.settle()
        assert fd.closed


@pytest.mark.parametrize("network", ["tcp", "unix", "pipe"])
def test_whole_writes_never_interleave(network):
    size = 1 << 20
    with pair(network) as (a, b):
        writers = [gopoll.go(a.write, bytes([number]) * size) for number in range(10)]
        received = b"".join(b.read_exactly(size // 64) for _ in range(640))
        assert [g.result(10) for g in writers] == [size] * 10
    blocks = [received[start : start + size] for start in range(0, len(received), size)]
    assert sorted(block[0] for block in blocks) == list(range(10))
    assert all(block == block[:1] * size for block in blocks)


@pytest.mark.parametrize("network", ["tcp", "unix"])
def test_vectors_of_buffers_are_one_write(network):
    buffers = [bytes([index % 251]) * (index % 97) for index in range(3000)]
    whole = b"".join(buffers)
    with pair(network) as (a, b):
        writers = [gopoll.go(a.writev, buffers) for _ in range(3)]
        received = [b.read_exactly(len(whole)) for _ in range(3)]
        assert [g.result(10) for g in writers] == [len(whole)] * 3
    assert received == [whole] * 3


@pytest.mark.parametrize("network", ["tcp", "unix"])
def test_reads_and_writes_do_not_wait_for_each_other(network):
    with pair(network) as (a, b):
        reading = gopoll.go(a.read)
        wait_idle()
        a.write(b"while it reads")
        assert b.read() == b"while it reads"
        assert not reading.done
        b.write(b"at last")
        assert reading.result(10) == b"at last"
        writing = gopoll.go(a.write, bytes(32 << 20))
        wait_idle()
        assert not writing.done
        b.write(b"while it writes")
        assert a.read() == b"while it writes"
        assert not writing.done
        b.read_exactly(32 << 20)
        assert writing.result(10) == 32 << 20


@pytest.mark.parametrize("side", ["use", "read", "write"])
def test_the_number_is_released_when_the_last_user_leaves(side):
    with Held() as (fd, _, _):
        number = fd.number
        leave = gopoll.Chan()

        def call(*_):
            leave.recv()
            return 1

        users = {
            "use": (fd.use, call),
            "read": (fd.read_into, call, memoryview(bytearray(1))),
            "write": (fd.write, call, b"x"),
        }
        user = gopoll.go(*users[side])
        wait_idle()
        fd.close()
        assert is_open(number)
        assert not fd.closed
        leave.send(None)
        assert user.result(10) == 1
        assert fd.closed
        assert not is_open(number)


def connected_socket(number, network="tcp"):
    """Put a fresh connection under `number`; return it and its plain other end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    accepted.setblocking(False)
    os.dup2(accepted.fileno(), number, inheritable=False)
    accepted.close()
    sock = Socket(socket.AF_INET, socket.SOCK_STREAM, 0, number)
    sock.setblocking(False)
    return SocketConn(sock, network), peer


def test_a_number_reused_while_a_copy_of_the_old_descriptor_lives():
    """A child that was forked holds such copies: their events are not those of the new owner."""
    with pair("tcp") as (old, old_peer):
        reading = gopoll.go(attempt, old.read)
        wait_idle()  # it is registered
        number = old.fileno()
        copy = os.dup(number)
        old.close()
        assert isinstance(reading.result(10), net.ClosedError)
        new, new_peer = connected_socket(number)
        with new, new_peer:
            new._recv = recv = Counted(new._recv)
            reading = gopoll.go(new.read)
            wait_idle()
            assert recv.failed == 1
            old_peer.write(b"for the old one")
            wait_idle()
            old_peer.close()
            wait_idle()
            assert not reading.done
            assert recv.failed == 1  # nothing even woke it
            new_peer.send(b"for the new one")
            assert reading.result(10) == b"for the new one"
            assert os.read(copy, 100) == b"for the old one"
        os.close(copy)


@pytest.mark.parametrize("waiting", [True, False])
def test_a_number_closed_behind_our_back_and_registered_again(waiting):
    """The old owner is told, and never touches the new one's socket."""
    with pair("tcp") as (old, _):
        reading = gopoll.go(attempt, old.read)
        wait_idle()
        if not waiting:
            old.set_read_deadline(0.0)
            assert isinstance(reading.result(10), TimeoutError)
        number = old.fileno()
        new, new_peer = connected_socket(number)  # takes the number away from `old`
        with new, new_peer:
            reader = gopoll.go(new.read)
            wait_idle()
            if waiting:
                assert isinstance(reading.result(10), net.ClosedError)
            assert old.closed
            assert old.fileno() == -1
            for call in (old.read, lambda: old.write(b"stray"), old.close):
                with pytest.raises(net.ClosedError):
                    call()
            assert is_open(number)
            new_peer.send(b"mine")
            assert reader.result(10) == b"mine"
            new.write(b"still open")
            assert new_peer.recv(100) == b"still open"


def test_the_last_user_does_not_pay_for_a_number_closed_behind_our_back():
    sock, peer = socket.socketpair()
    sock.setblocking(False)
    fd = FD(sock, short_reads=False)

    def last_use():
        os.close(fd.number)
        fd.close()  # not yet: we are a user
        return "done"

    with peer:
        assert fd.use(last_use) == "done"
    assert fd.closed


def test_stale_events_fail_nothing():
    """The old file lives on under the number, in the kernel's table, and its peer hangs up."""
    with pair("tcp") as (old, old_peer):
        reading = gopoll.go(attempt, old.read)
        wait_idle()
        number = old.fileno()
        copy = os.dup(number)
        new, new_peer = connected_socket(number)
        with new, new_peer:
            reader = gopoll.go(new.read)
            wait_idle()
            assert isinstance(reading.result(10), net.ClosedError)
            old_peer.write(b"noise")
            old_peer.close()
            wait_idle()
            assert not reader.done
            new_peer.send(b"one")
            assert reader.result(10) == b"one"
            for _ in range(5):
                new_peer.send(b"more")
                assert new.read() == b"more"
            new_peer.shutdown(socket.SHUT_WR)
            assert new.read() == b""
        os.close(copy)


def test_deadlines_of_one_wait_cost_one_timer():
    """Ten thousand deadlines, moved under a reader that waits, leave a short heap."""
    with fake_clock() as clock, pair("tcp") as (a, b):
        reading = gopoll.go(attempt, a.read)
        wait_idle()
        assert len(clock) == 0  # without a deadline there is no timer
        for index in range(10_000):
            a.set_read_deadline(time.now() + 1000 + index * 7 % 1000)
            if index % 3 == 0:
                a.set_read_deadline(None)
        for index in range(10_000):
            a.set_read_deadline(time.now() + 900 - index / 20)
        assert len(clock) == 1
        assert len(clock._timeline.heap) < 200
        b.write(b"x")
        assert reading.result() == b"x"


def test_deadlines_that_move_on_with_each_message_cost_one_timer():
    with fake_clock() as clock, pair("tcp") as (a, b):
        echoing = gopoll.go(echo, b)
        for _ in range(1000):
            clock.advance(0.001)
            a.set_deadline(time.now() + 60)
            a.write(b"ping")
            assert a.read() == b"ping"
            assert len(clock._timeline.heap) < 200
        assert len(clock) <= 1
        a.close()
        echoing.join()


def test_connections_without_deadlines_have_no_timers():
    with fake_clock() as clock, pair("tcp") as (a, b):
        before = len(clock._timeline.heap)
        echoing = gopoll.go(echo, b)
        for _ in range(10):
            roundtrip(a)
        wait_idle()
        assert len(clock._timeline.heap) == before
        a.close()
        echoing.join()
