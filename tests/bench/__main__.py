"""The command: see the package."""

import argparse
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.bench import record as records
from tests.bench import report
from tests.bench.build import ROOT, Unavailable, go_version
from tests.bench.contest import Contestant, enter
from tests.bench.machine import describe
from tests.bench.scenarios import SCENARIOS, Scenario, library, peer

RECORD = ROOT / "docs" / "bench"


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure what gopoll costs beside its peers."
    )
    add = parser.add_argument
    add("scenarios", nargs="*", metavar="SCENARIO", help="of --list; all, if none is named")
    add("--rounds", type=int, default=5, metavar="N", help="of each contestant (%(default)s)")
    add("--seconds", type=float, default=0.3, metavar="S", help="that one takes (%(default)s)")
    add("--peers", metavar="A,B", help="gopoll beside these alone; `gopoll`: beside nobody")
    add("--save", action="store_true", help="keep the record, its tables and its plots")
    add("--folder", type=Path, default=RECORD, help="where (docs/bench)")
    add("--redraw", action="store_true", help="measure nothing: tables and plots of what is kept")
    add("--list", action="store_true", help="the scenarios, and who takes part in each")
    options = parser.parse_args(argv)
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(
            f"no such scenario: {', '.join(sorted(unknown))}; there are: {', '.join(SCENARIOS)}"
        )
    known = {
        name(label)
        for s in SCENARIOS.values()
        for label in s.contestants
        for name in (peer, library)
    }
    options.peers = set(options.peers.split(",")) if options.peers else known
    if unknown := options.peers - known:
        parser.error(
            f"no such peer: {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}"
        )
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("there is nothing to measure in no rounds, or no time")
    return options


class LeftOut:
    """Who cannot be measured here, and why; each reason is said once, when it is found."""

    def __init__(self) -> None:
        self.why: dict[str, list[str]] = {}

    def add(self, scenario: Scenario, label: str, reason: Unavailable) -> None:
        where = self.why.setdefault(str(reason), [])
        if not where:
            print(f"left out: {label} in {scenario.name}: {reason}", file=sys.stderr)
        if scenario.name not in where:
            where.append(scenario.name)


def assemble(
    scenario: Scenario, options: argparse.Namespace, left_out: LeftOut
) -> dict[str, Contestant]:
    """Start everybody who takes part and can, some at a time."""
    wanted = {*options.peers, "gopoll"}
    labels = [one for one in scenario.contestants if {peer(one), library(one)} & wanted]
    found: dict[str, Contestant] = {}
    with ThreadPoolExecutor(4) as pool:
        coming = {label: pool.submit(enter, scenario, label, options.seconds) for label in labels}
    for label, future in coming.items():
        try:
            found[label] = future.result()
        except Unavailable as reason:
            left_out.add(scenario, label, reason)
    return found


def measure(scenario: Scenario, options: argparse.Namespace, left_out: LeftOut) -> records.Rounds:
    """The rounds of a scenario: everybody in turn, each time in another order."""
    contestants = assemble(scenario, options, left_out)
    rounds: records.Rounds = {label: {} for label in contestants}

    def take_turns(labels: list[str], seconds: float, *, counts: bool) -> None:
        for label in random.sample(labels, len(labels)):
            try:
                figures = contestants[label].round(seconds)
            except Unavailable as reason:
                left_out.add(scenario, label, reason)
                contestants.pop(label).end()
                del rounds[label]
                continue
            for figure, value in figures.items() if counts else ():
                rounds[label].setdefault(figure, []).append(value)

    try:
        cold = [label for label, contestant in contestants.items() if contestant.cold]
        take_turns(cold, options.seconds / 3, counts=False)
        for _ in range(options.rounds):
            take_turns(list(contestants), options.seconds, counts=True)
    finally:
        for contestant in contestants.values():
            contestant.end()
    return rounds


def draw(record: dict[str, Any], folder: Path) -> None:
    """Write the tables, and the plots if there is something to draw them with."""
    (folder / "tables.txt").write_text(report.for_documentation(record), encoding="utf-8")
    if not find_spec("matplotlib"):
        print("no plots: matplotlib is not installed", file=sys.stderr)
        return
    from tests.bench import plots

    plots.draw(record, folder)


def show_list() -> None:
    for name, scenario in SCENARIOS.items():
        print(f"{name:15} {scenario.title}")
        print(f"{'':15} {', '.join(scenario.contestants)}")


def main(argv: list[str] | None = None) -> None:
    options = arguments(argv)
    if options.list:
        show_list()
        return
    if options.redraw:
        draw(records.load(options.folder), options.folder)
        return
    if sys.platform != "linux":
        sys.exit("python -m tests.bench: the account of processor time is Linux's")
    begun = time.monotonic()
    about, left_out = describe(go_version()), LeftOut()
    entries = {}
    for name in options.scenarios or SCENARIOS:
        if rounds := measure(SCENARIOS[name], options, left_out):
            entries[name] = records.outcome(SCENARIOS[name], rounds)
            print(report.for_terminal(name, entries[name]), flush=True)
    goals = [goal for entry in entries.values() for goal in entry["goals"]]
    hold = sum(goal["holds"] for goal in goals)
    print(f"{hold} of {len(goals)} goals hold; {time.monotonic() - begun:.0f} s")
    if options.save:
        record = {
            "machine": about,
            "options": {"rounds": options.rounds, "seconds": options.seconds},
            "left_out": left_out.why,
            "scenarios": entries,
        }
        print(f"kept in {records.save(record, options.folder).parent}")
        draw(record, options.folder)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("ended early: nothing is kept")
