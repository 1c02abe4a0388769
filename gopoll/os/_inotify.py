"""inotify: one descriptor that tells of everything, in order; twin of `_vnode`.

The kernel knows watches by number and tells names relative to them, so nodes are needed for what
was added, and for the directories of recursive watches. Where Linux tells more, or later, than
others do, that is evened out here:

    ==============================  =============================================================
    the kernel tells                what becomes of it
    ==============================  =============================================================
    a change to a watched file and  told once, under the path
    the same to its directory
    CHMOD as a name is taken away,  REMOVE at once, if the path leads elsewhere now
    REMOVE once nobody has it open
    what happens in a removed file  nothing
    a directory that is new in a    CREATE, it is watched, and *then* listed: what was made in it
    deep one                        before is told from the list, what is made later by the
                                    kernel, and what both tell (`Watch.listed`) once
    a directory that moves from one CREATE; watches go on, and their paths are the new ones
    deep one to another
    ==============================  =============================================================

The kernel announces a move as MOVED_FROM and MOVED_TO, then MOVE_SELF to the watch of what was
moved. So a node that is still in `_moving` by then has left the tree.

Paths are those of the time of the reading, and events those of an earlier one. So whatever a path
is looked up for, it may lead to nothing, or to another file. In the first case more events will
come; in the second, the file that is there is the one to watch.
"""

import functools
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR
from typing import Any

from gopoll._original import errno, os_close, os_read, os_strerror
from gopoll.os._watching import Event, Identity, Node, Op, Tree, breathe, identity, lost

__all__ = ["Inotify"]

_MODIFY, _ATTRIB = 0x2, 0x4
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
_UNMOUNT, _Q_OVERFLOW, _IGNORED = 0x2000, 0x4000, 0x8000
_ONLYDIR, _DONT_FOLLOW, _EXCL_UNLINK = 0x1000000, 0x2000000, 0x4000000
_ISDIR = 0x40000000
_ARRIVED, _LEFT = _CREATE | _MOVED_TO, _DELETE | _MOVED_FROM
_MASK = _MODIFY | _ATTRIB | _ARRIVED | _LEFT | _DELETE_SELF | _MOVE_SELF | _EXCL_UNLINK

_HEAD = struct.Struct("iIII")  # watch, mask, cookie, length of the name
_CHUNK = 65536
_LIMITS = Path("/proc/sys/fs/inotify")


class Watch(Node):
    """What the kernel knows under the number `handle`."""

    __slots__ = ("cookie", "listed")

    def __init__(self, handle: int, file: Identity, *, is_dir: bool) -> None:
        super().__init__(handle, file, is_dir=is_dir)
        self.cookie = 0  # while it is in `_moving`
        self.listed: set[str] = set()  # told as new, and the kernel may do so once more


