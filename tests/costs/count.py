"""Counting: the program runs in a process of its own, and what lies between its marks is compared.

It makes three marks for each scenario: after warming up, after the short run and after the long
one. `OPERATIONS` is by how many operations the long run is longer.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.costs.program import LONG, MARK, SHORT
from tests.costs.scenarios import PATCHED, PLAIN
from tests.support.script import ROOT
from tests.support.strace import STRACE, count_calls

__all__ = [
    "OPERATIONS",
    "count_bytecodes",
    "count_instructions",
    "count_system_calls",
    "why_no_valgrind",
]

OPERATIONS = LONG - SHORT
# Of the machine; the others might change what is counted.
_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")
# Memory is asked for when the heap is used up, whenever that is; and the driver of a server looks
# once more for messages that are late.
_UNCOUNTED = {"brk", "mmap", "munmap", "mremap", "madvise", "select", "pselect6"}


def count_bytecodes(*names: str, before: str = "") -> dict[str, float]:
    """Return how many bytecodes an operation of each scenario executes; all, if none is named."""
    output = _run([], "bytecodes", names, before)
    return _per_operation(names, json.loads(output))


def count_instructions(*names: str, before: str = "") -> dict[str, float]:
    """Return how many instructions of the processor it executes, outside of the kernel."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        command = [
            *("valgrind", "--tool=callgrind", "-q"),
            *(f"--callgrind-out-file={out}", f"--dump-before={MARK}"),
        ]
        _run(command, "program", names, before)
        # Each dump says what was counted since the one before.
        dumps = [out.with_name(f"{out.name}.{i + 1}") for i in range(3 * len(_chosen(names)))]
        if not dumps[-1].exists():
            raise RuntimeError(f"valgrind does not know where {MARK}() is")
        counts = [int(_find(r"^totals: (\d+)", dump.read_text())) for dump in dumps]
    sums = [sum(counts[: i + 1]) for i in range(len(counts))]
    return _per_operation(names, sums)


def count_system_calls(*names: str, before: str = "") -> dict[str, dict[str, int]]:
    """Return which system calls `OPERATIONS` operations make, and how many, by name."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        _run([*STRACE, str(log)], "program", names, before)
        lines = log.read_text().splitlines()
    marks = [i for i, line in enumerate(lines) if f" {MARK}(" in line]
    found = {}
    for name, (warm, short, long) in zip(_chosen(names), _by_scenario(marks), strict=True):
        calls = count_calls(lines[short + 1 : long])
        calls.subtract(count_calls(lines[warm + 1 : short]))
        found[name] = {call: n for call, n in sorted(calls.items()) if n and call not in _UNCOUNTED}
    return found


def why_no_valgrind() -> str | None:
    """Say why instructions cannot be counted here, if so."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return "valgrind is not installed"
    probe = subprocess.run([valgrind, "-q", "--tool=none", "true"], capture_output=True, text=True)
    return f"valgrind does not run: {probe.stderr.strip()}" if probe.returncode else None


def _run(under: list[str], module: str, names: tuple[str, ...], before: str) -> str:
    """Run the program under a command; return what it prints."""
    env = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    env |= {
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONHASHSEED": "0",
        "GOPOLL_POLLER": "epoll",
        "GOPOLL_COSTS_BEFORE": before,
    }
    command = [*under, sys.executable, "-m", f"tests.costs.{module}", *names]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n{done.stderr}")
    return done.stdout


def _chosen(names: tuple[str, ...]) -> list[str]:
    """Return the scenarios in the order in which the program runs them."""
    return [name for name in (*PLAIN, *PATCHED) if not names or name in names]


def _by_scenario(marks: list[int]) -> list[tuple[int, ...]]:
    return [tuple(marks[i : i + 3]) for i in range(0, len(marks), 3)]


def _per_operation(names: tuple[str, ...], at_marks: list[int]) -> dict[str, float]:
    return {
        name: round(((long - short) - (short - warm)) / OPERATIONS, 1)
        for name, (warm, short, long) in zip(_chosen(names), _by_scenario(at_marks), strict=True)
    }


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    assert found is not None, f"no {pattern}"
    return found[1]
