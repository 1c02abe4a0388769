"""debug.dump() and the signal that prints it."""

import re
import signal
import threading

import pytest

import gopoll
from gopoll import Chan, debug, go, testing
from gopoll.runtime import traceback as room
from tests.support.parking import end, in_thread, parked
from tests.support.script import run_script


def reader(ch):
    return ch.recv()


def block(g):
    """The part of the dump that shows `g`, line by line."""
    text = debug.dump()
    (found,) = [part for part in text.split("\n\n") if part.startswith(f"goroutine {g.id} ")]
    return found.splitlines()


def test_a_waiting_goroutine():
    ch = Chan()
    g = parked(reader, ch)
    g.name = "the reader"
    lines = block(g)
    here = re.escape(__file__)
    assert lines[0] == f'goroutine {g.id} "the reader" [chan receive]:'
    at = lines.index("reader(...)")
    assert re.fullmatch(rf"\t{here}:{reader.__code__.co_firstlineno + 1}", lines[at + 1])
    assert lines[-2] == f"created by parked in goroutine {gopoll.current().id}"
    assert re.fullmatch(r"\t.*parking\.py:\d+", lines[-1])
    # Innermost call first; what belongs to the runtime is left out.
    assert [line for line in lines if not line.startswith("\t")][1] == "Chan.recv_ok(...)"
    assert not any("runtime" in line for line in lines)
    end(g)


def test_the_running_one_and_a_new_one():
    g = go(reader, Chan(1))
    main = gopoll.current()
    lines = block(main)
    assert lines[0] == f'goroutine {main.id} "main" [running]:'
    calls = [line for line in lines if not line.startswith("\t")]
    assert calls[1:3] == ["block(...)", "test_the_running_one_and_a_new_one(...)"]
    assert block(g)[0] == f'goroutine {g.id} "reader" [runnable]:'
    assert block(g)[1].startswith("created by test_the_running_one_and_a_new_one in goroutine ")
    testing.wait_idle()
    end(g)


def test_each_goroutine_has_its_own_stack():
    inside, outside = Chan(), Chan()

    def outer(ch):
        inner(ch)

    def inner(ch):
        ch.send(1)

    g, h = parked(outer, inside), parked(inner, outside)
    frames = [line for line in block(g)[1:] if line.endswith("(...)") and "<locals>" in line]
    calls = [line.removesuffix("(...)").rpartition(".")[2] for line in frames]
    assert calls == ["inner", "outer"]
    assert not any("outer" in line for line in block(h))
    end(g, h)


def test_goroutines_come_by_id_and_apart():
    goroutines = [parked(reader, Chan()) for _ in range(4)]
    ids = [int(i) for i in re.findall(r"^goroutine (\d+) ", debug.dump(), re.MULTILINE)]
    assert ids == sorted(ids)
    assert {g.id for g in goroutines} < set(ids)
    end(*goroutines)
    assert not any(f"goroutine {g.id} " in debug.dump() for g in goroutines)


def test_long_waits_are_shown_in_minutes(monkeypatch):
    """runtime/traceback.go: `[chan receive, 3 minutes]`, from one minute on."""
    g = parked(reader, Chan())
    since = g.since
    for seconds, shown in ((59, ""), (60, ", 1 minute"), (119, ", 1 minute"), (185, ", 3 minutes")):
        monkeypatch.setattr(room, "monotonic", lambda s=seconds: since + s)
        assert block(g)[0].endswith(f" [chan receive{shown}]:")
    end(g)


def test_goroutines_of_all_threads_are_shown():
    gate, out = Chan(), Chan()

    def body():
        g = go(reader, gate)
        testing.wait_idle()
        out.send(g)
        g.join()

    thread = go(in_thread, body)
    g = out.recv()
    assert block(g)[0] == f'goroutine {g.id} "reader" [chan receive]:'
    assert "reader(...)" in block(g)
    gate.send(None)
    thread.result()


def test_a_dump_while_another_thread_is_busy():
    stop = threading.Event()
    main = gopoll.current()

    def body():
        while not stop.is_set():
            go(int).join()

    thread = threading.Thread(target=body)
    thread.start()
    try:
        for _ in range(50):
            assert f"goroutine {main.id} " in debug.dump()
    finally:
        stop.set()
        gopoll.offload(thread.join)


# -- SIGQUIT ---------------------------------------------------------------------------------------

QUIT = """
import os, signal
import gopoll
from gopoll import debug

def waiter():
    gopoll.Chan().recv()

def main():
    if INSTALL:
        debug.install()
    gopoll.go(waiter)
    gopoll.gosched()
    os.kill(os.getpid(), signal.SIGQUIT)
    gopoll.gosched()
    print("went on")

gopoll.run(main)
"""


def check(done):
    assert (done.returncode, done.stdout) == (0, "went on\n")
    assert done.stderr.startswith("SIGQUIT: quit\n\ngoroutine 1 ")
    assert 'goroutine 2 "waiter" [chan receive]:\nChan.recv_ok(...)\n' in done.stderr
    assert "waiter(...)\n\t<string>:" in done.stderr
    assert "created by main in goroutine 1\n" in done.stderr


def test_sigquit_after_install():
    check(run_script(QUIT.replace("INSTALL", "True")))


def test_sigquit_with_the_environment_variable():
    check(run_script(QUIT.replace("INSTALL", "False"), GOPOLL_TRACEBACK="1"))


def test_sigquit_without_either_ends_the_program():
    done = run_script(QUIT.replace("INSTALL", "False"))
    assert done.returncode == -signal.SIGQUIT
    assert "SIGQUIT: quit" not in done.stderr


def test_sigquit_while_all_sleep():
    """The signal finds the scheduler inside the poller; the dump comes, the sleep goes on."""
    done = run_script(
        """
        import os, signal, threading
        import gopoll
        from gopoll import debug
        from gopoll.runtime.sched import this

        debug.install()
        sched = this.sched
        gate = threading.Semaphore(0)

        def body():
            gate.acquire()
            while not sched.sleeping:
                pass
            os.kill(os.getpid(), signal.SIGQUIT)

        def main():
            sched.need_poller()
            thread = threading.Thread(target=body)
            thread.start()
            gate.release()
            gopoll.offload(thread.join)
            gopoll.sleep(0.001)
            print("went on")

        gopoll.run(main)
        """
    )
    assert (done.returncode, done.stdout) == (0, "went on\n")
    assert done.stderr.startswith("SIGQUIT: quit\n\ngoroutine 1 ")


def test_install_needs_the_main_thread():
    with pytest.raises(ValueError, match="main thread"):
        in_thread(debug.install)
