"""epoll: edge-triggered, one registration for the life of a descriptor; or level-triggered.

`select.epoll` gives back numbers, not objects, so `_targets` finds the object; see the contract for
what a number may mean by then.
"""

from gopoll._original import errno, select_module
from gopoll._typing import ClassVar
from gopoll.runtime.poller.base import HANGUP, MAX_EVENTS, READ, WRITE, Events, Target

__all__ = ["Epoll", "EpollLevel"]

_MAX_SECONDS = 1_000_000.0  # the kernel counts milliseconds in an int


class _ModeTable(dict[int, int]):
    """Event bits to modes, worked out once per combination."""

    def __missing__(self, bits: int) -> int:
        modes = 0
        ended = bits & (select_module.EPOLLHUP | select_module.EPOLLERR)
        if ended or bits & (select_module.EPOLLRDHUP | select_module.EPOLLPRI):
            modes |= HANGUP | READ
        if ended or bits & select_module.EPOLLIN:
            modes |= READ
        if ended or bits & select_module.EPOLLOUT:
            modes |= WRITE
        self[bits] = modes
        return modes


class Epoll:
    """Edge-triggered epoll."""

    name: ClassVar[str] = "epoll"
    edge: ClassVar[bool] = True
    tells_urgent: ClassVar[bool] = True

    __slots__ = ("_epoll", "_modes", "_targets")

    @staticmethod
    def available() -> bool:
        """Whether this system offers it."""
        return hasattr(select_module, "epoll")

    def __init__(self) -> None:
        self._epoll = select_module.epoll()  # close-on-exec by default
        self._targets: dict[int, Target] = {}
        self._modes = _ModeTable()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._targets)} descriptors>"

    def register(self, fd: int, target: Target) -> Target | None:
        """Own `fd`; return the target that had its number."""
        evicted = self._targets.get(fd)
        self._control(
            fd,
            select_module.EPOLLIN
            | select_module.EPOLLOUT
            | select_module.EPOLLRDHUP
            | select_module.EPOLLPRI
            | select_module.EPOLLET,
        )
        self._targets[fd] = target
        return evicted

    def arm(self, fd: int, target: Target, modes: int) -> bool:
        """Ask for one report of `fd`; False if it is always ready."""
        if not modes:
            self.unregister(fd, target)
            return True
        bits = select_module.EPOLLONESHOT
        if modes & READ:
            bits |= select_module.EPOLLIN | select_module.EPOLLRDHUP | select_module.EPOLLPRI
        if modes & WRITE:
            bits |= select_module.EPOLLOUT
        try:
            self._control(fd, bits)
        except PermissionError:
            return False
        self._targets[fd] = target
        return True

    def unregister(self, fd: int, target: Target) -> None:
        """Forget `fd`."""
        if self._targets.get(fd) is not target:
            return
        del self._targets[fd]
        try:
            self._epoll.unregister(fd)
        except OSError as exc:
            # Closed behind our back: the kernel has forgotten it already, and the number may be
            # that of a file, which it would not watch.
            if exc.errno not in (errno.EBADF, errno.ENOENT, errno.EPERM):
                raise

    def watch_process(self, pid: int, fd: int, target: Target) -> bool:  # noqa: ARG002 - of kqueue
        """Ask for one report of the end of a child; False if that cannot be had."""
        return fd >= 0 and self.arm(fd, target, READ)

    def forget_process(self, pid: int, fd: int, target: Target) -> None:  # noqa: ARG002 - the same
        """Take that back."""
        self.unregister(fd, target)

    def poll(self, timeout: float | None) -> Events:
        """Return what became ready."""
        wait = -1.0 if timeout is None else min(timeout, _MAX_SECONDS)
        targets, modes = self._targets, self._modes
        events = self._epoll.poll(wait, MAX_EVENTS)  # the method may be patched
        try:
            return [(targets[fd], modes[bits]) for fd, bits in events]
        except KeyError:  # one that has left, whose number a copy keeps in the kernel's set
            return [(targets[fd], modes[bits]) for fd, bits in events if fd in targets]

    def find(self, fd: int) -> Target | None:
        """Return what is registered under `fd`."""
        return self._targets.get(fd)

    def targets(self) -> list[Target]:
        """Return everything that is registered."""
        return list(self._targets.values())

    def close(self) -> None:
        """Give back the poller's own descriptor."""
        self._epoll.close()

    def _control(self, fd: int, bits: int) -> None:
        # A number in the table may be in the kernel's set or not: it leaves when its last copy is
        # closed, which we need not have seen.
        if fd in self._targets:
            try:
                self._epoll.modify(fd, bits)
            except FileNotFoundError:
                self._epoll.register(fd, bits)
            return
        try:
            self._epoll.register(fd, bits)
        except FileExistsError:
            self._epoll.modify(fd, bits)


class EpollLevel(Epoll):
    """Level-triggered epoll, armed for one report at a time."""

    name: ClassVar[str] = "epoll-level"
    edge: ClassVar[bool] = False

    __slots__ = ()

    def register(self, fd: int, target: Target) -> Target | None:
        """Own `fd`; return the target that had its number."""
        evicted = self._targets.get(fd)
        self._control(fd, select_module.EPOLLONESHOT)
        self._targets[fd] = target
        return evicted
