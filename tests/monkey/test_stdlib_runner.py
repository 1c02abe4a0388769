"""The runner of CPython's own tests, on modules that do everything that can go wrong."""

import fcntl
import io
import json
import sys
import threading

import pytest

from tests.stdlib.__main__ import KNOWN, main
from tests.stdlib.modules import MODULES, QUICK
from tests.stdlib.report import load_known
from tests.stdlib.run import Settings, Stopped, run_module

HEAD = """
import atexit, os, subprocess, sys, time, unittest

patched = "gopoll.monkey" in sys.modules
"""

ALL = '''
# It leaves the session, and holds a lock as long as it lives.
helper = """
import fcntl, os, time
os.setsid()
file = open(os.environ["HOME"] + "/../../held", "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", file=file, flush=True)
time.sleep(600)
"""

class Cases(unittest.TestCase):
    def test_a_pass(self):
        self.assertEqual(os.listdir(), [])

    def test_b_lost(self):
        self.assertFalse(patched, "it is patched")

    def test_c_fail(self):
        self.fail("always")

    def test_d_subtests(self):
        for number in range(3):
            with self.subTest(number):
                self.assertFalse(number == 1 and patched)

    def test_e_skip(self):
        self.skipTest("no")

    def test_f_hang(self):
        if patched:
            subprocess.run([sys.executable, "-c", helper])

    def test_g_crash(self):
        if patched:
            os.abort()

    def test_h_exit(self):
        if patched:
            print("last words", flush=True)
            os._exit(3)

    @unittest.expectedFailure
    def test_i_expected(self):
        self.fail("as expected")

    def test_j_pass(self):
        pass

class Unready(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if patched:
            raise OSError("no server")

    def test_one(self):
        pass

    def test_two(self):
        pass

class Untidy(unittest.TestCase):
    @classmethod
    def tearDownClass(cls):
        if patched:
            raise OSError("not empty")

    def test_one(self):
        pass
'''

AROUND = """
class Slow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        time.sleep(600)

    def test_one(self):
        pass

    def test_two(self):
        pass

class Unending(unittest.TestCase):
    def test_one(self):
        atexit.register(time.sleep, 600)
"""

SOMETIMES = """
class Cases(unittest.TestCase):
    def test_sometimes(self):
        with open({path!r}, "a+") as file:
            file.write("x")
            file.seek(0)
            self.assertEqual(len(file.read()) % 2, 1)

    def test_always(self):
        pass
"""

