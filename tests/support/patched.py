"""The page `docs/patched.md`, which lists all that the patch replaces and leaves.

``python -m tests.support.patched PYTHON...`` writes it anew, from what each of these interpreters
has: names differ between versions of Python.
"""

import importlib
import json
import subprocess
import sys
from typing import Any

from tests.support.script import ROOT

__all__ = ["PAGE", "rooms"]

PAGE = ROOT / "docs" / "patched.md"

_HEAD = """# What is patched

Every name that `gopoll.monkey` replaces, module by module, and what it leaves alone, and why. Which
of them there are depends on the version of Python and on the system: `gopoll.monkey.report()`
prints those of a running program. How to use it is told in [](monkey.md).
"""


def rooms() -> dict[str, Any]:
    """Return what this interpreter has: of each room the names it replaces, and those it leaves."""
    from gopoll import monkey

    for name in ("asyncio", "queue", "ssl"):  # some rooms look what is there to be patched
        importlib.import_module(name)
    found = {}
    for name in monkey.MODULES:
        room = importlib.import_module(f"gopoll.monkey.{name}").ROOM
        replaces = [place.replace(":", ".") for place in room.replaces]
        leaves = {place.replace(":", "."): why for place, why in room.leaves.items()}
        found[name] = [replaces, leaves]
    return found


def page(found: dict[str, Any]) -> str:
    """Return the text of the page."""
    lines = [_HEAD]
    for name, (replaces, leaves) in found.items():
        lines += [f"## {name}", ""]
        lines += [", ".join(f"`{place}`" for place in replaces) + ".", ""]
        lines += ["| left as it is | why |", "|---|---|"]
        lines += [f"| `{place}` | {why} |" for place, why in leaves.items()]
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def merged(interpreters: list[str]) -> dict[str, Any]:
    """Return what there is in any of them, in the order of the first."""
    found: dict[str, Any] = {}
    code = "import json; from tests.support.patched import rooms; print(json.dumps(rooms()))"
    for python in interpreters:
        out = subprocess.run([python, "-c", code], cwd=ROOT, capture_output=True, check=True)
        for name, (replaces, leaves) in json.loads(out.stdout).items():
            known = found.setdefault(name, [[], {}])
            known[0] += [place for place in replaces if place not in known[0]]
            known[1].update({place: why for place, why in leaves.items() if place not in known[0]})
    for replaces, leaves in found.values():
        for place in replaces:
            leaves.pop(place, None)
    return found


if __name__ == "__main__":
    PAGE.write_text(page(merged(sys.argv[1:] or [sys.executable])), "utf-8")
