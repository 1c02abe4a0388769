"""EVFILT_VNODE: a kqueue of its own with one open descriptor for each file; twin of `_inotify`.

The kernel says which file changed, never the name of an entry. So whatever is in a watched
directory is a node, too, and when a directory changes it is listed and compared with what was in it
before:

    ===============================  ============================================================
    the list shows                   what becomes of it
    ===============================  ============================================================
    a name less                      REMOVE; RENAME if the kernel says that the file was renamed,
                                     or if it is in a directory that changed at the same time
    a name more                      it is opened and watched, and *then* told as CREATE: what
                                     is written before can be read by whoever learns of it
    another file under a name        CREATE; a file that is replaced and one that is removed and
                                     made anew look the same
    a directory under another name   CREATE; its node moves, and with it all that is in it
    ===============================  ============================================================

A file that is open keeps its number, so the same number is the same file (`Entry.stamp`). What
cannot be opened without harm, or at all (symbolic links, FIFOs, devices, what may not be read), is
known from the lists alone, and told apart by its times: there WRITE and CHMOD are not told.

What happens between two looks is told as the difference. So nothing can overflow, and a file that
came and went in between was never there.

Files are opened for their events only, where the system can do that: such a descriptor does not
keep a volume from being unmounted. Directories must be read.
"""

import os
from stat import S_ISDIR, S_ISREG
from typing import Any

from gopoll._original import errno, os_close, select_module
from gopoll.os._watching import Event, Identity, Node, Op, Tree, breathe, identity, lost

__all__ = ["Vnode"]

_select: Any = select_module  # its kqueue names exist only where the system has one
_FILE = getattr(os, "O_EVTONLY", os.O_RDONLY) | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CLOSED = -1
_EVENTS = 256
_FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC})
_VANISHED = (FileNotFoundError, NotADirectoryError)

_strays: list[Any] = []  # whose number is somebody else's by now: to collect one would close that


class Entry(Node):
    """A file, with its descriptor `handle`, if it could be opened."""

    __slots__ = ("serial", "stamp", "status", "tidings")

    def __init__(self, handle: int, file: Identity, *, is_dir: bool) -> None:
        super().__init__(handle, file, is_dir=is_dir)
        self.status: os.stat_result | None = None  # when it was looked at last
        self.serial = 0  # of its registration
        self.stamp: tuple[int, ...] = ()  # what the list of its directory says of it
        self.tidings = 0  # what the kernel said of it, while that is worked out


