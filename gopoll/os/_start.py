"""What surrounds a child: the ends of its pipes before it starts, its context after that."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeAlias

from gopoll._original import os_close, os_pipe, set_blocking
from gopoll.context import Context
from gopoll.os._child import Child
from gopoll.os._descriptor import Descriptor, copy_for_child
from gopoll.os._system import PIPE, SIGKILL, SIGTERM, STDOUT
from gopoll.os.file import File, file_of
from gopoll.runtime.sched import on_thread_of, this

__all__ = ["Ends", "Env", "HasFileno", "Program", "Stream", "close", "watch_over"]


class HasFileno(Protocol):
    """What has a descriptor."""

    def fileno(self) -> int:
        """Return its number."""


Program: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Stream: TypeAlias = int | HasFileno | None
Env: TypeAlias = Mapping[str, str] | Mapping[bytes, bytes] | None


class Ends:
    """The pipes of a child in the making."""

    def __init__(self) -> None:
        self.ours: list[File | None] = []
        self._childs: list[int] = []

    def of(self, stream: Stream, name: str) -> Stream:
        """Return what the child gets as the stream of that name."""
        ours = None
        if isinstance(stream, File):
            fd = stream._fd
            stream = fd.use(copy_for_child, fd.number)  # nobody closes it meanwhile
            self._childs.append(stream)
        elif stream == PIPE and isinstance(stream, int):
            reader, writer = os_pipe()
            mine, stream = (writer, reader) if name == "stdin" else (reader, writer)
            self._childs.append(stream)
            set_blocking(mine, False)
            ours = file_of(Descriptor(mine), name)
        elif stream == STDOUT and isinstance(stream, int) and name != "stderr":
            msg = f"STDOUT is for stderr, not for {name}"
            raise ValueError(msg)
        self.ours.append(ours)
        return stream

    def close_ours(self) -> None:
        """Nothing was started."""
        for file in self.ours:
            close(file)

    def close_childs(self) -> None:
        """The child has its ends, or will never have."""
        for number in self._childs:
            os_close(number)


def close(file: File | None) -> None:
    """Close a file if there is one and nobody has."""
    if file is not None and not file.closed:
        file.close()


def watch_over(
    child: Child, ctx: Context | None, grace: float | None, *, leads: bool
) -> Callable[[], bool] | None:
    """See that `child` ends with `ctx`; return what calls that off."""
    if ctx is None:
        return None
    sched = this.sched

    def terminate() -> None:
        child.ends_group = leads
        if grace == 0 or sched.dead:
            send(SIGKILL)
            return
        send(SIGTERM)
        if grace is not None:
            on_thread_of(sched, kill_later, grace)

    def kill_later(seconds: float) -> None:
        timeline = sched.timeline
        timeline.add(timeline.now() + seconds, send, SIGKILL)

    def send(signum: Any) -> None:
        with suppress(OSError):  # it is somebody else's by now, by way of set-user-id
            child.send(signum, group=leads)

    return ctx.on_done(terminate)
