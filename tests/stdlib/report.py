"""Compare patched with unpatched outcomes, and with what is known to be lost.

``known.toml`` is the list of cases that the patch loses, each with the versions of Python in which
it does and the reason:

    [test_socket]
    "BasicTCPTest.testRecv" = { versions = ["3.11", "3.12"], why = "..." }

The list only shrinks: a case in it that is not lost any more fails the run, as does one that this
Python's module does not have.
"""

import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from tests.stdlib.modules import split_name

__all__ = ["Row", "compare", "load_known", "print_lost", "print_table"]

_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def load_known(path, version=_VERSION):
    """Module -> case -> why the patch loses it, in this version of Python."""
    tables = tomllib.loads(Path(path).read_text("utf-8"))
    for module, cases in tables.items():
        for case, entry in cases.items():
            if set(entry) != {"versions", "why"} or not entry["why"] or not entry["versions"]:
                raise SystemExit(f"{path}: {module}: {case}: versions and why, not {entry}")
    return {
        module: {c: entry["why"] for c, entry in cases.items() if version in entry["versions"]}
        for module, cases in tables.items()
    }


@dataclass
class Row:
    """What became of one module."""

    module: str
    passing: int  # unpatched
    kept: int = 0
    lost: dict = field(default_factory=dict)  # case -> how it ended under the patch
    known: dict = field(default_factory=dict)  # case -> why, of those that are lost
    stale: list = field(default_factory=list)  # listed as lost, and is not

    @property
    def percent(self):
        return 100.0 * self.kept / self.passing if self.passing else 100.0

    @property
    def hangs(self):
        return [case for case, outcome in self.lost.items() if outcome.outcome == "hang"]

    @property
    def good(self):
        """Nothing is lost but what is known, and nothing hangs."""
        return not self.stale and not self.hangs and self.lost.keys() <= self.known.keys()


def compare(module, plain, patched, known, *, package):
    """Say which of the cases that pass unpatched are kept.

    What goes wrong outside the cases (a set-up, a tear-down, the exit) counts as lost, too, but
    is none of the cases that could be kept.
    """
    plain = {split_name(package, module, case): one for case, one in plain.items()}
    patched = {split_name(package, module, case): one for case, one in patched.items()}
    passing = [case for case, outcome in plain.items() if outcome.outcome == "pass"]
    row = Row(module, len(passing))
    for case in passing:
        outcome = patched.get(case)
        if outcome is None:
            row.lost[case] = _absent(case, patched)
        elif outcome.outcome != "pass":
            row.lost[case] = outcome
        else:
            row.kept += 1
    for case, outcome in patched.items():
        if case not in plain and outcome.bad:
            row.lost[case] = outcome
    row.known = {case: why for case, why in known.items() if case in row.lost}
    # A case that does not pass unpatched says nothing about the patch: a machine may lack IPv6.
    row.stale = [
        case for case in known if case not in row.lost and (case not in plain or case in passing)
    ]
    return row


def _absent(case, patched):
    """How a case ended that the patched module does not have, because it could not be imported."""
    from tests.stdlib.run import Outcome

    bad = [f"{name}: {outcome.why}" for name, outcome in patched.items() if outcome.bad]
    return Outcome("not run", bad[0] if len(patched) == len(bad) == 1 else "there is no such case")


def print_table(rows, out):
    """One line for each module, and the sum."""
    width = max([len(row.module) for row in rows] + [8])
    print(f"{'module':{width}}  unpatched   kept  kept %  lost", file=out)
    for row in rows:
        print(_line(row.module, width, row.passing, row.kept, row.percent, _summary(row)), file=out)
    total = Row("total", sum(row.passing for row in rows), sum(row.kept for row in rows))
    print(_line(total.module, width, total.passing, total.kept, total.percent, ""), file=out)


def _line(name, width, passing, kept, percent, lost):
    # Rounded down: 100.0 is said only where nothing is lost.
    shown = int(percent * 10) / 10
    return f"{name:{width}}  {passing:9}  {kept:5}  {shown:6.1f}  {lost}".rstrip()


def _summary(row):
    """ "3 (2 known): 1 hang, 2 fail"."""
    if not row.lost:
        return ""
    counts = {}
    for outcome in row.lost.values():
        counts[outcome.outcome] = counts.get(outcome.outcome, 0) + 1
    known = f" ({len(row.known)} known)" if row.known else ""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    return f"{len(row.lost)}{known}: {kinds}"


def print_lost(row, out):
    """What a module loses, and why, as far as the case or the list says."""
    not_run = [outcome.why for outcome in row.lost.values() if outcome.outcome == "not run"]
    for why in dict.fromkeys(not_run):
        print(f"{row.module}: {not_run.count(why)} cases not run: {why}", file=out)
    for case, outcome in row.lost.items():
        if outcome.outcome == "not run":
            continue
        print(f"{row.module}: {case}: {outcome.outcome}: {outcome.why}".rstrip(": "), file=out)
        if case in row.known:
            print(f"    known: {row.known[case]}", file=out)
    for case in row.stale:
        print(f"{row.module}: {case}: is not lost: take it out of the list", file=out)
