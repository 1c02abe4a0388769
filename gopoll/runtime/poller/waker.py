"""The waker: a pipe through which other threads and signals end a poll.

    ==========  =============================  ==========================
    state       wake() from anywhere           deliver(), by the scheduler
    ==========  =============================  ==========================
    quiet       writes, becomes rung           reads nothing
    rung        does nothing                   reads, becomes quiet
    ==========  =============================  ==========================

A scheduler may end, and close its waker, while another thread is about to write. So who writes is
counted, and whoever is last of those and `close` gives the number back: never does a ring arrive in
a descriptor that has got the number since.

The order of the consumer is: read the descriptor, clear the flag, then look at the inbox. Any other
order loses a wake-up: a producer that finds the flag set relies on a look that is still to come.

Python runs a signal handler between two bytecodes. A signal that comes after the last bytecode
before the poll would sleep with the scheduler, handler and all; so the C part of Python's signal
handling writes to the pipe as well (`hear_signals`). That is why it is no eventfd: one byte is all
that it writes. A ring is a zero; any other byte is the number of a signal, which the waker passes
on to whoever listens (`on_signals`): there is only one such descriptor in a process, and a program
may want it, too.
"""

from collections.abc import Callable

from gopoll._original import os_close, os_pipe, os_read, os_write, set_blocking, set_wakeup_fd
from gopoll._typing import Final
from gopoll.runtime.poller.base import READ, Poller

__all__ = ["Waker", "on_signals"]

on_signals: Final[list[Callable[[bytes], object]]] = []  # told of what arrived, a byte for each

_NOBODY = -1  # who hears signals where nobody does
_RING = b"\0"  # no signal has this number
_PIPE = 65536  # what a pipe holds: one read must empty it, or an edge would be missing


class Waker:
    """The pipe of one scheduler, registered with its poller."""

    __slots__ = (
        "_closed",
        "_hears_signals",
        "_poller",
        "_read_fd",
        "_ringers",
        "_rung",
        "_write_fd",
    )

    def __init__(self, poller: Poller) -> None:
        self._read_fd, self._write_fd = os_pipe()
        set_blocking(self._read_fd, False)
        set_blocking(self._write_fd, False)
        self._rung = False
        self._closed = False
        self._ringers: list[None] = []  # one for each thread inside of `wake`; a list is atomic
        self._hears_signals = False
        self._poller = poller
        try:
            poller.register(self._read_fd, self)
            if not poller.edge:
                poller.arm(self._read_fd, self, READ)
        except BaseException:
            os_close(self._read_fd)
            os_close(self._write_fd)
            raise

    def __repr__(self) -> str:
        return f"<Waker {'rung' if self._rung else 'quiet'}>"

    def hear_signals(self) -> None:
        """Let every signal end the poll; in the main thread, unless the program does it itself."""
        before = set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        self._hears_signals = before == _NOBODY
        if not self._hears_signals:
            set_wakeup_fd(before)

    def wake(self) -> None:
        """End the present or the next poll; safe from any thread and any signal handler."""
        if self._rung:
            return
        self._rung = True
        self._ringers.append(None)
        try:
            if not self._closed:
                os_write(self._write_fd, _RING)
        except (BlockingIOError, BrokenPipeError):  # it is full of signals, or nobody listens now
            return
        finally:
            self._ringers.pop()
            if self._closed:
                self._close_write_end()

    def deliver(self, modes: int) -> None:
        """Drain; called by the scheduler, which looks at its inbox afterwards."""
        if modes & READ:
            self.drain()
        if not self._poller.edge:
            self._poller.arm(self._read_fd, self, READ)

    def drain(self) -> None:
        """Read all, and pass on what signals wrote; in a goroutine, or in the scheduler's turn."""
        try:
            data = os_read(self._read_fd, _PIPE)
        except BlockingIOError:
            data = b""
        self._rung = False
        if on_signals and (signals := data.replace(_RING, b"")):
            for listener in on_signals:
                listener(signals)

    def evict(self) -> None:
        """Fail loudly: without its waker a scheduler would sleep through wake-ups."""
        msg = "gopoll's wake-up descriptor was closed by somebody else"
        raise RuntimeError(msg)

    def close(self) -> None:
        """Give back the descriptors."""
        self._rung = self._closed = True
        if self._hears_signals:
            now = set_wakeup_fd(_NOBODY)
            if now != self._write_fd:
                set_wakeup_fd(now)
        os_close(self._read_fd)
        self._close_write_end()

    def _close_write_end(self) -> None:
        """Give back the number, once, unless somebody may still write to it."""
        if not self._ringers:
            number, self._write_fd = self._write_fd, -1
            if number >= 0:
                os_close(number)
