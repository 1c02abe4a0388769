"""bubble(): a clock that moves when everybody waits, and only then."""

import math

import pytest

import gopoll
from gopoll import Chan, context, go, gosched, net, select, testing, time
from gopoll.runtime.bubble import bubbles
from gopoll.runtime.sched import this
from tests.support.parking import end, in_thread, outcome

HOUR = 3600.0


@pytest.fixture(autouse=True)
def _nothing_is_left():
    """Whatever a bubble goes through, afterwards the scheduler knows nothing of it."""
    clock = gopoll.current().timeline
    yield
    assert gopoll.current().timeline is clock
    assert this.sched.watchers == []
    assert bubbles == [0]


def test_now():
    """Go: TestNow, TestTime; goroutines of the bubble share its clock."""
    seen = []
    with testing.bubble(100.0) as b:
        assert time.now() == b.now() == 100.0
        go(lambda: seen.append(time.now()))
        gopoll.sleep(1)
        assert (time.now(), b.elapsed) == (101.0, 1.0)
    assert seen == [100.0]
    assert time.now() != 101.0


def test_the_clock_starts_the_same_each_time():
    """Go: TestNow of testing/synctest."""
    seen = []
    for _ in range(2):
        with testing.bubble():
            seen.append(time.now())
            gopoll.sleep(5)
    assert seen == [1_000_000.0] * 2


def test_a_clock_may_start_at_a_time_from_outside():
    """Go: TestMonotonicClock."""
    start = time.now()
    with testing.bubble(start):
        gopoll.sleep(HOUR)
        assert time.now() == start + HOUR


def test_an_empty_one():
    """Go: TestRunEmpty, TestSuccess."""
    with testing.bubble() as b:
        assert repr(b) == "<Bubble after 0.000000 seconds, 1 goroutines>"
    assert b.elapsed == 0


def test_order_of_time():
    """Go: TestTime; a goroutine whose time comes earlier has run before a later one."""
    seen = []
    with testing.bubble(0.0):
        for seconds in (3, 1, 2):
            go(lambda s=seconds: (gopoll.sleep(s), seen.append((s, time.now()))))
        gopoll.sleep(2.5)
        assert seen == [(1, 1.0), (2, 2.0)]
        gopoll.sleep(1)
    assert seen[2:] == [(3, 3.0)]


def test_what_one_timer_causes_comes_before_the_next():
    seen = []

    def relay():
        for _ in range(100):
            gosched()
        seen.append("caused")

    with testing.bubble():
        go(lambda: (gopoll.sleep(1), go(relay)))
        go(lambda: (gopoll.sleep(1 + 1e-9), seen.append("later")))
        gopoll.sleep(2)
    assert seen == ["caused", "later"]


def test_hours_of_backing_off():
    attempts = []

    def connect():
        attempts.append(time.now())
        if len(attempts) < 12:
            raise ConnectionRefusedError
        return "connected"

    def retry():
        delay = 1.0
        while True:
            try:
                return connect()
            except ConnectionRefusedError:
                gopoll.sleep(delay)
                delay *= 2

    with testing.bubble() as b:
        assert go(retry).result() == "connected"
    assert b.elapsed == sum(2.0**n for n in range(11))
    assert b.elapsed == 2047


@pytest.mark.parametrize("n", [1, 7])
def test_a_ping_pong_over_time(n):
    with testing.bubble() as b:
        ping, pong = Chan(), Chan()

        def player():
            for value in ping:
                gopoll.sleep(1)
                pong.send(value)

        players = [go(player) for _ in range(n)]
        for i in range(10):
            ping.send(i)
            assert pong.recv() == i
        ping.close()
        for g in players:
            g.join()
    assert b.elapsed == 10


def test_timeout_scopes_go_by_it():
    with testing.bubble() as b:
        with (
            pytest.raises(TimeoutError, match="timed out after 3600 seconds"),
            gopoll.timeout(HOUR),
        ):
            Chan().recv()
        assert b.elapsed == HOUR
        with gopoll.timeout(HOUR) as scope:
            gopoll.sleep(HOUR - 1)
        assert not scope.expired
        with pytest.raises(TimeoutError):
            go(gopoll.sleep, 10).result(5)
        gopoll.sleep(5)
    assert b.elapsed == 2 * HOUR + 9


def test_a_scope_from_outside_keeps_its_own_time():
    with gopoll.timeout(HOUR) as scope, testing.bubble() as b:
        gopoll.sleep(10 * HOUR)
    assert b.elapsed == 10 * HOUR
    assert not scope.expired


def test_deadlines_of_connections_in_memory():
    """Go: TestHTTPTransport100Continue; a pipe instead of a network."""
    with testing.bubble() as b:
        here, there = net.pipe()
        there.set_read_deadline(time.now() + HOUR)
        g = go(outcome, there.read)
        testing.wait_idle()
        assert not g.done
        assert b.elapsed == 0
        assert isinstance(g.result(), TimeoutError)
        assert b.elapsed == HOUR
        there.set_read_deadline(None)
        g = go(there.read)
        here.set_write_deadline(time.now() + 1)
        here.write(b"in time")
        assert g.result() == b"in time"
        with pytest.raises(TimeoutError):
            here.write(b"too late")
        assert b.elapsed == HOUR + 1


