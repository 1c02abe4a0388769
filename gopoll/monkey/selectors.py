"""``selectors`` on goroutines: its classes keep what `select` offered when it was imported.

The classes stay what they are; what they wait with is rebound. An epoll or kqueue is patched in
place by the room `select`, so the selectors that use one need nothing.
"""

import selectors as _module  # noqa: TID251 - the module that is patched
from typing import Any

from gopoll.monkey.registry import Room
from gopoll.monkey.select import poll, select

__all__ = ["ROOM"]


def _replacements() -> dict[str, Any]:
    places: dict[str, Any] = {"selectors:SelectSelector._select": select}
    if hasattr(_module, "PollSelector"):
        places["selectors:PollSelector._selector_cls"] = poll
    return places


ROOM = Room(
    "selectors",
    replaces=_replacements(),
    leaves={
        "selectors:PollSelector._selector": "of an object made before the patch: it still blocks",
        "selectors:EpollSelector": "waits in an epoll object, which parks",
        "selectors:KqueueSelector": "waits in a kqueue object, which parks",
        "selectors:DevpollSelector": "of one system only",
        "selectors:DefaultSelector": "stays the best that the system has",
    },
)
