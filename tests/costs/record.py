"""What is recorded, and what differs from it.

`recorded.json` has three tables: bytecodes by release of Python, instructions by build, and system
calls; and with which greenlet the instructions were counted, since a part of them is greenlet's.
"""

import json
import platform
import re
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.costs.count import OPERATIONS

__all__ = ["KINDS", "RERECORD", "differences", "key", "known", "other_greenlet", "save"]

Costs = dict[str, Any]  # by scenario: a number, or numbers by system call
KINDS = ("bytecodes", "instructions", "system calls")
RERECORD = "if that is meant to be: python -m tests.costs --record [PYTHON ...]"
_FILE = Path(__file__).with_name("recorded.json")
_TOLERANCE = {"bytecodes": 0.005, "instructions": 0.05}
# At each switch greenlet asks malloc for room for a piece of stack, and how long that looks for it
# depends on what the heap has been through: a good part of what is so cheap besides.
_UNSTEADY = {("instructions", "switch"): 0.10}


def key(kind: str) -> str:
    """Say on what a figure depends besides gopoll, and what it is recorded under."""
    if kind == "bytecodes":
        return ".".join(platform.python_version_tuple()[:2])
    if kind == "instructions":
        return _build()
    return "Linux"


def known(kind: str) -> Costs | None:
    """Return what is recorded for this interpreter."""
    found: Costs | None = _load().get(kind, {}).get(key(kind))
    return found


def other_greenlet() -> str | None:
    """Say with which greenlet the instructions were recorded, if it is not the one here."""
    recorded, here = _load()["greenlet"].get(_build()), version("greenlet")
    return f"recorded with greenlet {recorded}, this is {here}" if recorded != here else None


def differences(kind: str, counted: Costs, recorded: Costs) -> list[str]:
    """Return what is not as recorded, dearer or cheaper, a line for each scenario."""
    found = []
    for name, cost in counted.items():
        was = recorded.get(name)
        if was is None:
            found.append(f"{name}: not recorded")
        elif kind == "system calls":
            if cost != was:
                text = f"{_calls(cost)} in {OPERATIONS} operations, not {_calls(was)}"
                found.append(f"{name}: {text}")
        elif abs(cost - was) > _UNSTEADY.get((kind, name), _TOLERANCE[kind]) * was:
            change = 100 * (cost - was) / was
            found.append(f"{name}: {cost:,.1f} {kind}, not {was:,.1f}: {change:+.1f} %")
    return found


def save(kind: str, counted: Costs) -> None:
    """Record what this interpreter counted."""
    everything = _load()
    everything[kind][key(kind)] = counted
    if kind == "instructions":
        everything["greenlet"][_build()] = version("greenlet")
    text = json.dumps({name: _sorted(everything[name]) for name in (*KINDS, "greenlet")}, indent=2)
    _FILE.write_text(text + "\n", "utf-8")


def _load() -> dict[str, dict[str, Any]]:
    recorded = json.loads(_FILE.read_text("utf-8")) if _FILE.exists() else {}
    return {name: recorded.get(name, {}) for name in (*KINDS, "greenlet")}


def _sorted(table: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(table.items()))


def _calls(counts: dict[str, int]) -> str:
    return " ".join(f"{call} {n}" for call, n in counts.items()) or "none"


def _build() -> str:
    """Name the build of this interpreter: two of one name execute the same instructions."""
    options = (sysconfig.get_config_var("CONFIG_ARGS") or "").replace("'", "").split()
    matters = re.compile(r"--.*(optimi|lto|bolt|shared|debug|assert|gil|jit|goto|tail|malloc)")
    return " ".join(
        [
            f"{sys.implementation.name} {platform.python_version()}",
            f"{platform.machine()} {platform.python_compiler()}",
            *sorted(option for option in options if matters.match(option)),
        ]
    )