class Vnode(Tree[Entry]):
    """The backend of BSD and macOS."""

    def __init__(self) -> None:
        super().__init__()
        self._kqueue = _select.kqueue()
        self._serial = 0
        self._entries: dict[int, Entry] = {}  # by serial: an event may be of an earlier owner
        self._known: dict[object, Entry] = {}  # those asked for, and directories, by identity

    @staticmethod
    def available() -> bool:
        """Whether this system offers it."""
        return hasattr(_select, "kqueue")

    # -- the file ----------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return the number of the kqueue, which can be polled."""
        number: int = self._kqueue.fileno()
        return number

    def close(self) -> None:
        """Give back all descriptors."""
        for entry in list(self._entries.values()):
            os_close(entry.handle)
        self._entries.clear()
        self._known.clear()
        self.asked.clear()
        self._kqueue.close()

    def detach(self) -> int:
        """Forget the number of the kqueue without giving it back."""
        number = self.fileno()
        _strays.append(self._kqueue)
        return number

    def read(self, _: object) -> list[Any]:
        """Return what the kernel has to tell."""
        events: list[Any] = self._kqueue.control(None, _EVENTS, 0)
        if not events:
            raise BlockingIOError
        return events

    # -- the tree ----------------------------------------------------------------------------

    def find(self, path: str) -> Entry:
        """Return the node of an existing path; the kernel watches it."""
        status = os.stat(path)  # noqa: PTH116
        entry = self._known.get(identity(status))
        if entry is None:
            parent = self.directory_of(path)
            entry = None if parent is None else parent.children.get(path.rpartition("/")[2])
            if entry is None or entry.identity != identity(status):
                entry = self._open(path, None, is_dir=S_ISDIR(status.st_mode))
            elif entry.handle == _CLOSED:  # what an entry may be, but not what is asked for
                opened = self._open(path, None, is_dir=False)
                entry.handle, entry.serial = opened.handle, opened.serial
                self._entries[entry.serial] = entry
            self._known[entry.identity] = entry
        return entry

    def does_hold(self, node: Entry) -> bool:
        """Whatever is in a watched directory."""
        return node.is_dir and (node.deep or node.asked is not None)

    def forget(self, node: Entry) -> None:
        """Let the kernel forget it."""
        if self._known.get(node.identity) is node:
            del self._known[node.identity]
        if self._entries.pop(node.serial, None) is node:
            try:
                self._register(node, _select.KQ_EV_DELETE)
            except OSError:  # the kernel was faster
                pass
            os_close(node.handle)
            node.handle = _CLOSED

    def spread(self, node: Entry, told: list[Event] | None) -> None:
        """Watch what is in a directory, and below it if it is deep."""
        rest = [node]
        while rest:
            here = rest.pop()
            here.holds = True
            try:
                listed = _list(here)
            except OSError as exc:
                lost(here.path, exc, told)
                continue
            for name, (is_dir, stamp) in listed.items():
                child = here.children.get(name) or self._enter(here, name, stamp, is_dir, told)
                if child is not None and child.is_dir and here.deep and not child.deep:
                    child.deep = True
                    rest.append(child)

    def _enter(
        self,
        parent: Entry,
        name: str,
        stamp: tuple[int, ...],
        is_dir: bool,
        told: list[Event] | None,
    ) -> Entry | None:
        """Take in what is new in a directory; None if it has gone again."""
        breathe()
        path = parent.join(name)
        fault = None
        try:
            status = os.stat(name, dir_fd=parent.handle, follow_symlinks=False)
            entry = self._asked_before(parent, path, status)
            if entry is None and (is_dir or S_ISREG(status.st_mode)):
                entry = self._open(name, parent, is_dir=is_dir)
        except _VANISHED:
            return None
        except OSError as exc:
            if exc.errno in _FULL or (is_dir and parent.deep):
                fault = exc
            entry = None
        if entry is None:
            entry = Entry(_CLOSED, (stamp[0], stamp[1]), is_dir=False)
        entry.stamp = stamp
        entry.put_into(parent, name)
        if told is not None:
            told.append(Event(path, Op.CREATE))
        if fault is not None:
            lost(path, fault, told)
        return entry

    def _asked_before(self, parent: Entry, path: str, status: os.stat_result) -> Entry | None:
        """Return the node of an entry that was added by itself."""
        entry = self._known.get(identity(status))
        if entry is None or entry.parent is not None or parent.is_below(entry):
            return None
        return entry if entry.is_dir or entry.asked == path else None

    def _open(self, path: str, parent: Entry | None, *, is_dir: bool) -> Entry:
        flags = _DIRECTORY if is_dir else _FILE
        try:
            if parent is None:
                handle = os.open(path, flags)
            else:
                handle = os.open(path, flags | os.O_NOFOLLOW, dir_fd=parent.handle)
        except OSError as exc:
            if exc.errno == errno.EMFILE:
                exc.strerror = f"{exc.strerror}: each watched file takes one"
            raise
        try:
            status = os.fstat(handle)
            entry = Entry(handle, identity(status), is_dir=is_dir)
            entry.status = status
            self._serial += 1
            entry.serial = self._serial
            self._register(entry, _select.KQ_EV_ADD | _select.KQ_EV_CLEAR)
        except BaseException:
            os_close(handle)
            raise
        self._entries[entry.serial] = entry
        if is_dir:
            self._known[entry.identity] = entry
        return entry

    def _register(self, entry: Entry, flags: int) -> None:
        notes = _select.KQ_NOTE_WRITE | _select.KQ_NOTE_ATTRIB | _GONE
        event = _select.kevent(
            entry.handle, _select.KQ_FILTER_VNODE, flags, notes, udata=entry.serial
        )
        self._kqueue.control([event], 0)

    # -- what the kernel tells ---------------------------------------------------------------

    def translate(self, told: list[Any]) -> list[Event]:
        """Make events of what `read` returned; keep the tree up to date."""
        out: list[Event] = []
        changed: dict[Entry, None] = {}  # directories to list, in order
        ended: list[Entry] = []
        for event in told:
            entry = self._entries.get(event.udata)
            if entry is None:
                continue
            notes = entry.tidings = event.fflags
            if notes & _GONE and entry.parent is not None:
                changed[entry.parent] = None
            if entry.holds and notes & (_select.KQ_NOTE_WRITE | _GONE):
                changed[entry] = None
            if self._has_ended(entry, notes):
                ended.append(entry)
            elif not notes & _GONE or entry.parent is None:
                self._changed(entry, notes, out)
        self._compare(changed, out)
        for entry in ended:
            if entry.asked is not None:
                self._tell_end(entry, out, moved=False)
                self.cut(entry)
        for entry in filter(None, (self._entries.get(event.udata) for event in told)):
            entry.tidings = 0
            entry.status = os.fstat(entry.handle)
        return out

    def _has_ended(self, entry: Entry, notes: int) -> bool:
        """Whether a path that was asked for is gone; entries are told by their directory."""
        if entry.parent is not None:
            return False
        suspect = notes & _GONE or (notes & _select.KQ_NOTE_ATTRIB and not entry.is_dir)
        return bool(suspect) and not self.is_in_place(entry)

    def _changed(self, entry: Entry, notes: int, out: list[Event]) -> None:
        """Something happened to a file, not to its name."""
        is_written = notes & _select.KQ_NOTE_WRITE and not entry.is_dir
        if notes & (_select.KQ_NOTE_ATTRIB | _GONE) and entry.status is not None:
            before, now = entry.status, os.fstat(entry.handle)
            if entry.is_dir and notes & _select.KQ_NOTE_WRITE:  # by which its times change
                is_news = _rights(before) != _rights(now)
            elif entry.is_dir:
                is_news = before.st_ctime_ns != now.st_ctime_ns
            elif before.st_size != now.st_size and not is_written:  # cut short, on some systems
                is_news, is_written = False, 1
            else:  # that it has a name more or less is no news of this name
                is_news = before.st_nlink == now.st_nlink or entry.asked is not None
            if is_news:
                out.append(Event(entry.path, Op.CHMOD))
        if is_written:
            out.append(Event(entry.path, Op.WRITE))

    def _compare(self, changed: dict[Entry, None], out: list[Event]) -> None:
        """Tell how directories differ from what they were."""
        lists = {}
        for directory in changed:
            if directory.handle != _CLOSED and directory.holds:
                try:
                    lists[directory] = _list(directory)
                except OSError as exc:
                    lost(directory.path, exc, out)
        arrived = {
            stamp[:3]
            for directory, listed in lists.items()
            for name, (_, stamp) in listed.items()
            if name not in directory.children or directory.children[name].stamp != stamp
        }
        moved: dict[tuple[int, ...], Entry] = {}
        for directory, listed in lists.items():
            for name, child in list(directory.children.items()):
                now = listed.get(name)
                if now is not None and now[1] == child.stamp:
                    continue
                file = child.stamp[:3]
                if now is None:
                    self._tell_end(child, out, moved=file in arrived)
                if child.is_dir and file in arrived:
                    self.unask(child)
                    del directory.children[name]  # its path is the old one until it is placed
                    moved[file] = child
                else:
                    self.cut(child)
        for directory, listed in lists.items():
            for name, (is_dir, stamp) in listed.items():
                if name not in directory.children and directory.holds:
                    self._arrived(directory, name, stamp, is_dir, moved, out)
        for entry in moved.values():
            self.cut(entry)

    def _arrived(
        self,
        parent: Entry,
        name: str,
        stamp: tuple[int, ...],
        is_dir: bool,
        moved: dict[tuple[int, ...], Entry],
        out: list[Event],
    ) -> None:
        """There is a new entry."""
        entry = moved.pop(stamp[:3], None)
        if entry is not None and not parent.is_below(entry):
            entry.stamp = stamp
            entry.put_into(parent, name)
            out.append(Event(entry.path, Op.CREATE))
            self.loosen(entry)
        else:
            entry = self._enter(parent, name, stamp, is_dir, out)
        if entry is not None and entry.is_dir and parent.deep and not entry.deep:
            entry.deep = True
            self.spread(entry, out)

    def _tell_end(self, entry: Entry, out: list[Event], *, moved: bool) -> None:
        """Tell that a path is gone, and before that, if it was removed, all that was in it."""
        renamed = moved or _was_renamed(entry)
        if not renamed:
            rest = list(entry.children.values())
            below: list[Entry] = []
            while rest:
                below.append(rest.pop())
                rest += below[-1].children.values()
            out += [Event(child.path, Op.REMOVE) for child in reversed(below)]
        out.append(Event(entry.path, Op.RENAME if renamed else Op.REMOVE))


