"""Channels, with Go's semantics to the letter, usable from any OS thread.

Invariants, whenever nobody is inside the guard:

- Receivers wait only while the buffer is empty; senders wait only while it is full.
- Not both wait, but for waiters of one select that names the channel in both directions.
- Values leave in the order in which they came; waiters are served in the order of their coming.
- A sender hands its value straight to a waiting receiver; a receiver that takes from a full buffer
  moves the first waiting sender's value in.

    ==========  ===========  ==========  =======================  ====================
    operation   nil channel  empty       full                     closed
    ==========  ===========  ==========  =======================  ====================
    send        for ever     goes on     waits for a receiver     ChannelClosed
    recv        for ever     waits       goes on                  the buffer, then None
    close       an error     closes      closes; waiting senders  ChannelClosed
                                         get ChannelClosed
    ==========  ===========  ==========  =======================  ====================

An unbuffered channel is empty and full at the same time.

Where a signal handler or a finalizer re-enters a channel in the middle of somebody's change (see
`guard`), a send that finds room and a close are done by a goroutine a moment later; what would have
to wait raises RuntimeError.
"""

from collections import deque
from collections.abc import Iterator

from gopoll._typing import Any, Final, Generic, TypeVar
from gopoll.errors import ChannelClosed
from gopoll.runtime.bubble import bubble_of, bubbles, durable
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.guard import Guard
from gopoll.runtime.proc import go
from gopoll.runtime.sched import this
from gopoll.runtime.waitq import Waiter, WaitQueue, need_room, refuse, resume

__all__ = ["BLOCKED", "Chan", "nil_chan"]

T = TypeVar("T")


class _Blocked:
    def __repr__(self) -> str:
        return "BLOCKED"


_NO_BUFFER: deque[Any] = deque(maxlen=0)  # shared by all unbuffered channels
BLOCKED: Final = _Blocked()  # what `put` and `take` answer when they would have to wait


