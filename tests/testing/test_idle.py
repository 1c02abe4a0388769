"""wait_idle(): when every other goroutine waits."""

import os
import threading

import pytest

import gopoll
from gopoll import Chan, go, gosched, testing
from gopoll.runtime.sched import this
from tests.support.parking import end

pytestmark = pytest.mark.network


def test_it_returns_at_once_if_nobody_runs():
    testing.wait_idle()
    assert gopoll.current().state == "running"


def test_it_waits_for_everybody_who_can_run():
    ran = []

    def body(n):
        for _ in range(n):
            gosched()
        ran.append(n)

    for n in (0, 10, 300):
        go(body, n)
    testing.wait_idle()
    assert sorted(ran) == [0, 10, 300]


def test_it_waits_for_what_they_start_and_wake():
    ch, ran = Chan(), []

    def first():
        go(second)
        ran.append(ch.recv())
        go(ran.append, "third")

    def second():
        ch.send("second")

    go(first)
    testing.wait_idle()
    assert ran == ["second", "third"]


def test_sleepers_and_waiters_count_as_idle():
    gate = threading.Semaphore(0)
    with testing.fake_clock():
        sleeper = go(gopoll.sleep, 1)
        blocked = go(gopoll.offload, gate.acquire)
        waiter = go(Chan().recv)
        testing.wait_idle()
        assert [g.state for g in (sleeper, blocked, waiter)] == ["sleep", "offload", "chan receive"]
        end(sleeper, waiter)
    gate.release()
    blocked.result()


def test_it_delivers_what_descriptors_have_ready_first():
    r, w = os.pipe()
    try:
        g = go(gopoll.wait_read, r)
        testing.wait_idle()
        assert not g.done
        os.write(w, b"x")
        testing.wait_idle()
        assert g.done
    finally:
        os.close(r)
        os.close(w)


def test_what_a_thread_has_posted_comes_first():
    ch = Chan(1)
    g = go(ch.recv)
    testing.wait_idle()
    thread = threading.Thread(target=ch.send, args=(1,))
    thread.start()
    thread.join()
    testing.wait_idle()
    assert g.done


def test_several_may_wait_for_it():
    ran = []
    goroutines = [go(lambda i=i: (testing.wait_idle(), ran.append(i))) for i in range(3)]
    go(lambda: [gosched() for _ in range(20)] and ran.append("busy"))
    testing.wait_idle()
    for g in goroutines:
        g.join()
    assert ran[0] == "busy"
    assert sorted(ran[1:]) == [0, 1, 2]


def test_an_interrupted_wait_leaves_nothing_behind():
    stop = []

    def busy():
        while not stop:
            gosched()

    g = go(busy)
    idler = go(testing.wait_idle)
    while idler.state != "wait idle":
        gosched()
    end(idler)
    assert this.sched.idlers == []
    stop.append(True)
    g.join()
