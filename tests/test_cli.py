"""``python -m gopoll`` runs a program as ``python`` does, but on goroutines."""

import os
import py_compile
import re
import signal
import subprocess
import sys
import zipapp

import pytest

from tests.support.plain import plain_env

PROBE = """
import sys
print(sys.argv, repr(sys.path[0]), __name__, __package__, globals().get("__file__"))
print(getattr(__spec__, "name", None), getattr(__loader__, "__name__", type(__loader__).__name__))
print(sorted(set(globals()) - {"sys"}), __import__("__main__").__dict__ is globals())
print(sys._getframe().f_code.co_filename, sys.flags.dev_mode, sys.stdin is sys.__stdin__)
if sys.argv[1:] == ["fail"]:
    def inner(): raise LookupError("no such thing")
    inner()
if sys.argv[1:] == ["exit"]: sys.exit(7)
if sys.argv[1:] == ["bye"]: sys.exit("bye")
if sys.argv[1:] == ["stop"]: raise KeyboardInterrupt
if sys.argv[1:] == ["hook"]:
    sys.excepthook = lambda kind, exc, tb: print("hook", kind.__name__, tb.tb_frame.f_code.co_name)
    1 / 0
"""


def run(*command, cwd, given="", **env):
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=plain_env(PYTHONPATH=os.pathsep.join(filter(None, sys.path)), **env),
        input=given,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def launched(*args, cwd, **kwargs):
    return run("-X", "dev", "-m", "gopoll", *args, cwd=cwd, **kwargs)


def outcome(done, own=""):
    """What a user sees; where the interpreter's own launcher shows a frame, ours may too."""
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def home(tmp_path):
    """A directory with the probe as a script, a module, a package and a zip file."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "probe.py").write_text(PROBE)
    (tmp_path / "module.py").write_text(PROBE)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "__main__.py").write_text(PROBE)
    zipapp.create_archive(tmp_path / "package", tmp_path / "app.pyz")
    py_compile.compile(tmp_path / "module.py", cfile=tmp_path / "compiled.pyc")
    return tmp_path


WAYS = {
    "script": ["sub/probe.py"],
    "absolute": ["{home}/sub/probe.py"],
    "module": ["-m", "module"],
    "attached": ["-mmodule"],
    "package": ["-m", "package"],
    "directory": ["package"],
    "zip file": ["app.pyz"],
    "compiled": ["compiled.pyc"],
    "code": ["-c", PROBE],
}


@pytest.mark.parametrize("way", WAYS)
def test_a_program_sees_what_it_sees_without(home, way):
    command = [word.replace("{home}", str(home)) for word in WAYS[way]]
    theirs = run("-X", "dev", *command, "a", "-m", "--help", cwd=home)
    assert theirs.returncode == 0, theirs.stderr
    assert outcome(launched(*command, "a", "-m", "--help", cwd=home)) == outcome(theirs)


@pytest.mark.parametrize("way", ["script", "module", "code"])
@pytest.mark.parametrize("end", ["fail", "exit", "bye", "stop", "hook"])
def test_a_program_ends_as_it_does_without(home, way, end):
    theirs = run("-X", "dev", *WAYS[way], end, cwd=home)
    ours = launched(*WAYS[way], end, cwd=home)
    if end in {"fail", "stop"} and way == "code" and sys.version_info >= (3, 13):
        # The lines of such code are shown since then, if the interpreter itself runs it.
        theirs.stderr = re.sub(r"\n    .*", "", theirs.stderr)
        ours.stderr = re.sub(r"\n    .*", "", ours.stderr)
    assert outcome(ours) == outcome(theirs)


def test_a_program_from_standard_input(home):
    assert outcome(launched("-", "a", cwd=home, given=PROBE)) == outcome(
        run("-X", "dev", "-", "a", cwd=home, given=PROBE)
    )


def test_without_the_directory_of_the_program(home):
    """As -P and -I ask for; both leave PYTHONPATH, or the place of gopoll, to the interpreter."""
    ours = run("-P", "-m", "gopoll", "sub/probe.py", cwd=home)
    theirs = run("-P", "sub/probe.py", cwd=home)
    assert (ours.returncode, ours.stdout) == (0, theirs.stdout)


@pytest.mark.parametrize("missing", [["nowhere.py"], ["-m", "nowhere"], ["-m", "package.x"]])
def test_a_program_that_is_not_there(home, missing):
    ours, theirs = launched(*missing, cwd=home), run("-X", "dev", *missing, cwd=home)
    assert outcome(ours) == outcome(theirs)
    assert ours.returncode != 0


def test_a_program_with_an_error_in_it(home):
    (home / "wrong.py").write_text("x = (\n")
    ours, theirs = launched("wrong.py", cwd=home), run("-X", "dev", "wrong.py", cwd=home)
    assert outcome(ours) == outcome(theirs)


def test_what_failed_can_be_looked_at(home):
    """``python -i`` goes on in the program's own namespace, and knows its last exception."""
    (home / "fails.py").write_text("found = 'it'\n1 / 0\n")
    ask = "import sys; print(found, sys.last_traceback.tb_lineno, __name__)\n"
    done = run("-i", "-m", "gopoll", "fails.py", cwd=home, given=ask)
    assert done.stdout == "it 2 __main__\n"


