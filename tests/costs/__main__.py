"""The command: see the package."""

import argparse
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.costs.count import (
    OPERATIONS,
    count_bytecodes,
    count_instructions,
    count_system_calls,
    why_no_valgrind,
)
from tests.costs.record import KINDS, RERECORD, differences, key, known, other_greenlet, save
from tests.costs.scenarios import PATCHED, PLAIN
from tests.support.script import ROOT
from tests.support.strace import why_no_strace

COUNT: dict[str, tuple[Callable[..., dict[str, Any]], Callable[[], str | None]]] = {
    "bytecodes": (count_bytecodes, lambda: None),
    "instructions": (count_instructions, why_no_valgrind),
    "system calls": (count_system_calls, why_no_strace),
}


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.costs", description="Count what an operation of gopoll costs."
    )
    names = [*PLAIN, *PATCHED]
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help=f"of {', '.join(names)}; all")
    parser.add_argument(
        "--record", nargs="*", metavar="PYTHON", help="record what this one, or these, count"
    )
    options = parser.parse_args(argv)
    if strange := set(options.names) - set(names):
        parser.error(f"no scenario is called {', '.join(sorted(strange))}")
    if options.names and options.record is not None:
        parser.error("all scenarios are recorded together")
    return options


def show(kind: str, counted: dict[str, Any]) -> None:
    recorded = known(kind) or {}
    of = f" in {OPERATIONS} operations" if kind == "system calls" else ""
    print(f"\n{kind}{of} ({key(kind)})")
    for name, cost in counted.items():
        if kind == "system calls":
            print(f"  {name:14}", ", ".join(f"{call} {n}" for call, n in cost.items()) or "none")
        elif name in recorded:
            was = recorded[name]
            print(f"  {name:14}{cost:11,.1f}{100 * (cost - was) / was:+8.1f} %  of {was:,.1f}")
        else:
            print(f"  {name:14}{cost:11,.1f}")


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its status."""
    options = arguments(argv)
    if options.record:
        for python in options.record:
            subprocess.run([python, "-m", "tests.costs", "--record"], cwd=ROOT, check=True)
        return 0
    wrong = []
    for kind in KINDS:
        count, why_not = COUNT[kind]
        if reason := why_not():
            print(f"\n{kind}: {reason}")
            continue
        counted = count(*options.names)
        show(kind, counted)
        recorded = known(kind)
        if options.record is not None:
            save(kind, counted)
        elif recorded is None:
            print("  nothing is recorded for this interpreter")
        elif lines := differences(kind, counted, recorded):
            wrong += lines
            if kind == "instructions" and (other := other_greenlet()):
                wrong.append(other)
    if wrong:
        print("\nnot as recorded:", *wrong, RERECORD, sep="\n  ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
