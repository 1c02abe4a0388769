"""Run one module in child processes until each of its cases has an outcome.

One child is enough unless a case hangs or takes the process with it. Then that case's outcome is
"hang" or "crash", everything that the child started is ended, and another child runs what is left.
What goes wrong outside a case has a name of its own, as unittest writes it:

    setUpModule (m)  setUpClass (m.C)       all cases that it was for share its outcome
    tearDownModule (m)  tearDownClass (m.C)
    import (m)                              nothing could be run
    exit (m)                                the interpreter did not end, or ended by a signal
"""

import json
import shutil
import signal
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.stdlib import processes
from tests.stdlib.modules import resources

__all__ = ["Outcome", "Settings", "Stopped", "run_module"]

_CHILD = Path(__file__).with_name("child.py")
_DUMP_SIGNAL = signal.SIGUSR1 if not hasattr(signal, "SIGRTMAX") else signal.SIGRTMAX
_TICK = 0.05
_GRACE = 1.0  # for the stacks to be written, before the child is ended

_BAD = ("fail", "error", "crash", "hang", "not run")
_RANK = ("pass", "skip", "expected failure", *_BAD)


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """The run was called off."""


@dataclass(frozen=True)
class Outcome:
    """How a case ended, why if not well, and after how many seconds."""

    outcome: str
    why: str = ""
    seconds: float = 0.0

    @property
    def bad(self):
        return self.outcome in _BAD

    def worse(self, other):
        """The worse of two outcomes: one id may stand for several cases, or several runs."""
        return max(self, other, key=lambda one: _RANK.index(one.outcome)) if other else self


@dataclass(frozen=True)
class Settings:
    """How modules are run."""

    patience: float = 60.0  # seconds that one case, or one set-up, may take
    limit: float = 900.0  # seconds that a module may take
    children: int = 6  # for one module
    patch: str = "all"  # or some modules: "time,select"
    package: str = "test"
    path: tuple[str, ...] = ()  # where else modules are looked for
    logs: Path | None = None  # keeps what the children print
    stop: threading.Event = field(default_factory=threading.Event)  # calls everything off


@dataclass
class Child:
    """One process and what its journal says."""

    settings: Settings
    directory: Path
    plan: list[str] | None = None
    at: str | None = None  # the case or set-up it is in
    ended: bool = False  # all have been run
    end: str = ""  # how the process ended, if not well
    results: dict[str, Outcome] = field(default_factory=dict)

    def run(self, module, patched, done, deadline):
        """Run a module without the cases `done`; return "" or what is wrong: hang, crash."""
        journal, log = self.directory / "journal", self.directory / "log"
        for name in ("cwd", "tmp"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
            (self.directory / name).mkdir()
        journal.write_bytes(b"")
        log.touch()
        order = {
            "module": f"{self.settings.package}.{module}",
            "journal": str(journal),
            "patience": self.settings.patience,
            "resources": resources(module),
            "path": self.settings.path,
            "done": sorted(done),
            "dump_signal": _DUMP_SIGNAL,
        }
        (self.directory / "order").write_text(json.dumps(order), "utf-8")
        process = processes.start(
            [_CHILD, self.settings.patch if patched else "none", self.directory / "order"],
            cwd=self.directory / "cwd",
            directory=self.directory / "tmp",
            log=log,
        )
        hung, status, said = True, 0, log.stat().st_size
        try:
            hung = self._watch(process, journal, deadline)
            if hung and patched and self.plan is not None:
                process.send_signal(_DUMP_SIGNAL)
                time.sleep(_GRACE)
        finally:
            status = processes.end_all(process, self.directory / "tmp")
        if hung:
            over = time.monotonic() > deadline
            self.end = "the module's time is over" if over else f"{self.settings.patience:g} s"
            return "hang"
        if self.ended and status == 0:
            return ""
        name = signal.Signals(-status).name if status < 0 else f"status {status}"
        self.end = f"{name}: {_last_words(log, said)}"
        return "crash"

    def _watch(self, process, journal, deadline):
        """Follow the journal until the process ends (False) or nothing happens (True)."""
        heard = time.monotonic()
        line = b""
        with journal.open("rb") as lines:
            while not self.settings.stop.wait(_TICK):
                over = processes.has_ended(process)
                for part in iter(lines.readline, b""):
                    line += part  # half of it, if it is being written
                    if line.endswith(b"\n"):
                        heard = time.monotonic()
                        self._read(json.loads(line))
                        line = b""
                if over:
                    return False
                if time.monotonic() > min(heard + self.settings.patience + _GRACE, deadline):
                    return True
        raise Stopped

    def _read(self, event):
        match event:
            case {"plan": plan}:
                self.plan = plan
            case {"start": name} | {"enter": name}:
                self.at = name
            case {"id": name, "outcome": outcome, "why": why, "seconds": seconds}:
                self.at = None
                self._add(name, Outcome(outcome, why, seconds))
            case {"fixture": name, "outcome": outcome, "why": why}:
                self.blame(name, Outcome(outcome, why))
            case {"end": _}:
                self.at, self.ended = None, True

    def _add(self, name, outcome):
        self.results[name] = outcome.worse(self.results.get(name))

    def blame(self, name, outcome):
        """Give `outcome` to the case `name`, or to the cases of a set-up and to the set-up."""
        kind, _, owner = name.removesuffix(")").partition(" (")
        if kind in {"setUpClass", "setUpModule"}:
            for case in self.plan or ():
                if case.startswith(owner + "."):
                    self.results.setdefault(case, outcome)
        elif kind not in {"tearDownClass", "tearDownModule"} or outcome.bad:
            self._add(name, outcome)


def run_module(module, *, patched, settings, without=()):
    """Run a module; return the outcome of each of its cases, and of what else went wrong.

    The cases `without` are not run.
    """
    results, plan = {}, []
    deadline = time.monotonic() + settings.limit
    with tempfile.TemporaryDirectory(prefix="gopoll-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        try:
            for _ in range(settings.children):
                child = Child(settings, directory)
                trouble = child.run(module, patched, {*results, *without}, deadline)
                plan = plan or child.plan or []
                if trouble:
                    child.blame(_culprit(child, module), Outcome(trouble, child.end))
                results.update(child.results)
                left = [case for case in plan if case not in results]
                if not trouble or not left or child.plan is None or time.monotonic() > deadline:
                    break
        finally:
            if settings.logs:
                kind = "patched" if patched else "plain"
                settings.logs.mkdir(parents=True, exist_ok=True)
                shutil.copy(directory / "log", settings.logs / f"{module}.{kind}.log")
    for case in plan:
        results.setdefault(case, Outcome("not run", "the module was given up"))
    return results


def _culprit(child, module):
    """The case or set-up that a child was in when it hung or died."""
    if child.plan is None:
        return f"import ({module})"
    return child.at or f"exit ({module})"


def _last_words(log, offset):
    """The last line after `offset` that says something; the fatal one if there is one."""
    text = log.read_bytes()[offset:].decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines()]
    fatal = [line for line in lines if line.startswith("Fatal Python error")]
    return next(filter(None, reversed([*lines, *fatal])), "")
