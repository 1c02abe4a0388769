"""The watchdog of tests that are goroutines: none of them hangs."""

import re

import pytest

from tests.support.outcomes import failures


def test_the_watchdog(run):
    """Whatever the test does instead of ending, it fails, with the stacks of all."""
    result = run(
        """
import os, signal, threading

pytestmark = pytest.mark.goroutine(timeout=0.2)

def wait():
    Chan().recv()

def test_sleeps():
    go(wait)
    gopoll.sleep(1000)

def test_waits_outside():
    r, w = os.pipe()
    try:
        gopoll.wait_read(r)
    finally:
        os.close(r)
        os.close(w)

def test_computes():
    n = 0
    while True:
        n += 1

def test_spins():
    while True:
        gopoll.gosched()

def test_blocks_the_thread():
    threading.Event().wait()

def hog():
    n = 0
    while True:
        n += 1

def test_another_one_computes():
    go(hog)
    Chan().recv()

def test_nothing_stops():
    n = 0
    while True:
        try:
            while True:
                n += 1
        except BaseException:
            n = 0

def test_handles_the_signal_itself():
    previous = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        gopoll.sleep(1000)
    finally:
        signal.signal(signal.SIGINT, previous)

def test_that_follows():
    assert gopoll.num_goroutine() == 2
    gopoll.sleep(0.001)
"""
    )
    result.assert_outcomes(failed=8, passed=1)
    found = failures(result)
    for name, where in {
        "test_sleeps": "[sleep]:",
        "test_waits_outside": "[IO wait]:",
        "test_computes": "[running]:",
        "test_spins": ":",
        "test_blocks_the_thread": "[running]:",
        "test_another_one_computes": "[chan receive]:",
        "test_nothing_stops": "[running]:",
        "test_handles_the_signal_itself": "[sleep]:",
    }.items():
        text = found[name]
        assert "it still ran after 0.2 seconds" in text, name
        assert re.search(rf'goroutine \d+ "{name}" \[', text), name
        assert where in text, name
        assert re.search(rf"^{name}\(\.\.\.\)$", text, re.MULTILINE), name
        assert 'goroutine 1 "main" [goroutine join]:' in text
    assert '"wait" [chan receive]:' in found["test_sleeps"]
    assert '"hog" [running]:' in found["test_another_one_computes"]
    assert '"hog"' not in found["test_nothing_stops"], "it has ended with its test"


def test_what_no_signal_ends_ends_the_process(run, pytester):
    pytester.makeconftest(
        "from gopoll.integrations import _watchdog\n_watchdog._SIGNALS = 2\n"
        "_watchdog._AGAIN = 0.01\n"
    )
    result = run(
        """
import signal, threading

@pytest.mark.goroutine(timeout=0.1)
def test_deaf():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Event().wait()
"""
    )
    assert result.ret == 1
    text = result.stderr.str()
    assert "a test still runs after 0.1 seconds, and cannot be ended" in text
    assert '"test_deaf" [running]:' in text


def test_a_deadlock_does_not_wait_for_the_watchdog(run):
    result = run("@pytest.mark.goroutine(timeout=1000)\ndef test_stuck():\n    Chan().recv()")
    result.assert_outcomes(failed=1)
    assert "all goroutines are asleep - deadlock!" in failures(result)["test_stuck"]


def test_the_keyboard_ends_the_run(run):
    result = run(
        """
import os, signal

@pytest.mark.goroutine
def test_interrupted():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        Chan().recv()
    finally:
        print("cleaned up")

def test_not_reached():
    pass
""",
        "-s",
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*cleaned up*", "*KeyboardInterrupt*"])
    assert "passed" not in result.stdout.str()
