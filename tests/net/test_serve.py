"""The accept loop: a goroutine for each connection, bad handlers, too many files, grace."""

import errno
import os
import resource
from itertools import pairwise

import pytest

import gopoll
from gopoll import net, time
from gopoll.testing import fake_clock, wait_idle
from tests.support.pairs import attempt, echo, roundtrip

pytestmark = pytest.mark.network


@pytest.fixture
def listener():
    with net.listen("tcp", "127.0.0.1:0") as listener:
        yield listener


def connect(listener):
    return net.dial("tcp", str(listener.addr))


def test_each_connection_has_a_goroutine_and_is_closed_after_it(listener):
    handled = []

    def handle(conn):
        handled.append((gopoll.current(), conn))
        echo(conn)

    serving = gopoll.go(net.serve, listener, handle)
    clients = [connect(listener) for _ in range(5)]
    for client in clients:
        roundtrip(client)
    assert len({g for g, _ in handled}) == 5
    for client in clients:
        client.close_write()
        assert client.read() == b""
        client.close()
    wait_idle()
    assert all(conn.closed for _, conn in handled)
    listener.close()
    assert serving.result(10) is None


def test_a_handler_that_returns_early_closes_its_connection(listener):
    serving = gopoll.go(net.serve, listener, lambda conn: conn.write(b"hello"))
    with connect(listener) as client:
        assert client.read() == b"hello"
        assert client.read() == b""
    listener.close()
    serving.join(10)


def test_a_handler_that_closes_its_connection_itself(listener):
    serving = gopoll.go(net.serve, listener, lambda conn: conn.close())
    with connect(listener) as client:
        assert client.read() == b""
    listener.close()
    serving.join(10)


def test_a_handler_that_raises_is_reported_and_the_others_go_on(listener, panics):
    def handle(conn):
        match conn.read():
            case b"bad":
                raise ValueError("bad request")
            case b"gone":
                raise ConnectionResetError
            case b"closed":
                raise net.ClosedError
        echo(conn)

    serving = gopoll.go(net.serve, listener, handle)
    with connect(listener) as good:
        good.write(b"good")
        for word in (b"bad", b"gone", b"closed"):
            with connect(listener) as client:
                client.write(word)
                assert client.read() == b""
        roundtrip(good)
    assert [str(exc) for _, exc in panics] == ["bad request"]
    listener.close()
    serving.join(10)


def test_a_peer_that_is_gone_ends_its_handler_in_silence(listener):
    """A reset is an exception here, and no reason to report anything."""

    def handle(conn):
        conn.read()
        while True:
            conn.write(bytes(65536))

    serving = gopoll.go(net.serve, listener, handle)
    with connect(listener) as client:
        client.write(b"x")
        client.read()
    wait_idle()
    listener.close()
    assert serving.result(10) is None


def test_too_many_open_files_make_it_pause(listener):
    """From 5 ms doubling to 1 s, and from 5 ms again after a success."""
    accept, failures, when = listener._accept, [12], []

    def fail(*args):
        if failures[0]:
            failures[0] -= 1
            when.append(time.now())
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(*args)

    listener._accept = fail
    with fake_clock() as clock:
        serving = gopoll.go(net.serve, listener, echo)
        with connect(listener) as client:
            clock.advance(30)
            pauses = [round(b - a, 6) for a, b in pairwise(when)]
            assert pauses == [0.005 * 2**n for n in range(8)] + [1.0] * 3
            roundtrip(client)
        failures[0], when[:] = 2, []
        with connect(listener) as client:
            clock.advance(1)
            roundtrip(client)
            assert round(when[1] - when[0], 6) == 0.005
        listener.close()
        serving.result()


def test_real_exhaustion_of_descriptors(listener):
    """The one who could not be accepted is served as soon as there is room."""
    with fake_clock() as clock, connect(listener) as client:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        hogs = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
            while True:
                hog = attempt(os.dup, client.fileno())
                if isinstance(hog, OSError):
                    break
                hogs.append(hog)
            serving = gopoll.go(net.serve, listener, echo)
            clock.advance(10)
            assert not serving.done
            assert isinstance(attempt(listener.accept), OSError)
        finally:
            for hog in hogs:
                os.close(hog)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        clock.advance(1)
        roundtrip(client)
        listener.close()
        serving.result()


def test_an_error_for_good_ends_it(listener):
    def fail(*_):
        raise OSError(errno.EINVAL, "Invalid argument")

    listener._accept = fail
    with pytest.raises(OSError, match="Invalid argument"):
        net.serve(listener, echo)


def test_without_grace_it_returns_and_leaves_handlers_alone(listener):
    serving = gopoll.go(net.serve, listener, echo)
    with connect(listener) as client:
        roundtrip(client)
        listener.close()
        assert serving.result(10) is None
        roundtrip(client)


def test_grace_ends_when_the_handlers_do(listener):
    with fake_clock() as clock:
        serving = gopoll.go(net.serve, listener, echo, grace=10)
        with connect(listener) as client:
            roundtrip(client)
            listener.close()
            clock.advance(9)
            assert not serving.done
            roundtrip(client)
        assert serving.result() is None


def test_when_grace_is_over_the_connections_are_closed(listener):
    ended = []

    def handle(conn):
        try:
            while True:
                conn.write(conn.read())
        finally:
            ended.append(time.now())

    with fake_clock() as clock:
        serving = gopoll.go(net.serve, listener, handle, grace=10)
        with connect(listener) as first, connect(listener) as second:
            roundtrip(first)
            roundtrip(second)
            listener.close()
            began = time.now()
            clock.advance(9.9)
            assert not serving.done
            assert not ended
            clock.advance(0.2)
            assert serving.result() is None
            assert first.read() == second.read() == b""
            assert [when - began for when in ended] == [10, 10]


def test_grace_without_end_waits_for_the_handlers(listener):
    with fake_clock() as clock:
        serving = gopoll.go(net.serve, listener, echo, grace=None)
        with connect(listener) as client:
            roundtrip(client)
            listener.close()
            clock.advance(1_000_000)
            assert not serving.done
        assert serving.result() is None
