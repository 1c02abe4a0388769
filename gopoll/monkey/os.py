"""``os`` on goroutines: what waits for pipes, terminals, sockets and children parks.

    ==========================  ===============================================================
    name                        what becomes of it
    ==========================  ===============================================================
    read readv readinto         a blocking descriptor is asked whether it is ready, at the price
    eventfd_read                of one poll(2), and waited for
    write writev                the same; what might not fit goes out in pieces (`_pipes`)
    close                       wakes whoever waits for the number, with EBADF, and closes at once
    waitpid wait wait3 wait4    ask with WNOHANG and park (`_children`); a status is taken by the
    waitid                      goroutine that asked, and by nobody else
    open                        a FIFO is opened in a worker thread: it waits for the other end
    system                      runs in a worker thread
    ==========================  ===============================================================

What is ready is done by the original, at once: regular files always are. A non-blocking descriptor
goes to the original whether it is ready or not; to ask for readiness first costs less than to ask
what the descriptor is. Should somebody else have been faster, the original blocks; so a signal
handler may run there, as it would without the patch.

**Forks.** The child keeps the goroutine that forked, as a process keeps the thread: it is the main
thread of the child, and how it ends is how the child ends. Hooks run in Python's order.
"""

import os
import stat
from collections.abc import Callable
from typing import Any, Final

from gopoll.monkey import _children, _import_lock, _pipes, _ready
from gopoll.monkey._builtin import Builtin
from gopoll.monkey._ready import READ, WRITE, until_ready
from gopoll.monkey.registry import Room
from gopoll.runtime.guard import calls_user_code
from gopoll.runtime.offload import offload
from gopoll.runtime.sched import this

__all__ = ["ROOM"]

_read: Final = os.read
_write: Final = os.write
_readinto: Final[Any] = getattr(os, "readinto", None)  # since 3.14
_eventfd_read: Final[Any] = getattr(os, "eventfd_read", None)
_readv: Final[Any] = getattr(os, "readv", None)
_writev: Final[Any] = getattr(os, "writev", None)
_close: Final = os.close
_dup2: Final = os.dup2
_open: Final = os.open
_stat: Final = os.stat
_system: Final = os.system


@calls_user_code
def read(fd: Any, length: Any, /) -> bytes:
    """Read from a file descriptor.  Returns a bytes object."""
    if isinstance(fd, int) and isinstance(length, int) and length > 0:
        until_ready(fd, READ)
    return _read(fd, length)


@calls_user_code
def readv(fd: Any, buffers: Any, /) -> int:
    """Read from a file descriptor fd into an iterable of buffers."""
    if isinstance(fd, int):
        until_ready(fd, READ)
    count: int = _readv(fd, buffers)
    return count


@calls_user_code
def readinto(fd: Any, buffer: Any, /) -> int:
    """Read into a buffer object from a file descriptor."""
    if isinstance(fd, int):
        until_ready(fd, READ)
    count: int = _readinto(fd, buffer)
    return count


@calls_user_code
def eventfd_read(fd: Any) -> int:
    """Read eventfd value."""
    if isinstance(fd, int):
        until_ready(fd, READ)
    value: int = _eventfd_read(fd)
    return value


@calls_user_code
def write(fd: Any, data: Any, /) -> int:
    """Write a bytes object to a file descriptor."""
    if not isinstance(fd, int) or this.sched.current is None:
        return _write(fd, data)
    size = len(data) if isinstance(data, bytes) else _size(data)
    if size > _pipes.PIPE_BUF and _pipes.blocks(fd):
        return _pipes.write_all(fd, data)
    if size:
        until_ready(fd, WRITE)
    return _write(fd, data)


@calls_user_code
def writev(fd: Any, buffers: Any, /) -> int:
    """Iterate over buffers, and write the contents of each to a file descriptor."""
    if isinstance(fd, int) and isinstance(buffers, (list, tuple)) and this.sched.current:
        size = sum(_size(buffer) for buffer in buffers)
        if size > _pipes.PIPE_BUF and _pipes.blocks(fd):
            return _pipes.write_all(fd, b"".join(buffers))
        until_ready(fd, WRITE)
    count: int = _writev(fd, buffers)
    return count


