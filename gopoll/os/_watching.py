"""What is watched, as a tree: all that does not depend on how the kernel tells of changes.

A `Node` is one file or directory. It is there for one of two reasons, or for both:

    ===========  ==================  ============================================================
    reason       node                what ends it
    ===========  ==================  ============================================================
    asked        `asked` is a path   remove(), or the REMOVE or RENAME of the path, which is told
    an entry     has a `parent`      it leaves the directory, or the directory is no longer one
                                     whose entries are nodes (`holds`)
    ===========  ==================  ============================================================

`deep` says that the directories in it are watched as well. It is handed down: a node is deep if
``add(recursive=True)`` asked for it, or if its parent is deep. `Tree.loosen` works out what is left
when a reason has gone.

Invariants: an entry is in the `children` of its parent under its name, so that moving a directory
moves all that is below it at no cost. A node without parent was asked for. Of one file there is one
node, under the first name by which it was added (`handle` is what the kernel knows it by).
"""

import enum
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeAlias, TypeVar

from gopoll._original import errno, os_strerror
from gopoll.runtime.sched import this

__all__ = ["Event", "Identity", "Node", "Op", "Tree", "breathe", "identity", "lost"]

Identity: TypeAlias = tuple[int, int]  # device and inode


class Op(enum.Flag):
    """What happened; mirrors ``fsnotify.Op``. Sets of them are made with ``|``."""

    CREATE = enum.auto()
    """The path is new, or is another file than before."""
    WRITE = enum.auto()
    """The file was written to, or cut short."""
    REMOVE = enum.auto()
    """The path is gone, and so is the watch, if the path was added."""
    RENAME = enum.auto()
    """The path got another name. That one is told as CREATE if its directory is watched."""
    CHMOD = enum.auto()
    """The attributes have changed: rights, owner, times."""
    OVERFLOW = enum.auto()
    """Something was not told."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to `path`; mirrors ``fsnotify.Event``.

    The path begins as it was given to ``add()``. An event has one `op`.

    OVERFLOW says that something was not told, and that the program must look for itself. Without a
    path it may be anywhere, since more happened than the kernel keeps. With one it is in or below
    this path, which cannot be watched, and `error` says why.
    """

    path: str
    op: Op
    error: OSError | None = field(default=None, compare=False)

    def __str__(self) -> str:
        """The operation and the path."""
        why = "" if self.error is None else f" ({self.error})"
        return f"{self.op.name} {self.path}{why}"


class Node:
    """One file or directory that is watched."""

    __slots__ = (
        "asked",
        "children",
        "deep",
        "handle",
        "holds",
        "identity",
        "is_dir",
        "name",
        "parent",
        "recursive",
    )

    def __init__(self, handle: int, file: Identity, *, is_dir: bool) -> None:
        self.handle = handle
        self.identity = file
        self.is_dir = is_dir
        self.asked: str | None = None
        self.recursive = False  # as it was asked for
        self.deep = False
        self.holds = False  # whether its entries are nodes
        self.parent: Self | None = None
        self.name = ""
        self.children: dict[str, Self] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.handle} {self.path!r}>"

    @property
    def path(self) -> str:
        """Where it is, as the path that was asked for begins."""
        names = []
        node = self
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        return "/".join([(node.asked or node.name).rstrip("/"), *reversed(names)]) or "/"

    def join(self, name: str) -> str:
        """Where its entry `name` is."""
        path = self.path
        return path + name if path.endswith("/") else f"{path}/{name}"

    def put_into(self, parent: Self, name: str) -> None:
        """Make it an entry of `parent`."""
        self.take_out()
        self.parent = parent
        self.name = name
        parent.children[name] = self

    def take_out(self) -> None:
        """Make it nobody's entry."""
        parent = self.parent
        if parent is not None:
            self.parent = None
            if parent.children.get(self.name) is self:
                del parent.children[self.name]

    def is_below(self, other: Self) -> bool:
        """Whether it is `other`, or in it."""
        node: Self | None = self
        while node is not None and node is not other:
            node = node.parent
        return node is other


N = TypeVar("N", bound=Node)


