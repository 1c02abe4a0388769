"""Who still holds the original of a place that was replaced, and could not follow.

A search through all objects of the process, upwards from each original to what has a name: a global
of a module, a class, a function. It takes its time, and is made for a report.
"""

import gc
import sys
from collections.abc import Iterator, Mapping
from types import FrameType, FunctionType, ModuleType
from typing import Any, Final

from gopoll.monkey._rebind import (
    Change,
    Stale,
    Table,
    home_of,
    is_kept_name,
    keeps,
    namespace,
    owners,
)

__all__ = ["find_stale"]

_DEPTH: Final = 4  # containers within containers


def find_stale(changes: Mapping[str, list[Change]]) -> list[Stale]:
    """Return who holds an original, in the order in which their modules were imported."""
    table = Table(changes)
    if not table.originals:
        return []
    spaces: dict[int, str] = {}
    for loaded in tuple(sys.modules):
        names = namespace(sys.modules.get(loaded))
        if names is not None:
            spaces.setdefault(id(names), loaded)
    found = set()
    holders = gc.get_referrers(*table.originals)
    arguments = tuple(table.originals)  # those of the call before have been a holder, too
    own = {id(holders), id(table.originals)} | table.replacements
    for holder in holders:
        if id(holder) in own or isinstance(holder, (FrameType, ModuleType)):
            continue
        if type(holder) is tuple and holder == arguments:
            continue
        for value in [o for o in gc.get_referents(holder) if o in table]:
            for name, module, root in _names_of(holder, value, spaces, own):
                if root in table and root is not holder:  # an original, whose parts know it
                    continue
                if not keeps(module) and not is_kept_name(name.rpartition(".")[2]):
                    what = _relation(value, holder, root)
                    found.add(Stale(name, table.place(value), module, what))
    order = {module: i for i, module in enumerate(sys.modules)}
    return sorted(found, key=lambda stale: (order.get(stale.module, -1), stale))


def _relation(value: Any, holder: Any, root: Any) -> str:
    if isinstance(value, type) and isinstance(root, type) and value in root.__mro__:
        return "subclass"
    return "object" if type(holder) is value else "name"


def _names_of(
    holder: Any, value: Any, spaces: Mapping[int, str], own: set[int]
) -> Iterator[tuple[str, str, Any]]:
    """Yield under what names `holder`, which has `value`, can be reached.

    With each the module that has it, and the object that was found there.
    """
    seen = {id(holder), *own}
    level = [(holder, value)]
    for _ in range(_DEPTH):
        above: list[Any] = []
        seen |= {id(level), id(above), *(id(pair) for pair in level)}
        for container, item in level:
            roots = list(_roots(container, item, spaces))
            yield from roots
            if roots:
                continue
            for owner in owners(container):
                if id(owner) not in seen:
                    seen.add(id(owner))
                    above.append((owner, container))
        level = above


def _roots(container: Any, item: Any, spaces: Mapping[int, str]) -> Iterator[tuple[str, str, Any]]:
    module = spaces.get(id(container))
    if module is not None:
        for name, value in tuple(container.items()):
            if value is item:
                yield f"{module}.{name}", module, value
    elif isinstance(container, (type, FunctionType)):
        home = home_of(container)
        yield f"{home}.{container.__qualname__}", home, container
