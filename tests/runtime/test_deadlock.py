"""All goroutines are asleep: found when it is so, and only then."""

import pytest

from tests.support.script import run_script

DEADLOCK = "all goroutines are asleep - deadlock!"


def deadlock(code, **env):
    """Run `code` as main() and expect it to end by Deadlock; return the message's lines."""
    body = "\n".join("    " + line for line in code.strip("\n").splitlines())
    done = run_script(
        f"import gopoll, os, sys, threading\nfrom gopoll import *\ndef main():\n{body}\n"
        "try:\n    gopoll.run(main)\nexcept gopoll.Deadlock as exc:\n    print(exc, end='')\n"
        "else:\n    print('no deadlock')\n",
        **env,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_simple_deadlock():
    """runtime/crash_test.go, TestSimpleDeadlock: select {} in main."""
    lines = deadlock("select()")
    assert lines[0] == DEADLOCK
    assert lines[1] == ""
    assert lines[2] == 'goroutine 1 "main" [select (no cases)]:'


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("Chan().recv()", "chan receive"),
        ("Chan().send(1)", "chan send"),
        ("for _ in Chan(3): pass", "chan receive"),
        ("nil_chan.recv()", "chan receive (nil chan)"),
        ("nil_chan.send(1)", "chan send (nil chan)"),
        ("select(Chan().recv, nil_chan.recv)", "select"),
        ("go(Chan().recv).join()", "goroutine join"),
    ],
)
def test_it_names_what_main_waits_for(code, reason):
    """runtime/crash_test.go, TestChanSendDeadlock-like cases; runtime/runtime2.go, wait reasons."""
    assert f'goroutine 1 "main" [{reason}]:' in deadlock(code)


def test_it_lists_every_goroutine():
    lines = deadlock(
        """
def reader(ch):
    ch.recv()
for _ in range(2):
    go(reader, Chan())
go(Chan().send, 1).name = "sender"
Chan().recv()
"""
    )
    assert lines[0] == DEADLOCK
    headers = [line for line in lines if line.startswith("goroutine ")]
    assert headers == [
        'goroutine 1 "main" [chan receive]:',
        'goroutine 2 "main.<locals>.reader" [chan receive]:',
        'goroutine 3 "main.<locals>.reader" [chan receive]:',
        'goroutine 4 "sender" [chan send]:',
    ]
    assert lines.count("main.<locals>.reader(...)") == 2
    assert lines.count("created by main in goroutine 1") == 3


def test_outside_of_run_it_is_the_same():
    """runtime/crash_test.go, TestInitDeadlock: before main() was ever called."""
    done = run_script("import gopoll\ngopoll.Chan().recv()\n")
    assert done.returncode == 1
    assert f"Deadlock: {DEADLOCK}\n" in done.stderr


def test_after_goexit_of_main():
    """runtime/crash_test.go, TestGoexitDeadlock."""
    code = """
def child():
    for _ in range(10):
        gosched()
    print("child is done")
go(child)
goexit()
"""
    lines = deadlock(code)
    assert lines[:2] == ["child is done", "no goroutines (main called goexit) - deadlock!"]


def test_after_goexit_of_main_while_others_sleep_for_ever():
    lines = deadlock("go(Chan().recv)\ngoexit()")
    assert any("deadlock!" in line for line in lines)
    assert any("[chan receive]" in line for line in lines)


def test_after_the_poller_was_used():
    """runtime/crash_test.go, TestNetpollDeadlock: an idle poller is nobody who could wake us."""
    code = """
r, w = os.pipe()
os.write(w, b"x")
gopoll.wait_read(r)
os.close(w); os.close(r)
Chan().recv()
"""
    assert deadlock(code)[0] == DEADLOCK


def test_after_a_timer_an_offloaded_call_and_a_thread():
    code = """
gopoll.sleep(0.001)
gopoll.offload(int)
thread = threading.Thread(target=int)
thread.start()
thread.join()
Chan().recv()
"""
    assert deadlock(code)[0] == DEADLOCK


def test_after_gosched():
    """runtime/crash_test.go, TestPanicDeadlockGosched-like: yielding does not hide it."""
    assert deadlock("for _ in range(300): gosched()\nChan().recv()")[0] == DEADLOCK


def test_main_may_handle_it_and_go_on():
    code = """
ch = Chan()
g = go(ch.recv)
try:
    Chan().recv()
except gopoll.Deadlock:
    pass
ch.send("went on")
print(g.result())
try:
    select(Chan().recv, ch.recv)
except gopoll.Deadlock:
    print(ch._receivers.first)
"""
    assert deadlock(code) == ["went on", "None", "no deadlock"]


@pytest.mark.parametrize(
    "code",
    [
        "gopoll.sleep(0.001)",
        "ch = Chan()\ngo(lambda: (gopoll.sleep(0.001), ch.send(1)))\nch.recv()",
        "g = threading.Semaphore(0)\nthreading.Timer(0.001, g.release).start()\noffload(g.acquire)",
        "ch = Chan()\nthreading.Timer(0.001, ch.send, (1,)).start()\nch.recv()",
        "r, w = os.pipe()\nthreading.Timer(0.001, os.write, (w, b'x')).start()\nwait_read(r)",
        "try:\n    go(Chan().recv).join(0.001)\nexcept TimeoutError:\n    pass",
    ],
    ids=["timer", "timer of another", "offload", "thread", "descriptor", "deadline"],
)
def test_what_is_no_deadlock(code):
    """runtime/proc.go, checkdead: a timer, a poller's waiter or a running thread is hope."""
    assert deadlock(code) == ["no deadlock"]


def test_an_offloaded_call_is_hope():
    """Its thread is gopoll's own and does not count, but the call does. It ends once all sleep."""
    code = """
from gopoll.runtime.sched import this
sched = this.sched
def until_all_sleep():
    while not sched.sleeping:
        pass
    return "returned"
print(offload(until_all_sleep))
"""
    assert deadlock(code) == ["returned", "no deadlock"]


def test_a_signal_handler_is_hope():
    code = """
import signal
ch = Chan(1)
signal.signal(signal.SIGALRM, lambda *_: ch.try_send("from the handler"))
signal.setitimer(signal.ITIMER_REAL, 0.001)
print(ch.recv())
"""
    assert deadlock(code) == ["from the handler", "no deadlock"]


def test_the_end_of_the_last_thread_is_noticed():
    code = """
from gopoll.runtime import turn
turn._RECHECK = 0.001
gate = threading.Semaphore(0)
thread = threading.Thread(target=gate.acquire)
thread.start()
go(lambda: (gopoll.sleep(0.001), gate.release()))
Chan().recv()
"""
    assert deadlock(code)[0] == DEADLOCK
