"""A stand-in for the kqueue half of the stdlib `select` module, for Linux.

The kqueue poller speaks to `select.kqueue`, which CPython offers only on BSD and macOS.
libkqueue implements the same calls on top of epoll, and the classes here give it CPython's
interface, so the poller's own code can be tested on Linux. It needs libkqueue 2.7: before, no
other thread could wake or change a kqueue that was being waited for. Release 2.7.0 still says
EFAULT whatever made a registration fail; later ones give the reason.

Where libkqueue departs from a real kqueue in a way no caller could make up for, the gap is
closed here and the reason is given beside it. Three gaps stay open. Reporting an event consumes
the socket's pending error: SO_ERROR reads 0 afterwards, and only the event's fflags still tell
it. EV_EOF on a stream is a guess, wrong when another thread empties the socket meanwhile. And
edges are lost when more than 256 descriptors become readable and writable at once.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import functools
import math
import os
import re
import select
import sys
import time
import weakref
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from threading import Lock  # the real one, should a test patch the module later
from typing import Any, Protocol

KQ_FILTER_READ, KQ_FILTER_WRITE, KQ_FILTER_VNODE = -1, -2, -4
KQ_FILTER_PROC, KQ_FILTER_SIGNAL, KQ_FILTER_TIMER = -5, -6, -7
KQ_EV_ADD, KQ_EV_DELETE, KQ_EV_ENABLE, KQ_EV_DISABLE = 0x1, 0x2, 0x4, 0x8
KQ_EV_ONESHOT, KQ_EV_CLEAR, KQ_EV_FLAG1 = 0x10, 0x20, 0x2000
KQ_EV_SYSFLAGS, KQ_EV_ERROR, KQ_EV_EOF = 0xF000, 0x4000, 0x8000
KQ_NOTE_LOWAT = 0x1
KQ_NOTE_DELETE, KQ_NOTE_WRITE, KQ_NOTE_EXTEND, KQ_NOTE_ATTRIB = 0x1, 0x2, 0x4, 0x8
KQ_NOTE_LINK, KQ_NOTE_RENAME, KQ_NOTE_REVOKE = 0x10, 0x20, 0x40
KQ_NOTE_EXIT, KQ_NOTE_FORK, KQ_NOTE_EXEC = 0x80000000, 0x40000000, 0x20000000
KQ_NOTE_PCTRLMASK, KQ_NOTE_PDATAMASK = 0xF0000000, 0x000FFFFF
KQ_NOTE_TRACK, KQ_NOTE_TRACKERR, KQ_NOTE_CHILD = 0x1, 0x2, 0x4

# CPython defines neither of these on any platform, and the filter's number differs between
# systems, so `install` withholds them: code that reads them from `select` must fail here too.
KQ_FILTER_USER = -11
KQ_NOTE_TRIGGER = 0x01000000
_NOT_IN_SELECT = {"KQ_FILTER_USER", "KQ_NOTE_TRIGGER"}

_CAPACITY = 512  # the most libkqueue returns from one call
_LONGEST_WAIT = 86_400 * 10**9  # libkqueue counts milliseconds in an int


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class kevent(ctypes.Structure):
    ident: int
    filter: int
    flags: int
    fflags: int
    data: int
    udata: int

    _fields_ = [
        ("ident", ctypes.c_size_t),
        ("filter", ctypes.c_short),
        ("flags", ctypes.c_ushort),
        ("fflags", ctypes.c_uint),
        ("data", ctypes.c_ssize_t),
        ("udata", ctypes.c_size_t),  # a void *, which ctypes would give back as None for 0
    ]

    def __init__(
        self,
        ident: int | HasFileno,
        filter: int = KQ_FILTER_READ,
        flags: int = KQ_EV_ADD,
        fflags: int = 0,
        data: int = 0,
        udata: int = 0,
    ) -> None:
        number = ident if isinstance(ident, int) else ident.fileno()
        super().__init__(number, filter, flags, fflags, data, udata)

    def __repr__(self) -> str:
        return (
            f"<select.kevent ident={self.ident} filter={self.filter} flags=0x{self.flags:x}"
            f" fflags=0x{self.fflags:x} data=0x{self.data:x} udata=0x{self.udata:x}>"
        )


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def find() -> str | None:
    """The library to load: $GOPOLL_LIBKQUEUE, or else what the system's linker knows."""
    return os.environ.get("GOPOLL_LIBKQUEUE") or ctypes.util.find_library("kqueue")


