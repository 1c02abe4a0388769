"""Coverage and profilers see the lines and calls of goroutines that interleave."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.support.plain import plain_env

needs_coverage = pytest.mark.skipif(
    find_spec("coverage") is None, reason="coverage is not installed"
)

# Calls of two files that wait in their middle, so that returns come in another order than calls.
FILES = {
    "one.py": """
import time
def first(n):
    total = 0
    for i in range(n):
        time.sleep(0.001)
        if i % 2:
            total += 1
        else:
            total += 2
    return total
def never():
    return 1
""",
    "two.py": """
import time
def second(n):
    total = 0
    for i in range(n):
        if i % 3:
            total += 1
        time.sleep(0.001)
    if total > 100:
        total = 0
    return total
""",
    "app.py": """
import threading
import one, two
done = []
def work(fn, n):
    done.append(fn(n))
    done.append(1)
threads = [
    threading.Thread(target=work, args=(fn, n)) for n in (3, 4, 5) for fn in (one.first, two.second)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(done))
""",
}


@pytest.fixture
def home(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def python(*args, cwd, **env):
    done = subprocess.run(
        [sys.executable, *args],
        cwd=cwd,
        env=plain_env(**env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def measured(home, *program, flags=(), core):
    """Run under coverage; return what it found in each file."""
    env = {"COVERAGE_FILE": str(home / "data"), "COVERAGE_CORE": core}
    run = ["-m", "coverage", "run", f"--include={home}/*", *flags, *program]
    done = python(*run, cwd=home, **env)
    assert (done.stdout, done.stderr) == ("12\n", "")
    python("-m", "coverage", "json", "-q", "-o", "found.json", cwd=home, **env)
    files = json.loads((home / "found.json").read_text())["files"]
    wanted = ("executed_lines", "missing_lines", "executed_branches", "missing_branches")
    return {name: [found.get(key) for key in wanted] for name, found in files.items()}


CORES = ["ctrace", *(["sysmon"] if sys.version_info >= (3, 12) else [])]


@needs_coverage
@pytest.mark.parametrize("core", CORES)
def test_coverage_counts_as_without_goroutines(home, core):
    flags = ["--branch"] if core == "ctrace" else []
    expected = measured(home, "app.py", flags=flags, core="ctrace")
    assert set(expected) == set(FILES)
    assert measured(home, "-m", "gopoll", "app.py", flags=flags, core=core) == expected


@needs_coverage
@pytest.mark.parametrize("concurrency", ["greenlet", "thread,greenlet"])
def test_coverage_that_knows_of_greenlets(home, concurrency):
    expected = measured(home, "app.py", core="ctrace")
    flags = [f"--concurrency={concurrency}"]
    assert measured(home, "-m", "gopoll", "app.py", flags=flags, core="ctrace") == expected


@needs_coverage
@pytest.mark.parametrize("warns", [True, False])
def test_who_patches_late_is_told_what_coverage_needs(home, warns):
    (home / "late.py").write_text("from gopoll import monkey\nmonkey.patch_all()\nimport app\n")
    flags = [] if warns else ["--concurrency=greenlet"]
    env = {"COVERAGE_FILE": str(home / "data"), "COVERAGE_CORE": "ctrace"}
    done = python("-m", "coverage", "run", *flags, "late.py", cwd=home, **env)
    assert done.stdout == "12\n"
    said = "late.py:2: PatchWarning: coverage mixes goroutines up unless it runs with "
    assert (said + "--concurrency=greenlet" in done.stderr) == warns


def test_a_trace_function_stays_when_a_thread_begins(home):
    code = """
from gopoll import monkey
monkey.patch_all()
import sys, threading
seen = []
def trace(frame, event, arg): seen.append(frame.f_code.co_name)
def profile(frame, event, arg): pass
def other(frame, event, arg): raise AssertionError
def called(): assert sys.gettrace() is trace and sys.getprofile() is profile
threading.settrace(other)
threading.setprofile(other)
sys.setprofile(profile)
sys.settrace(trace)
thread = threading.Thread(target=called)
thread.start()
thread.join()
print(sys.gettrace() is trace, sys.getprofile() is profile, "called" in seen)
sys.settrace(None)
sys.setprofile(None)
"""
    assert python("-c", code, cwd=home).stdout == "True True True\n"


def test_a_trace_function_for_threads_is_set_where_there_is_none(home):
    code = """
from gopoll import monkey
monkey.patch_all()
import sys, threading
seen = []
def trace(frame, event, arg): seen.append(frame.f_code.co_name)
def called(): pass
threading.settrace(trace)
thread = threading.Thread(target=called)
thread.start()
thread.join()
sys.settrace(None)
print("called" in seen)
"""
    assert python("-c", code, cwd=home).stdout == "True\n"


def test_a_profiler_survives_goroutines(home):
    done = python("-m", "gopoll", "-m", "cProfile", "app.py", cwd=home)
    assert done.stdout.startswith("12\n")
    assert "one.py" in done.stdout
    assert done.stderr == ""


def test_profiling_by_hand(home):
    code = """
from gopoll import monkey
monkey.patch_all()
import cProfile, io, pstats
with cProfile.Profile() as profiler:
    import app
stats = pstats.Stats(profiler, stream=io.StringIO())
calls = {name: value[1] for (_, _, name), value in stats.stats.items()}
print(calls["first"], calls["second"])
"""
    assert python("-c", code, cwd=home).stdout == "12\n3 3\n"
