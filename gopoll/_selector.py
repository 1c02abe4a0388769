"""The selector of an event loop that parks: asyncio's own, but who waits in it is a goroutine.

The selector's epoll or kqueue is itself a descriptor. gopoll owns it, as it owns a socket: it is
registered once with the scheduler's poller, edge-triggered, from the first wait until it is closed.
So a turn of the loop costs no ``epoll_ctl``. The order is that of `fd`: clear the slot, ask with a
timeout of 0, wait.

A loop gives way when the scheduler's turn is over, also if it never has to wait.
"""

import selectors  # noqa: TID251 - the base class, which is patched in place
from typing import Any, Final

from gopoll._original import monotonic
from gopoll.errors import ClosedError
from gopoll.fd import FD
from gopoll.runtime.netpoll import Slot
from gopoll.runtime.poller.base import READ
from gopoll.runtime.sched import Scheduler, this

__all__ = ["Selector"]

_modules: Final[Any] = selectors  # each system has other names in it
_Base: Final[Any] = getattr(_modules, "EpollSelector", None) or _modules.KqueueSelector


class _Queue:
    """The epoll or kqueue as `FD` wants to have it; it does not keep the selector alive."""

    __slots__ = ("_real",)

    def __init__(self, real: Any) -> None:
        self._real = real

    def fileno(self) -> int:
        number: int = self._real.fileno()
        return number

    def close(self) -> None:
        self._real.close()

    def detach(self) -> int:
        _stolen.append(self._real)  # its number is another's: it must never be closed
        return self.fileno()


_stolen: Final[list[Any]] = []


class Selector(_Base):  # type: ignore[misc]
    """The system's best selector; `select` parks the calling goroutine."""

    def __init__(self) -> None:
        super().__init__()
        self._fd = FD(_Queue(self._selector), short_reads=False)
        self._slot: Slot | None = None  # of the scheduler that waited here last

    def select(self, timeout: float | None = None) -> Any:
        """Wait until a file object is ready, for at most `timeout` seconds; None is for ever.

        Returns a list of (key, events) of those that are ready.
        """
        sched = this.sched
        if sched.current is None or sched.dead:
            return super().select(timeout)
        sched.operations -= 1
        if sched.operations < 0 or monotonic() >= sched.turn_end:
            sched.yield_turn()
        slot = self._slot
        if slot is None or slot.sched is not sched:
            slot = self._slot = self._fd.find_slot(sched, READ)
        if slot is not None:
            slot.state = None
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        deadline = None if timeout is None else monotonic() + timeout
        if slot is None:
            slot = self._slot = self._fd.register(sched, READ)  # which reports what is ready by now
        while True:
            _wait(sched, slot, deadline)
            slot.state = None
            ready = super().select(0)
            if ready or (deadline is not None and deadline <= monotonic()):
                return ready

    def close(self) -> None:
        """Close the selector; who waits in it learns so."""
        try:
            self._fd.close()
        except ClosedError:  # once more
            pass
        super().close()

    def __del__(self) -> None:
        fd = getattr(self, "_fd", None)
        if fd is not None and not fd.closing:
            fd.close()


def _wait(sched: Scheduler, slot: Slot, deadline: float | None) -> None:
    """Park until the slot's descriptor may be ready, or the time is over, on the real clock."""
    if deadline is None:
        slot.wait(None)
        return
    timer = sched.timeline.add(deadline, _elapse, slot)
    try:
        slot.wait(None)
    finally:
        sched.timeline.cancel(timer)


def _elapse(slot: Slot) -> None:
    g: Any = slot.state
    if slot.claim():
        slot.sched.ready(g)
