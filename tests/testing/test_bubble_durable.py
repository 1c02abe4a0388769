"""What lets the clock of a bubble move, and what holds it: who else may end the wait."""

import os
import threading

import pytest

import gopoll
from gopoll import Chan, go, gosched, nil_chan, select, testing, time
from gopoll.runtime.sched import this
from gopoll.sync import Cond, Mutex, RWMutex, WaitGroup
from tests.support.pairs import pair
from tests.support.parking import end, parked

pytestmark = pytest.mark.network

HOUR = 3600.0


def outside(fn, *args):
    """Have `fn` called by a goroutine of no bubble, once everybody waits for it."""
    return go(lambda: (testing.wait_idle(), fn(*args)))


# What may be done from outside, and what is waited for inside.
CHANNELS = {
    "read closed": (lambda ch: ch.close(), lambda ch: ch.recv_ok() == (None, False)),
    "read value": (lambda ch: ch.send(0), lambda ch: ch.recv() == 0),
    "range": (lambda ch: ch.close(), lambda ch: list(ch) == []),
    "write value": (lambda ch: ch.recv(), lambda ch: ch.send(0) is None),
    "select": (lambda ch: ch.send(1), lambda ch: select(ch.recv) == (0, 1)),
    "select mixed": (lambda ch: ch.send(1), lambda ch: select(Chan().recv, ch.recv) == (1, 1)),
    "select both ways": (lambda ch: ch.recv(), lambda ch: select(ch.recv, (ch.send, 2))[0] == 1),
    "select outside only": (
        lambda ch: ch.close(),
        lambda ch: select(ch.recv_ok, OUTSIDE.recv) == (0, (None, False)),
    ),
}
OUTSIDE = Chan()


@pytest.mark.parametrize("case", CHANNELS)
def test_channel_from_outside(case):
    """Go: TestChannelFromOutsideBubble."""
    there, here = CHANNELS[case]
    ch = Chan()
    g = outside(there, ch)
    with testing.bubble() as b:
        sleeper = go(gopoll.sleep, HOUR)
        assert here(ch)
        assert b.elapsed == 0
        sleeper.join()
    assert b.elapsed == HOUR
    g.join()


@pytest.mark.parametrize("case", sorted(set(CHANNELS) - {"select outside only"}))
def test_channel_from_inside(case):
    """The same with a channel of the bubble: time moves until the other one comes."""
    there, here = CHANNELS[case]
    with testing.bubble() as b:
        ch = Chan()
        go(lambda: (gopoll.sleep(HOUR), there(ch)))
        assert here(ch)
        assert b.elapsed == HOUR


@pytest.mark.parametrize("use", [Chan.recv, lambda ch: ch.send(0), Chan.close])
def test_channel_moved_out(use):
    """Go: TestChannelMovedOutOfBubble; here it works, and nobody in the bubble waits for it."""
    moved = Chan()
    g = go(lambda: use(moved.recv()))
    with testing.bubble() as b:
        ch = Chan(1)
        moved.send(ch)
        if use is Chan.recv:
            ch.send(0)
        while not g.done:
            gosched()
        assert b.elapsed == 0
    assert g.done


def test_channel_of_another_bubble():
    """Go: TestChannelMovedOutOfBubble/different_bubble; it is from outside there."""
    moved, gate = Chan(), Chan()

    def second():
        ch = moved.recv()
        with testing.bubble() as b:
            go(gopoll.sleep, HOUR)
            assert ch.recv() == "value"
            return b.elapsed

    g = go(second)
    with testing.bubble():
        ch = Chan()
        moved.send(ch)
        gate.try_recv()
        gopoll.sleep(1)
        ch.send("value")
    with pytest.raises(gopoll.Deadlock):
        g.result()


def test_join_of_a_goroutine_from_outside():
    gate = Chan()
    g = go(gate.recv)
    closer = outside(gate.close)
    with testing.bubble() as b:
        go(gopoll.sleep, HOUR)
        g.join()
        assert b.elapsed == 0
        gopoll.sleep(HOUR)
    closer.join()


def test_a_call_in_another_thread():
    gate = threading.Semaphore(0)
    g = outside(gate.release)
    with testing.bubble() as b:
        sleeper = go(gopoll.sleep, HOUR)
        assert gopoll.offload(gate.acquire) is True
        assert b.elapsed == 0
        sleeper.join()
    assert b.elapsed == HOUR
    g.join()


@pytest.mark.parametrize("timeout", [None, 1])
def test_io(timeout):
    """A timeout of it does not come meanwhile: for that the clock would have to move."""
    r, w = os.pipe()
    try:
        g = outside(os.write, w, b"x")
        with testing.bubble() as b:
            sleeper = go(gopoll.sleep, HOUR)
            gopoll.wait_read(r, timeout)
            assert b.elapsed == 0
            sleeper.join()
        assert b.elapsed == HOUR
        g.join()
    finally:
        os.close(r)
        os.close(w)


