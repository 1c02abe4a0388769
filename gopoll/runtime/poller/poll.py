"""poll(2): level-triggered, every POSIX system has it; each call hands over the whole set.

It reports HUP, ERR and NVAL even for an empty mask, so a descriptor nobody waits for is taken out
of the set rather than masked.
"""

from gopoll._original import select_module
from gopoll._typing import ClassVar
from gopoll.runtime.poller.base import HANGUP, READ, WRITE, Events, Target

__all__ = ["Poll"]

_MAX_SECONDS = 1_000_000.0  # the kernel counts milliseconds in an int


class Poll:
    """poll(2)."""

    name: ClassVar[str] = "poll"
    edge: ClassVar[bool] = False
    tells_urgent: ClassVar[bool] = True

    __slots__ = ("_poll", "_targets")

    @staticmethod
    def available() -> bool:
        """Whether this system offers it."""
        return hasattr(select_module, "poll")

    def __init__(self) -> None:
        self._poll = select_module.poll()
        self._targets: dict[int, Target] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._targets)} descriptors>"

    def register(self, fd: int, target: Target) -> Target | None:
        """Own `fd`; return the target that had its number."""
        evicted = self._targets.get(fd)
        if evicted is not None:
            self.unregister(fd, evicted)
        self._targets[fd] = target
        return evicted

    def arm(self, fd: int, target: Target, modes: int) -> bool:
        """Ask for one report of `fd`; False if it is always ready."""
        if not modes:
            self.unregister(fd, target)
            return True
        bits = 0
        if modes & READ:
            bits |= select_module.POLLIN | select_module.POLLPRI
        if modes & WRITE:
            bits |= select_module.POLLOUT
        self._targets[fd] = target
        self._poll.register(fd, bits)
        return True

    def unregister(self, fd: int, target: Target) -> None:
        """Forget `fd`."""
        if self._targets.get(fd) is not target:
            return
        del self._targets[fd]
        self._disarm(fd)

    def watch_process(self, pid: int, fd: int, target: Target) -> bool:  # noqa: ARG002 - of kqueue
        """Ask for one report of the end of a child; False if that cannot be had."""
        return fd >= 0 and self.arm(fd, target, READ)

    def forget_process(self, pid: int, fd: int, target: Target) -> None:  # noqa: ARG002 - the same
        """Take that back."""
        self.unregister(fd, target)

    def poll(self, timeout: float | None) -> Events:
        """Return what became ready."""
        # Milliseconds; CPython rounds them up.
        wait = None if timeout is None else min(timeout, _MAX_SECONDS) * 1000
        ended = select_module.POLLHUP | select_module.POLLERR | select_module.POLLNVAL
        ready: Events = []
        for fd, bits in self._poll.poll(wait):
            self._disarm(fd)
            target = self._targets.get(fd)
            if target is None:
                continue
            modes = 0
            if bits & (select_module.POLLIN | select_module.POLLPRI | ended):
                modes |= READ
            if bits & (select_module.POLLOUT | ended):
                modes |= WRITE
            if bits & (select_module.POLLPRI | ended):
                modes |= HANGUP
            ready.append((target, modes))
        return ready

    def find(self, fd: int) -> Target | None:
        """Return what is registered under `fd`."""
        return self._targets.get(fd)

    def targets(self) -> list[Target]:
        """Return everything that is registered."""
        return list(self._targets.values())

    def close(self) -> None:
        """Give back the poller's own descriptor: it has none."""

    def _disarm(self, fd: int) -> None:
        try:
            self._poll.unregister(fd)
        except KeyError:  # nobody was waiting for it
            return
