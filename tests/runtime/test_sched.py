"""Who runs when: order, hand-over, fairness, sleep, recycling."""

import os
import threading

import pytest

import gopoll
from gopoll import Chan, default, go, gosched, select, testing
from gopoll.runtime import sched as sched_module
from gopoll.runtime import turn
from gopoll.runtime.sched import this
from tests.support.parking import end, parked
from tests.support.threads import running


@pytest.fixture
def in_order():
    """Run goroutines in the order of their becoming runnable, whatever the seed of the run."""
    before, this.sched.shuffle = this.sched.shuffle, None
    yield
    this.sched.shuffle = before


# -- order ---------------------------------------------------------------------------------------


def test_first_runnable_first_served(in_order):
    ran = []
    for i in range(10):
        go(ran.append, i)
    gosched()
    assert ran == list(range(10))


def test_gosched_goes_behind_everybody_who_can_run(in_order):
    """runtime/proc.go: Gosched puts the goroutine at the tail."""
    ran = []

    def body(who):
        for _ in range(3):
            ran.append(who)
            gosched()

    goroutines = [go(body, who) for who in "abc"]
    for g in goroutines:
        g.join()
    assert "".join(ran) == "abcabcabc"


def test_gosched_alone_returns():
    gosched()
    assert gopoll.current().state == "running"


def test_woken_goroutines_run_in_the_order_of_waking(in_order):
    gates = [Chan() for _ in range(5)]
    ran = []
    goroutines = [go(lambda i=i: (gates[i].recv(), ran.append(i))) for i in range(5)]
    testing.wait_idle()
    for i in (3, 1, 4, 0, 2):
        gates[i].send(None)
    for g in goroutines:
        g.join()
    assert ran == [3, 1, 4, 0, 2]


# -- nobody is starved ---------------------------------------------------------------------------


def ping_pong(a, b, stop):
    while not stop.closed:
        a.send(None)
        b.recv()


def pong(a, b, stop):
    while True:
        if select(a.recv, stop.recv)[0] == 1:
            return
        if select((b.send, None), stop.recv)[0] == 1:
            return


@pytest.fixture
def pair():
    """Two goroutines that wake each other for ever: one of them can always run."""
    a, b, stop = Chan(), Chan(), Chan()
    first = go(ping_pong, a, b, stop)
    second = go(pong, a, b, stop)
    gosched()
    yield first, second
    stop.close()
    end(first)
    second.join()


def test_a_pair_that_wakes_each_other_does_not_starve_a_third(pair):
    """runtime/proc_test.go, TestPingPongHog: the pair shares one time slice with the rest."""
    turns = 0
    for _ in range(200):
        gosched()
        turns += 1
    assert turns == 200
    assert not any(g.done for g in pair)


def test_a_pair_that_wakes_each_other_does_not_starve_timers(pair):
    """runtime/proc_test.go, TestTimerFairness and TestTimerFairness2."""
    for _ in range(3):
        gopoll.sleep(0.001)
    assert not any(g.done for g in pair)


@pytest.mark.network
def test_a_pair_that_wakes_each_other_does_not_starve_the_poller(pair):
    r, w = os.pipe()
    try:
        g = go(gopoll.wait_read, r)
        gosched()
        os.write(w, b"x")
        g.result(30)
    finally:
        os.close(r)
        os.close(w)
    assert not any(g.done for g in pair)


def test_a_pair_that_wakes_each_other_does_not_starve_the_inbox(pair):
    ch = Chan()
    thread = threading.Thread(target=ch.send, args=("from a thread",))
    thread.start()
    assert ch.recv() == "from a thread"
    gopoll.offload(thread.join)


def test_a_yielding_goroutine_lets_everybody_go_on():
    """runtime/proc_test.go, TestYieldProgress."""
    stop = []

    def yield_for_ever():
        while not stop:
            gosched()

    g = go(yield_for_ever)
    gopoll.sleep(0.001)
    stop.append(True)
    g.result()
    assert g.done


closed = Chan()
closed.close()


@pytest.mark.parametrize(
    "operation",
    [
        lambda: Chan(1).send(1),
        lambda: select(Chan().recv, default),
        closed.recv,
    ],
    ids=["send", "select", "recv"],
)
def test_operations_that_never_wait_give_way_sometimes(operation):
    """curio issue 106: a goroutine that always finds what it wants would own the processor."""
    stop = []
    go(stop.append, True)
    done = 0
    while not stop:
        operation()
        done += 1
        assert done <= turn._OPERATIONS + 1
    assert done > 1  # but not at each operation, which would cost a switch