def install() -> bool:
    """Make `select` offer kqueue if it does not and libkqueue is there; tell whether it does."""
    if hasattr(select, "kqueue"):
        return True
    if find() is None:
        return False
    _library()  # a library that cannot be loaded should fail here, not in the first test
    for module in _modules():
        vars(module).update(_offer())
    return True


def uninstall() -> None:
    """Take back what `install` did."""
    for module in _modules():
        for name in _offer():
            delattr(module, name)


def _offer() -> dict[str, Any]:
    return {
        name: value
        for name, value in globals().items()
        if name in ("kqueue", "kevent") or (name.startswith("KQ_") and name not in _NOT_IN_SELECT)
    }


def _modules() -> list[Any]:
    """The module, and what gopoll keeps of it from its import on."""
    return [
        select,
        *([sys.modules["gopoll"]._original.select_module] if "gopoll" in sys.modules else []),
    ]


@functools.cache
def _library() -> Any:
    library = ctypes.CDLL(find(), use_errno=True)
    pointer, number = ctypes.c_void_p, ctypes.c_int
    library.kevent.argtypes = [number, pointer, number, pointer, number, pointer]
    return library


def _epoll_of(fd: int) -> int:
    # A kqueue can be polled. The number libkqueue gives out is one end of a pipe and never ready;
    # what is ready when the kqueue is, is the epoll set that holds the other end. A second set
    # holds it as well, but not to read.
    descriptors, infos = Path("/proc/self/fd"), Path("/proc/self/fdinfo")
    pipe = (descriptors / str(fd)).readlink()
    sets, ends = [], []
    for link in descriptors.iterdir():
        try:
            target = link.readlink()
            if target == pipe and int(link.name) != fd:
                ends.append(int(link.name))
            elif target == Path("anon_inode:[eventpoll]"):
                sets.append((int(link.name), (infos / link.name).read_text()))
        except FileNotFoundError:  # the one that listed them, or another thread's
            continue
    for number, info in sets:
        for tfd, events in re.findall(r"tfd:\s+(\d+) events:\s+([0-9a-f]+)", info):
            if int(tfd) in ends and int(events, 16) & select.EPOLLIN:
                return number
    return fd


def _error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


class _Process:
    """A descriptor of a process, inside of another that no kernel shows as a file."""

    def __init__(self, change: kevent) -> None:
        self.change = change
        self._process = os.pidfd_open(change.ident)
        self._epoll = select.epoll()
        self._epoll.register(self._process, select.EPOLLIN)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def close(self) -> None:
        self._epoll.close()
        os.close(self._process)


