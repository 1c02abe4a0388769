"""Locks, locals and simple queues that were made before the patch, and what becomes of them.

Imports make many: of ``logging``, ``threading``, connection pools, caches. Each would stop the OS
thread once two goroutines want it, and a local would be the same for all. So they are replaced, in
every place that holds them, while nobody can be using one:

    ================================  ============================================================
    an object                         is replaced by
    ================================  ============================================================
    a lock that is free               a lock of `_lock`
    a recursive lock that is free,    the same, which the caller owns as often
    or owned by the caller
    a ``threading.local()``           one that has, for the caller, what this one has
    a ``SimpleQueue``                 one with the same items
    ================================  ============================================================

It stays what it is if another OS thread is alive, which may be about to use it; if it is in use; if
somebody holds it whom we cannot tell, such as a local variable, for two locks with one purpose are
worse than one that blocks; or if it belongs to the import system, to gopoll, or to another who
needs the real one. What stays is found by the report.

Holders are found by the collector: one search for all.
"""

import gc
import operator
import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import BuiltinMethodType, CellType
from typing import Any, Final

from gopoll import _original
from gopoll.monkey._local import Local
from gopoll.monkey._lock import RLock, new_lock
from gopoll.monkey._rebind import home_of, keeps, namespace
from gopoll.runtime import outside

__all__ = ["upgrade_locks", "upgrade_queues"]

_LockType: Final[Any] = type(_original.allocate_lock())
_RLockType: Final[Any] = _original.RLock
_LocalType: Final[Any] = _original.ThreadLocal
_KEEPERS: Final = frozenset({"_frozen_importlib", "importlib._bootstrap", "_thread"})

_Put = Callable[[Any], object]  # puts a new object where the old one was


def _renewed_lock(old: Any) -> Any:
    return None if old.locked() else new_lock()


def _renewed_rlock(old: Any) -> Any:
    new: Any = RLock()
    if old._is_owned():
        count, _ = old._release_save()
        for _ in range(count):
            new.acquire()
    elif not old.acquire(False):
        return None
    else:
        old.release()
    return new


def _renewed_local(old: Any) -> Any:
    new: Any = Local()
    new.__dict__.update(old.__dict__)
    return new


def upgrade_locks() -> None:
    """Replace the locks and locals that exist."""
    _upgrade({_LockType: _renewed_lock, _RLockType: _renewed_rlock, _LocalType: _renewed_local})


def upgrade_queues(old_type: Any, new_type: Any) -> None:
    """Replace the simple queues that exist."""

    def renewed(old: Any) -> Any:
        new = new_type()
        while not old.empty():
            new.put(old.get())
        return new

    _upgrade({old_type: renewed})


def _upgrade(kinds: dict[Any, Callable[[Any], Any]]) -> None:
    if outside.other_threads():
        return
    olds = [o for o in gc.get_referrers(*kinds) if type(o) in kinds]
    if not olds:
        return
    places = _Places(olds)
    for old in olds:
        puts = places.of(old)
        new = kinds[type(old)](old) if puts else None
        if new is not None:
            for put in puts:
                put(new)


