"""A record as text: tables for a terminal, and the same for the documentation."""

from collections.abc import Iterator
from typing import Any

from tests.bench.record import Spread, ratio, value

__all__ = ["for_documentation", "for_terminal"]

# The columns after a contestant's name: their heads, and how a figure of theirs is written.
HEADS = {
    "cost": "us",
    "bytes": "bytes",
    "import": "ms",
    "rate": "per second",
    "p50": "p50 us",
    "p99": "p99 us",
    "idle": "bytes per idle",
}
Row = list[str]


def number(x: float) -> str:
    """Three digits, or all there are before the point."""
    if x >= 100:
        return f"{x:,.0f}"
    return f"{x:.1f}" if x >= 10 else f"{x:.2f}" if x >= 0.1 else f"{x:.3f}"


def spread(found: Spread | None) -> Row:
    if found is None:
        return ["", ""]
    return [number(found.middle), f"{number(found.least)}-{number(found.most)}"]


def rows(entry: dict[str, Any]) -> Iterator[Row]:
    """The head, and a line for each contestant."""
    rounds, figure = entry["rounds"], entry["figure"]
    there = {name for found in rounds.values() for name in found}
    others = [name for name in HEADS if name in there and name != figure]
    yield ["", HEADS[figure], entry["ratio"], "between", *(HEADS[name] for name in others)]
    for label in rounds:
        of, beside = entry["compared"][label]
        compared = None if of == beside else ratio(rounds, of, beside, figure)
        cells = [value(rounds, label, name) for name in (figure, *others)]
        written = [number(cell.middle) if cell else "" for cell in cells]
        yield [label, written[0], *spread(compared), *written[1:]]


def verdict(goal: dict[str, Any]) -> str:
    return "holds" if goal["holds"] else "does not hold"


def for_terminal(name: str, entry: dict[str, Any]) -> str:
    """One scenario."""
    table = list(rows(entry))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [f"{name}: {entry['title']} ({entry['unit']})"]
    for label, *cells in table:
        written = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join(["", label.ljust(widths[0]), *written]).rstrip())
    lines += [
        f"  goal: {goal['text']}: {number(goal['measured'])}, {verdict(goal)}"
        for goal in entry["goals"]
    ]
    return "\n".join(lines) + "\n"


def sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def markdown(table: list[Row]) -> Iterator[str]:
    for i, row in enumerate(table):
        yield f"| {' | '.join(row)} |"
        if i == 0:
            yield f"|---|{'---:|' * (len(row) - 1)}"


def for_documentation(record: dict[str, Any]) -> str:
    """All of it, as a part of a page in Markdown."""
    options = record["options"]
    lines = ["## The last record", ""]
    lines += markdown([["", ""], *([key, value] for key, value in record["machine"].items())])
    lines += [
        "",
        f"{options['rounds']} rounds, of {options['seconds']:g} seconds each for each contestant.",
        "",
        "### Goals",
        "",
    ]
    goals = [
        (entry["title"], goal) for entry in record["scenarios"].values() for goal in entry["goals"]
    ]
    missed = sum(not goal["holds"] for _, goal in goals)
    lines += [f"{len(goals) - missed} of {len(goals)} hold.", ""]
    lines += markdown(
        [
            ["", "goal", "measured", ""],
            *(
                [title, goal["text"], number(goal["measured"]), verdict(goal)]
                for title, goal in goals
            ),
        ]
    )
    for name, entry in record["scenarios"].items():
        lines += ["", f"### {name}", "", f"{sentence(entry['title'])}: {entry['unit']}.", ""]
        lines += markdown(list(rows(entry)))
    if record["left_out"]:
        lines += ["", "### Left out", ""]
        lines += [f"- {', '.join(where)}: {why}" for why, where in record["left_out"].items()]
    return "\n".join(lines) + "\n"
