"""kqueue: edge-triggered by EV_CLEAR, one registration of two filters for a descriptor's life.

A knote carries `udata`, so each registration gets a serial number of its own and an event that was
queued for an earlier owner of the same number finds nobody. The end of a process is one knote for
all who watch it; a kernel that has told it forgets the knote.
"""

from gopoll._original import errno, select_module
from gopoll._typing import Any, ClassVar
from gopoll.runtime.poller.base import HANGUP, MAX_EVENTS, READ, READ_WRITE, WRITE, Events, Target

__all__ = ["Kqueue"]

_MAX_SECONDS = 1_000_000.0  # some kernels refuse more
_select: Any = select_module  # its kqueue names exist only where the system has one


class Kqueue:
    """kqueue with EV_CLEAR."""

    name: ClassVar[str] = "kqueue"
    edge: ClassVar[bool] = True
    tells_urgent: ClassVar[bool] = False

    __slots__ = ("_kqueue", "_processes", "_serial", "_serials", "_targets")

    @staticmethod
    def available() -> bool:
        """Whether this system offers it."""
        return hasattr(select_module, "kqueue")

    def __init__(self) -> None:
        self._kqueue = _select.kqueue()
        self._serial = 0
        self._serials: dict[int, int] = {}  # descriptor -> serial of its registration
        self._targets: dict[int, Target] = {}  # serial -> target
        self._processes: dict[int, list[Target]] = {}  # process -> who watches it

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._targets)} descriptors>"

    def register(self, fd: int, target: Target) -> Target | None:
        """Own `fd`; return the target that had its number."""
        evicted = self._forget(fd)
        serial = self._remember(fd, target)
        failures = []
        # WRITE first: where one kernel event serves both filters (libkqueue), the end of a stream
        # with data before it is told to the filter that was added last.
        for modes in (WRITE, READ):
            try:
                self._change(fd, modes, _select.KQ_EV_ADD | _select.KQ_EV_CLEAR, serial)
            except OSError as exc:  # some kernels refuse to watch the other end of a pipe
                failures.append(exc)
        if len(failures) > 1:
            self._forget(fd)
            raise failures[0]
        return evicted

    def arm(self, fd: int, target: Target, modes: int) -> bool:
        """Ask for one report of `fd`; False if it is always ready."""
        self.unregister(fd, target)
        if not modes:
            return True
        serial = self._remember(fd, target)
        try:
            self._change(fd, modes, _select.KQ_EV_ADD | _select.KQ_EV_ONESHOT, serial)
        except PermissionError:
            self._forget(fd)
            return False
        except OSError:
            self._forget(fd)
            raise
        return True

    def unregister(self, fd: int, target: Target) -> None:
        """Forget `fd`."""
        serial = self._serials.get(fd)
        if serial is None or self._targets.get(serial) is not target:
            return
        self._forget(fd)
        for modes in (READ, WRITE):
            try:
                self._change(fd, modes, _select.KQ_EV_DELETE, serial)
            except OSError as exc:
                # A one-shot that fired, or a number closed behind our back, is gone already.
                if exc.errno not in (errno.EBADF, errno.ENOENT):
                    raise

    def watch_process(self, pid: int, fd: int, target: Target) -> bool:  # noqa: ARG002 - of others
        """Ask for one report of the end of a child; False if that cannot be had."""
        watching = self._processes.get(pid)
        if watching is None:
            self._change_process(pid, _select.KQ_EV_ADD | _select.KQ_EV_ONESHOT)
            watching = self._processes[pid] = []
        watching.append(target)
        return True

    def forget_process(self, pid: int, fd: int, target: Target) -> None:  # noqa: ARG002 - the same
        """Take that back."""
        watching = self._processes.get(pid, [])
        if target in watching:
            watching.remove(target)
            if not watching:
                del self._processes[pid]
                try:
                    self._change_process(pid, _select.KQ_EV_DELETE)
                except OSError as exc:
                    if exc.errno not in (errno.ENOENT, errno.ESRCH):  # it has ended meanwhile
                        raise

    def poll(self, timeout: float | None) -> Events:
        """Return what became ready."""
        wait = None if timeout is None else min(timeout, _MAX_SECONDS)
        find = self._targets.get
        ready: Events = []
        for event in self._kqueue.control(None, MAX_EVENTS, wait):
            target = find(event.udata)
            if target is None:
                if event.filter == _select.KQ_FILTER_PROC:
                    watching = self._processes.pop(event.ident, ())
                    ready.extend((watcher, READ) for watcher in watching)
                continue
            modes = READ if event.filter == _select.KQ_FILTER_READ else WRITE
            if event.flags & (_select.KQ_EV_EOF | _select.KQ_EV_ERROR):
                # The end of the stream must wake a writer too: it may come only once.
                modes = READ_WRITE | HANGUP
            ready.append((target, modes))
        return ready

    def find(self, fd: int) -> Target | None:
        """Return what is registered under `fd`."""
        return self._targets.get(self._serials.get(fd, 0))

    def targets(self) -> list[Target]:
        """Return everything that is registered."""
        everybody = list(self._targets.values())
        for watching in self._processes.values():
            everybody.extend(watching)
        return everybody

    def close(self) -> None:
        """Give back the poller's own descriptor."""
        self._kqueue.close()

    def _remember(self, fd: int, target: Target) -> int:
        self._serial += 1
        self._serials[fd] = self._serial
        self._targets[self._serial] = target
        return self._serial

    def _forget(self, fd: int) -> Target | None:
        serial = self._serials.pop(fd, None)
        return None if serial is None else self._targets.pop(serial, None)

    def _change(self, fd: int, modes: int, flags: int, serial: int) -> None:
        filters = []
        if modes & READ:
            filters.append(_select.KQ_FILTER_READ)
        if modes & WRITE:
            filters.append(_select.KQ_FILTER_WRITE)
        changes = [_select.kevent(fd, which, flags, udata=serial) for which in filters]
        self._kqueue.control(changes, 0, 0)

    def _change_process(self, pid: int, flags: int) -> None:
        change = _select.kevent(pid, _select.KQ_FILTER_PROC, flags, fflags=_select.KQ_NOTE_EXIT)
        self._kqueue.control([change], 0, 0)
