"""Descriptors of files: which can be waited for, and who else sees that they are non-blocking.

O_NONBLOCK belongs to the open file, which a descriptor may share with other processes. So:

    ==================================  ====================================================
    it is                               then
    ==================================  ====================================================
    non-blocking already                it stays so
    a pipe or terminal that can be      it is, and the new one, which nobody shares, is
    opened anew                         made non-blocking
    anything else that can be waited    the flag is set, and taken back by `close`, the last one
    for                                 of those that share it, or when the program ends
    a regular file, directory, block    it stays blocking: the flag would do nothing
    device
    ==================================  ====================================================

A forked child does not take the flag back: its parent goes on, and shares the open file.
"""

import atexit
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Callable
from typing import Final, TypeVar

from gopoll._original import os_close, os_dup, os_fstat, select_module, set_blocking
from gopoll.os._system import os_dup2, os_exists, os_open, os_stat
from gopoll.runtime import fork
from gopoll.runtime.offload import offload
from gopoll.runtime.proc import sleep

__all__ = [
    "Descriptor",
    "Path",
    "copy_for_child",
    "copy_of",
    "is_fifo",
    "is_pollable",
    "opened",
    "past_the_beginning",
    "take_over",
]

T = TypeVar("T")
R = TypeVar("R", bytes, int)
Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_ANEW = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_ON_LINUX = sys.platform == "linux"
_PTMX = 5, 2  # opened anew, this gives another terminal
_SOONEST, _LATEST = 0.001, 0.05  # between two tries to open a FIFO that nobody reads
_FLAGS: Final = {
    "r": os.O_RDONLY,
    "r+": os.O_RDWR,
    "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "w+": os.O_RDWR | os.O_CREAT | os.O_TRUNC,
    "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "a+": os.O_RDWR | os.O_CREAT | os.O_APPEND,
    "x": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    "x+": os.O_RDWR | os.O_CREAT | os.O_EXCL,
}


class Descriptor:
    """A number that somebody owns; it knows what to leave behind."""

    __slots__ = ("_number", "_restore", "precedes_writers")

    def __init__(self, number: int, *, restore: bool = False) -> None:
        """Own `number`; `restore`: the last to be closed makes the open file blocking again."""
        self._number = number
        self._restore = restore
        self.precedes_writers = False  # the end of a FIFO, opened though nobody may write to it yet
        if restore:
            _to_restore.add(self)

    def __repr__(self) -> str:
        return f"<Descriptor {self._number}>"

    def __del__(self) -> None:
        if getattr(self, "_number", -1) >= 0:
            self.close()

    def fileno(self) -> int:
        """Return the number; -1 once it is given back."""
        return self._number

    def close(self) -> None:
        """Give the number back."""
        if self._restore:
            _to_restore.discard(self)
            if not _is_in_use(self._number):
                self.restore()
        os_close(self.detach())

    def detach(self) -> int:
        """Forget the number without giving it back."""
        number, self._number = self._number, -1
        _to_restore.discard(self)
        return number

    def restore(self) -> None:
        """Make the open file blocking again."""
        try:
            set_blocking(self._number, True)
        except OSError:  # closed behind our back
            return


_to_restore: set[Descriptor] = set()


def is_pollable(number: int) -> bool:
    """Whether a poller can wait for the descriptor."""
    mode = os_fstat(number).st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISBLK(mode))


def take_over(number: int) -> Descriptor:
    """Own `number` and make it non-blocking, alone if that can be."""
    if is_pollable(number) and os.get_blocking(number):
        own = _opened_anew(number)
        if own is not None:
            try:
                os_dup2(own, number, os.get_inheritable(number))
            finally:
                os_close(own)
            return Descriptor(number)
    return _made_non_blocking(number)


def copy_of(number: int) -> Descriptor:
    """Own a non-blocking copy of `number`, which stays as it is if that can be."""
    own = _opened_anew(number)
    return _made_non_blocking(os_dup(number)) if own is None else Descriptor(own)


def _made_non_blocking(number: int) -> Descriptor:
    """Own `number`, if it can be waited for non-blocking, and so for all who share it."""
    if not is_pollable(number):
        return Descriptor(number)
    if not os.get_blocking(number):
        return Descriptor(number, restore=_is_in_use(number))
    set_blocking(number, False)
    return Descriptor(number, restore=True)


