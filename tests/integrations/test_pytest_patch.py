"""``pytest -p gopoll``: patched before anything is collected, in workers too."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.support.plain import plain_env

CONFTEST = "from time import sleep\n"

TESTS = """
import threading, time
import conftest
import pytest
from gopoll import _original, monkey

@pytest.mark.parametrize("n", range(4))
def test_everything_is_patched(n):
    assert monkey.patched() == list(monkey.MODULES)
    assert conftest.sleep is time.sleep is not monkey.original("time", "sleep")

def test_pytest_has_followed():
    import _pytest.timing
    assert _pytest.timing.sleep is time.sleep

def test_threads_are_goroutines():
    ran = []
    before = _original.thread_count()
    threads = [threading.Thread(target=lambda: (time.sleep(0.01), ran.append(1))) for _ in "abc"]
    for thread in threads: thread.start()
    assert _original.thread_count() == before
    for thread in threads: thread.join()
    assert ran == [1, 1, 1]
"""


def run_pytest(home, *args, **env):
    (home / "conftest.py").write_text(CONFTEST)
    (home / "test_them.py").write_text(TESTS)
    environment = {**plain_env(), **env}
    environment.pop("PYTEST_XDIST_WORKER", None)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:randomly", *args, home],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def passed(done, count):
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count} passed" in done.stdout
    assert done.stderr == ""


def test_before_conftest_files_and_tests(tmp_path):
    done = run_pytest(tmp_path, "-p", "gopoll")
    passed(done, 6)
    assert "gopoll: patched " in done.stdout


def test_with_the_environment_alone(tmp_path):
    """Where no interpreter is patched as it starts, this plugin does it, which pytest finds."""
    passed(run_pytest(tmp_path, GOPOLL_PATCH="1"), 6)


def test_with_the_launcher(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_them.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "gopoll", "-m", "pytest", "-p", "no:randomly"],
        cwd=tmp_path,
        env=plain_env(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    passed(done, 6)


@pytest.mark.skipif(find_spec("xdist") is None, reason="pytest-xdist is not installed")
def test_in_the_workers_of_xdist(tmp_path):
    passed(run_pytest(tmp_path, "-p", "gopoll", "-n", "2"), 6)


def test_a_wrong_name_is_a_usage_error(tmp_path):
    done = run_pytest(tmp_path, "-p", "gopoll", GOPOLL_PATCH="tim")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "no module to patch: tim; there are time, thread," in done.stdout + done.stderr


def test_nothing_is_patched_unless_asked_for(tmp_path):
    done = run_pytest(tmp_path, "-q")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "assert [] == " in done.stdout