class Tree(ABC, Generic[N]):
    """All that one `Watcher` watches; what is abstract here makes a backend.

    A backend is the `File` of an `FD`, too: `read` is the system call that would block, and
    ``close()`` gives back all descriptors once nobody uses any of them.
    """

    def __init__(self) -> None:
        self.asked: dict[str, N] = {}  # by path

    @staticmethod
    @abstractmethod
    def available() -> bool:
        """Whether this system offers it."""

    @abstractmethod
    def fileno(self) -> int:
        """Return the number of the descriptor to wait for."""

    @abstractmethod
    def close(self) -> None:
        """Give back all descriptors."""

    @abstractmethod
    def detach(self) -> int:
        """Forget the number without giving it back."""

    @abstractmethod
    def read(self, _: object) -> Any:
        """Return what the kernel has to tell.

        Raises:
            BlockingIOError: Nothing.
        """

    @abstractmethod
    def translate(self, told: Any) -> list[Event]:
        """Make events of what `read` returned; keep the tree up to date."""

    @abstractmethod
    def find(self, path: str) -> N:
        """Return the node of an existing path; the kernel watches it.

        Raises:
            OSError: The path does not exist, or cannot be watched.
        """

    @abstractmethod
    def spread(self, node: N, told: list[Event] | None) -> None:
        """Watch what is in a directory that `holds`, or that is newly `deep`, and below.

        What is found is told as CREATE, and what cannot be watched as OVERFLOW, unless `told` is
        None; then it is an error.
        """

    @abstractmethod
    def forget(self, node: N) -> None:
        """Let the kernel forget it."""

    @abstractmethod
    def does_hold(self, node: N) -> bool:
        """Whether the entries of a node must be nodes, with `deep` and `asked` as they are."""

    def add(self, path: str, recursive: bool) -> None:
        """Watch `path`. What fails halfway leaves nothing behind."""
        node = self.find(path)
        was = node.asked, node.recursive
        if node.asked is None:
            node.asked = path
            self.asked[path] = node
        try:
            if recursive and not node.is_dir:
                raise NotADirectoryError(errno.ENOTDIR, os_strerror(errno.ENOTDIR), path)
            node.recursive = node.recursive or recursive
            if (node.recursive and not node.deep) or self.does_hold(node) > node.holds:
                node.deep = node.recursive or node.deep
                self.spread(node, None)
        except BaseException:
            if was[0] is None:
                self.unask(node)
            node.recursive = was[1]
            self.loosen(node)
            raise

    def remove(self, path: str) -> None:
        """Stop watching what was added as `path`."""
        node = self.asked.get(path)
        if node is None:
            raise ValueError(f"not watched: {path!r}")
        self.unask(node)
        self.loosen(node)

    def unask(self, node: N) -> None:
        """Take back that it was asked for."""
        if node.asked is not None and self.asked.get(node.asked) is node:
            del self.asked[node.asked]
        node.asked = None
        node.recursive = False

    def loosen(self, node: N) -> None:
        """Drop `node`, and what is below it, as far as there is no reason left to watch it."""
        rest = [node]
        while rest:
            node = rest.pop()
            parent = node.parent
            if parent is not None and not parent.holds:
                node.take_out()
                parent = None
            node.deep = node.is_dir and (node.recursive or (parent is not None and parent.deep))
            node.holds = self.does_hold(node)
            rest += node.children.values()
            if parent is None and node.asked is None:
                node.holds = False
                self.forget(node)

    def cut(self, node: N) -> None:
        """Drop what is no longer where it was, with all below it that nobody asked for."""
        self.unask(node)
        node.take_out()
        self.loosen(node)

    def watched_at(self, path: str) -> N | None:
        """Return the node that is watched under this path, as an entry or because it was asked."""
        names: list[str] = []
        while path not in self.asked:
            above, slash, name = path.rpartition("/")
            path = above or slash
            if not name or not slash:
                return None
            names.append(name)
        node: N | None = self.asked[path]
        while names and node is not None:
            node = node.children.get(names.pop())
        return node

    def directory_of(self, path: str) -> N | None:
        """Return the node of the directory that `path` is in, if that is watched."""
        above, slash, _ = path.rpartition("/")
        return self.watched_at(above or slash) if slash else None

    def is_in_place(self, node: N) -> bool:
        """Whether its path still leads to it."""
        try:
            status = os.stat(node.path, follow_symlinks=node.parent is None)  # noqa: PTH116
        except OSError:
            return False
        return identity(status) == node.identity and (node.is_dir or status.st_nlink > 0)


def identity(status: os.stat_result) -> Identity:
    """Return what makes a file itself, whatever its name."""
    return status.st_dev, status.st_ino


def breathe() -> None:
    """Let others run if the turn is over: trees are large."""
    sched = this.sched
    sched.operations -= 1
    if sched.operations < 0:
        sched.yield_turn()


def lost(path: str, exc: OSError, told: list[Event] | None) -> None:
    """Tell that `path` cannot be watched; raise it if nobody is told."""
    exc.filename = path  # it may be relative to a directory
    if told is None:
        raise exc
    told.append(Event(path, Op.OVERFLOW, exc))