def test_a_connection():
    with pair("tcp") as (here, there):
        g = outside(there.write, b"x")
        with testing.bubble() as b:
            sleeper = go(gopoll.sleep, HOUR)
            here.set_read_deadline(time.now() + HOUR)
            assert here.read() == b"x"
            assert b.elapsed == 0
            sleeper.join()
            with pytest.raises(TimeoutError):
                here.read()
        g.join()


@pytest.mark.parametrize("where", ["outside", "inside"])
@pytest.mark.parametrize("make", [Mutex, RWMutex])
def test_a_lock(make, where):
    """Wherever it was made: as in Go, whose locks do not know to which bubble they belong."""
    locks = [make()]

    def unlock():
        locks[-1].unlock()

    unlocker = outside(unlock)
    with testing.bubble() as b:
        if where == "inside":
            locks.append(make())
        lock = locks[-1]
        sleeper = go(gopoll.sleep, HOUR)
        lock.lock()
        lock.lock()
        assert b.elapsed == 0
        lock.unlock()
        sleeper.join()
    unlocker.join()
    assert b.elapsed == HOUR


def test_waiting_for_nothing_at_all():
    """A nil channel is nobody's: with all others waiting too, that is for ever."""
    for wait in (nil_chan.recv, lambda: nil_chan.send(1), select):
        with testing.bubble() as b:
            go(gopoll.sleep, HOUR)
            with pytest.raises(gopoll.Deadlock):
                wait()
            assert b.elapsed == HOUR


def test_cond():
    """Go: TestCond."""
    with testing.bubble() as b:
        mu = Mutex()
        cond = Cond(mu)
        woken = []

        def call():
            gopoll.sleep(1)
            with mu:
                cond.signal()
            gopoll.sleep(1)
            with mu:
                cond.broadcast()

        def wait():
            with mu:
                cond.wait()
                woken.append(b.elapsed)

        go(call)
        wait()
        assert woken == [1]
        go(wait)
        wait()
        testing.wait_idle()
        assert woken == [1, 2, 2]


def test_wait_group():
    """Go: TestWaitGroupInBubble."""
    with testing.bubble() as b:
        wg = WaitGroup()
        wg.add(1)
        go(lambda: (gopoll.sleep(1), wg.done()))
        wg.wait()
        assert b.elapsed == 1
        for n in range(10):
            wg.go(gopoll.sleep, n)
        wg.wait()
    assert b.elapsed == 10


def test_wait_group_from_outside():
    """Go: TestWaitGroupOutOfBubble."""
    wg = WaitGroup()
    wg.add(1)
    g = outside(wg.done)
    with testing.bubble() as b:
        go(gopoll.sleep, HOUR)
        wg.wait()
        assert b.elapsed == 0
        gopoll.sleep(HOUR)
    g.join()


def test_wait_group_used_in_two_bubbles():
    """Go: TestWaitGroupMovedBetweenBubblesWithZeroCount and ...AfterWait; it stays the first's."""
    wgs = []
    for _ in range(2):
        with testing.bubble():
            wgs.append(WaitGroup())
            wg = wgs[0]
            wg.go(gosched)
            wg.wait()
            wg.add(1)
            wg.done()
            wg.wait()
    assert len(wgs) == 2


def test_an_iterator_over_time():
    """Go: TestIteratorPush, TestIteratorPull; a generator may sleep between its values."""

    def times():
        while True:
            yield time.now()
            gopoll.sleep(1)

    def take(n):
        source = times()
        return [next(source) for _ in range(n)]

    with testing.bubble(0.0) as b:
        g = go(take, 3)
        gopoll.sleep(5)
        assert g.result() == [0.0, 1.0, 2.0]
    assert b.elapsed == 5


def test_one_who_runs_holds_the_clock():
    with testing.bubble() as b:
        sleeper = go(gopoll.sleep, HOUR)
        for _ in range(3000):
            gosched()
            assert b.elapsed == 0
        assert not sleeper.done
        sleeper.join()
    assert b.elapsed == HOUR


def test_a_durable_wait_says_so():
    with testing.bubble():
        ch = Chan()
        states = {
            "chan receive (durable)": parked(ch.recv),
            "select (durable)": parked(select, ch.recv),
            "select (no cases) (durable)": parked(select),
            "chan send (nil chan) (durable)": parked(nil_chan.send, 1),
            "sleep (durable)": parked(gopoll.sleep, HOUR),
            "goroutine join (durable)": parked(parked(ch.recv).join),
            "chan receive": go(OUTSIDE.recv),
            "select": go(select, ch.recv, OUTSIDE.recv),
        }
        while any(g.state in {"runnable", "running"} for g in states.values()):
            gosched()
        assert {reason: g.state for reason, g in states.items()} == {r: r for r in states}
        end(*[g for g in this.sched.goroutines if g is not gopoll.current()])


def test_outside_of_a_bubble_no_wait_is_durable():
    ch = Chan()
    with testing.fake_clock():
        goroutines = [parked(ch.recv), parked(gopoll.sleep, 1), parked(select, ch.recv)]
        assert [g.state for g in goroutines] == ["chan receive", "sleep", "select"]
        end(*goroutines)
