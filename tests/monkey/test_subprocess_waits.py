"""``subprocess`` under the patch: the standard library's, whose waiting parks."""

import pytest

from tests.support.script import run_script

pytestmark = pytest.mark.network

PATCHED = """
from gopoll.monkey import registry
for room in ("time", "select", "selectors", "os", "io", "subprocess"): registry.enter(room, room)
import gopoll, os, signal, subprocess, sys, time
PIPE = subprocess.PIPE
def waits_for_end(code):
    '''A child that ends with `code` when its standard input does.'''
    return subprocess.Popen(['sh', '-c', f'read x; exit {code}'], stdin=PIPE)
"""


def run(code, *args, **env):
    done = run_script(PATCHED + code, *args, **env)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


def test_waiting_lets_the_others_run():
    assert run(
        "with waits_for_end(3) as child:\n"
        "    gopoll.go(child.stdin.close)\n"
        "    print(child.wait(), child.returncode)\n"
        "with waits_for_end(4) as child:\n"
        "    gopoll.go(child.stdin.close)\n"
        "    print(child.wait(30))\n"
    ) == ["3 3", "4"]


def test_two_goroutines_wait_for_one_child():
    assert run(
        "with waits_for_end(5) as child:\n"
        "    all = [gopoll.go(child.wait), gopoll.go(child.wait, 30), gopoll.go(child.wait)]\n"
        "    gopoll.gosched()\n"
        "    print(child.poll())\n"
        "    child.stdin.close()\n"
        "    print([g.result(5) for g in all])\n"
    ) == ["None", "[5, 5, 5]"]


def test_a_timeout_says_what_it_was():
    assert run(
        "with waits_for_end(0) as child:\n"
        "    for seconds in (0.01, 0, -1):\n"
        "        try: child.wait(seconds)\n"
        "        except subprocess.TimeoutExpired as exc: print(exc.timeout)\n"
        "    child.kill()\n"
        "    print(child.wait())\n"
    ) == ["0.01", "0", "-1", "-9"]


def test_a_wait_with_a_timeout_asks_no_more_often_than_it_must():
    assert run(
        "asked = 0\n"
        "real = subprocess.Popen._try_wait\n"
        "def counting(*args):\n"
        "    global asked\n"
        "    asked += 1\n"
        "    return real(*args)\n"
        "subprocess.Popen._try_wait = counting\n"
        "with waits_for_end(6) as child:\n"
        "    gopoll.go(lambda: (gopoll.sleep(0.2), child.stdin.close()))\n"
        "    print(child.wait(30), asked)\n"
    ) == ["6 1"]


def test_communicate_with_and_without_a_timeout():
    assert run(
        "data = os.urandom(2_000_000)\n"
        "def talk(timeout):\n"
        "    with subprocess.Popen(['cat'], stdin=PIPE, stdout=PIPE) as child:\n"
        "        return child.communicate(data, timeout)[0] == data\n"
        "print([g.result(20) for g in [gopoll.go(talk, None), gopoll.go(talk, 20)]])\n"
        "r, w = os.pipe()\n"
        "with subprocess.Popen(['cat'], stdin=r, stdout=PIPE) as child:\n"
        "    try: child.communicate(timeout=0.01)\n"
        "    except subprocess.TimeoutExpired: print('expired')\n"
        "    os.close(w)\n"
        "    print(child.communicate())\n"
        "os.close(r)\n"
    ) == ["[True, True]", "expired", "(b'', None)"]


def test_its_pipes_are_files_that_park():
    assert run(
        "with subprocess.Popen(['cat'], stdin=PIPE, stdout=PIPE, text=True) as child:\n"
        "    g = gopoll.go(child.stdout.readline)\n"
        "    gopoll.gosched()\n"
        "    print('said', file=child.stdin, flush=True)\n"
        "    print(g.result(5), end='')\n"
    ) == ["said"]


def test_what_a_failed_start_says():
    assert run(
        "try: subprocess.Popen(['/nonexistent'])\n"
        "except FileNotFoundError as exc: print(exc.filename)\n"
        "def fail(): raise ValueError\n"
        "try: subprocess.Popen(['true'], preexec_fn=fail)\n"
        "except subprocess.SubprocessError as exc: print(exc)\n"
    ) == ["/nonexistent", "Exception occurred in preexec_fn."]


def test_no_handler_for_the_end_of_children_and_the_class_is_the_original_s():
    assert run(
        "subprocess.run(['true'])\n"
        "print(signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL)\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "print(subprocess.run(['false']).returncode)\n"
    ) == ["True", "0"]


def test_fifty_children_are_waited_for_together():
    assert run(
        "r, w = os.pipe()\n"
        "children = [subprocess.Popen(['cat'], stdin=r) for _ in range(50)]\n"
        "waits = [gopoll.go(child.wait) for child in children]\n"
        "gopoll.gosched()\n"
        "os.close(r)\n"
        "print(any(g.done for g in waits))\n"
        "os.close(w)\n"
        "print({g.result(10) for g in waits})\n"
    ) == ["False", "{0}"]
