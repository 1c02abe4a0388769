"""One contestant of a scenario: the processes that it needs, and a round of it.

All kinds of them have a `round`, which returns its figures by name, and an `end`:

    ========  =====================================================================
    cost      CPU microseconds for each operation
    rate      operations per second
    p50 p99   how long an operation took, in microseconds
    idle      bytes of memory for each connection that is only open
    bytes     of memory for each thing that waits
    import    CPU milliseconds of an import
    ========  =====================================================================
"""

import os
import select
import statistics
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from typing import IO, Protocol

from tests.bench import machine
from tests.bench.build import ROOT, Unavailable, built
from tests.bench.scenarios import Scenario, library

__all__ = ["Contestant", "enter"]

PATIENCE = 60.0
BUILTIN = {"gopoll", "asyncio", "threads", "go", "c"}
IMPORTS = 3  # of each, in a round

Figures = dict[str, float]


class Contestant(Protocol):
    """Somebody who takes part, ready for the first round; `cold` if that should not count."""

    cold: bool

    def round(self, seconds: float) -> Figures: ...
    def end(self) -> None: ...


class Program:
    """A child that answers lines, on the cores that it is given."""

    def __init__(self, command: str, cores: frozenset[int]) -> None:
        argv, env = resolve(command)
        self.command = command
        self.errors: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by end()
        os.sched_setaffinity(0, cores)  # of this thread, and what it starts inherits it
        try:
            self.process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                text=True,
            )
        finally:
            os.sched_setaffinity(0, machine.ALL_CORES)

    def answer(self, line: str = "") -> list[str]:
        """The words of the next line that it prints, in reply to `line` if there is one."""
        if line:
            with suppress(BrokenPipeError):  # why, its errors say
                self.process.stdin.write(f"{line}\n")
                self.process.stdin.flush()
        if select.select([self.process.stdout], [], [], PATIENCE)[0]:
            words = self.process.stdout.readline().split()
            if words[:1] == ["skip"]:
                raise Unavailable(" ".join(words[1:]))
            if words:
                return words
        self.errors.seek(0)
        said = self.errors.read().strip().rpartition("\n")[2] or "nothing"
        msg = f"`{self.command}` does not answer; its last words: {said}"
        raise Unavailable(msg)

    def end(self, *, by_itself: bool = False) -> None:
        """Have it end; by itself, if it does so when there is nothing more to obey."""
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        if not by_itself:
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def resolve(command: str) -> tuple[list[str], dict[str, str]]:
    """What to start, and its environment; see `Scenario.contestants` for how a command is written.

    Raises:
        Unavailable: It has a source that cannot be compiled here.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("GOPOLL_")}
    env |= {"PYTHONPATH": str(ROOT), "GOMAXPROCS": "1"}
    words = command.split()
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        env[name] = value
    what, *arguments = words
    if what.endswith((".c", ".go")):
        return [built(what), *arguments], env
    return [sys.executable, "-m", f"tests.bench.{what}", *arguments], env


class Served:
    """A server, and the load generator that drives it."""

    cold = True

    def __init__(self, scenario: Scenario, label: str) -> None:
        needed = scenario.connections + scenario.idle.get(label, 0) + 50
        if needed > (allowed := machine.raise_files()):
            raise Unavailable(f"needs {needed} open files, and {allowed} are allowed here")
        generator = "load_tls" if scenario.mode == "tls" else "load.c"
        mode = "echo" if scenario.mode == "tls" else scenario.mode
        resolve(generator)  # whether it can be compiled, before anything is started
        cores = machine.SERVER_CORES if scenario.pinned else machine.ALL_CORES
        self.ops, self.load = 0, None
        self.server = Program(scenario.contestants[label], cores)
        try:
            (port,) = self.server.answer()
            load = f"{generator} {mode} {port} {scenario.connections} {scenario.size}"
            self.load = Program(load, machine.CLIENT_CORES)
            self.load.answer()
            self.facts = self.settle(scenario.idle.get(label, 0))
        except BaseException:
            self.end()
            raise

    def settle(self, idle: int) -> Figures:
        """Open the idle connections; return what each costs in memory."""
        if not idle:
            return {}
        before = machine.rss(self.server.process.pid)
        self.load.answer(f"idle {idle}")
        return {"idle": (machine.rss(self.server.process.pid) - before) / idle}

    def round(self, seconds: float) -> Figures:
        before = machine.cpu(self.server.process.pid)
        ops, taken, p50, p99 = map(float, self.load.answer(f"run {seconds}"))
        spent = machine.cpu(self.server.process.pid) - before
        if not ops:
            raise Unavailable(f"{self.server.command} did nothing in {taken:.1f} seconds")
        figures = {"cost": spent / ops * 1e6, "rate": ops / taken}
        return figures | ({"p50": p50, "p99": p99} if p50 else {}) | self.facts

    def end(self) -> None:
        if self.load:
            self.load.end(by_itself=True)
        self.server.end()


class Inside:
    """A program that measures itself."""

    cold = False  # it has warmed up when it found out how much to do

    def __init__(self, scenario: Scenario, label: str, seconds: float) -> None:
        name, *words = scenario.contestants[label].split()
        command = " ".join([name, scenario.name, str(seconds), *words])
        self.program = Program(command, machine.SERVER_CORES)
        try:
            self.program.answer()
        except BaseException:
            self.end()
            raise

    def round(self, seconds: float) -> Figures:
        spent, ops = map(float, self.program.answer("go"))
        return {"cost": spent / ops * 1e6}

    def end(self) -> None:
        self.program.end(by_itself=True)  # redis has a server to take down


class Parked:
    """A program that parks a crowd and says what each of it costs; another one for each round."""

    cold = False

    def __init__(self, scenario: Scenario, label: str) -> None:
        name, *words = scenario.contestants[label].split()
        self.command = " ".join([name, scenario.name, "0", *words])
        resolve(self.command)

    def round(self, seconds: float) -> Figures:
        program = Program(self.command, machine.SERVER_CORES)
        try:
            return {"bytes": float(program.answer()[0])}
        finally:
            program.end()

    def end(self) -> None:
        pass


class Import:
    """Interpreters that import something, beside those that do not."""

    cold = False

    def __init__(self, scenario: Scenario, label: str) -> None:
        self.statement = f"import {scenario.contestants[label]}"
        self.cache = tempfile.TemporaryDirectory()
        self.started("pass")  # compile what there is
        self.started(self.statement)

    def started(self, statement: str) -> float:
        """The CPU milliseconds of an interpreter that executes the statement."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("GOPOLL_")}
        env |= {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": self.cache.name}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        argv = [sys.executable, "-W", "ignore", "-c", statement]
        pid = os.posix_spawn(sys.executable, argv, env)
        _, status, used = os.wait4(pid, 0)
        if status:
            raise Unavailable(f"`{statement}` fails")
        return (used.ru_utime + used.ru_stime) * 1e3

    def round(self, seconds: float) -> Figures:
        pairs = [(self.started(self.statement), self.started("pass")) for _ in range(IMPORTS)]
        return {"import": statistics.median(ours - bare for ours, bare in pairs)}

    def end(self) -> None:
        self.cache.cleanup()


def enter(scenario: Scenario, label: str, seconds: float) -> Contestant:
    """Start what takes part under this label.

    Raises:
        Unavailable: A library, a tool or something of the machine is missing.
    """
    modules = {*scenario.needs, library(label)} - BUILTIN
    if missing := sorted(name for name in modules if not find_spec(name)):
        raise Unavailable(f"not installed: {', '.join(missing)}")
    if scenario.way == "served":
        return Served(scenario, label)
    if scenario.way == "inside":
        return Inside(scenario, label, seconds)
    return (Parked if scenario.way == "parked" else Import)(scenario, label)