LISTED = """
class Cases(unittest.TestCase):
    def test_lost(self):
        self.assertFalse(patched)
    def test_kept(self):
        pass
    def test_fails_anyway(self):
        self.fail()
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Make a test module of a text, and run the command on it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "made").mkdir()
    (tmp_path / "made/__init__.py").touch()

    def run(text, *arguments, known="", patience="1.5"):
        (tmp_path / "made/test_up.py").write_text(HEAD + text)
        (tmp_path / "known").write_text(known)
        out = io.StringIO()
        # What is patched makes no difference here.
        options = ["--patch", "time", "--patience", patience, "--known", str(tmp_path / "known")]
        settings = Settings(package="made", path=(str(tmp_path),))
        return main(["test_up", *options, *arguments], settings=settings, out=out), out.getvalue()

    return run


def lost(text):
    """The lines about what is lost, without the places in the source."""
    lines = [line.removeprefix("test_up: ") for line in text.partition("\n\n")[0].splitlines()]
    return [line.partition(" (test_up.py")[0] for line in lines[:-1]]


def table(text):
    return [line.split(maxsplit=4) for line in text.partition("\n\n")[2].splitlines()]


def test_what_can_go_wrong(command, tmp_path):
    status, text = command(ALL, "--results", str(tmp_path / "results"))
    assert status == 1
    assert lost(text) == [
        "Cases.test_b_lost: fail: AssertionError: True is not false : it is patched",
        "Cases.test_d_subtests: fail: AssertionError: True is not false",
        "Cases.test_f_hang: hang: 1.5 s",
        "Cases.test_g_crash: crash: SIGABRT: Fatal Python error: Aborted",
        "Cases.test_h_exit: crash: status 3: last words",
        "Unready.test_one: error: OSError: no server",
        "Unready.test_two: error: OSError: no server",
        "tearDownClass (Untidy): error: OSError: not empty",
    ]
    assert table(text) == [
        ["module", "unpatched", "kept", "kept", "%  lost"],
        ["test_up", "10", "3", "30.0", "8: 2 crash, 3 error, 2 fail, 1 hang"],
        ["total", "10", "3", "30.0"],
    ]
    results = json.loads((tmp_path / "results").read_text())["modules"]["test_up"]
    outcomes = {case.rpartition(".")[2]: one["outcome"] for case, one in results.items()}
    assert outcomes["test_c_fail"] == "fail"
    assert outcomes["test_e_skip"] == "skip"
    assert outcomes["test_i_expected"] == "expected failure"
    # Nothing stays behind.
    assert (tmp_path / "held").read_text() == "held\n"
    with (tmp_path / "held").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # waits for ever if the helper lives
    assert not list(tmp_path.glob("gopoll-*"))


def test_hangs_around_the_cases(command, tmp_path):
    (tmp_path / "made/test_around.py").write_text(HEAD + AROUND)
    settings = Settings(patience=0.5, patch="time", package="made", path=(str(tmp_path),))
    results = run_module("test_around", patched=True, settings=settings)
    assert {name: one.outcome for name, one in results.items()} == {
        "made.test_around.Unending.test_one": "pass",
        "made.test_around.Slow.test_one": "hang",
        "made.test_around.Slow.test_two": "hang",
        "exit (test_around)": "hang",
    }


def test_as_many_children_as_allowed(tmp_path, command):
    (tmp_path / "made/test_around.py").write_text(HEAD + ALL)
    settings = Settings(patience=5, children=1, patch="time", package="made", path=(str(tmp_path),))
    skipped = {"made.test_around.Cases.test_f_hang"}
    results = run_module("test_around", patched=True, settings=settings, without=skipped)
    outcomes = {
        name.removeprefix("made.test_around."): one.outcome for name, one in results.items()
    }
    assert not skipped & results.keys()
    assert outcomes["Cases.test_e_skip"] == "skip"
    assert outcomes["Cases.test_g_crash"] == "crash"
    assert {name for name, outcome in outcomes.items() if outcome == "not run"} == {
        *(f"Cases.{name}" for name in ("test_h_exit", "test_i_expected", "test_j_pass")),
        *("Unready.test_one", "Unready.test_two", "Untidy.test_one"),
    }


def test_called_off(tmp_path, command):
    (tmp_path / "made/test_around.py").write_text(HEAD + AROUND)
    settings = Settings(patch="time", package="made", path=(str(tmp_path),))
    threading.Timer(0.3, settings.stop.set).start()
    with pytest.raises(Stopped):
        run_module("test_around", patched=False, settings=settings)
    assert not list(tmp_path.glob("gopoll-*"))


def test_module_that_cannot_be_imported(command):
    status, text = command("if patched: raise ImportError('no')\n" + LISTED)
    assert status == 1
    assert "ImportError: no" in text
    assert table(text)[1][:4] == ["test_up", "2", "0", "0.0"]


def test_only_what_passes_each_time_counts(command, tmp_path):
    text = SOMETIMES.replace("{path!r}", repr(str(tmp_path / "count")))
    file = tmp_path / "baseline"
    status, shown = command(text, "--baseline", str(file), "--baseline-runs", "2")
    assert status == 0
    assert table(shown)[1] == ["test_up", "1", "1", "100.0"]
    assert (tmp_path / "count").read_text() == "xxx"
    command(text, "--baseline", str(file))  # is not measured again
    assert (tmp_path / "count").read_text() == "xxxx"


def test_what_is_lost_is_run_again(command, tmp_path):
    text = SOMETIMES.replace("{path!r}", repr(str(tmp_path / "count")))
    counted = (
        text
        + "\n    def test_kept(self): open("
        + repr(str(tmp_path / "kept"))
        + ", 'a').write('x')\n"
    )
    assert command(counted, "--again", "2")[0] == 0
    assert (tmp_path / "count").read_text() == "xxx"  # unpatched, lost, kept
    assert (tmp_path / "kept").read_text() == "xx"
    status, shown = command(LISTED, "--again", "2")
    assert status == 1
    assert "Cases.test_lost: fail" in shown


def test_baseline_of_another_python(command, tmp_path):
    file = tmp_path / "baseline"
    file.write_text('{"python": "CPython 2.7.18", "modules": {}}')
    with pytest.raises(SystemExit, match=r"is of CPython 2\.7\.18"):
        command(ALL, "--baseline", str(file))


@pytest.mark.parametrize(
    ("listed", "version", "status", "line"),
    [
        (["test_lost"], "{0}.{1}", 0, "    known: it is patched"),
        ([], "{0}.{1}", 1, "100 %"),
        (["test_lost"], "2.7", 1, "100 %"),
        (["test_lost", "test_kept"], "{0}.{1}", 1, "test_up: Cases.test_kept: is not lost"),
        (["test_lost", "test_nosuch"], "{0}.{1}", 1, "test_up: Cases.test_nosuch: is not lost"),
        (["test_lost", "test_fails_anyway"], "{0}.{1}", 0, "    known: it is patched"),
    ],
)
def test_list_of_known_losses(command, listed, version, status, line):
    entry = f'{{ versions = ["{version.format(*sys.version_info)}"], why = "it is patched" }}'
    known = "[test_up]\n" + "\n".join(f'"Cases.{name}" = {entry}' for name in listed)
    got, text = command(LISTED, known=known)
    assert got == status
    assert (line in text) == (line != "100 %")


def test_a_hang_is_never_all_right(command):
    hang = LISTED.replace("pass", "patched and time.sleep(600)")
    entry = f'{{ versions = ["{sys.version_info[0]}.{sys.version_info[1]}"], why = "it hangs" }}'
    status, text = command(hang, known=f'[test_up]\n"Cases.test_kept" = {entry}', patience="0.5")
    assert status == 1
    assert "known: it hangs" in text


def test_every_known_loss_has_a_reason(tmp_path):
    path = tmp_path / "known"
    path.write_text('[test_up]\n"Cases.test_it" = { versions = ["3.11"], why = "" }')
    with pytest.raises(SystemExit, match=r"Cases\.test_it: versions and why"):
        load_known(path)


def test_the_list_can_be_read():
    known = load_known(KNOWN)
    assert known.keys() <= set(MODULES)
    assert set(QUICK) <= set(MODULES)


def test_module_that_does_not_exist(command):
    with pytest.raises(SystemExit, match="this Python has no test_nothing"):
        command(ALL, "test_nothing")
