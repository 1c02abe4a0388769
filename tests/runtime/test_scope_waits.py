"""A scope ends every wait of gopoll: ``timeout()`` by its time, ``until()`` by its context."""

import os
import threading
from contextlib import ExitStack, contextmanager
from functools import partial
from math import inf

import pytest

import gopoll
from gopoll import Chan, go, net, nil_chan, select, sync, testing
from gopoll.errors import ScopeEnd
from gopoll.os import file
from gopoll.os.process import PIPE, Process
from gopoll.runtime.scope import until
from tests.support.pairs import black_hole, fill, pair
from tests.support.parking import end, outcome, parked
from tests.support.threads import running, when_asleep

pytestmark = pytest.mark.network


@pytest.fixture
def clock():
    with testing.fake_clock(0.0) as one:
        yield one


@contextmanager
def started(fn, *args):
    """A goroutine that waits for ever, until the block is over."""
    g = parked(fn, *args)
    yield g
    end(g)


@contextmanager
def pipe_fds():
    fds = os.pipe()
    yield fds
    for fd in fds:
        os.close(fd)


def blocked_thread(stack):
    lock = threading.Lock()
    lock.acquire()
    stack.callback(lock.release)
    return lambda: gopoll.offload(lock.acquire)


def listener(stack):
    return stack.enter_context(net.listen("tcp", "127.0.0.1:0"))


def conn(stack, network="tcp"):
    return stack.enter_context(pair(network))[0]


def datagrams(stack):
    return stack.enter_context(net.listen_packet("udp", "127.0.0.1:0"))


def dial_nobody(stack):
    host, port = stack.enter_context(black_hole())
    return partial(net.dial, "tcp", f"{host}:{port}")


def full_pipe(stack):
    _, fd = stack.enter_context(pipe_fds())
    os.set_blocking(fd, False)
    while not isinstance(outcome(os.write, fd, bytes(4096)), BlockingIOError):
        pass
    return partial(gopoll.wait_write, fd)


def behind_another_reader(stack):
    one = conn(stack)
    stack.enter_context(started(outcome, one.read))
    return one.read


def yielding():
    while True:
        gopoll.gosched()


def joinable(stack):
    return stack.enter_context(started(Chan().recv))


def locked(lock):
    lock.lock()
    return lock


def waits_for_a_signal():
    cond = sync.Cond(sync.Mutex())
    with cond.lock:
        cond.wait()


def counting():
    group = sync.WaitGroup()
    group.add(1)
    return group


def begun(stack, do, *args):
    """Somebody does it already, and does not come to an end."""
    stack.enter_context(started(do, *args, Chan().recv))
    return partial(do, *args, int)


def taken():
    semaphore = sync.Semaphore(1)
    semaphore.acquire()
    return semaphore


def child(stack):
    process = Process(["cat"], stdin=PIPE)

    def end_it():
        process.close()
        process.wait()

    stack.callback(end_it)
    return process


def file_to_read(stack):
    reader, writer = file.pipe()
    stack.enter_context(reader)
    stack.enter_context(writer)
    return reader


# By the name of what waits: given an ExitStack, what to call so that it waits for ever.
WAITS = {
    "recv": lambda _: Chan().recv,
    "recv_ok": lambda _: Chan(3).recv_ok,
    "iteration": lambda _: partial(list, Chan()),
    "send": lambda _: partial(Chan().send, 1),
    "nil chan": lambda _: nil_chan.recv,
    "select": lambda _: partial(select, Chan().recv, (Chan().send, 1)),
    "select without cases": lambda _: select,
    "timer": lambda _: gopoll.time.Timer(inf).c.recv,
    "sleep": lambda _: partial(gopoll.sleep, inf),
    "gosched": lambda _: yielding,
    "offload": blocked_thread,
    "join": lambda stack: joinable(stack).join,
    "join with a limit": lambda stack: partial(joinable(stack).join, 9),
    "result": lambda stack: joinable(stack).result,
    "read": lambda stack: conn(stack).read,
    "read_exactly": lambda stack: partial(conn(stack).read_exactly, 9),
    "read_into": lambda stack: partial(conn(stack, "unix").read_into, bytearray(9)),
    "read behind another": behind_another_reader,
    "write to full buffers": lambda stack: partial(fill, conn(stack)),
    "pipe read": lambda stack: conn(stack, "pipe").read,
    "pipe write": lambda stack: partial(conn(stack, "pipe").write, b"x"),
    "makefile": lambda stack: conn(stack).makefile("rb").readline,
    "accept": lambda stack: listener(stack).accept,
    "dial to a full backlog": dial_nobody,
    "read_from": lambda stack: partial(datagrams(stack).read_from, 9),
    "wait_read": lambda stack: partial(gopoll.wait_read, stack.enter_context(pipe_fds())[0]),
    "wait_write": full_pipe,
    "Mutex.lock": lambda _: locked(sync.Mutex()).lock,
    "RWMutex.lock": lambda _: locked(sync.RWMutex()).lock,
    "RWMutex.rlock": lambda _: locked(sync.RWMutex()).rlock,
    "Cond.wait": lambda _: waits_for_a_signal,
    "WaitGroup.wait": lambda _: counting().wait,
    "Once.do": lambda stack: begun(stack, sync.Once().do),
    "Semaphore.acquire": lambda _: taken().acquire,
    "SingleFlight.do": lambda stack: begun(stack, sync.SingleFlight().do, "key"),
    "Process.wait": lambda stack: child(stack).wait,
    "File.read": lambda stack: file_to_read(stack).read,
}
EVERY_WAIT = pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)


