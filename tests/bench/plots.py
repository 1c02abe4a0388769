"""A record as pictures, in SVG: `draw`. Needs matplotlib.

The same record gives the same files, byte by byte. Text stays text, in the reader's own font; the
ground is white, so that a page in dark colours can show it.
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from tests.bench.record import value
from tests.bench.scenarios import peer

__all__ = ["draw"]

OURS, OTHERS, INK = "#0b7a75", "#b8c4c9", "#1f2d33"
LINES = {
    "gopoll": (OURS, "o"),
    "gopoll-poll": ("#d1495b", "s"),
    "gopoll-select": ("#e09f3e", "D"),
    "gevent": ("#6a4c93", "^"),
    "threads": ("#7d8a90", "v"),
    "gevent-loop": ("#b39ddb", "^"),
    "eventlet": ("#e09f3e", "D"),
    "asyncio": ("#3d6fb6", "s"),
    "uvloop": ("#6fb1e0", "s"),
    "trio": ("#d1495b", "v"),
    "go": (INK, "*"),
}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gopoll",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#90a0a6",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}

# Pictures of bars: the scenarios of each, with what is drawn of them.
BARS = {
    "echo": [f"echo-{size}-{n}" for size in ("64b", "16kib") for n in (1, 100, 1000)],
    "network": ["bulk", "accept", "udp", "tls"],
    "patched": ["socketserver", "http", "flask", "redis"],
    "memory": ["parked", "idle", "import"],
}
PRIMITIVES = [
    *("spawn", "yield", "channel", "buffered", "select-2", "select-16", "mutex"),
    *("timers-cancel", "timers-fire"),
]

Record = dict[str, Any]


def draw(record: Record, folder: Path) -> None:
    """Draw what the record has the rounds for."""
    found = record["scenarios"]
    pictures = {name: bars(found, names) for name, names in BARS.items()}
    pictures |= {"idle": idle(found), "primitives": primitives(found)}
    for name, figure in pictures.items():
        if figure is not None:
            with mpl.rc_context(STYLE):
                figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def bars(found: Record, names: list[str]) -> Figure | None:
    """A panel of bars for each scenario, gopoll's in colour, the cheapest on top."""
    there = [name for name in names if name in found]
    if not there:
        return None
    with mpl.rc_context(STYLE):
        across = 3 if len(there) % 3 == 0 else min(len(there), 2)
        down = -(-len(there) // across)
        figure = Figure(figsize=(3.4 * across, 2.5 * down + 0.2), layout="constrained")
        for i, name in enumerate(there):
            panel(figure.add_subplot(down, across, i + 1), name, found[name])
        return figure


def panel(axes: Axes, name: str, entry: Record) -> None:
    rounds, figure, unit, title = entry["rounds"], entry["figure"], entry["unit"], entry["title"]
    if name == "idle":
        figure, unit, title = "idle", "bytes", "memory of an open, silent connection"
    known = {label: value(rounds, label, figure) for label in rounds}
    spreads = {label: one for label, one in known.items() if one is not None}
    if name == "idle":
        spreads = {peer(x): one for x, one in spreads.items() if x.endswith(" 9000 idle")}
        spreads = {x: one for x, one in spreads.items() if x != "gopoll-poll"}
    order = sorted(spreads, key=lambda label: -spreads[label].middle)
    middles = [spreads[label].middle for label in order]
    ends = [
        [spreads[label].middle - spreads[label].least for label in order],
        [spreads[label].most - spreads[label].middle for label in order],
    ]
    colours = [OURS if label.startswith("gopoll") else OTHERS for label in order]
    axes.barh(order, middles, color=colours, height=0.72)
    axes.errorbar(middles, order, xerr=ends, fmt="none", ecolor=INK, elinewidth=0.8)
    axes.set_title(wrapped(title))
    axes.set_xlabel(unit)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter("{x:,g}")


def wrapped(title: str, width: int = 34) -> str:
    """The title in two lines, if it is long."""
    if len(title) <= width:
        return title
    cut = title.rfind(" ", 0, width)
    return f"{title[:cut]}\n{title[cut + 1 :]}"


def idle(found: Record) -> Figure | None:
    """What an active connection costs, by how many are only open."""
    if "idle" not in found:
        return None
    rounds = found["idle"]["rounds"]
    lines: dict[str, list[tuple[int, float]]] = {}
    for label in rounds:
        spread = value(rounds, label, "cost")
        if spread is not None:
            lines.setdefault(peer(label), []).append((int(label.split()[1]), spread.middle))
    names = {"gopoll": "gopoll (epoll)", "gopoll-poll": "gopoll on poll"}
    names["gopoll-select"] = "gopoll on select, which ends at 1,024 descriptors"
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.8, 3.8), layout="constrained")
        axes = figure.add_subplot()
        for name, points in lines.items():
            colour, marker = LINES[name]
            xs, ys = zip(*sorted(points), strict=True)
            label = names.get(name, name)
            axes.plot(xs, ys, marker=marker, color=colour, label=label, markersize=5)
        axes.set_title("100 connections at work, beside others that are only open")
        axes.set_xlabel("open and silent connections")
        axes.set_ylabel("us of CPU per echo")
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.grid(axis="y", color="#e3e9eb", linewidth=0.8)
        axes.legend()
        return figure


def primitives(found: Record) -> Figure | None:
    """What others take for the same, as a multiple of what gopoll takes."""
    there = [name for name in PRIMITIVES if "gopoll" in found.get(name, {}).get("rounds", {})]
    if not there:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.8, 0.42 * len(there) + 1.3), layout="constrained")
        axes = figure.add_subplot()
        seen: dict[str, list[tuple[float, str]]] = {}
        for name in reversed(there):
            rounds = found[name]["rounds"]
            ours = value(rounds, "gopoll", "cost")
            title = f"{found[name]['title']} ({ours.middle:.2g} us)"
            for label in rounds:
                seen.setdefault(label, []).append(
                    (value(rounds, label, "cost").middle / ours.middle, title)
                )
        for label, points in seen.items():
            colour, marker = LINES[label]
            size = 60 if label == "gopoll" else 36
            axes.scatter(
                *zip(*points, strict=True), color=colour, marker=marker, s=size, label=label
            )
        axes.axvline(1.0, color=OURS, linewidth=0.8)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("times what gopoll takes")
        axes.grid(axis="y", color="#e3e9eb", linewidth=0.8)
        axes.tick_params(axis="y", length=0)
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=5)
        return figure