class kqueue:
    def __init__(self) -> None:
        self._processes: dict[int, _Process] = {}
        self._fd: int = _library().kqueue()
        if self._fd < 0:
            raise _error(ctypes.get_errno())
        self._pollable = _epoll_of(self._fd)
        self._kevent = _library().kevent
        self._files: dict[int, tuple[int, int]] = {}
        self._surplus: deque[kevent] = deque()
        self._lock = Lock()
        _alive.add(self)

    def close(self) -> None:
        while self._processes:
            self._processes.popitem()[1].close()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.close()

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def fileno(self) -> int:
        if self._fd < 0:
            raise ValueError("I/O operation on closed kqueue object")
        return self._pollable

    def control(
        self, changelist: Iterable[kevent] | None, max_events: int, timeout: float | None = None, /
    ) -> list[kevent]:
        self.fileno()  # raises if it is closed
        fd = self._fd
        if max_events < 0:
            raise ValueError(f"Length of eventlist must be 0 or positive, got {max_events}")
        if timeout is not None and timeout < 0:
            raise ValueError("timeout must be positive or None")
        changes = [] if changelist is None else list(changelist)
        if not all(isinstance(change, kevent) for change in changes):
            raise TypeError("changelist must be an iterable of select.kevent objects")

        # libkqueue drops the errors of a change list, and waits, when no event is ready; a
        # kqueue returns them at once. Alone and without room, a change reports its own error.
        errors: list[kevent] = []
        for change in changes:
            if code := self._apply(fd, change):
                if len(errors) == max_events:
                    raise _error(code)
                failed = change.ident, change.filter, KQ_EV_ERROR, 0, code, change.udata
                errors.append(kevent(*failed))
        if errors or max_events == 0:
            return errors

        if not self._surplus:
            self._wait(fd, timeout)
        with self._lock:
            count = min(max_events, len(self._surplus))
            return [self._surplus.popleft() for _ in range(count)]

    def _wait(self, fd: int, timeout: float | None) -> None:
        # Edges that find no room in the event list are lost to libkqueue, and one descriptor can
        # need two places. So it always gets all the room it can use, whatever the caller offers,
        # and the surplus is kept for the next call.
        events = (kevent * _CAPACITY)()
        deadline = None if timeout is None else time.monotonic_ns() + math.ceil(timeout * 1e9)
        while True:
            left = _LONGEST_WAIT
            if deadline is not None:
                left = max(0, min(left, deadline - time.monotonic_ns()))
            limit = _Timespec(*divmod(left, 10**9))
            got = self._kevent(fd, None, 0, events, _CAPACITY, ctypes.byref(limit))
            if got > 0:
                found = [self._ended(event) or event for event in events[:got]]
                with self._lock:
                    self._surplus.extend(found)
                return
            if got < 0 and (code := ctypes.get_errno()) != errno.EINTR:
                raise _error(code)
            # Signal handlers run as the loop turns. It also turns when libkqueue returns early
            # with nothing, as it does when another thread took the event.
            if deadline is not None and time.monotonic_ns() >= deadline:
                return

    def _apply(self, fd: int, change: kevent) -> int:
        if change.filter == KQ_FILTER_PROC:
            return self._apply_process(fd, change)
        if change.filter in (KQ_FILTER_READ, KQ_FILTER_WRITE):
            if change.flags & KQ_EV_ADD:
                self._forget_closed(fd, change.ident)
            elif change.flags & KQ_EV_DELETE:
                self._discard(change.ident, change.filter)
        if self._kevent(fd, ctypes.byref(change), 1, None, 0, None) < 0:
            return ctypes.get_errno()
        return 0

    def _apply_process(self, fd: int, change: kevent) -> int:
        # libkqueue asks for the status of a process when it reports the end. If somebody has
        # reaped it by then the report is lost, and so is all that came with it in one batch: the
        # edges of descriptors. So the end is taken from a descriptor of the process instead.
        known = self._processes.pop(change.ident, None)
        if known is not None:
            delete = kevent(known, KQ_FILTER_READ, KQ_EV_DELETE)
            self._kevent(fd, ctypes.byref(delete), 1, None, 0, None)
            known.close()
        if change.flags & KQ_EV_DELETE:
            return 0 if known is not None else errno.ENOENT
        try:
            process = _Process(change)
        except OSError as error:
            return error.errno or errno.ESRCH
        add = kevent(process, KQ_FILTER_READ, KQ_EV_ADD | KQ_EV_ONESHOT)
        if self._kevent(fd, ctypes.byref(add), 1, None, 0, None) < 0:
            process.close()
            return ctypes.get_errno()
        self._processes[change.ident] = process
        return 0

    def _ended(self, event: kevent) -> kevent | None:
        for ident, process in tuple(self._processes.items()):
            if event.filter == KQ_FILTER_READ and process.fileno() == event.ident:
                del self._processes[ident]
                process.close()
                change = process.change
                flags = change.flags | KQ_EV_EOF
                return kevent(ident, KQ_FILTER_PROC, flags, KQ_NOTE_EXIT, 0, change.udata)
        return None

    def _forget_closed(self, fd: int, ident: int) -> None:
        # A kqueue drops a descriptor that is closed. libkqueue does not notice, and would take
        # the next file with that number for the one it knows, and never report it.
        try:
            status = os.fstat(ident)
        except (OSError, OverflowError):
            return
        file = status.st_dev, status.st_ino
        if self._files.setdefault(ident, file) != file:
            self._files[ident] = file
            for filter in (KQ_FILTER_READ, KQ_FILTER_WRITE):
                self._discard(ident, filter)
                delete = kevent(ident, filter, KQ_EV_DELETE)
                self._kevent(fd, ctypes.byref(delete), 1, None, 0, None)

    def _discard(self, ident: int, filter: int) -> None:
        with self._lock:
            kept = [e for e in self._surplus if (e.ident, e.filter) != (ident, filter)]
            self._surplus = deque(kept)


_alive: weakref.WeakSet[kqueue] = weakref.WeakSet()


def _close_in_child() -> None:
    # As in CPython, a kqueue is closed in a forked child. libkqueue has closed the descriptor by
    # then, and closing it again would hit whatever took its number.
    for queue in list(_alive):
        queue._fd = -1


os.register_at_fork(after_in_child=_close_in_child)