class Done:
    """A context in small: ends once, and tells whom it may concern."""

    def __init__(self):
        self.error = None
        self.calls = []

    def err(self):
        return self.error

    def on_done(self, fn):
        self.calls.append(fn)

        def call_off():
            in_time = fn in self.calls
            if in_time:
                self.calls.remove(fn)
            return in_time

        return call_off

    def finish(self, error):
        self.error = error
        while self.calls:
            self.calls.pop()()


def waiting(fn, *args):
    """Start a goroutine and let it go as far as it can; it may yield for ever."""
    g = go(outcome, fn, *args)
    for _ in range(50):
        gopoll.gosched()
    assert not g.done
    return g


@EVERY_WAIT
def test_a_time_limit_ends_every_wait(clock, wait):
    """Whatever the body catches: the end of a scope is for the scope."""
    caught, scope = [], gopoll.timeout(5)
    with ExitStack() as stack:
        call = wait(stack)

        def limited():
            with scope:
                try:
                    call()
                except (OSError, TimeoutError, Exception) as exc:
                    caught.append(exc)

        g = waiting(limited)
        assert not scope.expired
        _pass(clock, 5)
        assert isinstance(g.result(), TimeoutError)
        assert str(g.result()) == "timed out after 5 seconds"
    assert caught == []
    assert scope.expired
    assert g.pending is None


def _pass(clock, seconds):
    """Move the clock, though somebody may be runnable all the time."""
    clock._now += seconds
    clock._timeline.run_due()


@EVERY_WAIT
def test_a_context_ends_every_wait(wait):
    ctx = Done()
    with ExitStack() as stack:
        call = wait(stack)

        def depending():
            with until(ctx):
                call()

        g = waiting(depending)
        ctx.finish(KeyError("over"))
        assert isinstance(g.result(), KeyError)
        assert isinstance(g.result().__cause__, ScopeEnd)
    assert ctx.calls == []


def test_a_context_that_is_done_lets_nobody_in():
    ctx = Done()
    ctx.finish(KeyError("over"))
    with pytest.raises(KeyError), until(ctx):
        pytest.fail("the body ran")


def test_a_context_that_stays_is_left_without_a_trace():
    ctx = Done()
    with until(ctx):
        assert len(ctx.calls) == 1
    assert ctx.calls == []
    with until(None):
        gopoll.gosched()


def test_a_context_that_ends_while_nobody_waits_ends_the_next_wait():
    ctx, ch = Done(), Chan(1)
    with pytest.raises(KeyError), until(ctx):
        ctx.finish(KeyError("over"))
        ch.send("needs no waiting")
        ch.recv()
        ch.recv()


def test_a_context_that_another_thread_ends():
    ctx = Done()

    def depending():
        with until(ctx):
            Chan().recv()

    with running(when_asleep(ctx.finish, KeyError("over"))), pytest.raises(KeyError):
        depending()


def test_a_context_inside_a_limit_and_a_limit_inside_a_context(clock):
    for limit_first in (True, False):
        for who in ("limit", "context"):
            ctx, limit = Done(), gopoll.timeout(5)

            def both(limit_first=limit_first, ctx=ctx, limit=limit):
                first, second = (limit, until(ctx)) if limit_first else (until(ctx), limit)
                with first, second:
                    Chan().recv()

            g = parked(outcome, both)
            if who == "limit":
                clock.advance(5)
            else:
                ctx.finish(KeyError("over"))
            assert isinstance(g.result(), TimeoutError if who == "limit" else KeyError)
            assert ctx.calls == []
    assert len(clock) == 0
