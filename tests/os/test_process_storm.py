"""A thousand children; and the source of the pollers from which their ends are known."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import gopoll
from gopoll import go, testing
from gopoll.os import _child
from gopoll.os.process import PIPE, Process, run
from gopoll.runtime.poller import available_pollers, new_poller
from gopoll.runtime.poller.base import READ
from gopoll.sync import WaitGroup
from tests.support.pairs import open_descriptors
from tests.support.parking import in_thread

pytestmark = pytest.mark.network

_LONG = 30.0


class Told:
    """A target that counts."""

    def __init__(self):
        self.times = 0

    def deliver(self, modes):
        self.times += bool(modes & READ)

    def evict(self):
        raise AssertionError


def pump(poller, timeout=_LONG):
    for target, modes in poller.poll(timeout):
        target.deliver(modes)


@pytest.fixture(params=["epoll", "epoll-level", "kqueue", "poll", "select"])
def poller(request, monkeypatch):
    if request.param not in available_pollers():
        pytest.skip(f"no {request.param} in this run")
    monkeypatch.setenv("GOPOLL_POLLER", request.param)
    one = new_poller()
    yield one
    one.close()


@pytest.fixture
def cat():
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    fd = os.pidfd_open(child.pid) if hasattr(os, "pidfd_open") else -1
    yield child, fd
    child.stdin.close()
    child.wait()
    if fd >= 0:
        os.close(fd)


def watch(poller, child, fd, target):
    if not poller.watch_process(child.pid, fd, target):
        assert fd < 0
        pytest.skip("this kernel has nothing to wait for")


def test_the_end_is_told_once(poller, cat):
    child, fd = cat
    told = Told()
    watch(poller, child, fd, told)
    assert told in poller.targets()
    pump(poller, 0)
    assert told.times == 0
    child.stdin.close()
    pump(poller)
    pump(poller, 0)
    assert told.times == 1
    poller.forget_process(child.pid, fd, told)
    assert told not in poller.targets()


def test_an_end_before_the_watch_is_told(poller, cat):
    child, fd = cat
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    told = Told()
    try:
        watch(poller, child, fd, told)
    except ProcessLookupError:  # this says so, too
        return
    pump(poller)
    assert told.times == 1
    poller.forget_process(child.pid, fd, told)


def test_what_is_forgotten_is_not_told(poller, cat):
    child, fd = cat
    told, stranger = Told(), Told()
    watch(poller, child, fd, told)
    poller.forget_process(child.pid, fd, stranger)
    assert told in poller.targets()
    poller.forget_process(child.pid, fd, told)
    poller.forget_process(child.pid, fd, told)
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    pump(poller, 0)
    assert told.times == 0
    assert told not in poller.targets()


def test_it_is_not_told_how_often_it_is_asked_again(poller, cat):
    """Forgotten and watched anew, as by waits that time out."""
    child, fd = cat
    told = Told()
    for _ in range(50):
        watch(poller, child, fd, told)
        pump(poller, 0)
        poller.forget_process(child.pid, fd, told)
    watch(poller, child, fd, told)
    child.stdin.close()
    pump(poller)
    assert told.times == 1
    poller.forget_process(child.pid, fd, told)


def test_without_a_descriptor_only_kqueue_can(poller, cat):
    child, _ = cat
    told = Told()
    assert poller.watch_process(child.pid, -1, told) is (poller.name == "kqueue")
    poller.forget_process(child.pid, -1, told)


def test_a_descriptor_that_select_cannot_watch_is_left_to_a_thread():
    if new_poller().name != "select":
        pytest.skip("of select only")
    assert new_poller().watch_process(os.getpid(), 1024, Told()) is False


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.scale
@pytest.mark.skipif(sys.platform != "linux", reason="measures by /proc")
def test_a_thousand_children_of_a_hundred_goroutines():
    """Started, waited for and reaped; descriptors and memory are flat at the end."""

    def some(number, times, wrong):
        for i in range(times):
            code = (number + i) % 200
            if i % 2:
                done = run(["sh", "-c", f"cat; exit {code}"], input=b"x" * code, capture=True)
                good = done.returncode == code and len(done.stdout) == code
            else:
                with Process(["sh", "-c", f"exit {code}"]) as child:
                    good = child.wait() == code
            if not good:
                wrong.append((number, i))

    def storm(goroutines, times):
        wrong = []
        group = WaitGroup()
        for number in range(goroutines):
            group.go(some, number, times, wrong)
        group.wait()
        return wrong

    assert storm(100, 1) == []  # what is kept for reuse is there now
    testing.wait_idle()
    descriptors, memory = open_descriptors(), resident()
    assert storm(100, 10) == []
    testing.wait_idle()
    assert open_descriptors() == descriptors
    assert resident() - memory < 4 << 20
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.scale
def test_children_and_threads_that_wait_kill_and_give_up_at_random():
    """Whoever reaps, everybody learns the same, and nobody waits for ever."""

    def torment(child, seed):
        waiting = [go(child.wait) for _ in range(3)]
        for n in range(3):
            try:
                child.wait((seed + n) % 3 * 0.0005)
            except TimeoutError:
                child.poll()
        child.send_signal(9 if seed % 2 else 15)
        return {child.wait(), *(g.result() for g in waiting)}

    for seed in range(20):
        with Process(["cat"], stdin=PIPE) as child:
            others = [go(in_thread, torment, child, seed) for _ in range(2)]
            codes = torment(child, seed).union(*(g.result() for g in others))
            assert codes <= {-9, -15}
            assert len(codes) == 1
            assert child._child._fd == -1
            assert not child._child._watches


@pytest.mark.scale
def test_more_children_than_worker_threads_where_only_threads_can_wait(monkeypatch):
    """Their threads are their own: calls that are offloaded meanwhile have theirs."""
    monkeypatch.setattr(_child, "pidfd_open", None)
    kind = type(new_poller())
    monkeypatch.setattr(kind, "watch_process", lambda self, pid, fd, target: False)
    monkeypatch.setattr(kind, "forget_process", lambda self, pid, fd, target: None)
    children = [Process(["cat"], stdin=PIPE) for _ in range(150)]
    waiting = [go(child.wait) for child in children]
    testing.wait_idle()
    assert gopoll.offload(threading.get_ident) != threading.get_ident()
    for child in children:
        child.close()
    assert [g.result() for g in waiting] == [0] * 150
