"""Names that were imported before the patch, ``from time import sleep``, and what becomes of them.

Whatever still holds the original of a place that was replaced is found by identity: what modules
hold by looking at every module, all else by asking the collector who refers to it.

    ==========================================  ==================================================
    the original is                             then
    ==========================================  ==================================================
    a global of a module                        the name is bound to the replacement
    in a dict or list that is a global          so is the item
    an attribute of a class                     so is the attribute; a function that replaces one
                                                written in C becomes a static method there
    a default of a function's argument          so is the default
    in a set                                    the replacement is added to it
    anything else: in a tuple, a partial, a     nothing can be done safely: it is stale
    closure, an object
    ==========================================  ==================================================

Left alone is who keeps originals on purpose: the modules that have a room, which has decided for
them; those written in C, whose names are the originals (``posix.read`` is ``os.read``); the import
system; debuggers, other runtimes of greenlets, and gopoll itself; and names such as `real_sleep`.

What has followed is remembered by room, and given back with it, unless it was changed since.
"""

import gc
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import (
    BuiltinFunctionType,
    FrameType,
    FunctionType,
    MethodDescriptorType,
    ModuleType,
)
from typing import Any, Final, NamedTuple

__all__ = [
    "Change",
    "Rebound",
    "Stale",
    "Table",
    "give_back",
    "home_of",
    "is_kept_name",
    "is_stdlib",
    "keeps",
    "namespace",
    "owners",
    "rebind",
    "rebound",
]

# Modules of the standard library that keep what they hold, besides those written in C.
_KEEP: Final = frozenset(
    {
        *("_thread", "threading", "queue", "signal", "select", "selectors", "os", "io", "time"),
        *("socket", "ssl", "subprocess", "multiprocessing", "asyncio", "bdb", "pdb", "builtins"),
        *("_frozen_importlib", "_frozen_importlib_external", "importlib._bootstrap"),
        *("importlib._bootstrap_external", "zipimport"),
    }
)
# Packages that need the originals.
_KEEP_ALL: Final = frozenset(
    {
        *("gopoll", "greenlet", "gevent", "eventlet", "coverage", "debugpy", "pydevd"),
        *("_pydev_bundle", "_pydev_runfiles", "_pydevd_bundle", "_pydevd_frame_eval"),
    }
)
_KEPT_NAME: Final = re.compile(
    r"(^|_)(orig|original|real|native|saved|unpatched)(_|$)", re.IGNORECASE
)
_LARGE: Final = 1000  # entries: such a table is not looked through
Change = tuple[str, Any, Any]  # place, original, replacement
_FINDABLE: Final = (FunctionType, BuiltinFunctionType, MethodDescriptorType, type)


class Rebound(NamedTuple):
    """A name that followed the patch."""

    name: str  # "app.tasks.sleep"
    place: str  # "time:sleep"


class Stale(NamedTuple):
    """An original that is still held, and will block."""

    name: str  # "app.tasks.HANDLERS['sleep']"
    place: str
    module: str  # where it is held; "" if nobody knows
    what: str = "name"  # or "object", of a class that was replaced, or "subclass"


class _Done(NamedTuple):
    rebound: Rebound
    undo: Callable[[], None]


_done: dict[str, list[_Done]] = {}  # by room


def rebound() -> list[Rebound]:
    """Return every name that has followed."""
    return [done.rebound for dones in _done.values() for done in dones]


def give_back(room: str) -> None:
    """Undo what followed the patch of that room."""
    for done in reversed(_done.pop(room, ())):
        done.undo()


