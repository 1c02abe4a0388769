"""How a bubble ends: with its goroutines, by an exception, by a deadlock."""

import pytest

import gopoll
from gopoll import Chan, go, gosched, select, testing, time
from gopoll.runtime import lifetime
from tests.support.parking import end, in_thread
from tests.support.script import run_script

HOUR = 3600.0


def forgotten(ch):
    ch.recv()


def test_deadlock_of_the_root():
    """Go: TestDeadlockRoot."""
    with pytest.raises(gopoll.Deadlock) as caught, testing.bubble():
        select()
    text = str(caught.value)
    assert text.startswith("all goroutines in the bubble are asleep - deadlock!\n\n")
    assert '"main" [select (no cases) (durable)]:' in text
    assert "test_deadlock_of_the_root(...)" in text


def test_deadlock_of_a_child():
    """Go: TestDeadlockChild."""
    with pytest.raises(gopoll.Deadlock) as caught, testing.bubble():
        g = go(forgotten, Chan())
    text = str(caught.value)
    assert text.startswith("the block is over, and the goroutines in the bubble are asleep")
    assert f'goroutine {g.id} "forgotten" [chan receive (durable)]:' in text
    assert "forgotten(...)" in text
    assert "created by test_deadlock_of_a_child in goroutine" in text
    assert '"main"' not in text
    assert g.done


def test_deadlock_by_a_ticker():
    """Go: TestDeadlockTicker; once the block is over time stands still."""
    ticks = []
    with pytest.raises(gopoll.Deadlock, match="the block is over"), testing.bubble() as b:
        go(lambda: [ticks.append(at) for at in time.tick(1)])
    assert ticks == []
    assert b.elapsed == 0


def test_a_sleeper_at_the_end():
    with pytest.raises(gopoll.Deadlock, match=r"sleep \(durable\)"), testing.bubble() as b:
        g = go(gopoll.sleep, HOUR)
    assert (g.done, b.elapsed) == (True, 0)


def test_a_deadlock_names_all_and_nobody_else():
    outsider = go(Chan().recv)
    with pytest.raises(gopoll.Deadlock) as caught, testing.bubble():
        ch = Chan()
        inside = [go(ch.recv) for _ in range(3)]
        ch2 = Chan()
        ch2.send(1)
    text = str(caught.value)
    assert all(f"goroutine {g.id} " in text for g in inside)
    assert f"goroutine {outsider.id} " not in text
    assert "[chan send (durable)]" in text
    assert not outsider.done
    end(outsider)


def test_who_survives_a_deadlock_goes_on():
    with testing.bubble() as b:
        for _ in range(3):
            with pytest.raises(gopoll.Deadlock):
                Chan().recv()
            gopoll.sleep(1)
    assert b.elapsed == 3


def test_the_root_waits_for_those_it_left_running():
    seen = []

    def body(n):
        for _ in range(n):
            gosched()
        go(seen.append, n)

    with testing.bubble():
        for n in (0, 10, 500):
            go(body, n)
    assert sorted(seen) == [0, 10, 500]


def test_the_root_waits_for_those_who_wait_outside():
    ch, seen = Chan(), []
    g = go(lambda: (testing.wait_idle(), ch.send("at last")))
    with testing.bubble():
        go(lambda: seen.append(ch.recv()))
    assert seen == ["at last"]
    g.join()


def test_an_exception_ends_it():
    """Go: TestFatal; the goroutines end, their clean-up runs, and needs time for it."""
    ended = []

    def child():
        try:
            Chan().recv()
        finally:
            gopoll.sleep(HOUR)
            ended.append(time.now())

    clock = gopoll.current().timeline
    with pytest.raises(ZeroDivisionError), testing.bubble(0.0):
        goroutines = [go(child) for _ in range(3)]
        testing.wait_idle()
        raise ZeroDivisionError
    assert ended == [HOUR] * 3
    assert all(g.done for g in goroutines)
    assert gopoll.current().timeline is clock


def test_goroutines_that_never_ran():
    ran = []
    with pytest.raises(KeyError), testing.bubble():
        goroutines = [go(ran.append, n) for n in range(3)]
        raise KeyError
    assert ran == []
    assert all(g.done for g in goroutines)


