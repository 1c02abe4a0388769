"""``select``: one of several channel operations, whichever can proceed; Go's, in three passes.

1. With all channels locked, try the cases in random order; the first that can proceed is chosen.
   So the choice is uniform among those that can.
2. None can and there is no default: put a waiter for each case into its channel's queue and park.
   The waiters share one claim, so exactly one case is ever served.
3. Awake: take the losers out of their queues.

Channels are locked in the order of their ids, each once however often it is named.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final, TypeAlias, TypeVar, final, overload

from gopoll.chan import BLOCKED, Chan, nil_chan
from gopoll.errors import ChannelClosed
from gopoll.runtime.bubble import bubbles, durable
from gopoll.runtime.sched import Scheduler, this
from gopoll.runtime.waitq import CaseWaiter, Waiter, refuse, resume

__all__ = ["default", "select"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")


@final
class Default:
    """The case that is chosen when no other can proceed."""

    def __repr__(self) -> str:
        return "default"


default: Final = Default()

_Send: TypeAlias = tuple[Callable[[Any], None], Any]
_Case: TypeAlias = Callable[[], A] | _Send | Default

_RECV, _RECV_OK, _SEND = range(3)


class _Op:
    """One case, understood."""

    __slots__ = ("chan", "index", "kind", "value")

    def __init__(self, index: int, kind: int, chan: Chan[Any], value: Any) -> None:
        self.index = index
        self.kind = kind
        self.chan = chan
        self.value = value

    def answer(self, value: Any, ok: bool) -> tuple[int, Any]:
        """Return what select returns for this case."""
        if self.kind == _SEND:
            return self.index, None
        return self.index, ((value, ok) if self.kind == _RECV_OK else value)


@overload
def select() -> tuple[int, None]: ...
@overload
def select(a: _Case[A], /) -> tuple[int, A | None]: ...
@overload
def select(a: _Case[A], b: _Case[B], /) -> tuple[int, A | B | None]: ...
@overload
def select(a: _Case[A], b: _Case[B], c: _Case[C], /) -> tuple[int, A | B | C | None]: ...
@overload
def select(
    a: _Case[A], b: _Case[B], c: _Case[C], d: _Case[D], /
) -> tuple[int, A | B | C | D | None]: ...
@overload
def select(
    a: _Case[A], b: _Case[B], c: _Case[C], d: _Case[D], e: _Case[E], /
) -> tuple[int, A | B | C | D | E | None]: ...
@overload
def select(*cases: _Case[Any]) -> tuple[int, Any]: ...
def select(*cases: Any) -> tuple[int, Any]:
    """Do one of several channel operations, uniformly chosen among those that can proceed.

    A case is a bound method: ``ch.recv``, ``ch.recv_ok``, or ``(ch.send, value)``; or `default`,
    which is chosen when no other case can proceed. Without it, wait until one can. A nil channel
    never can. Mirrors Go's ``select`` statement.

    Returns:
        The index of the chosen case among all cases, and what was received: the value for
        ``recv``, ``(value, ok)`` for ``recv_ok``, None for a send and for `default`.

    Raises:
        ChannelClosed: The chosen case sends on a closed channel.
        TypeError: A case is none of these, or there are two defaults.
    """
    sched = this.sched
    sched.operations -= 1
    if sched.operations < 0:
        sched.yield_turn()
    ops, fallback = _understand(cases)
    chans = list({id(op.chan): op.chan for op in ops}.values())
    if len(chans) > 1:
        chans.sort(key=id)
    _lock(chans)
    try:
        ops = _shuffled(sched, ops)  # the order of queueing, too: one channel may be named twice
        for op in ops:
            done = op.chan.put(op.value) if op.kind == _SEND else op.chan.take()
            if done is not BLOCKED:
                break
        else:
            done = BLOCKED
            if fallback < 0:
                queued = _queue(sched, ops)
    finally:
        _unlock(chans)
    if done is BLOCKED:
        return (fallback, None) if fallback >= 0 else _wait(sched, chans, ops, queued)
    value, ok, peer = (None, True, done) if op.kind == _SEND else done
    if peer is not None:
        resume(peer.g)
    return op.answer(value, ok)


def _understand(cases: tuple[Any, ...]) -> tuple[list[_Op], int]:
    """Return the operations, without those on a nil channel, and the index of default or -1."""
    ops = []
    fallback = -1
    for index, case in enumerate(cases):
        if case is default:
            if fallback >= 0:
                msg = "select() with two defaults"
                raise TypeError(msg)
            fallback = index
            continue
        is_send = type(case) is tuple and len(case) == 2
        method, value = case if is_send else (case, None)
        chan = getattr(method, "__self__", None)
        name = getattr(method, "__name__", None)
        kind = _KINDS.get((str(name), is_send)) if isinstance(chan, Chan) else None
        if kind is None:
            msg = (
                f"case {index} of select() is {case!r}; "
                "a case is ch.recv, ch.recv_ok, (ch.send, value) or default"
            )
            raise TypeError(msg)
        if chan is not nil_chan:
            ops.append(_Op(index, kind, chan, value))  # type: ignore[arg-type]
    return ops, fallback


_KINDS = {("recv", False): _RECV, ("recv_ok", False): _RECV_OK, ("send", True): _SEND}


def _shuffled(sched: Scheduler, ops: list[_Op]) -> list[_Op]:
    if len(ops) < 2:
        return ops
    if sched.dice is None:
        sched.dice = Random()
    if len(ops) == 2:
        return ops if sched.dice.getrandbits(1) else ops[::-1]
    order = ops.copy()
    sched.dice.shuffle(order)
    return order


def _lock(chans: list[Chan[Any]]) -> None:
    for done, chan in enumerate(chans):
        try:
            chan.enter()
        except RuntimeError:
            _unlock(chans[:done])
            raise


def _unlock(chans: list[Chan[Any]]) -> None:
    for chan in chans:
        chan.leave()


def _queue(sched: Scheduler, ops: list[_Op]) -> tuple[Waiter, list[CaseWaiter]]:
    """Put a waiter for each case into its channel; all locked."""
    shared = Waiter(sched.current or refuse("select"))
    waiters = []
    for op in ops:
        waiter = CaseWaiter(shared, op.value)
        waiters.append(waiter)
        op.chan.queue(waiter, sends=op.kind == _SEND)
    return shared, waiters


def _wait(
    sched: Scheduler,
    chans: list[Chan[Any]],
    ops: list[_Op],
    queued: tuple[Waiter, list[CaseWaiter]],
) -> tuple[int, Any]:
    shared, waiters = queued
    try:
        reason = "select" if ops else "select (no cases)"
        if bubbles[0]:
            reason = durable(reason, shared.g, *[chan.bubble for chan in chans])
        sched.park(shared, reason)
    finally:
        for chan in chans:
            chan.acquire()
        for op, waiter in zip(ops, waiters, strict=True):
            op.chan.unqueue(waiter, sends=op.kind == _SEND)
        for chan in chans:
            chan.release()
    op, waiter = next(pair for pair in zip(ops, waiters, strict=True) if pair[1].claimed)
    if op.kind == _SEND and not waiter.ok:
        msg = "send on closed channel"
        raise ChannelClosed(msg)
    return op.answer(waiter.value, waiter.ok)