def test_a_flood_through_one_channel_does_not_keep_timers_waiting():
    ch = Chan(1000)
    stop = []

    def flood():
        while not stop:
            ch.send(0)
            ch.recv()

    g = go(flood)
    gopoll.sleep(0.001)
    stop.append(True)
    g.result()
    assert len(ch) == 0


@pytest.fixture
def looks():
    """When the inbox was looked at, counted in switches of goroutines that can always run."""
    switches, looked, stop = [], [], []

    def spin():
        while not stop:
            switches.append(None)
            gosched()

    goroutines = [go(spin) for _ in range(3)]
    gosched()

    def look():
        switches.clear()
        this.sched.inbox.append((lambda _: looked.append(len(switches)), None))
        while not looked:
            gosched()
        return looked[0]

    yield look
    stop.append(None)
    for g in goroutines:
        g.join()


def test_a_turn_ends_after_so_many_hand_overs(looks):
    this.sched.turn_end = float("inf")
    assert 1 < looks() <= turn._OPERATIONS


def test_a_turn_ends_after_so_much_time(looks):
    this.sched.operations = 10**9
    this.sched.turn_end = 0.0
    assert looks() <= 1


# -- sleep ---------------------------------------------------------------------------------------


def test_sleepers_wake_in_the_order_of_their_times(in_order):
    woken = []
    with testing.fake_clock() as clock:
        for seconds in (3, 1, 2, 1):
            go(lambda s=seconds: (gopoll.sleep(s), woken.append(s)))
        clock.advance(10)
    assert woken == [1, 1, 2, 3]


@pytest.mark.parametrize("seconds", [0, -1, -float("inf")])
def test_sleeping_no_time_only_lets_others_run(seconds):
    """time/sleep_test.go, TestSleepZeroDeadlock, TestNegative."""
    ran = []
    go(ran.append, 1)
    with testing.fake_clock() as clock:
        while not ran:
            gopoll.sleep(seconds)
        assert len(clock) == 0
    assert ran == [1]


@pytest.mark.parametrize(
    ("seconds", "error"), [(float("nan"), ValueError), ("1", TypeError), (None, TypeError)]
)
def test_what_is_no_time(seconds, error):
    with pytest.raises(error):
        gopoll.sleep(seconds)
    assert gopoll.current().state == "running"


def test_a_sleep_for_ever_can_be_ended():
    g = parked(gopoll.sleep, float("inf"))
    assert g.state == "sleep"
    end(g)
    assert len(this.sched.timeline) == 0


def test_an_ended_sleep_leaves_no_timer():
    with testing.fake_clock() as clock:
        g = parked(gopoll.sleep, 5)
        assert len(clock) == 1
        end(g)
        assert len(clock) == 0


# -- workers are used again ----------------------------------------------------------------------


def test_a_worker_serves_many_goroutines():
    import greenlet

    def body():
        return id(greenlet.getcurrent())

    workers = {go(body).result() for _ in range(100)}
    assert len(workers) == 1


def test_workers_are_kept_within_bounds():
    gate = Chan()
    many = sched_module._FREE_WORKERS + 50
    goroutines = [go(gate.recv) for _ in range(many)]
    testing.wait_idle()
    gate.close()
    for g in goroutines:
        g.join()
    assert len(this.sched.free) == sched_module._FREE_WORKERS
    assert go(lambda: 1).result() == 1


def test_goroutines_may_start_goroutines():
    """Spawning from below: 2 ** 10 of them, each started by another."""
    leaves = []

    def grow(depth):
        if depth == 0:
            leaves.append(None)
            return
        for g in [go(grow, depth - 1) for _ in range(2)]:
            g.join()

    go(grow, 9).result()
    assert len(leaves) == 512


def test_a_goroutine_may_use_greenlets_of_its_own():
    """A wait inside of a foreign greenlet parks the goroutine, and comes back to that greenlet."""
    import greenlet

    gate = Chan()

    def inner():
        return gate.recv(), greenlet.getcurrent() is not outer[0]

    outer = []

    def body():
        outer.append(greenlet.getcurrent())
        return greenlet.greenlet(inner).switch()

    g = parked(body)
    gate.send("value")
    assert g.result() == ("value", True)


# -- waking from outside ---------------------------------------------------------------------------


def test_a_sleeping_scheduler_is_woken_from_a_thread():
    """runtime/proc_test.go, TestNetpollBreak."""
    there, back = Chan(), Chan()
    mine = this.sched

    def body():
        for value in there:
            while not mine.sleeping:
                os.sched_yield()
            back.send(value)

    with running(body):
        for i in range(200):
            there.send(i)
            assert back.recv() == i
        there.close()
