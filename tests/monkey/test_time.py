"""``time.sleep`` under the patch."""

import pytest

from tests.support.script import run_script

pytestmark = pytest.mark.network

PATCHED = """
from gopoll import monkey
monkey.patch_time()
import gopoll, time
"""


def run(code):
    done = run_script(PATCHED + code)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


def test_sleepers_wake_in_the_order_of_their_times():
    assert run(
        "def sleeper(seconds): time.sleep(seconds); print(seconds)\n"
        "gs = [gopoll.go(sleeper, s) for s in (0.03, 0.01, 0.02)]\n"
        "for g in gs: g.join(5)\n"
    ) == ["0.01", "0.02", "0.03"]


def test_in_a_bubble_time_is_the_bubbles():
    assert run(
        "from gopoll.testing import bubble\n"
        "begun = time.monotonic()\n"
        "with bubble(): time.sleep(3600)\n"
        "print(time.monotonic() - begun < 60)\n"
    ) == ["True"]


def test_a_sleep_of_nothing_lets_the_others_run():
    assert run("g = gopoll.go(print, 'other')\ntime.sleep(0)\nprint(g.done)\n") == ["other", "True"]


def test_what_is_wrong_is_told_as_ever():
    assert run(
        "class Index:\n"
        "    def __index__(self): return 0\n"
        "for seconds in (-1, float('nan'), 'x', None, 1e30, 10**30):\n"
        "    try: time.sleep(seconds)\n"
        "    except Exception as exc: print(type(exc).__name__)\n"
        "time.sleep(Index()); time.sleep(False)\n"
    ) == ["ValueError", "ValueError", "TypeError", "TypeError", "OverflowError", "OverflowError"]


def test_it_looks_like_a_builtin():
    assert run(
        "import pickle\n"
        "class Keeper: sleep = time.sleep\n"
        "print(Keeper().sleep(0), pickle.loads(pickle.dumps(time.sleep)) is time.sleep)\n"
        "print(time.sleep)\n"
        "monkey.restore()\n"
        "print(type(time.sleep).__name__)\n"
    ) == ["None True", "<built-in function sleep>", "builtin_function_or_method"]


def test_what_a_goroutine_waits_for_is_told():
    assert run("g = gopoll.go(time.sleep, 9)\ngopoll.gosched()\nprint(g.state)\n") == ["sleep"]
