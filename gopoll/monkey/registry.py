"""What is patched: the one place that rebinds names of other modules, and can take it all back.

A `Room` is the patch of one module of the standard library, as data: which place gets which
replacement. A place is written ``"module:attribute.path"``: ``"time:sleep"``, or, for a method that
is set on a class in place, ``"socket:socket.recv"``.

    =========  ==========================================================  ==================
    room       enter()                                                     leave()
    =========  ==========================================================  ==================
    out        its module is imported: in; else: waiting                   nothing
    waiting    nothing                                                     out
    in         nothing                                                     every place as it
                                                                           was; out
    =========  ==========================================================  ==================

A waiting room goes in right after the first import of its module, before whoever imports it sees
it: so a program pays for no module that it does not use. A room that fails to go in gives back what
it has rebound, and is out.

Names that were imported from a place before (``from time import sleep``) follow it when `settle` is
called: see `_rebind`.

Invariants: a place is saved before it is rebound, and saved once; what is restored is what stood
there before the first patch. `original()` answers for a place whether or not it is patched. A room
is patched by one caller, whatever number of threads try.
"""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import MappingProxyType, ModuleType
from typing import Any, Final, NamedTuple

__all__ = [
    "ABSENT",
    "PatchWarning",
    "Room",
    "after_import",
    "changes",
    "enter",
    "is_in",
    "is_waiting",
    "leave",
    "modules_before",
    "original",
    "rooms",
    "saved",
    "settle",
    "waiting",
]


class PatchWarning(RuntimeWarning):
    """The patch came too late for something, which still blocks its thread."""


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()  # a place where nothing was, and so nothing is to be left


class Room(NamedTuple):
    """The patch of one module.

    `replaces` maps places to replacements, those in `optional` only where this Python has them;
    `leaves` maps places that stay as they are to the reason. `on_patch` runs once all places are
    rebound, `on_restore` before they are given back.
    """

    name: str
    replaces: Mapping[str, Any]
    leaves: Mapping[str, str] = MappingProxyType({})
    optional: frozenset[str] = frozenset()
    on_patch: Callable[[], None] | None = None
    on_restore: Callable[[], None] | None = None


saved: dict[str, Any] = {}  # by place: what stood there
waiting: dict[str, str] = {}  # by the module that a room waits for: the room
modules_before: dict[str, None] = {}  # what was imported before the first patch, in that order
_rooms: dict[str, Room | None] = {}  # those that are in, in that order; None: on the way in
_unsettled: list[str] = []  # rooms whose names others may have imported
_after_import: dict[str, Callable[[], None]] = {}
_touched: set[str] = set()  # modules in which something was replaced


def is_in(name: str) -> bool:
    """Whether the room of that name is patched."""
    return name in _rooms


def is_waiting(name: str) -> bool:
    """Whether the room of that name waits for the import of its module."""
    return name in waiting.values()


def rooms() -> list[Room]:
    """Return those that are in."""
    return [room for room in tuple(_rooms.values()) if room is not None]


def enter(name: str, trigger: str) -> None:
    """Patch the room `name` now, or as soon as the module `trigger` is imported."""
    if name in _rooms or is_waiting(name):
        return
    if not modules_before:
        modules_before.update(dict.fromkeys(tuple(sys.modules)))
    if trigger in sys.modules:
        _patch(name)
    else:
        waiting[trigger] = name
        _look_out()


def settle(*, deep: bool = True) -> None:
    """Let the names follow that others imported from what has been patched since the last time."""
    if not _unsettled:
        return
    from gopoll.monkey._rebind import rebind

    names, _unsettled[:] = tuple(_unsettled), ()
    stale = rebind({name: changes(name) for name in names if is_in(name)}, deep=deep)
    if deep:
        _upgrade(names)
    if stale:
        listed = ", ".join(f"{one.name} ({one.place.replace(':', '.')})" for one in stale)
        msg = f"patched too late for {listed}: what was imported before still blocks the thread"
        warnings.warn(msg, PatchWarning, stacklevel=3)


def _upgrade(names: Sequence[str]) -> None:
    """Let objects follow that were made before."""
    if "thread" in names:
        from gopoll.monkey._upgrade import upgrade_locks

        upgrade_locks()
    if "queue" in names:
        from gopoll.monkey._upgrade import upgrade_queues

        upgrade_queues(original("_queue", "SimpleQueue"), import_module("_queue").SimpleQueue)


