"""``GOPOLL_PATCH``: interpreters that nobody of us starts are patched by the ``.pth`` file."""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import greenlet
import pytest

from tests.support.plain import plain_env
from tests.support.script import ROOT

HOOK = ROOT / "gopoll" / "integrations" / "gopoll_patch.pth"
SHOW = "import sys; m = sys.modules.get('gopoll.monkey'); print(*m.patched() if m else '-')"


class Installed:
    """A virtual environment that knows gopoll and has the hook."""

    def __init__(self, path):
        self.python = path / "bin" / "python"
        venv.EnvBuilder(symlinks=True).create(path)
        (self.packages,) = path.glob("lib/*/site-packages")
        homes = [ROOT, Path(greenlet.__file__).parents[1]]
        (self.packages / "_gopoll.pth").write_text("".join(f"{home}\n" for home in homes))
        shutil.copy(HOOK, self.packages)

    def run(self, *args, patch=None, **env):
        environment = {**plain_env(), "PYTHONPATH": "", **env}
        environment.pop("GOPOLL_PATCH", None)
        if patch is not None:
            environment["GOPOLL_PATCH"] = patch
        return subprocess.run(
            [self.python, *args],
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return Installed(tmp_path_factory.mktemp("venv"))


def test_the_hook_is_in_the_wheel():
    with (ROOT / "pyproject.toml").open("rb") as file:
        wheel = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]
    ((source, target),) = wheel["force-include"].items()
    assert (ROOT / source).samefile(HOOK)
    assert target == "gopoll_patch.pth"  # in the directory of packages itself; after "_*.pth"


def test_the_hook_is_one_line_that_the_interpreter_runs():
    text = HOOK.read_text()
    assert text.startswith("import ")
    assert text.count("\n") == 1


@pytest.mark.parametrize("off", [None, "", "0"])
def test_nothing_happens_without_the_variable(installed, off):
    done = installed.run("-c", "import sys; print('gopoll' in sys.modules)", patch=off)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_everything_is_patched_before_the_program_begins(installed, tmp_path):
    (tmp_path / "app.py").write_text("from time import sleep\nprint(sleep.__module__)\n" + SHOW)
    for value in ("1", "all"):
        done = installed.run(tmp_path / "app.py", patch=value)
        assert done.stderr == ""
        assert done.stdout.splitlines()[0] == "time"
        assert {"time", "thread", "socket", "ssl", "asyncio"} < set(done.stdout.split())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("time", "time"),
        ("time,threading", "time thread"),
        (" socket , time ", "time socket"),
    ],
)
def test_some_modules(installed, text, names):
    done = installed.run("-c", SHOW, patch=text)
    assert (done.stdout, done.stderr) == (names + "\n", "")


def test_all_but_some_modules(installed):
    done = installed.run("-c", SHOW, patch="-ssl,-asyncio")
    assert done.stderr == ""
    assert "socket" in done.stdout.split()
    assert not {"ssl", "asyncio"} & set(done.stdout.split())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("tim,socket", "ValueError: no module to patch: tim; there are time, thread,"),
        ("time,-ssl", "ValueError: modules are either chosen or left out, not both: 'time,-ssl'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_python_starts(installed, text, complaint):
    done = installed.run("-c", "print('runs')", patch=text)
    assert (done.returncode, done.stdout) == (0, "runs\n")
    assert done.stderr.startswith(f"GOPOLL_PATCH: not patched: {complaint}")
    assert done.stderr.count("\n") == 1


def test_python_starts_where_gopoll_is_broken(installed):
    (installed.packages / "greenlet.py").write_text("raise ImportError('of another\\nPython')")
    try:
        done = installed.run("-c", "print('runs')", patch="1", PYTHONPATH=str(installed.packages))
    finally:
        (installed.packages / "greenlet.py").unlink()
    assert (done.returncode, done.stdout) == (0, "runs\n")
    assert done.stderr == "GOPOLL_PATCH: not patched: ImportError: of another Python\n"


def test_python_starts_without_a_standard_error(installed):
    code = (
        f"import os, sys; os.close(2); os.execv(sys.executable, [sys.executable, '-c', {SHOW!r}])"
    )
    done = installed.run("-c", code, patch="tim")
    assert (done.returncode, done.stdout) == (0, "\n")


@pytest.mark.parametrize("flag", ["-E", "-I", "-S"])
def test_who_isolates_python_isolates_it_from_the_variable_too(installed, flag):
    done = installed.run(flag, "-c", SHOW, patch="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "-\n", "")


def test_children_are_patched_too(installed):
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SHOW!r}])"
    done = installed.run("-c", code, patch="time,os")
    assert (done.stdout, done.stderr) == ("time os\n", "")


def test_a_program_of_threads_runs_on_goroutines(installed, tmp_path):
    (tmp_path / "app.py").write_text(
        "import threading, time\n"
        "ran = []\n"
        "threads = [threading.Thread(target=lambda: (time.sleep(0.01), ran.append(1)))\n"
        "           for _ in range(100)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "from gopoll import _original\n"
        "print(len(ran), _original.thread_count())\n"
    )
    done = installed.run("-X", "dev", tmp_path / "app.py", patch="1")
    assert (done.stdout, done.stderr) == ("100 0\n", "")


def test_the_hook_costs_nothing_that_could_be_measured(monkeypatch):
    """Less than a hundredth of the time that an empty interpreter takes to start."""
    import timeit

    monkeypatch.delenv("GOPOLL_PATCH", raising=False)
    line = HOOK.read_text()
    hook = min(timeit.repeat(lambda: exec(line, {}), number=10, repeat=20)) / 10
    start = min(
        timeit.repeat(
            lambda: subprocess.run([sys.executable, "-I", "-c", ""], check=True), number=1, repeat=3
        )
    )
    assert hook < start / 100


def test_this_environment_has_the_hook_if_it_is_an_installed_one():
    """Also if the installation is editable."""
    packages = Path(sysconfig.get_path("purelib"))
    records = [*packages.glob("gopoll-*.dist-info/RECORD")]
    if not records or "gopoll_patch.pth" not in records[0].read_text():
        pytest.skip("gopoll is not installed here, or was before it had the hook")
    assert (packages / "gopoll_patch.pth").read_text() == HOOK.read_text()
