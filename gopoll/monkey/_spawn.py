"""Children that multiprocessing spawns are patched as their parent is, before anything else.

Whatever starts them (``spawn``, or ``forkserver``, whose own process stays as it is) sends each a
dict of preparations first, and only then what it is to run. So the patch travels in there: it is
made when the dict is unpickled. A forked child has it anyway.
"""

import sys
from collections.abc import Callable
from typing import Any, Final

__all__ = ["install"]

_original: list[Callable[[str], dict[str, Any]]] = []
_patched: list[Callable[[], list[str]]] = []  # what tells the names of what is patched

# The child may know gopoll only by what the rest of the dict is about to say.
_PATCH: Final = """
import sys
path, sys.path[:] = sys.path[:], [*sys.path, *{extra!r}]
try:
    from gopoll import monkey
finally:
    sys.path[:] = path
monkey._patch({names!r})
"""


class _Patch:
    """Patches the process in which it is unpickled."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (_PATCH.format(names=self.names, extra=sys.path), {})


def get_preparation_data(name: str) -> dict[str, Any]:
    """Return info about parent needed by child to unpickle process object."""
    data = _original[0](name)
    names = _patched[0]()
    return {"gopoll": _Patch(names), **data} if names else data


def install(patched: Callable[[], list[str]]) -> None:
    """Put it in the place of the original; without a patch it does what that does."""
    from multiprocessing import spawn

    if not _original:
        _original.append(spawn.get_preparation_data)
    _patched[:] = [patched]
    spawn.get_preparation_data = get_preparation_data