def test_an_exception_in_a_goroutine(panics):
    with testing.bubble() as b:
        g = go(lambda: (gopoll.sleep(1), int("x")))
        with pytest.raises(ValueError, match="'x'"):
            g.result()
        go(lambda: (gopoll.sleep(1), {}["x"]))
        gopoll.sleep(5)
    assert b.elapsed == 6
    assert [type(exc) for _, exc in panics] == [KeyError]


def test_goexit_of_the_root():
    def root():
        with testing.bubble():
            go(Chan().recv)
            gopoll.goexit()

    g = go(root)
    assert g.result() is None
    assert end(g) is None


def test_one_that_refuses_to_end(monkeypatch, capsys):
    monkeypatch.setattr(lifetime, "_GRACE", 0.05)
    gate = Chan(1)

    def stubborn():
        while not gate:
            pass
        while True:
            try:
                Chan().recv()
            except BaseException:
                gosched()

    with pytest.raises(gopoll.Deadlock, match="stubborn"), testing.bubble():
        g = go(stubborn)
    assert g.done
    text = capsys.readouterr().err
    assert text.startswith("gopoll: 1 goroutines refused to end:\n\n")
    assert "stubborn" in text


def test_a_sleeper_that_refuses_to_end(monkeypatch, capsys):
    """Time goes on for those who are told to end, for ever; that does not keep the others."""
    monkeypatch.setattr(lifetime, "_GRACE", 0.05)

    def stubborn():
        while True:
            try:
                gopoll.sleep(HOUR)
            except BaseException:
                gosched()

    with pytest.raises(KeyError), testing.bubble() as b:
        go(stubborn)
        gopoll.sleep(10 * HOUR)
        raise KeyError
    assert b.elapsed > 10 * HOUR
    assert "refused to end" in capsys.readouterr().err


def test_the_thread_may_end_in_it():
    def body():
        testing.bubble().__enter__()
        go(gopoll.sleep, HOUR)

    before = gopoll.num_goroutine()
    in_thread(body)
    assert gopoll.num_goroutine() == before


KEYBOARD = """
import os, signal, threading
import gopoll
from gopoll import testing
from gopoll.runtime.sched import this

sched = this.sched
ended = []

def child():
    try:
        gopoll.Chan().recv()
    finally:
        gopoll.sleep(5)
        ended.append("ended")

def root(body):
    with testing.bubble():
        gopoll.go(child)
        testing.wait_idle()
        body()

def wait_outside():
    def kill():
        while not sched.sleeping:
            os.sched_yield()
        os.kill(os.getpid(), signal.SIGINT)
    thread = threading.Thread(target=kill)
    thread.start()
    outside.recv()

def compute():
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        pass

def tick_for_ever():
    gopoll.time.after_func(100, os.kill, os.getpid(), signal.SIGINT)
    for _ in gopoll.time.tick(1):
        pass

outside = gopoll.Chan()
for body in (wait_outside, compute, tick_for_ever):
    try:
        root(body)
    except KeyboardInterrupt:
        print(body.__name__, ended.pop(), len(sched.goroutines), sched.watchers)
"""


def test_the_keyboard_interrupts_it():
    done = run_script(KEYBOARD)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"{name} ended 1 []" for name in ("wait_outside", "compute", "tick_for_ever")
    ]


FORK = """
import os
import gopoll
from gopoll import testing, time

def child_of_root():
    with testing.bubble() as b:
        g = gopoll.go(gopoll.sleep, 100)
        testing.wait_idle()
        if pid := os.fork():
            os.waitpid(pid, 0)
            g.join()
        else:
            gopoll.sleep(5)
            gopoll.go(gopoll.sleep, 2).join()
    print(b.elapsed, flush=True)
    if not pid:
        gopoll.sleep(0.001)
        os._exit(0)

def child_of_member():
    if pid := os.fork():
        os.waitpid(pid, 0)
        return
    gopoll.sleep(8)
    try:
        gopoll.Chan().recv()
    except gopoll.Deadlock as error:
        print(time.now(), str(error).splitlines()[0], flush=True)
    os._exit(0)

child_of_root()
with testing.bubble(0.0):
    gopoll.go(child_of_member).join()
"""


def test_a_fork_in_it():
    """The child keeps the goroutine that forked, and its clock."""
    done = run_script(FORK, PYTHONWARNINGS="ignore")
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "7.0",
        "100.0",
        "8.0 all goroutines in the bubble are asleep - deadlock!",
    ]