def _was_renamed(entry: Entry) -> bool:
    """Whether a file that is not where it was goes on under another name."""
    if entry.tidings & _select.KQ_NOTE_DELETE or entry.handle == _CLOSED:
        return False
    if entry.tidings & _select.KQ_NOTE_RENAME:
        return True
    links = os.fstat(entry.handle).st_nlink
    if entry.is_dir or entry.status is None:
        return links > 0
    return links == entry.status.st_nlink


def _rights(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mode, status.st_uid, status.st_gid


def _list(directory: Entry) -> dict[str, tuple[bool, tuple[int, ...]]]:
    """Return what is in a directory: whether it is one itself, and what tells it from others."""
    found = {}
    try:
        with os.scandir(directory.handle) as entries:
            for entry in entries:
                stamp: tuple[int, ...] = directory.identity[0], entry.inode()
                is_dir = entry.is_dir(follow_symlinks=False)
                if not is_dir and not entry.is_file(follow_symlinks=False):
                    try:
                        status = entry.stat(follow_symlinks=False)
                        stamp += status.st_mtime_ns, status.st_ctime_ns
                    except FileNotFoundError:
                        continue
                found[entry.name] = is_dir, stamp
    except FileNotFoundError:  # it was removed
        return {}
    return found


_GONE: int = (
    _select.KQ_NOTE_DELETE | _select.KQ_NOTE_RENAME | _select.KQ_NOTE_REVOKE
    if Vnode.available()
    else 0
)
