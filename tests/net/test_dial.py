"""Dialling: addresses in turn under one timeout, the error that is told, and nothing left behind.

The scenarios of Go's net/dial_test.go, tcpsock_unix_test.go and error_test.go that need no context.
"""

import errno
import gc
import importlib
import math
import socket
from contextlib import ExitStack

import pytest

import gopoll
from gopoll import net, time
from gopoll.testing import fake_clock, wait_idle
from tests.support.pairs import attempt, black_hole, open_descriptors, wait_until
from tests.support.parking import end, parked

pytestmark = pytest.mark.network

dialling = importlib.import_module("gopoll.net.dial")


@pytest.fixture
def refused():
    """An address on which nobody listens, and nobody else will meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()


def test_nobody_listens(refused):
    """TestDialError; the error names the address."""
    address = f"127.0.0.1:{refused[1]}"
    with pytest.raises(ConnectionRefusedError, match=address) as caught:
        net.dial("tcp", address)
    assert caught.value.errno == errno.ECONNREFUSED


def test_the_addresses_are_tried_in_turn(means, refused):
    with net.listen("tcp", "127.0.0.1:0") as listener:
        good = ("127.0.0.1", listener.addr.port)
        other = ("127.0.0.2", refused[1])
        tried = means(refused, other, good, refused)
        with net.dial("tcp", "name:1") as conn, listener.accept() as accepted:
            assert tried == [refused, other, good]
            assert conn.remote_addr == listener.addr
            accepted.write(b"x")
            assert conn.read() == b"x"


def test_the_first_error_is_told(means, refused):
    with fake_clock() as clock, black_hole() as hole:
        means(refused, hole)
        dialled = gopoll.go(attempt, lambda: net.dial("tcp", "name:1", timeout=8))
        clock.advance(10)
        assert type(dialled.result()) is ConnectionRefusedError
        means(hole, refused)
        dialled = gopoll.go(attempt, lambda: net.dial("tcp", "name:1", timeout=8))
        clock.advance(10)
        assert type(dialled.result()) is TimeoutError


def test_one_timeout_for_all_addresses(means):
    """TestDialTimeout, TestDialerPartialDeadline: shares of what is left, at least 2 s of it."""
    with fake_clock() as clock, ExitStack() as stack:
        holes = [stack.enter_context(black_hole()) for _ in range(4)]
        began = time.now()
        when = []

        def dial(timeout):
            try:
                net.dial("tcp", "name:1", timeout=timeout)
            except TimeoutError as exc:
                when.append(time.now() - began)
                return str(exc)

        tried = means(*holes)
        dialled = gopoll.go(dial, 5)
        for seconds, count in ((1.9, 1), (0.2, 2), (1.8, 2), (0.2, 3), (0.8, 3)):
            clock.advance(seconds)
            assert len(tried) == count
            assert not dialled.done
        clock.advance(0.2)  # there is no time left for the fourth
        assert "name:1" in dialled.result()
        assert "timeout" in dialled.result()
        assert len(tried) == 3
        assert when == [5]


def test_the_next_address_is_tried_while_there_is_time(means):
    with fake_clock() as clock, black_hole() as hole, net.listen("tcp", "127.0.0.1:0") as listener:
        means(hole, ("127.0.0.1", listener.addr.port))
        dialled = gopoll.go(net.dial, "tcp", "name:1", timeout=60)
        clock.advance(29)
        assert not dialled.done
        clock.advance(2)
        with dialled.result() as conn, listener.accept() as accepted:
            clock.advance(1000)  # the timeout was for dialling, not for what comes after
            conn.write(b"x")
            assert accepted.read() == b"x"


@pytest.mark.parametrize("timeout", [0, 1e-9])
def test_hardly_any_time(timeout):
    with black_hole() as (host, port), pytest.raises(TimeoutError, match="timeout"):
        net.dial("tcp", f"{host}:{port}", timeout=timeout)


@pytest.mark.parametrize("timeout", [9e9, 1e300, math.inf])
def test_more_time_than_anybody_has(timeout):
    """TestDialTimeoutMaxDuration."""
    with net.listen("tcp", "127.0.0.1:0") as listener:
        with net.dial("tcp", str(listener.addr), timeout=timeout), listener.accept():
            pass
        with black_hole() as (host, port):
            dialled = parked(attempt, lambda: net.dial("tcp", f"{host}:{port}", timeout=timeout))
            assert dialled.state == "IO wait"
            end(dialled)


def test_without_a_timeout_it_waits(means):
    with fake_clock() as clock, black_hole() as hole:
        means(hole)
        dialled = gopoll.go(attempt, net.dial, "tcp", "name:1")
        clock.advance(1_000_000)
        assert not dialled.done
        gopoll.current().sched.interrupt(dialled, KeyError("enough"))
        assert type(dialled.result()) is KeyError


def test_nothing_is_left_behind_by_any_failure(means, refused, tmp_path):
    """TestDialerDualStackFDLeak: not even until the next collection."""
    with fake_clock() as clock, black_hole() as hole:
        tried = means(refused, hole, refused)
        gc.collect()
        gc.disable()
        try:
            before = open_descriptors()
            for _ in range(3):
                dialled = gopoll.go(attempt, lambda: net.dial("tcp", "name:1", timeout=6))
                clock.advance(10)
                assert isinstance(dialled.result(), ConnectionRefusedError)
            for path in (tmp_path, tmp_path / "nothing", tmp_path / ("x" * 300)):
                assert isinstance(attempt(net.dial, "unix", str(path)), OSError)
            assert len(tried) == 9 + 3
            assert open_descriptors() == before
        finally:
            gc.enable()


def test_a_connection_to_itself_is_not_believed(monkeypatch):
    """Issue 2690 of Go: a free port of this host may answer itself; then it is dialled again."""
    attempts = []

    class Narcissus(dialling.Socket):
        def connect_ex(self, sockaddr):
            attempts.append(sockaddr)
            if len(attempts) < 3:
                self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self.bind(sockaddr)
            return super().connect_ex(sockaddr)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setattr(dialling, "Socket", Narcissus)
    before = open_descriptors()
    with pytest.raises(ConnectionRefusedError):
        net.dial("tcp", f"127.0.0.1:{port}")
    assert len(attempts) == 3
    assert open_descriptors() == before


def test_an_event_that_means_nothing_yet():
    """TestTCPSpuriousConnSetupCompletion: being writable is a hint, not a connection."""
    with fake_clock() as clock, black_hole() as (host, port):
        dialled = gopoll.go(attempt, lambda: net.dial("tcp", f"{host}:{port}", timeout=10))
        wait_idle()
        poller = gopoll.current().sched.poller
        for target in poller.targets():
            target.deliver(3)
        wait_idle()
        assert not dialled.done
        clock.advance(10)
        assert type(dialled.result()) is TimeoutError


def test_a_name_with_an_address_of_each_family():
    with net.listen("tcp4", "127.0.0.1:0") as listener:
        with net.dial("tcp", f"localhost:{listener.addr.port}") as conn, listener.accept():
            assert conn.remote_addr == listener.addr
        with net.dial("tcp", f":{listener.addr.port}") as conn, listener.accept():
            assert conn.remote_addr == listener.addr


@pytest.mark.parametrize("network", ["tcp6", "udp6"])
def test_a_family_that_the_address_has_not(network):
    with pytest.raises(net.AddrError, match="no suitable address"):
        net.dial(network, "127.0.0.1:1")


def test_unix_paths_that_cannot_be_dialled(tmp_path):
    path = tmp_path / "s"
    with pytest.raises(FileNotFoundError, match=str(path)):
        net.dial("unix", str(path))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        with pytest.raises(ConnectionRefusedError):
            net.dial("unix", str(path))


def test_a_unix_listener_whose_queue_is_full(tmp_path):
    """Nothing would announce room: the caller is told at once."""
    with ExitStack() as stack:
        listener = stack.enter_context(net.listen("unix", str(tmp_path / "s"), backlog=1))
        with pytest.raises(BlockingIOError):
            for _ in range(10):
                stack.enter_context(net.dial("unix", str(listener.addr)))
        listener.accept().close()
        with net.dial("unix", str(listener.addr)):
            pass


def test_many_dial_at_once():
    with net.listen("tcp", "127.0.0.1:0") as listener:
        dialled = [gopoll.go(net.dial, "tcp", str(listener.addr)) for _ in range(50)]
        accepted = [listener.accept() for _ in range(50)]
        conns = [g.result(10) for g in dialled]
        wait_until(lambda: all(g.done for g in dialled))
        assert {conn.local_addr for conn in conns} == {conn.remote_addr for conn in accepted}
        for conn in conns + accepted:
            conn.close()
