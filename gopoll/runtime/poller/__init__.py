"""Pollers: epoll, kqueue, poll and select, twins in outline behind one contract (`base`).

This module only chooses. ``GOPOLL_POLLER`` names one; otherwise the best that the system has. That
one is loaded at once, since the first wait may come when no descriptor is left; others if they are
asked for.
"""

import os
from collections.abc import Iterator
from importlib import import_module

from gopoll.runtime.poller.base import Poller

__all__ = ["available_pollers", "new_poller"]

_BY_PREFERENCE = (
    ("epoll", "Epoll"),
    ("kqueue", "Kqueue"),
    ("epoll", "EpollLevel"),
    ("poll", "Poll"),
    ("select", "Select"),
)


def _kinds() -> Iterator[type[Poller]]:
    for module, name in _BY_PREFERENCE:
        kind: type[Poller] = getattr(import_module(f"gopoll.runtime.poller.{module}"), name)
        yield kind


def available_pollers() -> list[str]:
    """Return the names that ``GOPOLL_POLLER`` may have on this system, best first."""
    return [kind.name for kind in _kinds() if kind.available()]


def new_poller() -> Poller:
    """Make the poller that ``GOPOLL_POLLER`` names, or the best one.

    Raises:
        ValueError: No poller of that name exists on this system.
    """
    name = os.environ.get("GOPOLL_POLLER")
    for kind in _kinds():
        if kind.available() and (not name or kind.name == name):
            return kind()
    msg = f"GOPOLL_POLLER={name!r}: no such poller here; there are {', '.join(available_pollers())}"
    raise ValueError(msg)


if os.environ.get("GOPOLL_POLLER"):
    available_pollers()
else:
    next(kind for kind in _kinds() if kind.available())
