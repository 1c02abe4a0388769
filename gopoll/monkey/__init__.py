"""The whole standard library on goroutines, by one call.

    from gopoll import monkey
    monkey.patch_all()

From there on a program written for threads runs on goroutines: ``threading.Thread`` starts one,
``socket.recv`` parks one, ``time.sleep`` lets the others run. Do it before anything else is
imported, or start the program by ``python -m gopoll``, which does.

Each module of the standard library has a room here that says what is replaced and what is left
alone, and why: `report()` prints it. Classes of the standard library are patched in place where
Python allows it, so objects made before, subclasses, and names imported elsewhere follow. So do
functions that were imported by name; what cannot follow is said.
"""

import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final, TextIO

from gopoll.monkey import registry
from gopoll.monkey.registry import PatchWarning

if TYPE_CHECKING:
    from gopoll.monkey._report import Report

__all__ = [
    "MODULES",
    "PatchWarning",
    "is_patched",
    "original",
    "patch_all",
    "patched",
    "report",
    "restore",
]

# Each room, and the module whose import it waits for. In this order: later ones rest on earlier.
_ROOMS: Final = {
    "time": "time",
    "thread": "threading",
    "queue": "_queue",
    "signal": "signal",
    "select": "select",
    "selectors": "selectors",
    "os": "os",
    "io": "io",
    "socket": "socket",
    "ssl": "ssl",
    "subprocess": "subprocess",
    "multiprocessing": "multiprocessing",
    "asyncio": "asyncio",
    "bdb": "bdb",
    "pdb": "pdb",
}
_ALIASES: Final = {"threading": "thread", "_thread": "thread", "builtins": "io"}

MODULES: Final = tuple(_ROOMS)
"""The switches of `patch_all`, which are what `is_patched` knows."""


def patch_all(**switches: bool) -> None:
    """Make the standard library cooperative; ``patch_all(ssl=False)`` leaves one module out.

    A room that is patched already stays so. Modules that are not imported yet are patched when
    they are.

    Raises:
        TypeError: A switch is none of the modules.
        RuntimeError: gevent or eventlet has patched this process.
    """
    chosen = {_ALIASES.get(name, name): wanted for name, wanted in switches.items()}
    unknown = chosen.keys() - _ROOMS.keys()
    if unknown:
        raise TypeError(_no_such(*unknown))
    _patch(name for name in _ROOMS if chosen.get(name, True))


def restore() -> None:
    """Give everything back; goroutines that run as threads go on."""
    for name in reversed(_ROOMS):
        registry.leave(name)


def patched() -> list[str]:
    """Return the names of all that is patched, or will be when it is imported."""
    return [name for name in _ROOMS if registry.is_in(name) or registry.is_waiting(name)]


def is_patched(name: str) -> bool:
    """Whether the module `name` is patched, or will be when it is imported.

    A library that must know asks so without importing gopoll::

        monkey = sys.modules.get("gopoll.monkey")
        if monkey is not None and monkey.is_patched("socket"): ...

    Raises:
        ValueError: There is no such module to patch.
    """
    room = _ALIASES.get(name, name)
    if room not in _ROOMS:
        raise ValueError(_no_such(name))
    return registry.is_in(room) or registry.is_waiting(room)


def original(module: str, path: str) -> object:
    """Return ``module.path`` as it is without a patch: ``original("time", "sleep")``.

    Raises:
        AttributeError: It exists only by the patch, or not at all.
        ModuleNotFoundError: There is no such module.
    """
    return registry.original(module, path)


def report(file: TextIO | None = None) -> "Report":
    """Print what is patched, what is not and why, and what was imported too early and by whom.

    It goes to `file`, or to standard output; the same is returned, as data.
    """
    from gopoll.monkey._report import make_report

    made = make_report(_ROOMS)
    print(made, file=sys.stdout if file is None else file)
    return made


def _patch(names: Iterable[str]) -> None:
    _refuse_company()
    if sys.gettrace() is not None:
        from gopoll.monkey._tracing import tell_coverage

        tell_coverage(at_start=False)
    for name in names:
        registry.enter(name, _ROOMS[name])
    registry.after_import("multiprocessing.spawn", _follow_to_children)
    registry.after_import("psycopg.waiting", _have_psycopg_follow)
    registry.settle()


def _follow_to_children() -> None:
    from gopoll.monkey._spawn import install

    install(patched)


def _have_psycopg_follow() -> None:
    from gopoll.monkey._psycopg import choose_wait

    choose_wait()


def _refuse_company() -> None:
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    for other, what in (
        ("gevent", getattr(gevent, "saved", None)),
        ("eventlet", getattr(eventlet, "already_patched", None)),
    ):
        if what:
            msg = f"{other} has patched this process ({', '.join(sorted(what))})"
            raise RuntimeError(msg)


def _no_such(*names: str) -> str:
    return f"no module to patch: {', '.join(sorted(names))}; there are {', '.join(_ROOMS)}"


def __getattr__(name: str) -> Callable[[], None]:
    room = name.removeprefix("patch_")
    room = _ALIASES.get(room, room)
    if name.startswith("patch_") and room in _ROOMS:
        return partial(_patch, (room,))
    msg = f"module 'gopoll.monkey' has no attribute {name!r}"
    raise AttributeError(msg)
