"""select(2): level-triggered and limited to descriptors below FD_SETSIZE; the last resort."""

from gopoll._original import errno, select_module, select_select
from gopoll._typing import ClassVar
from gopoll.runtime.poller.base import HANGUP, READ, READ_WRITE, WRITE, Events, Target

__all__ = ["Select"]

_SETSIZE = 1024  # FD_SETSIZE, which Python does not export; a larger one is not in use anywhere
_MAX_SECONDS = 1_000_000.0


class Select:
    """select(2)."""

    name: ClassVar[str] = "select"
    edge: ClassVar[bool] = False
    tells_urgent: ClassVar[bool] = True

    __slots__ = ("_readers", "_targets", "_writers")

    @staticmethod
    def available() -> bool:
        """Whether this system offers it."""
        return hasattr(select_module, "select")

    def __init__(self) -> None:
        self._targets: dict[int, Target] = {}
        self._readers: set[int] = set()
        self._writers: set[int] = set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._targets)} descriptors>"

    def register(self, fd: int, target: Target) -> Target | None:
        """Own `fd`; return the target that had its number."""
        self._check(fd)
        evicted = self._targets.get(fd)
        self._disarm(fd)
        self._targets[fd] = target
        return evicted

    def arm(self, fd: int, target: Target, modes: int) -> bool:
        """Ask for one report of `fd`; False if it is always ready."""
        if not modes:
            self.unregister(fd, target)
            return True
        self._check(fd)
        self._disarm(fd)
        self._targets[fd] = target
        if modes & READ:
            self._readers.add(fd)
        if modes & WRITE:
            self._writers.add(fd)
        return True

    def unregister(self, fd: int, target: Target) -> None:
        """Forget `fd`."""
        if self._targets.get(fd) is target:
            del self._targets[fd]
            self._disarm(fd)

    def watch_process(self, pid: int, fd: int, target: Target) -> bool:  # noqa: ARG002 - of kqueue
        """Ask for one report of the end of a child; False if that cannot be had."""
        return 0 <= fd < _SETSIZE and self.arm(fd, target, READ)

    def forget_process(self, pid: int, fd: int, target: Target) -> None:  # noqa: ARG002 - the same
        """Take that back."""
        self.unregister(fd, target)

    def poll(self, timeout: float | None) -> Events:
        """Return what became ready."""
        wait = None if timeout is None else min(timeout, _MAX_SECONDS)
        try:
            # The third set: urgent data, which ends a read short of what lies behind it.
            found = select_select(self._readers, self._writers, self._readers, wait)
        except OSError as exc:
            if exc.errno != errno.EBADF:
                raise
            return self._closed_behind_our_back()
        modes: dict[int, int] = {}
        for fds, mode in zip(found, (READ, WRITE, READ | HANGUP), strict=True):
            for fd in fds:
                modes[fd] = modes.get(fd, 0) | mode
        return self._report(modes)

    def find(self, fd: int) -> Target | None:
        """Return what is registered under `fd`."""
        return self._targets.get(fd)

    def targets(self) -> list[Target]:
        """Return everything that is registered."""
        return list(self._targets.values())

    def close(self) -> None:
        """Give back the poller's own descriptor: it has none."""

    def _report(self, modes: dict[int, int]) -> Events:
        ready: Events = []
        for fd, mode in modes.items():
            self._disarm(fd)
            ready.append((self._targets[fd], mode))
        return ready

    def _closed_behind_our_back(self) -> Events:
        """One bad number fails the whole call: find it, and let its owner's next call say so."""
        bad: dict[int, int] = {}
        for fd in self._readers | self._writers:
            try:
                select_select([fd], [], [], 0)
            except OSError:
                bad[fd] = READ_WRITE | HANGUP
        return self._report(bad)

    def _disarm(self, fd: int) -> None:
        self._readers.discard(fd)
        self._writers.discard(fd)

    def _check(self, fd: int) -> None:
        if fd >= _SETSIZE:
            msg = (
                f"descriptor {fd} is past what select(2) can watch ({_SETSIZE - 1}); "
                "choose another poller with GOPOLL_POLLER"
            )
            raise OSError(errno.EMFILE, msg)
