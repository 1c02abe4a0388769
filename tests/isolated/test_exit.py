"""The end of a program: as in Go, when main returns nobody waits for the rest."""

import textwrap

import pytest

from gopoll.runtime import lifetime
from tests.support.program import PRELUDE
from tests.support.script import run_script

pytestmark = pytest.mark.network

_CROWD = """
def guarded(fn):
    try:
        fn()
    finally:
        print('finally', end=' ')

def crowd():
    'Goroutines in every kind of wait.'
    global keep
    ch, listener = Chan(), net.listen('tcp', '127.0.0.1:0')
    mine = net.dial('tcp', str(listener.addr))
    theirs = listener.accept()
    never = threading.Event()
    threading.Thread(target=never.wait, daemon=True).start()
    waits = [ch.recv, lambda: select(ch.recv), lambda: gopoll.sleep(1000), mine.read, mine.read,
             lambda: gopoll.offload(never.wait), listener.accept, theirs.read, gopoll.nil_chan.recv,
             lambda: gopoll.wait_read(theirs.fileno()), go(ch.recv).join]
    for wait in waits:
        go(guarded, wait)
    gopoll.gosched()
    go(guarded, ch.recv)  # never ran
    keep = ch, listener, mine, theirs
    return len(waits)
"""


def run(code: str, **env: str) -> tuple[int, str, str]:
    done = run_script(PRELUDE + _CROWD + textwrap.dedent(code), timeout=20, **env)
    return done.returncode, done.stdout, done.stderr


# An interpreter in development mode complains of what a program leaves open when it exits.
_QUIET = {"PYTHONWARNINGS": "ignore::ResourceWarning"}


def test_a_script_ends_with_goroutines_parked():
    """Promptly, silently, and without running their finally blocks."""
    assert run("crowd()\nprint('end')", **_QUIET) == (0, "end\n", "")


def test_a_script_ends_although_somebody_could_still_run():
    code = """
    def forever():
        while True:
            gopoll.gosched()
    go(forever)
    gopoll.gosched()
    print('end')
    """
    assert run(code) == (0, "end\n", "")


@pytest.mark.parametrize(
    ("last", "status", "complaint"),
    [("sys.exit(3)", 3, ""), ("sys.exit('bye')", 1, "bye\n"), ("os._exit(4)", 4, "")],
)
def test_a_script_exits_with_goroutines_parked(last: str, status: int, complaint: str):
    code = f"crowd()\nprint('end', flush=True)\n{last}"
    assert run(code, **_QUIET) == (status, "end\n", complaint)


def test_a_script_fails_with_goroutines_parked():
    status, out, err = run("crowd()\n1 / 0", **_QUIET)
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert err.startswith("Traceback")


def test_run_ends_the_others_by_their_finally_blocks():
    code = """
    n = gopoll.run(crowd)
    print(n)
    for end in keep[1:]:
        end.close()
    """
    status, out, err = run(code)
    assert (status, err) == (0, "")
    assert out == "finally " * 11 + "11\n"


def test_an_exit_inside_of_a_goroutine_ends_the_program():
    code = """
    def leave():
        sys.exit(6)
    go(leave)
    try:
        Chan().recv()
    finally:
        print('main')
    """
    assert run(code) == (6, "main\n", "")


def test_exit_handlers_and_threads_may_still_use_goroutines():
    code = """
    import atexit
    def at_exit():
        ch = Chan()
        go(ch.send, 'at exit')
        print(ch.recv())
    atexit.register(at_exit)
    def thread():
        main.join()
        ch = Chan()
        go(ch.send, 'in a thread')
        print(ch.recv())
    main = threading.main_thread()
    threading.Thread(target=thread).start()
    go(Chan().recv)
    gopoll.gosched()
    """
    status, out, err = run(code)
    assert (status, sorted(out.splitlines()), err) == (0, ["at exit", "in a thread"], "")


def test_a_thread_that_ends_with_the_program():
    code = """
    def thread():
        crowd()
        parked.set()
        Chan().recv()
    parked = threading.Event()
    threading.Thread(target=thread, daemon=True).start()
    parked.wait()
    print('end')
    """
    assert run(code, **_QUIET) == (0, "end\n", "")


def test_an_import_alone_costs_no_descriptor_and_no_thread():
    code = """
    import os, threading
    before = sorted(os.listdir('/dev/fd'))
    import gopoll
    assert sorted(os.listdir('/dev/fd')) == before
    assert threading.active_count() == 1
    gopoll.go(gopoll.gosched).join()
    assert sorted(os.listdir('/dev/fd')) == before
    """
    done = run_script(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_at_the_very_end_leaves_no_thread_unfrozen(monkeypatch):
    """One that runs on while the interpreter is taken down would crash it."""

    class Interrupted:
        def acquire(self, *args):
            if args:
                raise KeyboardInterrupt

    class Sched:
        thread = -1

        def post(self, fn, arg):
            told.append(self)

    told = []
    registry = {1: Sched(), 2: Sched()}
    monkeypatch.setattr(lifetime, "allocate_lock", Interrupted)
    monkeypatch.setattr(lifetime, "ending", [False])  # the tests go on
    lifetime.freeze_other_threads(registry)
    assert told == list(registry.values())
