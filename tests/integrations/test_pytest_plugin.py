"""The pytest plugin, by tests that pass and fail under it, each run in a process of its own."""

import re
import sys

import pytest

from tests.support.outcomes import failures
from tests.support.script import ROOT

PLUGIN = "gopoll.integrations.pytest_plugin"


def test_a_marked_test_is_a_goroutine(run):
    result = run(
        """
main = gopoll.current()

@pytest.fixture(params="ab")
def letter(request):
    assert gopoll.current() is main
    yield request.param
    assert gopoll.current() is main

@pytest.mark.goroutine
def test_who_runs():
    assert gopoll.current() is not main
    assert gopoll.current().name == "test_who_runs"

@pytest.mark.goroutine(timeout=None)
@pytest.mark.parametrize("n", [1, 2])
def test_arguments(n, letter, capsys, tmp_path):
    print(n, letter)
    assert capsys.readouterr().out == f"{n} {letter}\\n"
    assert tmp_path.is_dir()

@pytest.mark.goroutine
def test_fails():
    numbers = [1, 2]
    assert numbers == [1, 3]

@pytest.mark.goroutine(30)
def test_skips():
    pytest.skip("not today")

@pytest.mark.goroutine(30)
@pytest.mark.xfail(raises=ZeroDivisionError, strict=True)
def test_expected_to_fail():
    1 / 0

@pytest.mark.goroutine
class TestMethods:
    def test_method(self):
        assert gopoll.current().name == "TestMethods.test_method"
        gopoll.goexit()

def test_unmarked():
    assert gopoll.current() is main
"""
    )
    result.assert_outcomes(passed=7, failed=1, skipped=1, xfailed=1)
    assert "assert [1, 2] == [1, 3]" in failures(result)["test_fails"]
    assert "_watchdog" not in failures(result)["test_fails"], "the traceback begins with the test"


def test_the_first_failure_may_end_the_run(run):
    result = run(
        "@pytest.mark.goroutine\n"
        "@pytest.mark.parametrize('n', range(3))\n"
        "def test_it(n): assert n != 1",
        "-x",
    )
    result.assert_outcomes(passed=1, failed=1)


def test_what_a_marked_test_leaves_ends_with_it(run):
    result = run(
        """
from gopoll.runtime import lifetime
lifetime._GRACE = 0.05
ended = []

@pytest.fixture(scope="module")
def server():
    requests = Chan()
    g = go(lambda: [request.send("served") for request in requests])
    yield requests
    assert not g.done
    requests.close()
    g.join()

def wait():
    try:
        Chan().recv()
    finally:
        ended.append("ended")

@pytest.mark.goroutine
@pytest.mark.parametrize("n", [1, 2])
def test_leaves_some(n, server, gopoll_no_leaks):
    go(wait)
    go(go, wait)
    answer = Chan()
    server.send(answer)
    assert answer.recv() == "served"

def test_they_have_ended():
    assert len(ended) == 4
    assert gopoll.num_goroutine() == 2

def stubborn():
    while True:
        try:
            Chan().recv()
        except BaseException:
            pass

@pytest.mark.goroutine
def test_leaves_a_stubborn_one(server):
    go(stubborn)
    gopoll.gosched()

@pytest.mark.goroutine
def test_fails_and_leaves_a_stubborn_one(server):
    go(stubborn)
    gopoll.gosched()
    assert not "its own failure"
"""
    )
    result.assert_outcomes(passed=3, failed=2)
    found = failures(result)
    assert "1 goroutines refused to end" in found["test_leaves_a_stubborn_one"]
    assert '"stubborn" [chan receive]:' in found["test_leaves_a_stubborn_one"]
    assert "its own failure" in found["test_fails_and_leaves_a_stubborn_one"]
    assert "refused to end" in found["test_fails_and_leaves_a_stubborn_one"]


