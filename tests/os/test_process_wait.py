"""Waiting for the end of children: by many, in many threads, beside others who reap."""

import gc
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import gopoll
from gopoll import go, testing
from gopoll.errors import ClosedError
from gopoll.os import _child, process
from gopoll.os.process import PIPE, Process, wait_pid
from gopoll.runtime import outside
from gopoll.runtime.sched import this
from tests.support.pairs import attempt, is_open, open_descriptors
from tests.support.parking import in_thread, outcome, parked
from tests.support.script import run_script

pytestmark = pytest.mark.network

NO_CHILD = 1  # the mother of all processes, or of this container's


@pytest.fixture
def cat():
    """A child that lives until its input is closed."""
    with Process(["cat"], stdin=PIPE) as child:
        yield child


@pytest.fixture(params=["kernel", "thread"])
def source(request, monkeypatch):
    """What tells of the end: a source of the poller, or a thread where there is none."""
    if request.param == "thread":
        monkeypatch.setattr(_child, "pidfd_open", None)
        kind = type(this.sched.need_poller())
        monkeypatch.setattr(kind, "watch_process", lambda self, pid, fd, target: False)
        monkeypatch.setattr(kind, "forget_process", lambda self, pid, fd, target: None)
    return request.param


def is_reaped(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_many_wait_for_one(source):
    with Process(["cat"], stdin=PIPE) as cat:
        waiting = [parked(cat.wait) for _ in range(10)]
        assert waiting[0].state == "process wait"
        assert (cat.returncode, cat.poll()) == (None, None)
        cat.stdin.close()
        assert [g.result() for g in waiting] == [0] * 10
        assert (cat.returncode, cat.poll(), cat.wait(0)) == (0, 0, 0)
        assert is_reaped(cat.pid)


def test_in_many_threads(source):
    with Process(["cat"], stdin=PIPE) as cat:
        waiting = [go(in_thread, cat.wait) for _ in range(4)]
        waiting += [go(cat.wait) for _ in range(4)]
        testing.wait_idle()
        cat.terminate()
        assert [g.result() for g in waiting] == [-signal.SIGTERM] * 8


def test_started_in_one_thread_and_waited_for_in_another():
    child = in_thread(Process, ["sh", "-c", "exit 7"])
    assert child.wait() == 7


def test_some_give_up_and_others_do_not(cat, source):
    patient = parked(cat.wait)
    with pytest.raises(TimeoutError):
        cat.wait(0)
    with pytest.raises(TimeoutError):
        cat.wait(0.001)
    with pytest.raises(TimeoutError), gopoll.timeout(0.001):
        cat.wait()
    assert not patient.done
    cat.stdin.close()
    assert patient.result() == 0


@pytest.mark.parametrize(("timeout", "error"), [("soon", TypeError), (float("nan"), ValueError)])
def test_bad_timeouts(cat, timeout, error):
    with pytest.raises(error):
        cat.wait(timeout)


def test_nobody_waits_and_nothing_is_left(cat):
    cat.stdin.close()
    while cat.poll() is None:
        gopoll.gosched()
    assert cat.returncode == 0
    assert is_reaped(cat.pid)


def test_waiting_for_a_child_is_no_deadlock():
    done = run_script(
        """
        import gopoll
        from gopoll.os.process import Process
        print(gopoll.run(Process(["sleep", "0.1"]).wait))
        """
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_program_that_reaps_all_of_its_children():
    """As subprocess has it: the child is gone, and its status with it."""
    with Process(["sh", "-c", "exit 7"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert os.waitpid(-1, 0) == (child.pid, 7 << 8)
        assert child.wait() == 0


def test_reaped_by_another_while_somebody_waits(cat):
    waiting = parked(cat.wait)
    cat.stdin.close()
    assert os.waitpid(cat.pid, 0) == (cat.pid, 0)  # before gopoll can look
    assert waiting.result() == 0


def test_where_children_leave_no_zombies():
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert process.run(["sh", "-c", "exit 7"]).returncode == 0
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_beside_subprocess():
    theirs = [subprocess.Popen(["sh", "-c", f"exit {n}"]) for n in range(5)]
    ours = [Process(["sh", "-c", f"exit {n}"]) for n in range(10, 15)]
    assert [gopoll.offload(popen.wait) for popen in theirs] == [0, 1, 2, 3, 4]
    assert [child.wait() for child in ours] == [10, 11, 12, 13, 14]
    assert subprocess.run(["sh", "-c", "exit 3"]).returncode == 3


def test_wait_pid(source):
    theirs = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    with pytest.raises(TimeoutError):
        wait_pid(theirs.pid, 0.001)
    waiting = parked(wait_pid, theirs.pid)
    theirs.stdin.close()
    assert waiting.result() == 0
    assert theirs.wait() == 0  # it finds that somebody else has reaped it


def test_wait_pid_of_a_fork():
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "kill -9 $$"], os.environ)
    assert wait_pid(pid) == -9
    with pytest.raises(ChildProcessError, match=f"process {pid} is no child"):
        wait_pid(pid)


def test_two_wait_for_one_pid_and_one_of_them_gets_it():
    theirs = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    waiting = [parked(attempt, wait_pid, theirs.pid) for _ in range(2)]
    theirs.stdin.close()
    results = sorted((g.result() for g in waiting), key=str)
    theirs.wait()
    assert results[0] == 0
    assert isinstance(results[1], ChildProcessError)


@pytest.mark.parametrize(
    ("pid", "error"),
    [
        (NO_CHILD, ChildProcessError),
        (os.getpid(), ChildProcessError),
        (1 << 22, ChildProcessError),  # more than there can be
        (1 << 40, ChildProcessError),  # more than can be said
        (0, ValueError),
        (-1, ValueError),
        ("1", TypeError),
        (None, TypeError),
    ],
)
def test_wait_pid_of_what_is_no_child(pid, error, source):
    before = open_descriptors()
    with pytest.raises(error):
        wait_pid(pid)
    assert open_descriptors() == before


def test_signals_after_the_end_reach_nobody(source, monkeypatch):
    child = Process(["true"])
    assert child.wait() == 0
    sent = []
    monkeypatch.setattr(_child, "os_kill", lambda *args: sent.append(args))
    monkeypatch.setattr(_child, "os_killpg", lambda *args: sent.append(args))
    monkeypatch.setattr(_child, "pidfd_send_signal", lambda *args: sent.append(args))
    child.kill()
    child.terminate()
    child.send_signal(signal.SIGUSR1)
    assert child.stop() == 0
    assert not sent


def test_signals_to_a_child_that_somebody_else_has_reaped(source):
    child = Process(["true"], process_group=0)
    os.waitpid(child.pid, 0)
    child.kill()
    child.kill(group=True)
    assert child.wait() == 0


def test_signals_that_do_not_exist(cat):
    for signum in (10_000, -1):
        with pytest.raises((OSError, ValueError)):
            cat.send_signal(signum)
    with pytest.raises(TypeError):
        cat.send_signal("TERM")
    cat.send_signal(0)
    assert cat.poll() is None


def test_from_a_signal_handler(cat, monkeypatch):
    """Also in the middle of the very look that it asks for."""
    seen = []

    def handler(signum, frame):
        seen.append(cat.poll())
        cat.terminate()

    def interrupted(child, *, reap):
        monkeypatch.undo()
        signal.raise_signal(signal.SIGUSR1)
        return child._look(reap=reap)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        monkeypatch.setattr(_child.Child, "_look", interrupted)
        assert cat.poll() is None
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [None]
    assert cat.wait() == -signal.SIGTERM


def test_a_process_that_nobody_has_any_more():
    """It is complained about, as by subprocess, and reaped when it ends."""
    child = Process(["cat"], stdin=PIPE)
    stdin, pid, inner = child.stdin, child.pid, child._child
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        del child
        gc.collect()
    assert [str(w.message) for w in complaints] == [f"process {pid} is still running"]
    testing.wait_idle()
    assert inner.returncode is None
    stdin.close()
    while inner.returncode is None:
        gopoll.sleep(0.001)
    assert is_reaped(pid)
    testing.wait_idle()
    del inner


def test_a_process_that_was_waited_for_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        child = Process(["true"])
        assert child.wait() == 0
        del child
        gc.collect()


def test_descriptors_of_a_child_are_gone_with_it(cat):
    before = open_descriptors()
    child = Process(["true"])
    waiting = [go(child.wait) for _ in range(3)]
    assert {g.result() for g in waiting} == {0}
    assert open_descriptors() == before


def test_a_descriptor_that_is_closed_behind_our_back(cat):
    """What the number then belongs to is neither waited for nor closed."""
    if cat._child._fd < 0:
        pytest.skip("this system has no descriptors of processes")
    waiting = parked(cat.wait)
    number = cat._child._fd
    os.close(number)
    left, right = gopoll.os.file.pipe()
    with left, right:
        assert number in (left.fileno(), right.fileno())
        reading = parked(left.read)
        right.write(b"x")
        assert reading.result() == b"x"
        filling = go(attempt, _fill, right)
        testing.wait_idle()
        cat.kill()
        assert waiting.result() == -9
        assert is_open(number)
        left.close()
        assert isinstance(filling.result(), BrokenPipeError)


def test_a_number_that_was_closed_behind_our_back_and_is_the_childs_now():
    """Whoever waits in what had the number before learns it."""
    reader, writer = gopoll.os.file.pipe()
    with writer:
        reading = parked(outcome, reader.read)
        number = reader.fileno()
        os.close(number)
        child = Process(["sleep", "1000"])
        waiting = parked(child.wait)
        if child._child._fd != number:
            reader.close()
        assert isinstance(reading.result(10), ClosedError)
        child.kill()
        assert waiting.result() == -signal.SIGKILL
        assert reader.closed


def test_no_thread_is_left_to_wait_in(source, cat, monkeypatch):
    def refused(fn, args):
        raise RuntimeError("can't start new thread")

    if source == "kernel":
        pytest.skip("no thread is needed")
    before = outside.own_threads[0]
    with monkeypatch.context() as patch:
        patch.setattr(_child, "start_new_thread", refused)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="thread"):
                cat.wait()
        assert outside.own_threads[0] == before
    cat.stdin.close()
    assert cat.wait() == 0


def test_reaped_by_another_thread_between_look_and_wait(cat, monkeypatch):
    """By then the number may be a stranger's, for whose end nobody may wait."""

    def reap():
        os.waitid(os.P_PID, cat.pid, os.WEXITED | os.WNOWAIT)
        return cat.poll()

    def reap_first(watch):
        cat.stdin.close()
        assert in_thread(reap) == 0

    monkeypatch.setattr(_child._Watch, "arm", reap_first)
    assert cat.wait(10) == 0


def _fill(writer):
    while True:
        writer.write(bytes(65536))


def threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="counts by /proc")
def test_threads_that_wait_do_not_add_up(source):
    """Each of many short waits must not leave another thread behind."""
    with Process(["cat"], stdin=PIPE) as cat:
        before = threads()
        for _ in range(20):
            with pytest.raises(TimeoutError):
                cat.wait(0.0001)
        assert threads() <= before + 1
        cat.stdin.close()
        assert cat.wait() == 0