class Table:
    """The originals, to be found by identity."""

    def __init__(self, changes: Mapping[str, list[Change]]) -> None:
        self._by_id: dict[int, list[tuple[str, str, Any]]] = {}
        self.originals: list[Any] = []
        self.replacements: set[int] = set()  # their identities, and those of the functions in them
        for room, of_room in changes.items():
            for place, old, new in of_room:
                if isinstance(old, _FINDABLE) and old is not new:
                    found = self._by_id.setdefault(id(old), [])
                    if not found:
                        self.originals.append(old)
                    found.append((room, place, new))
                    self.replacements |= {id(new), id(getattr(new, "__func__", new))}

    def __contains__(self, value: Any) -> bool:
        return id(value) in self._by_id  # which `originals` keeps alive

    def place(self, value: Any) -> str:
        return self._by_id[id(value)][0][1]

    def choose(self, name: str, value: Any) -> tuple[str, str, Any] | None:
        """Return room, place and replacement of an original that is held as `name`.

        None if it stood in several places, whose replacements differ, and the name tells nothing.
        """
        found = self._by_id[id(value)]
        named = [one for one in found if one[1].rpartition(":")[2] == name]
        for few in (named, found):
            if few and all(one[2] is few[0][2] for one in few):
                return few[0]
        return None


# -- looking --------------------------------------------------------------------------------------


def namespace(module: Any) -> dict[str, Any] | None:
    """Return the globals of a module, without loading one that loads itself when it is used."""
    if not issubclass(type(module), ModuleType):  # not isinstance(): cffi's only look like modules
        return None
    names = object.__getattribute__(module, "__dict__")
    return names if type(names) is dict else None


def is_kept_name(name: str) -> bool:
    """Whether the name says that it is meant to hold an original."""
    return _KEPT_NAME.search(name) is not None


def is_stdlib(module: str) -> bool:
    """Whether the module is one of the standard library."""
    return module.partition(".")[0] in sys.stdlib_module_names and module != "__main__"


def keeps(module: str) -> bool:
    if module in _KEEP or module.partition(".")[0] in _KEEP_ALL:
        return True
    if not is_stdlib(module):
        return False
    names = namespace(sys.modules.get(module)) or {}
    return not str(names.get("__file__", "")).endswith((".py", ".pyc"))


def _modules() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, module in tuple(sys.modules.items()):
        names = namespace(module)
        if names is not None and not keeps(name):
            yield name, names


def home_of(owner: Any) -> str:
    """Return the module of a class or function; some are none's."""
    return str(getattr(owner, "__module__", None) or "")


def owners(container: Any) -> list[Any]:
    return [o for o in gc.get_referrers(container) if not isinstance(o, FrameType)]


# -- rebinding ------------------------------------------------------------------------------------


def rebind(changes: Mapping[str, list[Change]], *, deep: bool) -> list[Stale]:
    """Let what was imported before follow; `changes` has the rebound places of each room.

    Unless it is to be `deep`, only at module globals. Returns what they hold and cannot follow.
    """
    table = Table(changes)
    if not table.originals:
        return []
    stale: list[Stale] = []
    known = set()
    for module, names in _modules():
        known.add(id(names))
        foreign = not is_stdlib(module)
        for name, value in tuple(names.items()):
            if value in table:
                _rebind_item(table, names, name, value, f"{module}.{name}")
            elif foreign and type(value) in _CONTAINERS:
                stale += _rebind_items(table, module, name, value)
    if deep:
        _rebind_holders(table, known)
    return stale


def _rebind_holders(table: Table, known: set[int]) -> None:
    """Rebind what the collector finds: each search goes through all objects, so there are few."""
    holders = [h for h in gc.get_referrers(*table.originals) if id(h) not in known]
    statics = [holder for holder in holders if type(holder) is staticmethod]
    if statics:
        holders += [holder for holder in gc.get_referrers(*statics) if type(holder) is dict]
    for holder in holders:
        if type(holder) is set:
            _add_to_set(table, holder)
    held = [holder for holder in holders if type(holder) in (dict, tuple)]
    for owner in gc.get_referrers(*held) if held else ():
        if isinstance(owner, type):
            _rebind_class(table, owner)
        elif type(owner) is FunctionType:
            _rebind_defaults(table, owner)


_CONTAINERS: Final = frozenset((dict, list, tuple, partial))


