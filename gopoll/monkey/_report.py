"""What is patched, what is not and why, and what came too early: as data, and as text.

Who imported something first is read from `sys.modules`, which keeps the order of imports: the first
module that has the name, or the module, among its globals.
"""

import sys
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any, Final, NamedTuple

from gopoll.monkey import registry
from gopoll.monkey._rebind import Rebound, Stale, is_stdlib, namespace, rebound
from gopoll.monkey._stale import find_stale

__all__ = ["Report", "RoomReport", "make_report"]


class RoomReport(NamedTuple):
    """What became of one module of the standard library."""

    name: str
    state: str  # "patched", "waiting" for its import, or "left out"
    replaces: tuple[str, ...]  # places: "time:sleep"
    leaves: Mapping[str, str]  # places that stay as they are, and why
    imported_by: str  # who imported it before the patch, first outside of the standard library


class Report(NamedTuple):
    """What is patched and what is not."""

    rooms: tuple[RoomReport, ...]
    rebound: tuple[Rebound, ...]  # names that had been imported before, and followed
    stale: tuple[Stale, ...]  # originals that are still held, and block

    def __repr__(self) -> str:
        patched = sum(room.state != "left out" for room in self.rooms)
        return f"<Report: {patched} modules patched, {len(self.stale)} names stale>"

    def __str__(self) -> str:
        return "\n".join(line.rstrip() for line in _lines(self))


def make_report(names: Mapping[str, str]) -> Report:
    """Look at the rooms, by name with the module that each is for, and at the whole process."""
    inside = {room.name: room for room in registry.rooms()}
    made = []
    for name, trigger in names.items():
        room = inside.get(name)
        if room is None:
            state = "waiting" if registry.is_waiting(name) else "left out"
            made.append(RoomReport(name, state, (), {}, ""))
        else:
            places = tuple(place for place in room.replaces if place in registry.saved)
            early = trigger in registry.modules_before
            by = _first_importer(trigger) if early else ""
            made.append(RoomReport(name, "patched", places, room.leaves, by))
    stale = find_stale({name: registry.changes(name) for name in inside})
    return Report(tuple(made), tuple(rebound()), tuple(stale))


def _first_importer(name: str) -> str:
    """Return who has the module `name`, or something that was made in it; first by import."""
    module = sys.modules.get(name)
    if module is None:
        return ""
    for importer in registry.modules_before:
        if importer.partition(".")[0] in ("gopoll", "greenlet") or is_stdlib(importer):
            continue
        for value in tuple((namespace(sys.modules.get(importer)) or {}).values()):
            if value is module or _home(value) == name:
                return importer
    return ""


def _home(value: Any) -> str:
    if isinstance(value, ModuleType):  # one that loads itself must not be asked
        return ""
    try:
        home = value.__module__
    except Exception:  # whatever an object does that answers for itself
        return ""
    return home if isinstance(home, str) else ""


_WORDS: Final = {
    "name": "has the original",
    "object": "was made as a",
    "subclass": "is a subclass of the original",
}

# -- as text --------------------------------------------------------------------------------------


def _lines(report: Report) -> Iterable[str]:
    yield "gopoll.monkey"
    for room in report.rooms:
        what = {
            "patched": _count(len(room.replaces), "name"),
            "waiting": "as soon as it is imported",
            "left out": "not patched",
        }[room.state]
        by = f"; was imported before by {room.imported_by}" if room.imported_by else ""
        yield f"  {room.name:<16} {what}{by}"
    for room in report.rooms:
        if room.state == "patched":
            yield ""
            yield f"{room.name}:"
            yield from _wrapped([place.replace(":", ".") for place in room.replaces])
            if room.leaves:
                yield "  left as they are:"
            width = max(map(len, room.leaves), default=0)
            for place, why in room.leaves.items():
                yield f"    {place.replace(':', '.'):<{width}}  {why}"
    yield from _names("imported before the patch, and rebound", report.rebound)
    yield from _names("made or imported before the patch, and stale", report.stale)


def _names(title: str, names: Iterable[Rebound | Stale]) -> Iterable[str]:
    listed = list(names)
    if not listed:
        return
    yield ""
    yield f"{title}:"
    first: dict[str, str] = {}
    for one in listed:
        place = one.place.replace(":", ".")
        if isinstance(one, Rebound):
            yield f"  {one.name}  is {place}"
            continue
        yield f"  {one.name}  {_WORDS[one.what]} {place}"
        if one.module and not is_stdlib(one.module):
            first.setdefault(place, one.module)
    for place, module in first.items():
        yield f"  {module} was the first to import {place}; patch before it is imported"


def _wrapped(words: Iterable[str], width: int = 98) -> Iterable[str]:
    line = " "
    for word in words:
        if len(line) + len(word) + 1 > width:
            yield line
            line = " "
        line += f" {word}"
    if line.strip():
        yield line


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
