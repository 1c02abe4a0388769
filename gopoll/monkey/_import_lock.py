"""The lock of all imports, as far as goroutines are concerned; and forks, which wait for it.

It belongs to an OS thread, and lets all goroutines in that one has. So each goroutine takes a lock
of its own kind first. `fork` must not happen while another one holds it: Python itself waits, but
only for other OS threads.
"""

import _imp
import os
from typing import Any, Final

from gopoll.monkey._builtin import Builtin
from gopoll.monkey._lock import RLock

__all__ = ["REPLACEMENTS", "guard_forks"]

_acquire: Final = _imp.acquire_lock
_release: Final = _imp.release_lock
_lock: Final[Any] = RLock()


@Builtin.of("_imp")  # type: ignore[untyped-decorator]
def acquire_lock() -> None:
    """Acquires the interpreter's import lock for the current thread.

    This lock should be used by import hooks to ensure thread-safety when importing
    modules. On platforms without threads, this function does nothing.
    """
    _lock.acquire()
    _acquire()


@Builtin.of("_imp")  # type: ignore[untyped-decorator]
def release_lock() -> None:
    """Release the interpreter's import lock.

    On platforms without threads, this function does nothing.
    """
    _release()
    _let_go()


def _let_go() -> None:
    if _lock._is_owned():  # else it was taken before the patch
        _lock.release()


def guard_forks() -> None:
    """Let forks wait, from now on."""
    if not _guarded:
        _guarded.append(True)
        os.register_at_fork(before=_lock.acquire, after_in_parent=_let_go, after_in_child=_let_go)


_guarded: list[bool] = []

REPLACEMENTS: Final = {"_imp:acquire_lock": acquire_lock, "_imp:release_lock": release_lock}