class _Places:
    """Who holds some objects, or bound methods of theirs, and how to put others there.

    That all holders are known is told by counting references: local variables of functions that
    run, and C code, are no objects that the collector could name. What a reference costs in here is
    measured by one more object, which nobody else has, and a method of it.
    """

    def __init__(self, wanted: list[Any]) -> None:
        wanted.append(_original.allocate_lock())
        measure = [wanted[-1].acquire]
        self._puts: dict[int, dict[Any, _Put]] = {id(one): {} for one in wanted}
        self._unknown: set[int] = set()
        holders = self._holders(wanted)
        methods = [
            h for h in holders if type(h) is BuiltinMethodType and id(h.__self__) in self._puts
        ]
        counts = [sys.getrefcount(one) for one in wanted]
        method_counts = [sys.getrefcount(method) for method in methods]
        self._puts.update((id(method), {}) for method in methods)
        over = self._holders(methods)
        self._owners = self._owners_of_dicts([*holders, *over])
        own = {id(holders), id(over), id(methods), id(wanted)}
        for holder in {id(h): h for h in [*holders, *over] if id(h) not in own}.values():
            self._note(holder)
        free = method_counts[[id(method) for method in methods].index(id(measure[0]))] - 1
        for method, count in zip(methods, method_counts, strict=True):
            self._compare(method, count - free, method.__self__)
        free = counts[-1] - 1
        for one, count in zip(wanted, counts, strict=True):
            self._compare(one, count - free - sum(m.__self__ is one for m in methods), one)
        for method in methods:
            for key, put in self._puts[id(method)].items():
                self._puts[id(method.__self__)][key] = _bound(put, method.__name__)
        del wanted[-1]

    def of(self, wanted: Any) -> list[_Put]:
        """Return what puts another object in each place of this one; nothing if one is unknown."""
        return [] if id(wanted) in self._unknown else [*self._puts[id(wanted)].values()]

    def _compare(self, one: Any, references: int, owner: Any) -> None:
        if references != len(self._puts[id(one)]) or id(one) in self._unknown:
            self._unknown.add(id(owner))

    def _holders(self, wanted: list[Any]) -> list[Any]:
        found = gc.get_referrers(*wanted)
        arguments = tuple(wanted)  # those of the call before have been a holder, too
        return [h for h in found if h is not wanted and not (type(h) is tuple and h == arguments)]

    def _owners_of_dicts(self, holders: list[Any]) -> dict[int, list[Any]]:
        """Map each dict among the holders to whom it belongs."""
        dicts = [holder for holder in holders if type(holder) is dict]
        owners: dict[int, list[Any]] = {id(one): [] for one in dicts}
        for owner in gc.get_referrers(*dicts) if dicts else ():
            names = namespace(owner)
            if names is not None:
                owners.get(id(names), []).append(owner)
            elif owner is not dicts and owner is not holders:
                for referent in gc.get_referents(owner):
                    if id(referent) in owners:
                        owners[id(referent)].append(owner)
        return owners

    def _note(self, holder: Any) -> None:
        """Note the places in `holder`."""
        if type(holder) is BuiltinMethodType:
            return  # its own holders count
        for one in {id(o): o for o in gc.get_referents(holder) if id(o) in self._puts}.values():
            puts = self._puts_in(holder, one)
            self._puts[id(one)].update(puts)
            if not puts:
                self._unknown.add(id(one))

    def _puts_in(self, holder: Any, one: Any) -> dict[Any, _Put]:
        """Return what puts another object in the places of `one`, by place; empty if none can."""
        if type(holder) is list:
            keys = [i for i, value in enumerate(holder) if value is one]
            return {(id(holder), i): partial(operator.setitem, holder, i) for i in keys}
        if type(holder) is CellType:
            return {id(holder): partial(setattr, holder, "cell_contents")}
        if type(holder) is dict:
            owners = self._owners[id(holder)]
            if any(_needs_the_real_one(owner) for owner in owners):
                return {}
            for owner in owners:
                if isinstance(owner, type):
                    found = [name for name, value in vars(owner).items() if value is one]
                    return {(id(owner), n): partial(type.__setattr__, owner, n) for n in found}
            return _puts_in_dict(holder, one)
        if isinstance(holder, type) or _needs_the_real_one(holder):
            return {}
        names: Any = getattr(holder, "__dict__", None)
        puts: dict[Any, _Put] = _puts_in_dict(names, one) if type(names) is dict else {}
        for name in _slots_with(holder, one):
            puts[id(holder), name] = partial(object.__setattr__, holder, name)
        return puts


def _puts_in_dict(names: dict[Any, Any], one: Any) -> dict[Any, _Put]:
    keys = [key for key, value in names.items() if value is one]
    return {(id(names), key): partial(operator.setitem, names, key) for key in keys}


def _slots_with(holder: Any, one: Any) -> Iterator[str]:
    for base in type(holder).__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if getattr(holder, name, None) is one:
                yield name


def _needs_the_real_one(owner: Any) -> bool:
    names = namespace(owner)
    home = names.get("__name__") if names is not None else type(owner).__module__
    if isinstance(owner, type):
        home = home_of(owner)
    return str(home) in _KEEPERS or _is_foreign(str(home))


def _is_foreign(home: str) -> bool:
    return home.partition(".")[0] not in _PATCHED and keeps(home)


# Those that keep the names which they imported have locks like everybody else.
_PATCHED: Final = frozenset(
    {
        *("threading", "queue", "signal", "selectors", "os", "io", "socket", "ssl", "subprocess"),
        *("multiprocessing", "asyncio", "bdb", "pdb", "builtins"),
    }
)


def _bound(put: _Put, name: str) -> _Put:
    return lambda new: put(getattr(new, name))