class Inotify(Tree[Watch]):
    """The backend of Linux."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = system_calls()
        self._number: int = self._calls.init()
        self._watches: dict[int, Watch] = {}
        self._moving: dict[int, Watch] = {}  # by cookie
        self._fresh: list[Watch] = []  # those with a list
        self._last: Event | None = None  # that the kernel told of an entry

    @staticmethod
    def available() -> bool:
        """Whether this system offers it."""
        return system_calls() is not None

    # -- the file ----------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return the number."""
        return self._number

    def close(self) -> None:
        """Give the number back, and with it all watches."""
        self._watches.clear()
        self.asked.clear()
        os_close(self._number)

    def detach(self) -> int:
        """Forget the number without giving it back."""
        number, self._number = self._number, -1
        return number

    def read(self, _: object) -> bytes:
        """Return what the kernel has to tell."""
        try:
            return os_read(self._number, _CHUNK)
        except BlockingIOError:
            for watch in self._fresh:  # nothing is left of the time before they were listed
                watch.listed.clear()
            self._fresh.clear()
            raise

    # -- the tree ----------------------------------------------------------------------------

    def find(self, path: str) -> Watch:
        """Return the node of an existing path; the kernel watches it."""
        handle = self._calls.add_watch(self._number, path, _MASK)
        return self._watches.get(handle) or self._remember(handle, path)

    def does_hold(self, node: Watch) -> bool:
        """The directories in deep ones."""
        return node.deep

    def forget(self, node: Watch) -> None:
        """Let the kernel forget it."""
        if self._watches.get(node.handle) is node:
            del self._watches[node.handle]
            self._moving.pop(node.cookie, None)
            self._calls.rm_watch(self._number, node.handle)

    def spread(self, node: Watch, told: list[Event] | None, *, again: bool = False) -> None:
        """Watch the directories in a deep one; `again`: look into those that are deep already."""
        rest = [node]
        while rest:
            here = rest.pop()
            here.deep = here.holds = True
            path = here.path
            breathe()
            try:
                with os.scandir(path) as entries:
                    found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
            except (FileNotFoundError, NotADirectoryError):  # gone again: the kernel tells
                continue
            except OSError as exc:
                lost(path, exc, told)
                continue
            if told is not None and not again:
                told += [Event(f"{path.rstrip('/')}/{name}", Op.CREATE) for name, _ in found]
                here.listed.update(name for name, _ in found)
                self._fresh.append(here)
            for name in (name for name, is_dir in found if is_dir):
                child = self._take_in(here, name, told)
                if child is not None and (again or not child.deep):
                    rest.append(child)

    def _take_in(self, parent: Watch, name: str, told: list[Event] | None) -> Watch | None:
        """Watch a directory as an entry of a deep one; None if that cannot be."""
        path = parent.join(name)
        try:
            handle = self._calls.add_watch(self._number, path, _MASK | _ONLYDIR | _DONT_FOLLOW)
            watch = self._watches.get(handle) or self._remember(handle, path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:
            lost(path, exc, told)
            return None
        if parent.is_below(watch):  # mounted into itself
            return None
        self._moving.pop(watch.cookie, None)
        stranger = parent.children.get(name)
        watch.put_into(parent, name)
        if stranger is not None and stranger is not watch:
            self.cut(stranger)
        return watch

    def _remember(self, handle: int, path: str) -> Watch:
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            self._calls.rm_watch(self._number, handle)
            raise
        watch = Watch(handle, identity(status), is_dir=S_ISDIR(status.st_mode))
        self._watches[handle] = watch
        return watch

    # -- what the kernel tells ---------------------------------------------------------------

    def translate(self, told: bytes) -> list[Event]:
        """Make events of what `read` returned; keep the tree up to date."""
        out: list[Event] = []
        for offset, handle, mask, cookie, name in _records(told):
            breathe()
            if mask & _Q_OVERFLOW:
                self._look_again(out)
                out.append(Event("", Op.OVERFLOW))
                continue
            watch = self._watches.get(handle)
            if watch is None:  # not any more
                continue
            if not name:
                self._itself(watch, mask, told[offset:], out)
            elif mask & _ARRIVED:
                self._arrived(watch, name, mask, cookie, out)
            elif mask & _LEFT:
                self._left(watch, name, mask, cookie, out)
            else:
                op = Op.WRITE if mask & _MODIFY else Op.CHMOD
                self._last = Event(watch.join(name), op)
                out.append(self._last)
        return out

    def _itself(self, watch: Watch, mask: int, later: bytes, out: list[Event]) -> None:
        """Something happened to what is watched, not to an entry of it."""
        if mask & _DELETE_SELF and self.directory_of(watch.path) is not None:
            self.cut(watch)  # the directory tells it
        elif mask & (_DELETE_SELF | _UNMOUNT):
            self._end(watch, Op.REMOVE, out)
        elif mask & _IGNORED:
            self.cut(watch)
        elif mask & _MOVE_SELF:
            if watch.cookie in self._moving:  # to where nothing is watched
                self.cut(watch)
            elif watch.parent is None:
                self._end(watch, Op.RENAME, out)
        elif mask & _ATTRIB and not watch.is_dir and not self.is_in_place(watch):
            if self.directory_of(watch.path) is not None:
                return  # which tells it
            moves = any(h == watch.handle and m & _MOVE_SELF for _, h, m, *_ in _records(later))
            if moves:
                out.append(Event(watch.path, Op.CHMOD))
            else:
                self._end(watch, Op.REMOVE, out)
        else:
            event = Event(watch.path, Op.WRITE if mask & _MODIFY else Op.CHMOD)
            if event != self._last:
                out.append(event)
            self._last = None

    def _arrived(self, parent: Watch, name: str, mask: int, cookie: int, out: list[Event]) -> None:
        """There is a new entry."""
        path = parent.join(name)
        if mask & _CREATE and name in parent.listed:
            parent.listed.discard(name)
            return
        out.append(Event(path, Op.CREATE))
        self._end_if_gone(path)
        if not mask & _ISDIR or not parent.deep:
            return
        moved = self._moving.pop(cookie, None) if cookie else None
        if moved is not None:
            if self._graft(moved, parent, name):
                return
            if not self._put_back(moved):
                self.cut(moved)
        child = self._take_in(parent, name, out)
        if child is not None and not child.deep:
            self.spread(child, out)

    def _left(self, parent: Watch, name: str, mask: int, cookie: int, out: list[Event]) -> None:
        """There is an entry less."""
        path = parent.join(name)
        out.append(Event(path, Op.RENAME if mask & _MOVED_FROM else Op.REMOVE))
        parent.listed.discard(name)
        child = parent.children.get(name)
        if child is None:
            self._end_if_gone(path)
        elif mask & _MOVED_FROM:
            self.unask(child)
            del parent.children[name]
            child.cookie = cookie
            self._moving[cookie] = child
        else:
            self.cut(child)

    def _graft(self, moved: Watch, parent: Watch, name: str) -> bool:
        """Let what was moved go on as the entry `name`; False if another file has that name."""
        try:
            status = os.lstat(parent.join(name))
        except OSError:  # on its way further, which will be told
            status = None
        if status is not None and identity(status) != moved.identity:
            return False
        moved.put_into(parent, name)
        self.loosen(moved)
        return True

    def _put_back(self, moved: Watch) -> bool:
        """Whether it was not this that was moved: its place was taken before we looked."""
        parent = moved.parent
        if parent is None or moved.name in parent.children or not self.is_in_place(moved):
            return False
        parent.children[moved.name] = moved
        return True

    def _end(self, watch: Watch, op: Op, out: list[Event]) -> None:
        """The path that was asked for is gone; entries are told by their directory."""
        if watch.asked is not None:
            out.append(Event(watch.path, op))
        self.cut(watch)

    def _end_if_gone(self, path: str) -> None:
        """The directory told of `path`; whoever asked for it as well need not be told again."""
        watch = self.asked.get(path)
        if watch is not None and not self.is_in_place(watch):
            self.cut(watch)

    def _look_again(self, out: list[Event]) -> None:
        """Events were lost: drop what is not where it was, watch what is new."""
        for watch in list(self._moving.values()):
            self.cut(watch)
        for watch in list(self._watches.values()):
            breathe()
            if self._watches.get(watch.handle) is watch and not self.is_in_place(watch):
                self._end(watch, Op.REMOVE, out)
        for watch in list(self._watches.values()):
            if watch.recursive:
                self.spread(watch, out, again=True)


def _records(data: bytes) -> Iterator[tuple[int, int, int, int, str]]:
    """Take apart what was read: where each record ends, watch, mask, cookie, name."""
    offset = 0
    while offset < len(data):
        handle, mask, cookie, length = _HEAD.unpack_from(data, offset)
        offset += _HEAD.size + length
        name = data[offset - length : offset].rstrip(b"\0") if length else b""
        yield offset, handle, mask, cookie, os.fsdecode(name)


class _Calls:
    """The system calls, which Python does not offer."""

    def __init__(self, libc: Any, get_errno: Any) -> None:
        self._init1 = libc.inotify_init1
        self._add_watch = libc.inotify_add_watch
        self._rm_watch = libc.inotify_rm_watch
        self._errno = get_errno

    def init(self) -> int:
        number: int = self._init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if number < 0:
            raise _error(self._errno(), None)
        return number

    def add_watch(self, number: int, path: str, mask: int) -> int:
        handle: int = self._add_watch(number, os.fsencode(path), mask)
        if handle < 0:
            raise _error(self._errno(), path)
        return handle

    def rm_watch(self, number: int, handle: int) -> None:
        self._rm_watch(number, handle)  # fails if the kernel was faster


def _error(code: int, path: str | None) -> OSError:
    text = os_strerror(code)
    limit = {errno.ENOSPC: "max_user_watches", errno.EMFILE: "max_user_instances"}.get(code)
    if limit is not None:
        try:
            text += f": the limit fs.inotify.{limit} ({(_LIMITS / limit).read_text().strip()})"
        except OSError:
            text += f": the limit fs.inotify.{limit}"
    return OSError(code, text) if path is None else OSError(code, text, path)


@functools.cache
def system_calls() -> Any:
    """Return them; None if the C library has none of them."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "inotify_init1"):
        return None
    libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
    libc.inotify_rm_watch.argtypes = [ctypes.c_int, ctypes.c_int]
    return _Calls(libc, ctypes.get_errno)