def test_all_is_patched_before_the_first_import(home):
    (home / "early.py").write_text(
        "from time import sleep\n"
        "from gopoll import monkey, current\n"
        "import threading\n"
        "print(monkey.patched() == list(monkey.MODULES))\n"
        "print(sleep is not monkey.original('time', 'sleep'))\n"
        "print(current().id, threading.current_thread().name)\n"
        "import io; print([one.name for one in monkey.report(io.StringIO()).stale])\n"
    )
    done = launched("early.py", cwd=home)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["True", "True", "1 MainThread", "[]"]


def test_modules_can_be_chosen(home):
    show = "from gopoll import monkey; print(*monkey.patched())"
    chosen = launched("--patch", "time,threading", "-c", show, cwd=home)
    assert (chosen.stdout, chosen.stderr) == ("time thread\n", "")
    without = launched("--patch=-ssl,-asyncio", "-c", show, cwd=home)
    assert without.stderr == ""
    assert not {"ssl", "asyncio"} & set(without.stdout.split())
    assert "socket" in without.stdout.split()
    by_environment = launched("-c", show, cwd=home, GOPOLL_PATCH="time")
    assert by_environment.stdout == "time\n"


def test_a_report_at_the_end(home):
    done = launched("--report", "-c", "print('the end')", cwd=home)
    assert (done.returncode, done.stdout) == (0, "the end\n")
    assert "time.sleep" in done.stderr


def test_help_and_version(home):
    import gopoll

    done = launched("--help", cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python -m gopoll ")
    assert launched("-V", cwd=home).stdout == f"gopoll {gopoll.__version__}\n"


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ([], "there is no program to run"),
        (["--"], "there is no program to run"),
        (["-m"], "argument expected for the -m option"),
        (["--no-such"], "unknown option --no-such"),
        (["--patch", "tim", "x.py"], "no module to patch: tim"),
        (["--patch", "time,-ssl", "x.py"], "modules are either chosen or left out"),
    ],
)
def test_wrong_words(home, command, complaint):
    done = launched(*command, cwd=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert "usage: python -m gopoll" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("waits", ["time.sleep(1000)", "queue.Queue().get()", "thread.join()"])
def test_ctrl_c_ends_a_program_that_waits(home, waits):
    """By one traceback, of the program alone, and by the signal, as it does without."""
    (home / "waits.py").write_text(
        "import os, queue, signal, threading, time\n"
        "from gopoll.testing import wait_idle\n"
        "def ring():\n"
        "    wait_idle()\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(1000)\n"
        "thread = threading.Thread(target=ring, daemon=True)\n"
        "thread.start()\n"
        f"{waits}\n"
    )
    done = launched("waits.py", cwd=home)
    said = done.stderr
    assert (done.returncode, done.stdout) == (-signal.SIGINT, "")
    assert said.startswith("Traceback (most recent call last):\n")
    assert said.count("Traceback") == 1
    assert said.endswith("KeyboardInterrupt\n")
    assert f'waits.py", line 9, in <module>\n    {waits}' in said
    assert "gopoll/cli.py" not in said


COMPUTES = """
import os, signal, threading
heard = []
signal.signal(signal.SIGUSR1, lambda *_: heard.append("handler"))
os.kill(os.getpid(), signal.SIGUSR1)
while not heard:
    pass
threading.Thread(target=heard.append, args=["thread"]).start()  # from now on gopoll sees to Ctrl-C
try:
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        pass
except KeyboardInterrupt:
    heard.append("interrupted")
print(*(word for word in heard if word != "thread"))
"""


@pytest.mark.parametrize("way", ["script", "module", "code", "directory"])
def test_signals_reach_a_program_that_computes(tmp_path, way):
    (tmp_path / "computes.py").write_text(COMPUTES)
    (tmp_path / "__main__.py").write_text(COMPUTES)
    words = {
        "script": ["computes.py"],
        "module": ["-m", "computes"],
        "code": ["-c", COMPUTES],
        "directory": ["."],
    }
    done = launched(*words[way], cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout == "handler interrupted\n"
