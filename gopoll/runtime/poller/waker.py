"""The waker: one descriptor through which other threads and signal handlers end a poll.

    ==========  =============================  ==========================
    state       wake() from anywhere           drain(), by the scheduler
    ==========  =============================  ==========================
    quiet       writes, becomes rung           reads nothing
    rung        does nothing                   reads, becomes quiet
    ==========  =============================  ==========================

The order of the consumer is: read the descriptor, clear the flag, then look at the inbox. Any other
order loses a wake-up: a producer that finds the flag set relies on a look that is still to come.
"""

from gopoll._original import os_close, os_pipe, os_read, os_write
from gopoll.runtime.poller.base import READ, Poller

try:
    from os import EFD_CLOEXEC, EFD_NONBLOCK, eventfd
except ImportError:  # no Linux
    eventfd = None  # type: ignore[assignment]

from os import set_blocking

__all__ = ["Waker"]

_ONE = (1).to_bytes(8, "little")


class Waker:
    """An eventfd, or a pipe where there is none."""

    __slots__ = ("_poller", "_read_fd", "_rung", "_write_fd")

    def __init__(self, poller: Poller) -> None:
        if eventfd is not None:
            self._read_fd = self._write_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        else:
            self._read_fd, self._write_fd = os_pipe()
            set_blocking(self._read_fd, False)
            set_blocking(self._write_fd, False)
        self._rung = False
        self._poller = poller
        poller.register(self._read_fd, self)
        if not poller.edge:
            poller.arm(self._read_fd, self, READ)

    def __repr__(self) -> str:
        return f"<Waker {'rung' if self._rung else 'quiet'}>"

    def wake(self) -> None:
        """End the present or the next poll; safe from any thread and any signal handler."""
        if not self._rung:
            self._rung = True
            try:
                os_write(self._write_fd, _ONE)
            except BlockingIOError:  # the pipe is full of wake-ups
                return

    def deliver(self, modes: int) -> None:
        """Drain; called by the scheduler, which looks at its inbox afterwards."""
        if modes & READ:
            try:
                os_read(self._read_fd, 4096)
            except BlockingIOError:
                pass
            self._rung = False
        if not self._poller.edge:
            self._poller.arm(self._read_fd, self, READ)

    def evict(self) -> None:
        """Fail loudly: without its waker a scheduler would sleep through wake-ups."""
        msg = "gopoll's wake-up descriptor was closed by somebody else"
        raise RuntimeError(msg)

    def close(self) -> None:
        """Give back the descriptors; who rings too late must not write into somebody else's."""
        self._rung = True
        os_close(self._read_fd)
        if self._write_fd != self._read_fd:
            os_close(self._write_fd)