def _size(data: Any) -> int:
    """Return the length of a buffer; 0 for what is none, which the original will refuse."""
    try:
        with memoryview(data) as view:
            return view.nbytes if view.c_contiguous else 0
    except TypeError:
        return 0


def _closer(closing: Callable[[int], None], original: Callable[[int], None]) -> Any:
    def close(fd: Any) -> None:
        """Close a file descriptor."""
        if isinstance(fd, int):
            try:
                closing(fd)
            except (AttributeError, TypeError):  # the interpreter ends, and took gopoll's names
                pass
        original(fd)

    return close


close: Final = _closer(_ready.closing, _close)


def dup2(fd: int, fd2: int, inheritable: bool = True) -> int:
    """Duplicate file descriptor; whoever waited for what `fd2` was learns that it is closed."""
    if isinstance(fd2, int) and fd != fd2:
        _ready.closing(fd2, replaced=True)
    return _dup2(fd, fd2, inheritable)


def open(path: Any, flags: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """Open a file for low level IO.  Returns a file descriptor (integer)."""
    if this.sched.current is not None and waits_for_other_end(path, flags, dir_fd):
        return open_in_thread(path, flags, mode, dir_fd=dir_fd)
    return _open(path, flags, mode, dir_fd=dir_fd)


def open_in_thread(path: Any, flags: int, mode: int = 0o666, *, dir_fd: int | None = None) -> int:
    """Open a FIFO; only the calling goroutine waits for its other end."""
    return offload(_open, path, flags, mode, dir_fd=dir_fd)


def waits_for_other_end(path: Any, flags: Any, dir_fd: int | None) -> bool:
    """Whether to open this means to wait for another process or thread that opens it too."""
    if not isinstance(flags, int) or flags & os.O_NONBLOCK or flags & os.O_ACCMODE == os.O_RDWR:
        return False
    try:
        return stat.S_ISFIFO(_stat(path, dir_fd=dir_fd).st_mode)
    except (OSError, TypeError, ValueError):
        return False


def system(command: Any) -> int:
    """Execute the command in a subshell."""
    if this.sched.current is None:
        return _system(command)
    return offload(_system, command)


def _replacements() -> dict[str, Any]:
    places: dict[str, Any] = {
        "read": read,
        "readv": readv,
        "readinto": readinto,
        "eventfd_read": eventfd_read,
        "write": write,
        "writev": writev,
        "close": close,
        "dup2": dup2,
        "open": open,
        "system": system,
        **_children.REPLACEMENTS,
    }
    builtin = Builtin.of("os")
    functions = {f"os:{name}": builtin(new) for name, new in places.items() if hasattr(os, name)}
    return {**functions, **_import_lock.REPLACEMENTS}


ROOM = Room(
    "os",
    replaces=_replacements(),
    leaves={
        "os:fork": "hooks see to it that the child keeps only the goroutine that forked",
        "os:forkpty": "as fork",
        "os:openpty": "never waits",
        "os:pread": "like pwrite and kin, of files that can be positioned, which never wait",
        "os:closerange": "meant for a new process, where nobody waits",
        "os:sendfile": "waits only for a blocking socket; socket.sendfile() waits before it",
        "os:splice": "waits only for blocking pipes, and needs two of them to be ready",
        "os:lockf": "waits for another process, and the kernel tells nobody when it may go on",
        "os:copy_file_range": "of regular files",
        "os:popen": "is made of subprocess, which parks",
        "os:posix_spawn": "returns when the child runs; spawnv and kin wait by waitpid",
        "os:fdatasync": "waits for a disk, as fsync and all other calls on files do",
    },
    on_patch=_import_lock.guard_forks,
)
