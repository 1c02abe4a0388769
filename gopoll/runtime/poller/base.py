"""The contract of a poller: what each kernel interface must offer to the scheduler.

A poller *reports*; it never schedules, never calls up, and knows nothing of goroutines.

``register(fd, target)``
    gopoll owns `fd` from now on, until `unregister`. An edge-triggered poller asks the kernel for
    both directions here, once; that reports readiness which is present already. A level-triggered
    one only remembers the target. A number that is registered already has been closed behind our
    back and reused: the new target replaces the old, and `register` returns the old one, so that
    its waiters can be told.
``arm(fd, target, modes)``
    Report `fd` once, as soon as it is ready in one of `modes`, including readiness that is present
    now; then forget it. It replaces what was armed before; `modes` 0 disarms. Used for each wait
    on a level-triggered poller, and on every poller for descriptors that gopoll does not own.
    Returns False if the descriptor is of a kind that is always ready (a regular file).
``unregister(fd, target)``
    Forget `fd`. Must come before ``close(fd)``: a child that holds a copy of the descriptor keeps
    it alive in the kernel, which would go on reporting it under a number that is somebody else's.
    Does nothing if `fd` now belongs to another target.
``poll(timeout)``
    Wait at most `timeout` seconds (None: for ever, 0: not at all) and return what became ready, as
    a list of (target, modes). Rounds up, so that a short timeout never becomes a busy loop. A
    signal whose handler returns does not end the wait; one whose handler raises does.
``watch_process(pid, fd, target)``
    Report once, as READ, that the child `pid` has ended, also if it had before; nobody has reaped
    it. `fd` is a descriptor of it, where the system has such (Linux: pidfd), else negative: a
    poller of descriptors arms it, kqueue needs only the number (EVFILT_PROC, NOTE_EXIT). Returns
    False if it cannot: then a thread must wait. ProcessLookupError says that the process is ending
    or gone, and nothing will be reported. `evict` may come, as for `arm`. The report never tells
    how the process has ended, nor reaps it.
``forget_process(pid, fd, target)``
    Take that back, whether it was reported or not; must come before ``close(fd)``. Does nothing if
    `target` does not watch the process.
``find(fd)``
    What is registered or armed under the number, or None.
``targets()``
    Everything registered, for a scheduler that has lost events and must take all for ready.
``close()``
    Give back the poller's own descriptor, and touch nothing it watches: a child that inherited it
    shares it with its parent.

What a reader of events may *not* assume: that the descriptor is still ready, that the event is for
the descriptor that has the number now, or that HUP comes with data behind it or without. An event
is a hint; only a system call ends or fails an operation.
"""

from gopoll._typing import ClassVar, Protocol

__all__ = ["HANGUP", "MAX_EVENTS", "READ", "READ_WRITE", "WRITE", "Events", "Poller", "Target"]

READ = 1
WRITE = 2
READ_WRITE = READ | WRITE
HANGUP = 4  # the end of the stream, an error or urgent data: readiness won't be announced again

MAX_EVENTS = 256  # of one harvest; what is left comes with the next


class Target(Protocol):
    """What was registered: it is told what became ready."""

    def deliver(self, modes: int) -> None:
        """Take note of readiness; called by the scheduler, on its thread."""

    def evict(self) -> None:
        """Learn that the number was closed behind our back and is somebody else's now."""


Events = list[tuple[Target, int]]


class Poller(Protocol):
    """One way to ask the kernel; see the contract above."""

    name: ClassVar[str]
    edge: ClassVar[bool]  # whether `register` alone reports every edge
    tells_urgent: ClassVar[bool]  # whether urgent data on a socket is reported, as HANGUP

    @staticmethod
    def available() -> bool:
        """Whether this system offers it."""

    def register(self, fd: int, target: Target) -> Target | None:
        """Own `fd`; return the target that had its number."""

    def arm(self, fd: int, target: Target, modes: int) -> bool:
        """Ask for one report of `fd`; False if it is always ready."""

    def unregister(self, fd: int, target: Target) -> None:
        """Forget `fd`."""

    def watch_process(self, pid: int, fd: int, target: Target) -> bool:
        """Ask for one report of the end of a child; False if that cannot be had."""

    def forget_process(self, pid: int, fd: int, target: Target) -> None:
        """Take that back."""

    def poll(self, timeout: float | None) -> Events:
        """Return what became ready."""

    def find(self, fd: int) -> Target | None:
        """Return what is registered under `fd`."""

    def targets(self) -> list[Target]:
        """Return everything that is registered."""

    def close(self) -> None:
        """Give back the poller's own descriptor."""
