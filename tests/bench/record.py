"""The rounds of a run, and what follows from them.

A record is plain data, kept as JSON::

    machine    what it was measured on: date, processor, kernel, Python, versions
    options    rounds, seconds
    left_out   {why: [scenario]}
    scenarios  {name: {title, figure, unit,
                       rounds: {label: {figure: [value of each round]}},
                       ratio: what the ratios are, compared: {label: [of, beside]},
                       goals: [{text, measured, holds}]}}

Everything else is computed from it.
"""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.scenarios import Goal, Scenario

__all__ = ["Spread", "load", "outcome", "ratio", "save", "value"]

Rounds = dict[str, dict[str, list[float]]]
Record = dict[str, Any]

WORDS = {"idle": "bytes per idle connection", "rate": "throughput", "p50": "p50", "p99": "p99"}


@dataclass(frozen=True)
class Spread:
    """A median, and between which the values were."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


def value(rounds: Rounds, label: str, figure: str) -> Spread | None:
    values = rounds.get(label, {}).get(figure)
    return Spread.of(values) if values else None


def ratio(rounds: Rounds, label: str, beside: str, figure: str) -> Spread | None:
    """The ratio of two contestants, round by round."""
    ours = rounds.get(label, {}).get(figure, [])
    theirs = rounds.get(beside, {}).get(figure, [])
    pairs = [a / b for a, b in zip(ours, theirs, strict=False) if b]
    return Spread.of(pairs) if pairs else None


def judge(goal: Goal, scenario: Scenario, rounds: Rounds) -> dict[str, Any] | None:
    """What became of a goal; None if it was not measured."""
    figure = goal.figure or scenario.figure
    if goal.beside:
        found = ratio(rounds, goal.of, goal.beside, figure)
    else:
        found = value(rounds, goal.of, figure)
    if found is None:
        return None
    what = f"{goal.of}, {WORDS[figure]}" if figure in WORDS else goal.of
    bound = f"{goal.bound:g} x {goal.beside}" if goal.beside else f"{goal.bound:g}"
    relation = "at least" if goal.at_least else "at most"
    holds = found.middle >= goal.bound if goal.at_least else found.middle <= goal.bound
    return {"text": f"{what}: {relation} {bound}", "measured": found.middle, "holds": holds}


def outcome(scenario: Scenario, rounds: Rounds) -> dict[str, Any]:
    """The entry of a scenario."""
    goals = [found for goal in scenario.goals if (found := judge(goal, scenario, rounds))]
    return {
        "title": scenario.title,
        "figure": scenario.figure,
        "unit": scenario.unit,
        "rounds": {
            label: {
                figure: [float(f"{one:.6g}") for one in values] for figure, values in of.items()
            }
            for label, of in rounds.items()
        },
        "ratio": scenario.ratio,
        "compared": {label: list(scenario.compared(label)) for label in rounds},
        "goals": goals,
    }


def save(record: Record, folder: Path) -> Path:
    """Write the record; return where."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "record.json"
    path.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")
    return path


def load(folder: Path) -> Record:
    found: Record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    return found