def leave(name: str) -> None:
    """Give every place of the room `name` back, and the names that followed it."""
    for trigger in [trigger for trigger, room in waiting.items() if room == name]:
        waiting.pop(trigger, None)
    room = _rooms.get(name)
    if room is None:
        return
    if room.on_restore is not None:
        room.on_restore()
    rebinding = sys.modules.get("gopoll.monkey._rebind")
    if rebinding is not None:
        rebinding.give_back(name)
    _give_back(room)
    _rooms.pop(name, None)


def after_import(module: str, fn: Callable[[], None]) -> None:
    """Call `fn` once `module` is imported: at once if it is, or right after its first import."""
    if module in sys.modules:
        fn()
    else:
        _after_import[module] = fn
        _look_out()


def original(module: str, path: str) -> Any:
    """Return what ``module.path`` is without a patch.

    Raises:
        AttributeError: There was nothing before the patch, or there is nothing now.
    """
    found = saved.get(f"{module}:{path}", ABSENT)
    if found is not ABSENT:
        return found
    if f"{module}:{path}" in saved:
        msg = f"{module}.{path} exists only by the patch"
        raise AttributeError(msg)
    return reduce(getattr, path.split("."), import_module(module))


def _patch(name: str) -> None:
    marker = Room(name, {})
    if _rooms.setdefault(name, marker) is not marker:
        return  # another thread was faster
    room = marker
    try:
        room = import_module(f"gopoll.monkey.{name}").ROOM
        for place in room.replaces:
            _rebind_place(room, place)
        if room.on_patch is not None:
            room.on_patch()
    except BaseException:
        _give_back(room)
        del _rooms[name]
        raise
    _rooms[name] = room
    _unsettled.append(name)
    _touched.update(place.partition(":")[0] for place in room.replaces)
    _look_out()


def _rebind_place(room: Room, place: str) -> None:
    owner, attribute = _owner(place)
    if place in room.optional and not hasattr(owner, attribute):
        return
    saved.setdefault(place, _unpatched(vars(owner).get(attribute, ABSENT)))
    _put(owner, attribute, room.replaces[place])


def _unpatched(value: Any) -> Any:
    """Return what `value` replaces: a module that is imported now may have it from another room."""
    for room in rooms():
        for place, new in room.replaces.items():
            if new is value and place in saved:
                return saved[place]
    return value


def _patch_again(module: str) -> None:
    """Rebind the places of a module that was imported once more, as tests and reloaders do."""
    for room in rooms():
        for place in room.replaces:
            if place.startswith(f"{module}:"):
                _rebind_place(room, place)


def _give_back(room: Room) -> None:
    for place in room.replaces:
        if place in saved:
            owner, attribute = _owner(place)
            _put(owner, attribute, saved.pop(place))


def changes(name: str) -> list[tuple[str, Any, Any]]:
    """Return of each place that was rebound its name, its original and its replacement."""
    room = _rooms[name]
    assert room is not None
    return [(place, saved[place], new) for place, new in room.replaces.items() if place in saved]


def _owner(place: str) -> tuple[Any, str]:
    module, path = place.split(":")
    *owners, attribute = path.split(".")
    return reduce(getattr, owners, import_module(module)), attribute


def _put(owner: Any, attribute: str, value: Any) -> None:
    if value is not ABSENT:
        setattr(owner, attribute, value)
    elif attribute in vars(owner):
        delattr(owner, attribute)


# -- the import of a module ----------------------------------------------------------------------


def _look_out() -> None:
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


class _Finder:
    """Sees the first import of a module that a room waits for, and has the room follow it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not (fullname in waiting or fullname in _touched or fullname in _after_import):
            return None
        for finder in tuple(sys.meta_path):
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec: ModuleSpec | None = finder.find_spec(fullname, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
                return spec
        return None


class _Loader:
    """Loads as the real loader does, then patches."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:  # what inspect and importlib.resources ask loaders
        return getattr(self._real, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._real.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = module.__loader__ = self._real
        self._real.exec_module(module)
        _patch_again(module.__name__)
        room = waiting.pop(module.__name__, None)
        if room is not None:
            _patch(room)
            settle(deep=False)  # nobody could import its names yet
        follow = _after_import.pop(module.__name__, None)
        if follow is not None:
            follow()


_finder: Final[Any] = _Finder()
