"""Pollers: epoll, kqueue, poll and select, twins in outline behind one contract (`base`).

This module only chooses. ``GOPOLL_POLLER`` names one; otherwise the best that the system has.
"""

import os

from gopoll.runtime.poller.base import Poller
from gopoll.runtime.poller.epoll import Epoll, EpollLevel
from gopoll.runtime.poller.kqueue import Kqueue
from gopoll.runtime.poller.poll import Poll
from gopoll.runtime.poller.select import Select

__all__ = ["available_pollers", "new_poller"]

_BY_PREFERENCE: tuple[type[Poller], ...] = (Epoll, Kqueue, EpollLevel, Poll, Select)


def available_pollers() -> list[str]:
    """Return the names that ``GOPOLL_POLLER`` may have on this system, best first."""
    return [kind.name for kind in _BY_PREFERENCE if kind.available()]


def new_poller() -> Poller:
    """Make the poller that ``GOPOLL_POLLER`` names, or the best one.

    Raises:
        ValueError: No poller of that name exists on this system.
    """
    name = os.environ.get("GOPOLL_POLLER") or available_pollers()[0]
    for kind in _BY_PREFERENCE:
        if kind.name == name and kind.available():
            return kind()
    msg = f"GOPOLL_POLLER={name!r}: no such poller here; there are {', '.join(available_pollers())}"
    raise ValueError(msg)
