"""What cannot work is refused with a clear exception of the documented type; the others go on.

While each test does its worst another goroutine keeps echoing, and still does afterwards.
"""

import errno
import math
import os
import socket
import sys

import pytest

import gopoll
from gopoll import net
from gopoll.testing import wait_idle
from tests.support.pairs import NETWORKS, PAST, attempt, echo, local_address, pair, roundtrip

pytestmark = pytest.mark.network

everything = pytest.mark.parametrize("network", NETWORKS)


@pytest.fixture(autouse=True)
def bystander():
    """A connection that has nothing to do with it."""
    with pair("tcp") as (a, b):
        echoing = gopoll.go(echo, b)
        roundtrip(a)
        yield
        assert not echoing.done
        roundtrip(a)
        a.close()
        echoing.join(10)


ADDRESSES = [
    ("127.0.0.1", "missing port"),
    ("", "missing port"),
    ("127.0.0.1:65536", "out of range"),
    ("127.0.0.1:-1", "unknown port"),
    ("127.0.0.1:no-such-service", "unknown port"),
    ("::1:80", "too many colons"),
    ("[::1:80", "missing ']'"),
    ("[::1]80", "after ']'"),
    ("127.0.0.1]:80", "unexpected bracket"),
]


@pytest.mark.parametrize(("address", "reason"), ADDRESSES)
@pytest.mark.parametrize(
    ("call", "network"), [(net.dial, "tcp"), (net.listen, "tcp"), (net.listen_packet, "udp")]
)
def test_addresses_that_cannot_be_used(call, network, address, reason):
    with pytest.raises(net.AddrError, match=reason):
        call(network, address)


@pytest.mark.parametrize(
    "network", ["", "tcp5", "TCP", "ip", "udp", "unixgram", None, 4, b"tcp", []]
)
def test_networks_that_cannot_be_listened_on(network):
    with pytest.raises(net.AddrError, match="network"):
        net.listen(network, "127.0.0.1:0")


@pytest.mark.parametrize("network", ["", "udp5", "tcp", "unix", "ip:icmp", None, 4, b"udp", []])
def test_networks_without_packets(network):
    with pytest.raises(net.AddrError, match="network"):
        net.listen_packet(network, "127.0.0.1:0")


@pytest.mark.parametrize("network", ["", "tcp5", "TCP", "ip", "unixpacket", None, 4, b"tcp", []])
def test_networks_that_cannot_be_dialled(network):
    with pytest.raises(net.AddrError, match="network"):
        net.dial(network, "127.0.0.1:1")


@pytest.mark.parametrize("address", [None, 80, b"127.0.0.1:80", ("127.0.0.1", 80), object()])
def test_addresses_that_are_no_strings(address):
    for call, network in (
        (net.dial, "tcp"),
        (net.dial, "unix"),
        (net.listen, "tcp"),
        (net.listen, "unix"),
        (net.listen_packet, "udp"),
        (net.listen_packet, "unixgram"),
    ):
        with pytest.raises(TypeError, match="string"):
            call(network, address)


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_paths_that_are_none(path):
    for call in (net.dial, net.listen):
        with pytest.raises(net.AddrError):
            call("unix", path)


def test_hosts_that_are_none():
    for host in ("a\0b", "x" * 300, "a..b"):
        with pytest.raises((net.AddrError, socket.gaierror)):
            net.dial("tcp", f"{host}:80")


def test_numbers_that_cannot_be_negative():
    with pytest.raises(ValueError, match="negative"):
        net.dial("tcp", "127.0.0.1:1", timeout=-1)
    with pytest.raises(ValueError, match="negative"):
        net.listen("tcp", "127.0.0.1:0", backlog=-1)
    with net.listen_packet("udp", "127.0.0.1:0") as conn, pytest.raises(ValueError, match="-1"):
        conn.read_from(-1)


