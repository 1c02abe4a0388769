"""psycopg 3 waits in C, if it can, or by the `selectors` and `select` of the standard library.

It chooses when it is imported, and does not know that those park a goroutine. So the choice is made
for it, then or later; with one that its user made (``PSYCOPG_WAIT_FUNC``) nothing is done. What it
uses from then on is its own, and goes on working after a `restore`.
"""

import sys
from os import environ
from typing import Any

__all__ = ["choose_wait"]


def choose_wait() -> None:
    """Have psycopg, which is imported, wait by what is patched."""
    if "PSYCOPG_WAIT_FUNC" in environ:
        return
    waiting: Any = sys.modules["psycopg.waiting"]
    chosen = getattr(waiting, "wait", None)
    if chosen is not None and chosen is getattr(waiting, "wait_c", None):
        own = getattr(waiting, "wait_poll", None) or waiting.wait_selector
        waiting.wait = own