def test_bubbles_and_leaks(run):
    result = run(
        """
def test_time(gopoll_bubble):
    gopoll.sleep(3600)
    assert gopoll_bubble.elapsed == 3600

@pytest.mark.goroutine
def test_time_in_a_goroutine(gopoll_bubble):
    gopoll.sleep(3600)
    assert gopoll_bubble.elapsed == 3600

@pytest.mark.goroutine
def test_stuck_in_a_goroutine(gopoll_bubble):
    Chan().recv()

def test_stuck_at_the_end(gopoll_bubble):
    go(Chan().recv)

def test_fails_and_would_be_stuck(gopoll_bubble):
    go(Chan().recv)
    assert not "the failure"

def test_leaks(gopoll_no_leaks):
    test_leaks.gate = Chan()
    go(test_leaks.gate.recv)

def test_fails_and_leaks(gopoll_no_leaks):
    test_leaks.gate.close()
    go(Chan().recv)
    assert not "the failure"

def test_leaks_nothing(gopoll_no_leaks, gopoll_bubble):
    go(gopoll.sleep, 1).join()
"""
    )
    result.assert_outcomes(passed=5, failed=3, errors=2)
    found = failures(result)
    assert "all goroutines in the bubble are asleep" in found["test_stuck_in_a_goroutine"]
    assert "the block is over, and the goroutines" in found["test_stuck_at_the_end"]
    assert "1 goroutines were left behind" in found["test_leaks"]
    for name in ("test_fails_and_would_be_stuck", "test_fails_and_leaks"):
        assert "the failure" in found[name]
        assert "Deadlock" not in found[name]


ORDER = """
order = []

def test_order(gopoll_seeded):
    for n in range(12):
        go(order.append, n)
    testing.wait_idle()
    print("order:", order)
    assert gopoll_seeded.random() < 0
"""


def test_a_seed_repeats_an_order(run, pytester):
    def order(result):
        result.assert_outcomes(failed=1)
        return re.search(r"order: (.*)", result.stdout.str())[1]

    first = run(ORDER)
    assert "gopoll: seed" not in first.stdout.str()
    option = re.search(r"--gopoll-seed=\d+(?= repeats this order)", first.stdout.str())[0]
    again = run(ORDER, option)
    assert order(again) == order(first)
    again.stdout.fnmatch_lines([f"gopoll: seed {option.partition('=')[2]}"])
    pytester.makeini("[pytest]\ngopoll_seed = 7\n")
    by_file = run(ORDER)
    by_file.stdout.fnmatch_lines(["gopoll: seed 7"])
    assert order(by_file) == order(run(ORDER, "--gopoll-seed=7"))
    assert order(by_file) != order(run(ORDER, "--gopoll-seed=8")), "the command line comes first"


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (["-o", "gopoll_seed=x"], "gopoll_seed is an integer, got 'x'"),
        (["--gopoll-seed=x"], "invalid int value: 'x'"),
    ],
)
def test_a_seed_that_is_none(run, option, says):
    result = run("", *option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert says in result.stderr.str()


def test_misuse_of_the_marker(run):
    result = run(
        """
@pytest.mark.goroutine('x')
def test_time(): pass

@pytest.mark.goroutine(float("nan"))
def test_number(): pass

@pytest.mark.goroutine(after=1)
def test_name(): pass

@pytest.mark.goroutine
async def test_async(): pass

@pytest.mark.goroutine
def test_run(): gopoll.run(pytest.fail)
"""
    )
    result.assert_outcomes(failed=5)
    found = failures(result)
    assert "a time is a number of seconds" in found["test_time"]
    assert "nan seconds" in found["test_number"]
    assert "argument 'after'" in found["test_name"]
    assert "async def functions are not" in found["test_async"]
    assert "run() belongs at the bottom" in found["test_run"]


def test_where_nobody_uses_it(pytester, run):
    """It takes its place, once however often it is named, and loads no more than gopoll does."""
    pytester.makeconftest(f'pytest_plugins = ["{PLUGIN}"]')
    pytester.makepyfile(
        test_it="""
import sys

def test_nothing_is_loaded(pytestconfig):
    front_door = {name for name in sys.modules if name.partition(".")[0] == "gopoll"}
    for room in ("testing", "debug", "chan", "net", "time", "integrations._watchdog"):
        assert f"gopoll.{room}" not in front_door
    assert pytestconfig.pluginmanager.has_plugin("gopoll.integrations.pytest_plugin")
"""
    )
    result = pytester.runpytest_subprocess("-p", PLUGIN, "-W", "error", "--strict-markers")
    result.assert_outcomes(passed=1)
    assert "gopoll: seed" not in result.stdout.str()
    shown = pytester.run(sys.executable, "-m", "pytest", "-p", PLUGIN, "--fixtures")
    shown.stdout.fnmatch_lines(["gopoll_bubble*", "gopoll_no_leaks*", "gopoll_seeded*"])


def test_it_is_registered():
    """By an entry point that bears the name of the module, so that naming it again is harmless."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert "[project.entry-points.pytest11]" in text
    assert f'"{PLUGIN}" = "{PLUGIN}"' in text


@pytest.mark.goroutine(timeout=30)
def test_it_serves_here(request, gopoll_bubble):
    """This suite uses it."""
    assert request.config.pluginmanager.has_plugin(PLUGIN)
    assert gopoll_bubble.elapsed == 0
