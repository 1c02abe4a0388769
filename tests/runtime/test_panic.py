"""What becomes of an exception that nobody caught: on stderr, for the program, for the hook."""

import re

import pytest

import gopoll
from gopoll import Chan, go
from tests.support.parking import parked
from tests.support.script import run_script


def fail(text):
    raise ValueError(text)


def test_the_hook_gets_the_goroutine_and_the_exception(panics):
    g = go(fail, "hello")
    g.join()
    assert [(who, str(exc)) for who, exc in panics] == [(g, "hello")]
    assert panics[0][1] is g.error


def test_set_panic_returns_what_was_set():
    def mine(g, exc):
        pass

    previous = gopoll.set_panic(mine)
    assert gopoll.set_panic("report") is mine
    assert gopoll.set_panic(previous) == "report"


@pytest.mark.parametrize("policy", [None, "ignore", 1])
def test_an_unknown_policy(policy):
    with pytest.raises(ValueError, match="'report', 'crash' or a callable"):
        gopoll.set_panic(policy)


def test_an_unknown_policy_in_the_environment():
    done = run_script("import gopoll", GOPOLL_PANIC="ignore")
    assert done.returncode == 1
    assert "ValueError: GOPOLL_PANIC: expected 'report', 'crash' or a callable" in done.stderr


def test_the_report_has_gos_shape(capsys):
    """runtime/crash_test.go, TestPanicTraceback: value, goroutine, stack, creation site."""
    previous = gopoll.set_panic("report")
    try:
        g = go(fail, "hello")
        g.join()
    finally:
        gopoll.set_panic(previous)
    out, err = capsys.readouterr()
    assert out == ""
    pattern = (
        r"panic: ValueError: hello\n\n"
        rf'goroutine {g.id} "fail" \[running\]:\n'
        r"Traceback \(most recent call last\):\n"
        r'  File "[^"]*test_panic.py", line \d+, in fail\n'
        r"    raise ValueError\(text\)\n"
        r"ValueError: hello\n"
        r"created by test_the_report_has_gos_shape in goroutine \d+\n"
        r"\t[^\n]*test_panic.py:(\d+)\n"
    )
    match = re.fullmatch(pattern, err)
    assert match, err
    source = test_the_report_has_gos_shape.__code__
    assert int(match[1]) == source.co_firstlineno + 4  # the line of the call of go()


def test_chained_exceptions_are_shown(capsys):
    """runtime/crash_test.go, TestRecursivePanic: what was being handled is printed, too."""

    def body():
        try:
            fail("first")
        finally:
            fail("again")

    previous = gopoll.set_panic("report")
    try:
        go(body).join()
    finally:
        gopoll.set_panic(previous)
    err = capsys.readouterr().err
    assert err.startswith("panic: ValueError: again\n\n")
    assert err.index("ValueError: first") < err.index("During handling of the above exception")


def test_a_failing_hook_is_reported_and_harms_nobody(capsys):
    def hook(g, exc):
        raise KeyError("in the hook")

    previous = gopoll.set_panic(hook)
    try:
        go(fail, "original").join()
    finally:
        gopoll.set_panic(previous)
    err = capsys.readouterr().err
    assert err.startswith("panic: KeyError: 'in the hook'\n\n")
    assert "ValueError: original" in err
    assert go(lambda: "alive").result() == "alive"


def test_the_other_goroutines_go_on(panics):
    ch = Chan()
    other = parked(ch.recv)
    go(fail, "hello").join()
    ch.send("unharmed")
    assert other.result() == "unharmed"
    assert len(panics) == 1


@pytest.mark.parametrize("stderr", ["None", "closed"])
def test_without_stderr_a_report_is_dropped(stderr):
    done = run_script(
        """
        import sys
        import gopoll
        if sys.argv[1] == "None":
            sys.stderr = None
        else:
            sys.stderr = open("/dev/null", "w")
            sys.stderr.close()
        gopoll.run(lambda: gopoll.go(int, "x").join())
        print("went on")
        """,
        stderr,
    )
    assert done.stdout == "went on\n"


# -- in programs of their own --------------------------------------------------------------------


def crash(code, **env):
    return run_script(code, GOPOLL_PANIC="crash", **env)


