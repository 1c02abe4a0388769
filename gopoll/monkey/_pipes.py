"""Writing to, and recognising, descriptors on which a blocking write may stop half-way.

A write of more than `PIPE_BUF` bytes blocks although the kernel said that the descriptor is
writable. So it goes out in pieces of which none blocks, and returns as a blocking write does: when
everything is written, or, once something is, at the first failure. The open file stays blocking:
its flags are shared with other processes. Pieces are

- as large as the kernel takes, where one write alone can be non-blocking (Linux: RWF_NOWAIT);
- else of at most `PIPE_BUF` bytes, each after the kernel said that there is room.
"""

import os
import select as _module  # noqa: TID251 - for a number
import stat
from typing import Any, Final

from gopoll._original import errno, os_fstat, os_write
from gopoll.monkey._ready import WRITE, until_ready

__all__ = ["PIPE_BUF", "blocks", "is_green", "write_all"]

PIPE_BUF: Final = getattr(_module, "PIPE_BUF", 512)
_pwritev: Final[Any] = getattr(os, "pwritev", None)
_NOWAIT: Final = getattr(os, "RWF_NOWAIT", 0)
_NOT_SUPPORTED: Final = frozenset(
    (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS, errno.ESPIPE)
)


def is_green(fd: int) -> bool:
    """Whether this is a pipe, a FIFO, a socket or a terminal; False if it is nothing at all."""
    try:
        mode = os_fstat(fd).st_mode
    except (OSError, OverflowError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or (stat.S_ISCHR(mode) and os.isatty(fd))


def blocks(fd: int) -> bool:
    """Whether a long write to `fd` may block for as long as somebody else likes."""
    return is_green(fd) and os.get_blocking(fd)


def write_all(fd: int, data: Any) -> int:
    """Write everything to a descriptor that `blocks`, parked whenever there is no room."""
    whole_at_once = bool(_NOWAIT) and _pwritev is not None
    written = 0
    with memoryview(data) as given, given.cast("B") as view:
        while written < len(view):
            try:
                if whole_at_once:
                    try:
                        written += _pwritev(fd, (view[written:],), -1, _NOWAIT)
                        continue
                    except BlockingIOError:
                        if not os.get_blocking(fd):  # since a moment ago
                            raise
                    except OSError as exc:
                        if exc.errno not in _NOT_SUPPORTED:
                            raise
                        whole_at_once = False
                until_ready(fd, WRITE)
                if not whole_at_once:
                    written += os_write(fd, view[written : written + PIPE_BUF])
            except OSError:
                if written:
                    break
                raise
    return written