@everything
def test_reads_of_what_cannot_be_read(network):
    with pair(network) as (a, b):
        for call in (a.read, a.read_exactly):
            with pytest.raises(ValueError, match="-1"):
                call(-1)
            for n in ("1", None, b"1"):
                with pytest.raises(TypeError):
                    call(n)
        with pytest.raises(TypeError, match="writable"):
            a.read_into(b"constant")
        for buffer in (None, 10, "text", []):
            with pytest.raises(TypeError):
                a.read_into(buffer)
        writing = gopoll.go(b.write, b"unharmed")
        assert a.read_exactly(8) == b"unharmed"
        writing.join(10)


@everything
def test_writes_of_what_cannot_be_written(network):
    with pair(network) as (a, b):
        for data in (None, 10, "text", [1], object()):
            with pytest.raises(TypeError):
                a.write(data)
        for buffers in (None, 10, ["text"], [b"good", None]):
            with pytest.raises(TypeError):
                a.writev(buffers)
        writing = gopoll.go(a.write, b"unharmed")
        assert b.read() == b"unharmed"
        writing.join(10)


@everything
def test_deadlines_that_are_none(network):
    """A wrong deadline is refused where it is set; it does not spoil the reads that come later."""
    with pair(network) as (a, b):
        for deadline in ("soon", b"1", []):
            for setter in (a.set_deadline, a.set_read_deadline, a.set_write_deadline):
                with pytest.raises(TypeError):
                    setter(deadline)
        with pytest.raises(ValueError, match="nan"):
            a.set_deadline(math.nan)
        writing = gopoll.go(b.write, b"unharmed")
        assert a.read() == b"unharmed"
        writing.join(10)


@everything
def test_a_connection_after_its_close(network):
    with pair(network) as (a, _):
        file = a.makefile("rb")
        a.close()
        calls = [
            a.read,
            lambda: a.read(0),
            lambda: a.read_into(bytearray(1)),
            lambda: a.read_into(bytearray(0)),
            lambda: a.read_exactly(1),
            lambda: a.write(b"x"),
            lambda: a.write(b""),
            lambda: a.writev([b"x"]),
            lambda: a.set_deadline(None),
            lambda: a.set_read_deadline(PAST),
            lambda: a.set_write_deadline(1e9),
            file.read,
            a.close,
        ]
        if network != "pipe":
            calls += [
                a.close_read,
                a.close_write,
                lambda: a.set_no_delay(True),
                lambda: a.set_keep_alive(True),
                lambda: a.local_addr,
            ]
            assert a.fileno() == -1
        for call in calls:
            with pytest.raises(net.ClosedError) as caught:
                call()
            assert caught.value.errno == errno.EBADF
        assert a.closed
        assert "closed" in repr(a)


@pytest.mark.parametrize("network", ["tcp", "unix"])
def test_a_listener_after_its_close(network):
    with local_address(network) as address, net.listen(network, address) as listener:
        listener.close()
        for call in (
            listener.accept,
            lambda: listener.addr,
            lambda: listener.set_deadline(None),
            listener.close,
        ):
            with pytest.raises(net.ClosedError):
                call()
        assert list(listener) == []
        assert listener.fileno() == -1
        assert "closed" in repr(listener)
        assert net.serve(listener, echo) is None


@pytest.mark.parametrize("network", ["udp", "unixgram"])
def test_a_packet_connection_after_its_close(network):
    with local_address(network) as address, net.listen_packet(network, address) as conn:
        target = conn.local_addr
        conn.close()
        for call in (
            conn.read_from,
            lambda: conn.write_to(b"x", target),
            lambda: conn.write_to(b"x", str(target)),
            lambda: conn.local_addr,
            lambda: conn.set_deadline(None),
            lambda: conn.set_read_deadline(None),
            lambda: conn.set_write_deadline(None),
            conn.close,
        ):
            with pytest.raises(net.ClosedError):
                call()
        assert conn.fileno() == -1
        assert "closed" in repr(conn)


