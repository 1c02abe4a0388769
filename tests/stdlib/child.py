"""Run one test module in this process and note each step in a file, as it happens.

``python child.py PATCH ORDER``: what to patch is "none", "all", or some modules ("time,select");
the order is a JSON file that says what to run and where to write. Each line that is written is one
JSON object:

    {"plan": [id, ...]}                          what is going to be run, in order
    {"enter": name}                              a class's or module's set-up or tear-down begins
    {"start": id}                                a case begins
    {"id": id, "outcome": ..., "why": ..., "seconds": ...}       it has ended
    {"fixture": name, "outcome": ..., "why": ...}                a set-up or tear-down failed, or
                                                 skips all that it was for
    {"end": true}                                all have been run; now the interpreter exits

A name of a set-up is unittest's: "setUpClass (test.test_x.SomeTest)". The file is opened, written
and closed for each line, because tests count descriptors, replace them, fork and crash.

Patching comes before every import that could bind a name of the standard library. It stands at the
top level, so that processes which multiprocessing starts are patched as well.
"""

# ruff: noqa: E402, PTH100, PTH109, PTH119, PTH120, PTH123 - the patch comes before pathlib
# ruff: noqa: N802 - unittest's names

import os
import sys

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_open, _write, _close, _getpid, _exit = os.open, os.write, os.close, os.getpid, os._exit

if __name__ == "__main__":
    sys.path[0] = os.getcwd()
    sys.path.append(_ROOT)
if sys.argv[1] != "none":
    from gopoll import monkey

    if sys.argv[1] == "all":
        monkey.patch_all()
    else:
        for _name in sys.argv[1].split(","):
            getattr(monkey, f"patch_{_name}")()

import faulthandler
import json
import time
import traceback
import unittest
from unittest.suite import _ErrorHolder
from unittest.util import strclass

from test import support

_clock = time.perf_counter

# The worst thing that was said about a case is its outcome.
_ORDER = ("pass", "skip", "expected failure", "fail", "error")


class Journal:
    """The file of what happens, and the watchdog that every line sets back."""

    def __init__(self, path, patience):
        self.path = path
        self.patience = patience
        self.process = _getpid()

    def note(self, **event):
        """Write one line; whoever forked and came here by mistake ends."""
        if _getpid() != self.process:
            _exit(70)
        faulthandler.dump_traceback_later(self.patience, file=sys.__stderr__)
        line = json.dumps(event) + "\n"
        fd = _open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            _write(fd, line.encode())
        finally:
            _close(fd)


class Result(unittest.TestResult):
    """Tells the journal how each case ended."""

    def __init__(self, journal):
        super().__init__()
        self.journal = journal
        self.said = []
        self.began = None  # a case that is skipped as a whole may end without a beginning

    def startTest(self, test):
        self.said = []
        self.journal.note(start=test.id())
        self.began = _clock()
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        seconds = round(_clock() - self.began, 2) if self.began is not None else 0.0
        outcome, why = max(self.said, key=lambda said: _ORDER.index(said[0]), default=("error", ""))
        self.journal.note(id=test.id(), outcome=outcome, why=why, seconds=seconds)
        self.said, self.began = [], None

    def say(self, test, outcome, why=""):
        if isinstance(test, _ErrorHolder):  # no case: a set-up or tear-down
            self.journal.note(fixture=test.id(), outcome=outcome, why=why)
        else:
            self.said.append((outcome, why))

    def addSuccess(self, test):
        self.say(test, "pass")

    def addSkip(self, test, reason):
        self.say(test, "skip", reason)

    def addFailure(self, test, err):
        self.say(test, "fail", last_line(test, err))

    def addError(self, test, err):
        self.say(test, "error", last_line(test, err))

    def addExpectedFailure(self, test, err):
        self.say(test, "expected failure")

    def addUnexpectedSuccess(self, test):
        self.say(test, "fail", "unexpected success")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            failed = issubclass(err[0], test.failureException)
            self.say(test, "fail" if failed else "error", last_line(subtest, err))


class Suite(unittest.TestSuite):
    """Tells the journal which set-up or tear-down is running."""

    def _enter(self, result, name, owner):
        result.journal.note(enter=f"{name} ({owner})")

    def _tearDownPreviousClass(self, test, result):
        previous = getattr(result, "_previousTestClass", None)
        if previous is not None and test.__class__ is not previous:
            self._enter(result, "tearDownClass", strclass(previous))
        super()._tearDownPreviousClass(test, result)

    def _handleModuleFixture(self, test, result):
        if self._get_previous_module(result) != test.__class__.__module__:
            self._enter(result, "setUpModule", test.__class__.__module__)
        super()._handleModuleFixture(test, result)

    def _handleClassSetUp(self, test, result):
        if getattr(result, "_previousTestClass", None) is not test.__class__:
            self._enter(result, "setUpClass", strclass(test.__class__))
        super()._handleClassSetUp(test, result)

    def _handleModuleTearDown(self, result):
        self._enter(result, "tearDownModule", self._get_previous_module(result))
        super()._handleModuleTearDown(result)


def last_line(test, err):
    """The exception's own line and the place where it was raised; all of it goes to stderr."""
    kind, value, trace = err
    text = "".join(traceback.format_exception(kind, value, trace))
    sys.__stderr__.write(f"\n{'=' * 70}\n{test.id()}\n{text}")
    sys.__stderr__.flush()
    line = traceback.format_exception_only(kind, value)[-1].strip()
    frames = [f for f in traceback.extract_tb(trace) if "/unittest/" not in f.filename]
    if frames:
        line += f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})"
    return line


def cases(tests):
    """Every case of a suite of suites, in order."""
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            yield from cases(test)
        else:
            yield test


def dump_goroutines(_signum, _frame):
    from gopoll import debug

    sys.__stderr__.write(debug.dump())
    sys.__stderr__.flush()


def main(order):
    """Run what the order says."""
    journal = Journal(order["journal"], order["patience"])
    faulthandler.enable()
    if sys.argv[1] != "none":
        from gopoll import _original

        _original.set_signal(order["dump_signal"], dump_goroutines)
    support.use_resources = order["resources"]
    support.LONG_TIMEOUT = min(support.LONG_TIMEOUT, order["patience"] / 2)
    sys.path.extend(order["path"])
    done = set(order["done"])
    found = cases(unittest.defaultTestLoader.loadTestsFromName(order["module"]))
    suite = Suite(case for case in found if case.id() not in done)
    journal.note(plan=[case.id() for case in suite])
    suite.run(Result(journal))
    journal.note(end=True)


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as _file:
        _order = json.load(_file)
    main(_order)