class Chan(Guard, Generic[T]):
    """A channel of values; mirrors ``make(chan T, cap)``.

    `cap` values fit into it before a send has to wait; 0 makes every send wait for its receiver.

    Raises:
        ValueError: `cap` is negative.
        TypeError: `cap` is no integer.
    """

    __slots__ = ("__weakref__", "_buffer", "_receivers", "_senders", "bubble", "cap", "closed")

    def __init__(self, cap: int = 0) -> None:
        if not isinstance(cap, int):
            msg = f"the capacity of a channel is an integer, got {cap!r}"
            raise TypeError(msg)
        if cap < 0:
            msg = f"the capacity of a channel cannot be negative: {cap}"
            raise ValueError(msg)
        Guard.__init__(self)  # a `super()` is a tenth of the price of a channel
        self.cap = cap
        self.closed = False
        self.bubble = bubble_of(this.sched.current) if bubbles[0] else None
        self._buffer: deque[T] = deque() if cap else _NO_BUFFER
        self._receivers = WaitQueue()
        self._senders = WaitQueue()

    def __repr__(self) -> str:
        state = " closed" if self.closed else ""
        return f"<Chan at {id(self):#x} {len(self._buffer)}/{self.cap}{state}>"

    def __len__(self) -> int:
        """How many values are buffered."""
        return len(self._buffer)

    def __bool__(self) -> bool:
        """A channel is true, however empty."""
        return True

    def __iter__(self) -> Iterator[T]:
        """Receive until the channel is closed and drained; mirrors ``for v := range ch``."""
        while True:
            value, ok = self.recv_ok()
            if not ok:
                return
            yield value  # type: ignore[misc]

    def send(self, value: T) -> None:
        """Send `value`; wait until there is room for it, or a receiver.

        Raises:
            ChannelClosed: The channel is closed, or was while this waited.
        """
        sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
        self.latch.acquire()
        if self.busy:
            self.latch.release()
            self._reentered_send(value, must=True)
            return
        self.busy = True
        try:
            # As `put` does: the calls would cost a quarter of a send.
            if self.closed:
                raise ChannelClosed(_SEND_ON_CLOSED)
            receiver = self._receivers.first and self._receivers.claim_first()
            if receiver is not None:
                receiver.value = value
                receiver.ok = True
            elif len(self._buffer) < self.cap:
                self._buffer.append(value)
                return
            else:
                waiter = Waiter(sched.current or refuse("chan send"), value)
                self._senders.push(waiter)
        finally:
            self.busy = False
            self.latch.release()
        if receiver is not None:
            g = receiver.g
            if g.sched is sched:  # here, and below: `resume` without the calls
                sched.runq.append(g)
                if sched.sleeping:
                    sched.ring()
            else:
                resume(g)
            return
        try:
            sched.park(waiter, "chan send" if self.bubble is None else self._durable("chan send"))
        except BaseException:
            self._withdraw(waiter, self._senders)
            raise
        if not waiter.ok:
            raise ChannelClosed(_SEND_ON_CLOSED)

    def recv_ok(self) -> tuple[T | None, bool]:
        """Receive a value, and True; or None and False once the channel is closed and drained.

        Mirrors ``v, ok := <-ch``.
        """
        sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
        self.latch.acquire()
        if self.busy:
            self.latch.release()
            self.enter()  # raises
        self.busy = True
        try:
            if self._senders.first is not None or self.closed:
                taken = self.take()
            elif self._buffer:  # as `take` does, here and below, without the call
                return self._buffer.popleft(), True
            else:
                taken = BLOCKED
            if taken is BLOCKED:
                waiter = Waiter(sched.current or refuse("chan receive"))
                self._receivers.push(waiter)
        finally:
            self.busy = False
            self.latch.release()
        if taken is BLOCKED:
            try:
                sched.park(
                    waiter, "chan receive" if self.bubble is None else self._durable("chan receive")
                )
            except BaseException:
                self._withdraw(waiter, self._receivers)
                raise
            return waiter.value, waiter.ok
        value, ok, sender = taken
        if sender is not None:
            g = sender.g
            if g.sched is sched:
                sched.ready(g)
            else:
                resume(g)
        return value, ok

    def recv(self) -> T | None:
        """Receive a value; None once the channel is closed and drained. Mirrors ``<-ch``."""
        return self.recv_ok()[0]

    def try_send(self, value: T) -> bool:
        """Send `value` if that needs no waiting; tell whether it was sent.

        Raises:
            ChannelClosed: The channel is closed.
        """
        self.latch.acquire()
        if self.busy:
            self.latch.release()
            return self._reentered_send(value, must=False)
        self.busy = True
        try:
            receiver = self.put(value)
        finally:
            self.busy = False
            self.latch.release()
        if receiver is BLOCKED:
            return False
        if receiver is not None:
            resume(receiver.g)
        return True

    def try_recv(self) -> tuple[T | None, bool]:
        """Receive a value, and True, if that needs no waiting; else None and False.

        Raises:
            ChannelClosed: The channel is closed and drained, so that no value will ever come.
        """
        self.latch.acquire()
        if self.busy:  # in the middle of a change, by a handler: nothing to be had now
            self.latch.release()
            return None, False
        self.busy = True
        try:
            taken = self.take()
        finally:
            self.busy = False
            self.latch.release()
        if taken is BLOCKED:
            return None, False
        value, ok, sender = taken
        if sender is not None:
            resume(sender.g)
        if not ok:
            msg = "receive from closed channel"
            raise ChannelClosed(msg)
        return value, True

    def close(self) -> None:
        """Close the channel: nothing more will be sent.

        What is buffered can still be received. Waiting receivers get None and False, waiting
        senders ChannelClosed.

        Raises:
            ChannelClosed: It is closed already.
        """
        self.latch.acquire()
        if self.busy:
            self.latch.release()
            go(self.close)
            return
        self.busy = True
        try:
            if self.closed:
                msg = "close of closed channel"
                raise ChannelClosed(msg)
            need_room()
            self.closed = True
            woken: list[Goroutine[Any]] = []
            for queue in (self._receivers, self._senders):
                while (waiter := queue.claim_first()) is not None:
                    waiter.value = None
                    woken.append(waiter.g)
        finally:
            self.busy = False
            self.latch.release()
        for g in woken:
            resume(g)

    # -- for select and aio as well: all of it inside the guard -------------------------------

    def put(self, value: T) -> Any:
        """Pass `value` on: returns the receiver to resume, None if it is buffered, or BLOCKED."""
        if self.closed:
            raise ChannelClosed(_SEND_ON_CLOSED)
        if self._receivers.first is not None:
            receiver = self._receivers.claim_first()
            if receiver is not None:
                receiver.value = value
                receiver.ok = True
                return receiver
        if len(self._buffer) < self.cap:
            self._buffer.append(value)
            return None
        return BLOCKED

    def take(self) -> Any:
        """Take a value: returns (value, ok, sender to resume or None), or BLOCKED."""
        buffer = self._buffer
        sender = None
        if buffer:
            value = buffer.popleft()
            if self._senders.first is not None and len(buffer) < self.cap:
                sender = self._senders.claim_first()
                if sender is not None:
                    buffer.append(sender.value)
                    sender.ok = True
            return value, True, sender
        if self._senders.first is not None:
            sender = self._senders.claim_first()
            if sender is not None:
                sender.ok = True
                return sender.value, True, sender
        if self.closed:
            return None, False, None
        return BLOCKED

    def put_back(self, value: T) -> Any:
        """Undo a receive: `value` is the next to be received. Returns the receiver to resume."""
        receiver = self._receivers.claim_first()
        if receiver is not None:
            receiver.value = value
            receiver.ok = True
            return receiver
        if self._buffer is _NO_BUFFER:
            self._buffer = deque()
        self._buffer.appendleft(value)  # one too many, perhaps, until it is received
        return None

    def queue(self, waiter: Waiter, *, sends: bool) -> None:
        """Let `waiter` wait here for its turn to send or to receive."""
        (self._senders if sends else self._receivers).push(waiter)

    def unqueue(self, waiter: Waiter, *, sends: bool) -> None:
        """Take `waiter` out if it still waits here."""
        (self._senders if sends else self._receivers).discard(waiter)

    # -- the rare paths ----------------------------------------------------------------------

    def _durable(self, reason: str) -> str:
        return durable(reason, this.sched.current, self.bubble)

    def _withdraw(self, waiter: Waiter, queue: WaitQueue) -> None:
        self.latch.acquire()
        queue.discard(waiter)
        self.latch.release()

    def _reentered_send(self, value: T, *, must: bool) -> bool:
        """Send from a handler that interrupted a change of this very channel."""
        if self.closed:
            raise ChannelClosed(_SEND_ON_CLOSED)
        if self._receivers.first is not None or len(self._buffer) < self.cap:
            go(self.send, value)
            return True
        if must:
            self.enter()  # raises
        return False


_SEND_ON_CLOSED = "send on closed channel"


class _NilChan(Chan[Any]):
    """Go's nil channel: never ready, in a select never chosen, and an error to close."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "nil_chan"

    def send(self, value: Any) -> None:  # noqa: ARG002 - it goes nowhere
        """Wait for ever."""
        _wait_for_ever("chan send (nil chan)")

    def recv_ok(self) -> tuple[Any, bool]:
        """Wait for ever."""
        _wait_for_ever("chan receive (nil chan)")
        return None, False

    def try_send(self, value: Any) -> bool:  # noqa: ARG002
        """False."""
        return False

    def try_recv(self) -> tuple[Any, bool]:
        """None and False."""
        return None, False

    def close(self) -> None:
        """Raise ChannelClosed."""
        msg = "close of nil channel"
        raise ChannelClosed(msg)


def _wait_for_ever(reason: str) -> None:
    sched = this.sched
    g = sched.current or refuse(reason)
    sched.park(Waiter(g), durable(reason, g))


nil_chan: Chan[Any] = _NilChan()