@pytest.mark.parametrize("target", ["127.0.0.1", "nobody", "", None, 5, ("127.0.0.1", 1)])
def test_packets_to_addresses_that_cannot_be_used(target):
    with net.listen_packet("udp", "127.0.0.1:0") as conn:
        with pytest.raises((net.AddrError, TypeError)):
            conn.write_to(b"x", target)
        conn.write_to(b"x", conn.local_addr)
        assert conn.read_from()[0] == b"x"


def test_a_packet_to_a_path_from_a_socket_that_has_none():
    with net.listen_packet("udp", "127.0.0.1:0") as conn:
        with pytest.raises((net.AddrError, TypeError)):
            conn.write_to(b"x", net.UnixAddr("unixgram", "/tmp/s"))
        conn.write_to(b"x", conn.local_addr)


@pytest.mark.parametrize("registered", [True, False])
def test_a_file_where_a_socket_belongs(tmp_path, registered):
    poller = gopoll.current().sched.need_poller().name
    if registered and poller == "kqueue" and sys.platform == "linux":
        pytest.skip("libkqueue keeps the number for the socket; a real kqueue forgets it")
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with pair("tcp") as (a, b), path.open("rb+") as file:
        if registered:
            reading = gopoll.go(a.read)
            wait_idle()
            b.write(b"x")
            assert reading.result(10) == b"x"
        os.dup2(file.fileno(), a.fileno(), inheritable=False)
        a._fd.reader.drained = False  # nobody would ever tell it that there is more to read
        for call in (a.read, lambda: a.write(b"x"), lambda: a.local_addr, a.close_read):
            with pytest.raises(OSError) as caught:
                call()
            assert caught.value.errno == errno.ENOTSOCK
        assert repr(a)
        a.close()
        assert path.read_bytes() == b"content"


def close_behind(conn):
    """Close the descriptor as no program should."""
    os.close(conn.fileno())


def is_bad_descriptor(outcome):
    return isinstance(outcome, OSError) and outcome.errno == errno.EBADF


@pytest.mark.parametrize("network", ["tcp", "unix"])
@pytest.mark.parametrize("registered", [True, False])
def test_a_descriptor_that_was_closed_behind_our_back(network, registered):
    with pair(network) as (a, b):
        if registered:
            reading = gopoll.go(a.read)
            wait_idle()
            b.write(b"x")
            assert reading.result(10) == b"x"
        close_behind(a)
        assert is_bad_descriptor(attempt(lambda: a.write(b"x")))
        assert is_bad_descriptor(attempt(lambda: a.local_addr))
        a.set_read_deadline(PAST)
        assert isinstance(attempt(a.read), TimeoutError)
        assert "Conn" in repr(a)
        assert attempt(a.close) is None or is_bad_descriptor(attempt(a.close))
        assert a.closed
        assert b.read() == b""


@pytest.mark.parametrize("queued", [0, 3])
def test_readers_of_a_descriptor_that_was_closed_behind_our_back(queued):
    """Nobody tells them; but a close does, whatever the kernel says to it."""
    with pair("tcp") as (a, _):
        readers = [gopoll.go(attempt, a.read) for _ in range(1 + queued)]
        wait_idle()
        close_behind(a)
        outcome = attempt(a.close)
        assert outcome is None or is_bad_descriptor(outcome)
        assert a.closed
        assert all(is_bad_descriptor(g.result(10)) for g in readers)


def test_a_listener_that_was_closed_behind_our_back():
    with net.listen("tcp", "127.0.0.1:0") as listener:
        accepting = gopoll.go(attempt, listener.accept)
        wait_idle()
        close_behind(listener)
        assert is_bad_descriptor(attempt(lambda: listener.addr))
        assert "Listener" in repr(listener)
        outcome = attempt(listener.close)
        assert outcome is None or is_bad_descriptor(outcome)
        assert is_bad_descriptor(accepting.result(10))


def test_a_wait_for_a_descriptor_that_is_closed():
    with pair("tcp") as (a, _):
        number = a.fileno()
        a.close()
        for wait in (gopoll.wait_read, gopoll.wait_write):
            assert is_bad_descriptor(attempt(wait, number))