def _rebind_items(table: Table, module: str, name: str, container: Any) -> list[Stale]:
    """Rebind what is in a global of a module; return what cannot be."""
    if type(container) is partial:
        held = [("func", container.func), *enumerate(container.args), *container.keywords.items()]
    elif len(container) > _LARGE:
        return []
    else:
        held = list(container.items() if type(container) is dict else enumerate(container))
    stale = []
    for key, value in held:
        if value not in table or is_kept_name(name):
            continue
        path = f"{module}.{name}[{key!r}]"
        if type(container) in (dict, list):
            _rebind_item(table, container, key, value, path)
        else:
            stale.append(Stale(path, table.place(value), module))
    return stale


def _note(room: str, name: str, place: str, undo: Callable[[], None]) -> None:
    _done.setdefault(room, []).append(_Done(Rebound(name, place), undo))


def _rebind_item(table: Table, names: Any, key: Any, value: Any, path: str) -> None:
    """Rebind one item of a dict or list, or the global of that name."""
    chosen = table.choose(str(key), value)
    if chosen is None or is_kept_name(str(key)):
        return
    room, place, new = chosen
    names[key] = new

    def undo() -> None:
        try:
            if names[key] is new:
                names[key] = value
        except LookupError:  # it is gone
            return

    _note(room, path, place, undo)


def _rebind_class(table: Table, owner: type) -> None:
    for name, value in tuple(vars(owner).items()):
        if value in table:
            _rebind_attribute(table, owner, name, value, value)
        elif type(value) is staticmethod and value.__func__ in table:
            _rebind_attribute(table, owner, name, value.__func__, value)


def _rebind_attribute(table: Table, owner: type, name: str, value: Any, held: Any) -> None:
    """Set what follows `value` on a class that has it as `held`: as it is, or made static."""
    chosen = table.choose(name, value)
    if chosen is None or keeps(home_of(owner)):
        return
    room, place, new = chosen
    binds = hasattr(type(new), "__get__") and not isinstance(new, (type, staticmethod))
    if binds and (held is not value or not hasattr(type(value), "__get__")):
        new = staticmethod(new)
    try:
        setattr(owner, name, new)
    except (TypeError, AttributeError):  # of a class that cannot be changed
        return

    def undo() -> None:
        if vars(owner).get(name) is new:
            setattr(owner, name, held)

    _note(room, f"{owner.__module__}.{owner.__qualname__}.{name}", place, undo)


def _rebind_defaults(table: Table, owner: FunctionType) -> None:
    """Rebind the defaults of a function's arguments."""
    if keeps(home_of(owner)):
        return
    path = f"{owner.__module__}.{owner.__qualname__}"
    for name, value in tuple((owner.__kwdefaults__ or {}).items()):
        if value in table:
            _rebind_item(table, owner.__kwdefaults__, name, value, f"{path}({name}=)")
    defaults = owner.__defaults__ or ()
    code = owner.__code__
    names = code.co_varnames[: code.co_argcount][code.co_argcount - len(defaults) :]
    for i, (name, value) in enumerate(zip(names, defaults, strict=True)):
        chosen = table.choose(name.lstrip("_"), value) if value in table else None
        if chosen is not None:
            room, place, new = chosen
            _put_default(owner, i, value, new)
            _note(room, f"{path}({name}=)", place, partial(_put_default, owner, i, new, value))


def _put_default(function: FunctionType, i: int, old: Any, new: Any) -> None:
    """Put `new` in the place of `old`, if that is still there."""
    now = list(function.__defaults__ or ())
    if i < len(now) and now[i] is old:
        now[i] = new
        function.__defaults__ = tuple(now)


def _add_to_set(table: Table, members: set[Any]) -> None:
    for value in tuple(members):
        chosen = table.choose("", value) if value in table else None
        if chosen is not None and chosen[2] not in members:
            room, place, new = chosen
            members.add(new)
            _note(room, "a set", place, partial(members.discard, new))
