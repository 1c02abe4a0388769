"""Dialling under a context: done before, meanwhile and afterwards. Go's net/dial_test.go."""

import importlib
import socket
import threading
from contextlib import ExitStack

import pytest

import gopoll
from gopoll import net
from gopoll.context import (
    Canceled,
    Context,
    DeadlineExceeded,
    background,
    with_cancel,
    with_deadline,
    with_timeout,
    with_value,
)
from gopoll.testing import fake_clock, wait_idle
from tests.support.pairs import attempt, black_hole, open_descriptors, roundtrip
from tests.support.threads import SOON, at_once

pytestmark = pytest.mark.network

dialling = importlib.import_module("gopoll.net.dial")
resolving = importlib.import_module("gopoll.net.resolver")


@pytest.fixture
def slow_resolver(monkeypatch):
    """A look-up in a worker thread that answers when the test is over."""
    answer, asked = threading.Event(), threading.Event()

    def look_up(*_):
        asked.set()
        answer.wait(SOON)
        raise socket.gaierror(socket.EAI_NONAME, "too late")

    monkeypatch.setattr(resolving, "getaddrinfo", look_up)
    yield asked
    answer.set()


def dial(address, **options):
    return attempt(lambda: net.dial("tcp", address, **options))


@pytest.mark.parametrize("derive", [with_cancel, lambda ctx: with_timeout(ctx, 0)])
def test_done_before(derive, means):
    ctx, cancel = derive(background())
    cancel()
    tried = means(("127.0.0.1", 1))
    before = open_descriptors()
    assert type(dial("name:1", ctx=ctx)) is type(ctx.err())
    assert tried == []
    assert open_descriptors() == before


@pytest.mark.parametrize("from_thread", [False, True])
def test_cancelled_meanwhile(from_thread):
    """TestDialCancel."""
    before = open_descriptors()
    with black_hole() as (host, port):
        ctx, cancel = with_cancel(background())
        inside = open_descriptors()
        dialled = gopoll.go(dial, f"{host}:{port}", ctx=ctx)
        wait_idle()
        assert not dialled.done
        if from_thread:
            at_once(cancel)
        else:
            cancel()
        assert type(dialled.result(SOON)) is Canceled
        assert open_descriptors() == inside
        assert not ctx._dependents
    assert open_descriptors() == before


def test_a_deadline_meanwhile():
    with fake_clock() as clock, black_hole() as (host, port):
        ctx, cancel = with_timeout(background(), 5)
        dialled = gopoll.go(dial, f"{host}:{port}", ctx=ctx)
        clock.advance(4.9)
        assert not dialled.done
        clock.advance(0.1)
        assert type(dialled.result()) is DeadlineExceeded
        cancel()
        assert len(clock) == 0


@pytest.mark.parametrize(
    ("timeout", "own", "expected"), [(3, 5, TimeoutError), (5, 3, DeadlineExceeded)]
)
def test_the_earlier_of_timeout_and_deadline(timeout, own, expected):
    """TestDialerPartialDeadline, TestContextError."""
    with fake_clock() as clock, black_hole() as (host, port), with_timeout(background(), own) as c:
        dialled = gopoll.go(dial, f"{host}:{port}", ctx=c, timeout=timeout)
        clock.advance(2.9)
        assert not dialled.done
        clock.advance(0.1)
        assert type(dialled.result()) is expected


def test_the_addresses_share_the_time_of_the_context(means):
    with fake_clock() as clock, ExitStack() as stack:
        holes = [stack.enter_context(black_hole()) for _ in range(3)]
        tried = means(*holes)
        ctx = stack.enter_context(with_timeout(background(), 9))
        dialled = gopoll.go(dial, "name:1", ctx=ctx)
        for seconds, count in ((2.9, 1), (0.2, 2), (2.8, 2), (0.2, 3), (2.8, 3)):
            clock.advance(seconds)
            assert len(tried) == count
            assert not dialled.done
        clock.advance(0.2)
        assert type(dialled.result()) is DeadlineExceeded
    assert len(clock) == 0


def test_no_further_address_is_tried(means):
    with black_hole() as hole, net.listen("tcp", "127.0.0.1:0") as listener:
        tried = means(hole, ("127.0.0.1", listener.addr.port))
        ctx, cancel = with_cancel(background())
        dialled = gopoll.go(dial, "name:1", ctx=ctx)
        wait_idle()
        cancel()
        assert type(dialled.result(SOON)) is Canceled
        assert tried == [hole]