def copy_for_child(number: int) -> int:
    """Return a blocking copy; what cannot be opened anew becomes blocking for all who share it."""
    own = None if os.get_blocking(number) else _opened_anew(number)
    if own is None:
        own = os_dup(number)
    set_blocking(own, True)
    return own


def opened(path: Path, mode: str, permissions: int) -> Descriptor:
    """Open a file, in a worker thread; see ``File.open``."""
    flags = _FLAGS.get(mode.replace("b", "", 1))
    if flags is None:
        msg = f"invalid mode {mode!r} (r, w, a, x, each with or without +; files are binary)"
        raise ValueError(msg)
    pause = _SOONEST
    while True:
        try:
            return offload(_open, path, flags, permissions)
        except OSError as exc:
            if exc.errno != errno.ENXIO or not is_fifo(path):
                raise
        sleep(pause)  # nobody reads the FIFO yet, and the kernel tells nobody when that changes
        pause = min(2 * pause, _LATEST)


def _open(path: Path, flags: int, permissions: int) -> Descriptor:
    flags |= os.O_CLOEXEC | os.O_NOCTTY
    if _ON_LINUX or not (os_exists(path) and is_fifo(path)):
        descriptor = Descriptor(os_open(path, flags | os.O_NONBLOCK, permissions))
        number = descriptor.fileno()
        descriptor.precedes_writers = (
            _ON_LINUX and not flags & (os.O_WRONLY | os.O_RDWR) and is_fifo(number)
        )
        return descriptor
    # Here a poller does not tell whether there ever was a writer.
    number = os_open(path, flags, permissions)
    set_blocking(number, False)
    return Descriptor(number)


def is_fifo(path: Path | int) -> bool:
    """Whether this is a FIFO; raises what the kernel says if it is not there."""
    return stat.S_ISFIFO(os_stat(path).st_mode)


def past_the_beginning(number: int, call: Callable[[T], R], arg: T) -> R:
    """Read from a FIFO; an empty read is the end only if those who wrote have hung up."""
    poll = select_module.poll()
    poll.register(number, 0)
    hung_up = bool(poll.poll(0))  # asked before: what was written last is there by then
    result = call(arg)
    if not result and not hung_up:
        raise BlockingIOError
    return result


def _opened_anew(number: int) -> int | None:
    """Open the same pipe or terminal once more, non-blocking; None if it is neither, or refused."""
    status = os_fstat(number)
    if stat.S_ISFIFO(status.st_mode) and _ON_LINUX:
        path = f"/proc/self/fd/{number}"
    elif os.isatty(number) and (os.major(status.st_rdev), os.minor(status.st_rdev)) != _PTMX:
        path = f"/proc/self/fd/{number}" if _ON_LINUX else os.ttyname(number)
    else:
        return None
    flags = fcntl.fcntl(number, fcntl.F_GETFL) & (os.O_ACCMODE | os.O_APPEND)
    try:
        own = os_open(path, flags | _ANEW)
    except OSError as exc:  # no /proc, somebody else's terminal, a FIFO that nobody reads
        if exc.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return None
    if os.path.samestat(status, os_fstat(own)):
        return own
    os_close(own)
    return None


def _is_in_use(number: int) -> bool:
    """Whether one that is to be made blocking again shares its open file with `number`."""
    return any(_is_one_file(number, other.fileno()) for other in tuple(_to_restore))


def _is_one_file(number: int, other: int) -> bool:
    """Whether both are one open file: a flag that one gets shows on the other.

    It means nothing where there is no position, as in all that is asked for here.
    """
    try:
        flags = fcntl.fcntl(number, fcntl.F_GETFL)
        if flags != fcntl.fcntl(other, fcntl.F_GETFL):
            return False
        fcntl.fcntl(number, fcntl.F_SETFL, flags ^ os.O_APPEND)
        try:
            return flags != fcntl.fcntl(other, fcntl.F_GETFL)
        finally:
            fcntl.fcntl(number, fcntl.F_SETFL, flags)
    except OSError:  # closed behind our back
        return False


def _restore_all() -> None:
    for descriptor in tuple(_to_restore):
        descriptor.restore()


def _leave_it_to_the_parent() -> None:
    while _to_restore:
        _to_restore.pop()._restore = False


atexit.register(_restore_all)
fork.in_child(_leave_it_to_the_parent)
