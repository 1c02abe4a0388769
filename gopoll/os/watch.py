"""Watch files and directories for changes, in the manner of Go's fsnotify.

A `Watcher` has a goroutine that waits for the kernel as others wait for a socket, and sends what it
hears as `Event` to the channel `Watcher.events`:

    =========  =====================  ==========================  ================================
    state      add(), remove()        the goroutine               events
    =========  =====================  ==========================  ================================
    open       change what is         waits in the descriptor,    as they come; while nobody
               watched                or for room in the channel  receives, the kernel keeps them
    closed     ClosedError            ends                        closed
    =========  =====================  ==========================  ================================

What the kernel offers is the business of the backends, twins behind one contract (`_watching`):
inotify on Linux; on a system with kqueue its vnode filter. The tree of what is watched is changed
under `_lock` only, and while it is, the descriptors stay valid, since those who change it count as
users of the `FD`. The goroutine knows nothing of the `Watcher`, which can so be collected.
"""

import os
import warnings
from typing import Any, Self

from gopoll.chan import Chan
from gopoll.errors import ChannelClosed, ClosedError
from gopoll.fd import FD
from gopoll.os._inotify import Inotify
from gopoll.os._vnode import Vnode
from gopoll.os._watching import Event, Op, Tree
from gopoll.runtime.proc import go
from gopoll.runtime.sched import this
from gopoll.sync import Mutex

__all__ = ["Event", "Op", "Watcher"]

_CLOSED = "use of closed watcher"


class Watcher:
    """Tells of changes to files and directories; mirrors ``fsnotify.Watcher``.

    `buffer` is how many events fit into the channel. While it is full the kernel keeps what comes;
    when that is full, too, an event says so whose op is ``Op.OVERFLOW``.

    It may be used from any goroutine of any thread, and lives as long as the thread in which it was
    made. A ``with`` block closes it. One that is forgotten is closed when it is collected, with a
    ResourceWarning. In a forked child it is of no use.

    Raises:
        OSError: What the kernel says; EMFILE if there are too many watchers or open files.
        NotImplementedError: The system has neither inotify nor kqueue.
    """

    __slots__ = ("__weakref__", "_feed", "events")

    events: Chan[Event]
    """Where the events come. It is closed together with the watcher."""

    def __init__(self, buffer: int = 64) -> None:
        events = Chan[Event](buffer)
        self._feed = _Feed(_backend(), events)
        self.events = events
        go(self._feed.pump).name = "watcher"

    def __repr__(self) -> str:
        if self.closed:
            return "<Watcher closed>"
        return f"<Watcher of {len(self._feed.tree.asked)} paths>"

    def __del__(self) -> None:
        feed = getattr(self, "_feed", None)
        if feed is not None and not feed.fd.closing:
            try:
                warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
            finally:  # warnings may be errors
                feed.close()

    def add(self, path: str | os.PathLike[str], *, recursive: bool = False) -> None:
        """Watch a file, or a directory and the entries of it; mirrors ``Watcher.Add``.

        `recursive` watches all directories below as well, and those that come later. Symbolic
        links are followed in `path` only.

        What is watched already, under whatever name, is left as it is, but that it may become
        recursive. If anything below cannot be watched, nothing of it is.

        Raises:
            FileNotFoundError: The path does not exist.
            PermissionError: It may not be read.
            NotADirectoryError: It is to be watched recursively, and is no directory.
            OSError: What else the kernel says; ENOSPC if there are too many watches.
            ValueError: There is a null character in it.
            ClosedError: The watcher is closed.
        """
        name = _normal(path)
        if "\0" in name:  # where C would see its end
            raise ValueError("embedded null byte")
        self._feed.use(self._feed.tree.add, name, recursive)

    def remove(self, path: str | os.PathLike[str]) -> None:
        """Stop watching what was added as `path`; mirrors ``Watcher.Remove``.

        What was added by itself inside of it stays watched. Events that are on their way arrive.

        Raises:
            ValueError: `path` is not watched. It never was, or it was removed or renamed.
            ClosedError: The watcher is closed.
        """
        self._feed.use(self._feed.tree.remove, _normal(path))

    def watched(self) -> list[str]:
        """Return the paths that were added and are still watched; mirrors ``Watcher.WatchList``."""
        return [] if self.closed else list(self._feed.tree.asked)

    def close(self) -> None:
        """Stop watching and close `events`, which wakes whoever receives.

        What is buffered there can still be received.

        Raises:
            ClosedError: It is closed already.
        """
        if not self._feed.close():
            raise ClosedError(_CLOSED)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._feed.fd.closing

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._feed.close()


class _Feed:
    """What the goroutine knows."""

    __slots__ = ("_lock", "_process", "events", "fd", "tree")

    def __init__(self, tree: Tree[Any], events: Chan[Event]) -> None:
        self.tree = tree
        self.events = events
        self.fd = FD(tree, short_reads=False)
        self._lock = Mutex()
        self._process = os.getpid()

    def pump(self) -> None:
        """The goroutine: hand on what the kernel tells until the watcher is closed."""
        try:
            while True:
                told = self.fd.reader.run(self.tree.read, None)
                with self._lock:
                    events = self.fd.use(self.tree.translate, told)
                for event in events:
                    self.events.send(event)
        except (ClosedError, ChannelClosed):
            pass
        finally:
            self.close()

    def use(self, change: Any, *args: Any) -> None:
        """Change what is watched."""
        if self._process != os.getpid():  # the kernel would change it for the parent as well
            raise ClosedError("use of a watcher of the parent process")
        try:
            with self._lock:
                self.fd.use(change, *args)
        except ClosedError:
            raise ClosedError(_CLOSED) from None

    def close(self) -> bool:
        """Close descriptors and channel; False if the watcher was closed."""
        was_open = True
        try:
            self.fd.close()
        except ClosedError:
            was_open = False
        try:
            self.events.close()
        except ChannelClosed:
            pass
        return was_open


def _normal(path: str | os.PathLike[str]) -> str:
    """Return the path without detours; what is empty stays so, and is no name of "."."""
    name = os.fsdecode(path)
    return os.path.normpath(name) if name else name


def _backend() -> Tree[Any]:
    kinds: list[type[Tree[Any]]] = [Inotify, Vnode]
    if this.sched.need_poller().name == "kqueue":
        kinds.reverse()
    for kind in kinds:
        if kind.available():
            return kind()
    raise NotImplementedError("neither inotify nor kqueue: files cannot be watched")