def test_contexts_with_a_deadline():
    """Go: TestContextWithTimeout."""
    with testing.bubble() as b:
        ctx, cancel = context.with_timeout(context.background(), 5)
        gopoll.sleep(5 - 0.001)
        testing.wait_idle()
        assert ctx.err() is None
        gopoll.sleep(0.001)
        testing.wait_idle()
        assert isinstance(ctx.err(), context.DeadlineExceeded)
        cancel()
        with context.with_timeout(context.background(), 7) as ctx:
            assert ctx.done().recv_ok() == (None, False)
    assert b.elapsed == 12


def test_what_is_called_after_a_context():
    """Go: TestContextAfterFunc."""
    called = []
    with testing.bubble():
        ctx, cancel = context.with_cancel(context.background())
        context.after_func(ctx, lambda: called.append(time.now()))
        testing.wait_idle()
        assert not called
        cancel()
        testing.wait_idle()
        assert called == [1_000_000.0]


def test_the_last_word_of_a_test_may_end_its_goroutines():
    """Go: TestContext, TestCleanup; what waits for the end of the block is ended by it."""
    ended = []
    with testing.bubble(), context.with_cancel(context.background()) as ctx:
        go(lambda: ended.append(ctx.done().recv()))
        testing.wait_idle()
        assert not ended
    assert ended == [None]


def test_as_a_decorator():
    @testing.bubble(50.0)
    def nap(seconds, *, then):
        gopoll.sleep(seconds)
        return time.now() + then

    assert nap(2, then=0.5) == 52.5
    assert nap(3, then=0.5) == 53.5
    with pytest.raises(TypeError, match="start of a bubble: a time is a number"):
        testing.bubble(nap)


@pytest.mark.parametrize("start", [math.nan, "noon"])
def test_a_start_that_is_none(start):
    with pytest.raises((TypeError, ValueError), match="start of a bubble"):
        testing.bubble(start)


def test_bubbles_do_not_nest():
    with testing.bubble() as b:
        with pytest.raises(RuntimeError, match="bubbles do not nest"), testing.bubble():
            pytest.fail("it was entered")
        inner = go(outcome, testing.bubble().__enter__)
        assert isinstance(inner.result(), RuntimeError)
        gopoll.sleep(1)
    assert b.elapsed == 1


def test_one_after_the_other():
    for n in range(3):
        with testing.bubble() as b:
            go(gopoll.sleep, 1).join()
        assert b.elapsed == 1, n


def test_two_at_once():
    """Each has a clock of its own, and only its own goroutines hold it."""

    def live(seconds):
        with testing.bubble() as b:
            for _ in range(10):
                gopoll.sleep(seconds)
                gosched()
            with pytest.raises(gopoll.Deadlock):
                Chan().recv()
        return b.elapsed

    assert [g.result() for g in [go(live, 1), go(live, 100)]] == [10, 1000]


def test_two_in_two_threads():
    def live(seconds):
        with testing.bubble() as b:
            workers = [go(gopoll.sleep, seconds * n) for n in range(50)]
            for g in workers:
                g.join()
        return b.elapsed

    goroutines = [go(in_thread, live, seconds) for seconds in (1, 2)]
    assert [g.result() for g in goroutines] == [49, 98]


def test_goroutines_that_are_not_in_it_go_on():
    ch, seen = Chan(), []
    outsider = go(lambda: [seen.append(value) for value in ch])
    with testing.bubble() as b:
        for n in range(3):
            ch.send(n)
            gopoll.sleep(1)
    ch.close()
    outsider.join()
    assert (seen, b.elapsed) == ([0, 1, 2], 3)


def test_an_endless_sleep_is_a_deadlock():
    """The clock does not jump to infinity."""
    with testing.bubble() as b:
        with pytest.raises(gopoll.Deadlock):
            gopoll.sleep(math.inf)
        with pytest.raises(gopoll.Deadlock), gopoll.timeout(math.inf):
            Chan().recv()
        gopoll.sleep(1)
    assert b.elapsed == 1


def test_order_by_chance():
    """Timers of one instant, and those whom they wake, in an order that the seed makes."""

    def order(seed):
        seen = []
        with testing.seeded(seed), testing.bubble():
            for n in range(6):
                go(lambda n=n: (gopoll.sleep(1), seen.append(n)))
            gopoll.sleep(2)
        assert sorted(seen) == list(range(6))
        return tuple(seen)

    assert len({order(seed) for seed in range(10)}) > 5
    assert [order(seed) for seed in range(3)] == [order(seed) for seed in range(3)]


def test_order_of_setting_without_chance(monkeypatch):
    monkeypatch.setattr(this.sched, "shuffle", None)
    seen = []
    with testing.bubble():
        for n in range(6):
            go(lambda n=n: (gopoll.sleep(1), seen.append(n)))
        gopoll.sleep(2)
    assert seen == list(range(6))


def test_the_root_may_be_any_goroutine():
    def live():
        with testing.bubble() as b, pytest.raises(gopoll.Deadlock):
            gopoll.sleep(HOUR)
            Chan().recv()
        return b.elapsed

    g = go(live)
    assert g.result() == HOUR
    assert end(g) is None


def test_select_with_a_way_out():
    with testing.bubble() as b:
        ch = Chan()
        go(lambda: (gopoll.sleep(2), ch.send("late")))
        timer = time.after(1)
        assert select(ch.recv, timer.recv)[0] == 1
        assert select(ch.recv, time.after(5).recv) == (0, "late")
    assert b.elapsed == 2
