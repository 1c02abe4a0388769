"""``select``: one of several channel operations, whichever can proceed; Go's, in three passes.

1. With all channels locked, try the cases in random order; the first that can proceed is chosen.
   So the choice is uniform among those that can.
2. None can and there is no default: put a waiter for each case into its channel's queue and park.
   The waiters share one claim, so exactly one case is ever served.
3. Awake: take the losers out of their queues.

Channels are locked in the order of their ids, each once however often it is named.
"""

from __future__ import annotations  # a `_Case` that means nothing takes no argument

from collections.abc import Callable
from random import Random

from gopoll._typing import Any, Final, TypeAlias, TypeVar, final, overload
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
_Op: TypeAlias = tuple[int, int, Chan[Any], Any]  # one case, understood: its index and kind


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
    ops, chans, fallback = _understand(cases)
    if len(chans) > 1:
        if len(chans) > 2 or chans[0] is chans[1]:
            chans = sorted(set(chans), key=id)
        elif id(chans[0]) > id(chans[1]):  # two cost a tenth of what sorting does
            chans.reverse()
        if sched.dice is None:
            sched.dice = Random()
    _lock(chans)
    try:
        # Shuffled as they are tried; all of them if they are to be queued, since the order counts
        # then, too: one channel may be named twice.
        done: Any = BLOCKED
        left = len(ops)
        while left:
            left -= 1
            if left:
                chosen = sched.dice.getrandbits(32) * (left + 1) >> 32  # type: ignore[union-attr]
                ops[chosen], ops[left] = ops[left], ops[chosen]
            index, kind, chan, value = ops[left]
            done = chan.put(value) if kind == _SEND else chan.take()
            if done is not BLOCKED:
                break
        else:
            if fallback < 0:
                queued = _queue(sched, ops)
    finally:
        _unlock(chans)
    if done is BLOCKED:
        return (fallback, None) if fallback >= 0 else _wait(sched, chans, ops, queued)
    value, ok, peer = (None, True, done) if kind == _SEND else done
    if peer is not None:
        resume(peer.g)
    return index, (value, ok) if kind == _RECV_OK else value


def _understand(cases: tuple[Any, ...]) -> tuple[list[_Op], list[Chan[Any]], int]:
    """Return the operations, without those on a nil channel; their channels; where default is."""
    ops: list[_Op] = []
    chans: list[Chan[Any]] = []
    fallback = -1
    for index, case in enumerate(cases):
        if case is default:
            if fallback >= 0:
                msg = "select() with two defaults"
                raise TypeError(msg)
            fallback = index
            continue
        if type(case) is tuple and len(case) == 2:
            method, value = case
            kinds = _SENDS
        else:
            method, value = case, None
            kinds = _RECEIVES
        try:
            chan, kind = method.__self__, kinds.get(method.__name__)
        except AttributeError:
            chan = kind = None
        if kind is None or not isinstance(chan, Chan):
            msg = (
                f"case {index} of select() is {case!r}; "
                "a case is ch.recv, ch.recv_ok, (ch.send, value) or default"
            )
            raise TypeError(msg)
        if chan is not nil_chan:
            ops.append((index, kind, chan, value))
            chans.append(chan)
    return ops, chans, fallback


_RECEIVES = {"recv": _RECV, "recv_ok": _RECV_OK}
_SENDS = {"send": _SEND}


def _lock(chans: list[Chan[Any]]) -> None:
    for chan in chans:
        chan.latch.acquire()
        if chan.busy:
            chan.latch.release()
            _unlock(chans[: chans.index(chan)])
            chan.enter()  # raises
        chan.busy = True


def _unlock(chans: list[Chan[Any]]) -> None:
    for chan in chans:
        chan.busy = False
        chan.latch.release()


def _queue(sched: Scheduler, ops: list[_Op]) -> tuple[Waiter, list[CaseWaiter]]:
    """Put a waiter for each case into its channel; all locked."""
    shared = Waiter(sched.current or refuse("select"))
    waiters = []
    for _, kind, chan, value in ops:
        waiter = CaseWaiter(shared, value)
        waiters.append(waiter)
        chan.queue(waiter, sends=kind == _SEND)
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
            chan.latch.acquire()
        for (_, kind, chan, _), waiter in zip(ops, waiters, strict=True):
            chan.unqueue(waiter, sends=kind == _SEND)
        for chan in chans:
            chan.latch.release()
    (index, kind, _, _), waiter = next(
        pair for pair in zip(ops, waiters, strict=True) if pair[1].claimed
    )
    if kind == _SEND and not waiter.ok:
        msg = "send on closed channel"
        raise ChannelClosed(msg)
    if kind == _SEND:
        return index, None
    return index, (waiter.value, waiter.ok) if kind == _RECV_OK else waiter.value