def test_cancelled_while_the_name_is_looked_up(slow_resolver):
    ctx, cancel = with_cancel(background())
    dialled = gopoll.go(dial, "slow.example:80", ctx=ctx)
    gopoll.offload(slow_resolver.wait, SOON)
    assert not dialled.done
    cancel()
    assert type(dialled.result(SOON)) is Canceled
    assert not ctx._dependents


def test_a_timeout_while_the_name_is_looked_up(slow_resolver):
    """The one timeout is for finding the addresses, too."""
    with fake_clock() as clock:
        dialled = gopoll.go(dial, "slow.example:80", timeout=5)
        clock.advance(4.9)
        assert not dialled.done
        clock.advance(0.1)
        error = dialled.result()
        assert type(error) is TimeoutError
        assert str(error) == "dial tcp slow.example:80: i/o timeout"
        assert len(clock) == 0


def test_cancel_after_dial():
    """TestCancelAfterDial: it is nothing to the connection."""
    with net.listen("tcp", "127.0.0.1:0") as listener:
        for derive in (with_cancel, lambda ctx: with_timeout(ctx, 3600)):
            ctx, cancel = derive(background())
            with net.dial("tcp", str(listener.addr), ctx=ctx) as conn, listener.accept() as peer:
                cancel()
                wait_idle()
                echoing = gopoll.go(lambda peer=peer: peer.write(peer.read_exactly(13)))
                roundtrip(conn)
                echoing.result(SOON)
                assert not ctx._dependents


def test_a_deadline_after_dial():
    with fake_clock() as clock, net.listen("tcp", "127.0.0.1:0") as listener:
        ctx, cancel = with_timeout(background(), 5)
        with net.dial("tcp", str(listener.addr), ctx=ctx) as conn, listener.accept() as peer:
            clock.advance(100)
            conn.write(b"x")
            assert peer.read() == b"x"
        cancel()


def test_cancelled_in_the_instant_of_success(monkeypatch):
    """TestDialContextCancelRace: who cancelled in time gets no connection, and none stays open."""
    ctx, cancel = with_cancel(background())
    check = dialling._check_connected

    def cancel_first(*args):
        check(*args)
        cancel()

    class Pending(dialling.Socket):
        def connect_ex(self, sockaddr):
            super().connect_ex(sockaddr)
            return dialling.errno.EINPROGRESS

    monkeypatch.setattr(dialling, "_check_connected", cancel_first)
    monkeypatch.setattr(dialling, "Socket", Pending)
    with net.listen("tcp", "127.0.0.1:0") as listener:
        before = open_descriptors()
        assert type(dial(str(listener.addr), ctx=ctx)) is Canceled
        assert open_descriptors() == before
        with listener.accept() as peer:
            assert peer.read() == b""


def test_a_context_that_lets_it_be():
    """TestDialContext, TestDialWithNonZeroDeadline."""
    later = gopoll.time.now() + 3600
    with net.listen("tcp", "127.0.0.1:0") as listener, with_deadline(background(), later) as timed:
        for ctx in (background(), with_value(timed, "key", "value"), Context(), None):
            with net.dial("tcp", str(listener.addr), ctx=ctx) as conn, listener.accept():
                assert conn.remote_addr == listener.addr


def test_other_networks(tmp_path):
    ctx, cancel = with_cancel(background())
    with (
        net.listen("unix", str(tmp_path / "s")) as listener,
        net.dial("unix", str(listener.addr), ctx=ctx, timeout=5),
        net.listen_packet("udp", "127.0.0.1:0") as packets,
        net.dial("udp", str(packets.local_addr), ctx=ctx) as conn,
    ):
        conn.write(b"x")
        assert packets.read_from(10)[0] == b"x"
    cancel()
    assert not ctx._dependents


def test_many_dial_and_are_cancelled_at_once():
    before = open_descriptors()
    with black_hole() as (host, port):
        ctx, cancel = with_cancel(background())
        dialled = [gopoll.go(dial, f"{host}:{port}", ctx=ctx) for _ in range(50)]
        wait_idle()
        cancel()
        assert {type(g.result(SOON)) for g in dialled} == {Canceled}
    assert open_descriptors() == before


def test_no_context():
    for wrong in ("ctx", 5, with_cancel):
        with pytest.raises(TypeError, match="ctx: expected a context"):
            net.dial("tcp", "127.0.0.1:1", ctx=wrong)
