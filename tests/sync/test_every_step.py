"""An interrupt at each single step of the primitives: it is raised once, and nothing is torn.

It comes as every timeout and every cancel does, through the scheduler, and is on its way from the
n-th line that runs in `gopoll.sync`; for each n in turn.
"""

import os
import sys
import threading

import pytest

import gopoll
from gopoll import go, testing
from gopoll.runtime.sched import this
from gopoll.sync import Cond, Mutex, Once, RWMutex, Semaphore, SingleFlight, WaitGroup
from tests.support.parking import outcome
from tests.support.threads import SOON
from tests.sync.support import Boom, next_wait


class Step:
    """A trace function that sends an interrupt to a goroutine at the n-th line from now on."""

    def __init__(self, n):
        self.left = n
        self.victim = None

    def __call__(self, frame, event, arg):
        if not frame.f_globals.get("__name__", "").startswith("gopoll.sync"):
            return None
        if event == "line" and self.left > 0:
            self.left -= 1
            if self.left == 0:
                this.sched.post(self.strike, None)
                this.sched.operations = 0  # the next switch looks into the inbox
        return self

    def strike(self, _):
        if not self.victim.done:
            this.sched.interrupt(self.victim, Boom())


def locks():
    mu, rw, sem = Mutex(), RWMutex(), Semaphore(1)

    def body():
        for lock in (mu, rw, rw.reading, sem):
            with lock:
                gopoll.gosched()

    return [body] * 3, lambda: mu.try_lock() and rw.try_lock() and sem.try_acquire()


def conditions():
    mu, items = Mutex(), []
    cond = Cond(mu)

    def produce():
        for i in range(2):
            with mu:
                items.append(i)
            cond.signal()
            gopoll.gosched()

    def consume():
        for _ in range(2):
            with mu:
                cond.wait_for(lambda: items)
                items.pop()

    def at_the_end():
        items.extend(range(4))
        cond.broadcast()
        testing.wait_idle()
        return mu.try_lock() and cond._queue.first is None

    return [consume, consume, produce], at_the_end


def groups():
    wg, once = WaitGroup(), Once()

    def body():
        wg.go(once.do, gopoll.gosched)
        once.do(gopoll.gosched)
        wg.wait()

    def at_the_end():
        once.do(pytest.fail)
        wg.add(1)
        wg.done()
        return wg._queue.first is once._queue.first is None

    return [body], at_the_end


def flights():
    sf = SingleFlight()

    def fly():
        assert sf.do("key", lambda: gopoll.gosched() or 7)[0] == 7

    return [fly] * 3, lambda: not sf._flights


@pytest.mark.parametrize("who", [0, -1])
@pytest.mark.parametrize("scenario", [locks, conditions, groups, flights])
def test_an_interrupt_at_each_step(scenario, who, panics):
    n, struck = 0, 0
    while True:
        n += 1
        bodies, at_the_end = scenario()
        step = Step(n)
        before = sys.gettrace()
        sys.settrace(step)
        try:
            goroutines = [go(lambda body=body: (outcome(body), next_wait())) for body in bodies]
            step.victim = goroutines[who]
            testing.wait_idle()
            ended = at_the_end()
            testing.wait_idle()
        finally:
            sys.settrace(before)
        assert ended, n
        came = [g.result(20) for g in goroutines]
        booms = [isinstance(first, Boom) or then is Boom for first, then in came]
        assert booms.count(True) <= 1, (n, came)
        struck += sum(booms)
        others = [pair for pair, boom in zip(came, booms, strict=True) if not boom]
        assert others == [(None, None)] * len(others), (n, came)
        if step.left:
            break
    assert struck > 20
    assert not panics


@pytest.mark.parametrize("leave", [Mutex.unlock, lambda mu: mu.__exit__(None, None, None)])
def test_somebody_queues_up_in_the_middle_of_an_unlock(leave):
    """Whichever line of it another thread strikes before: the waiter is woken."""
    line, struck = 0, True
    while struck:
        line, struck = line + 1, False
        mu, waiting = Mutex(), []
        mu.lock()

        def trace(frame, event, arg, mu=mu, waiting=waiting, line=line):
            nonlocal struck
            if frame.f_code.co_name not in {"unlock", "__exit__"} or event == "call":
                return trace
            left = line - (frame.f_lineno - frame.f_code.co_firstlineno)
            if left == 0 and mu.locked and not struck:
                struck = True
                thread = threading.Thread(target=lambda: (mu.lock(), mu.unlock()), daemon=True)
                thread.start()
                waiting.append(thread)
                while mu._queue.first is None:
                    os.sched_yield()
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            leave(mu)
        finally:
            sys.settrace(before)
        for thread in waiting:
            gopoll.offload(thread.join, SOON)
            assert not thread.is_alive(), line
        assert not mu.locked
        struck = struck or line < 20
    assert line > 1