def test_crash_ends_the_program_with_status_2():
    """runtime/crash_test.go, TestCrashHandler, TestPanicTraceback: exact stderr and status."""
    done = crash(
        """
        import gopoll

        def fail():
            raise ValueError("hello")

        def main():
            print("before")
            try:
                gopoll.go(fail)
                gopoll.Chan().recv()
            finally:
                print("no finally block runs")

        gopoll.run(main)
        """
    )
    assert done.returncode == 2
    assert done.stdout == "before\n"  # what was printed is flushed
    lines = done.stderr.splitlines()
    assert lines[:4] == [
        "panic: ValueError: hello",
        "",
        'goroutine 2 "fail" [running]:',
        "Traceback (most recent call last):",
    ]
    assert lines[-3:] == [
        "ValueError: hello",
        "created by main in goroutine 1",
        "\t<string>:10",
    ]


def test_set_panic_crash_is_the_same():
    done = run_script(
        """
        import gopoll
        gopoll.set_panic("crash")
        gopoll.go(int, "x")
        gopoll.sleep(10)
        """
    )
    assert done.returncode == 2
    assert done.stderr.startswith("panic: ValueError: invalid literal for int()")


def test_a_goroutine_of_any_thread_crashes_the_program():
    done = crash(
        """
        import threading
        import gopoll

        def body():
            gopoll.go(int, "x").join()

        threading.Thread(target=body).start()
        gopoll.Chan().recv()
        """
    )
    assert done.returncode == 2
    assert "panic: ValueError" in done.stderr


def test_an_exception_somebody_waits_for_does_not_crash():
    done = crash(
        """
        import gopoll

        def main():
            try:
                gopoll.go(int, "x").result()
            except ValueError:
                print("handled")

        gopoll.run(main)
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "handled\n", "")


def test_an_exception_in_main_is_pythons_own_affair():
    done = crash(
        """
        import gopoll

        def main():
            raise ValueError("in main")

        gopoll.run(main)
        """
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.endswith("ValueError: in main\n")


def test_goexit_in_every_goroutine_does_not_crash():
    """runtime/crash_test.go, TestGoexitCrash: not a panic, but a deadlock once all have ended."""
    done = crash(
        """
        import gopoll

        def child():
            for _ in range(10):
                gopoll.gosched()
            print("child", flush=True)
            gopoll.goexit()

        def main():
            gopoll.go(child)
            gopoll.goexit()

        gopoll.run(main)
        """
    )
    assert done.returncode == 1
    assert done.stdout == "child\n"
    assert "Deadlock: no goroutines (main called goexit) - deadlock!" in done.stderr


def test_many_goroutines_that_fail_at_once_crash_once():
    """runtime/crash_test.go, TestPanicRace: one report, whole, then the end."""
    done = crash(
        """
        import gopoll
        for i in range(5):
            gopoll.go(int, f"x{i}")
        gopoll.sleep(10)
        """
    )
    assert done.returncode == 2
    assert done.stderr.count("panic: ") == 1
    assert "'x0'" in done.stderr


@pytest.mark.parametrize(
    ("what", "status", "stderr"),
    [
        ("sys.exit(7)", 7, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit('bye')", 1, "bye\n"),
        ("exec('raise KeyboardInterrupt')", None, None),
    ],
)
def test_the_end_of_the_program_may_be_asked_for_in_a_goroutine(what, status, stderr):
    done = run_script(
        f"""
        import sys
        import gopoll

        def child():
            try:
                {what}
            finally:
                print("child")

        def main():
            gopoll.go(child)
            try:
                gopoll.Chan().recv()
            finally:
                print("main")

        gopoll.run(main)
        """
    )
    assert done.stdout == "child\nmain\n"
    if status is None:
        assert done.stderr.endswith("KeyboardInterrupt\n")
        assert done.returncode in {1, -2, 130}
    else:
        assert (done.returncode, done.stderr) == (status, stderr)


def test_exit_asked_for_while_main_runs_comes_at_its_next_wait():
    done = run_script(
        """
        import sys
        import gopoll

        gopoll.go(sys.exit, 3)
        gopoll.gosched()
        print("still here")
        gopoll.gosched()
        print("never")
        """
    )
    assert done.returncode == 3
    assert "never" not in done.stdout
