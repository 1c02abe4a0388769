"""Sending: the methods of ``socket.socket`` that write, but for files.

Each makes the C method's call on the socket's shadow with MSG_DONTWAIT, and parks when there is no
room. What the program itself said must not wait, and what nobody can park for, is the original's.

A blocking send on a stream takes all of its data, as in the kernel: it returns less only if
something went wrong after a part of it. Nothing of another goroutine goes out in between.

One kernel does not listen to MSG_DONTWAIT when it sends. There a blocking socket does not block for
the moment of the call.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from gopoll._original import Socket
from gopoll._side import Side
from gopoll.monkey import _resolve
from gopoll.monkey._sock_fd import DONTWAIT, may_wait, size_of
from gopoll.monkey._sock_state import NOT_YET, State, adopt, states

__all__ = ["METHODS"]

_IS_DEAF: Final = sys.platform == "darwin"
_send: Final = Socket.send
_sendall: Final = Socket.sendall
_sendto: Final[Any] = Socket.sendto
_sendmsg: Final[Any] = getattr(Socket, "sendmsg", None)
_sendmsg_afalg: Final[Any] = getattr(Socket, "sendmsg_afalg", None)


def send(self: Any, data: Any, flags: Any = 0, /) -> int:
    """Send a data string to the socket; return the number of bytes sent."""
    state = adopt(self)
    if state is None or not may_wait(flags):
        return _send(self, data, flags)
    side = state.writer
    deadline = state.begin(side)
    try:
        call = _never_blocking(state, state.send)
        sent = state.attempt(side, deadline, call, data, flags | DONTWAIT)
        if state.timeout is None and sent < size_of(data) and state.fd.is_stream:
            sent = _send_rest(state, side, None, data, flags, sent)
        return sent
    finally:
        state.give(side)


def _never_blocking(state: State, call: Callable[..., int]) -> Callable[..., int]:
    return partial(state.in_passing, call) if _IS_DEAF else call


def sendall(self: Any, data: Any, flags: Any = 0, /) -> None:
    """Send a data string to the socket, all of it."""
    try:
        state: State | None = states[id(self)]
    except KeyError:
        state = adopt(self)
    if state is None or flags or _IS_DEAF:
        if state is None or not may_wait(flags):
            return _sendall(self, data, flags)
        return _send_all(state, data, flags)
    call = state.send
    side = state.writer
    held, side.held = side.held, True
    if held:
        return _send_all(state, data, 0)
    try:
        sched = side.sched
        sched.operations -= 1
        if sched.operations < 0:
            side.count()
        slot = side.slot
        if slot is not None:
            slot.state = None
        try:
            sent = call(data, DONTWAIT)
        except BlockingIOError:
            sent = -1
        if type(data) is not bytes or sent < len(data):
            _send_rest(state, side, NOT_YET, data, 0, sent, whole=True)
        return None
    finally:
        side.held = False
        if side.contended:
            side.settle()


def _send_all(state: State, data: Any, flags: int) -> None:
    """The same, not in a hurry."""
    side = state.writer
    deadline = state.begin(side)
    try:
        call = _never_blocking(state, state.send)
        sent = state.attempt(side, deadline, call, data, flags | DONTWAIT)
        if sent < size_of(data):
            _send_rest(state, side, deadline, data, flags, sent, whole=True)
    finally:
        state.give(side)


def _send_rest(
    state: State,
    side: Side,
    deadline: float | None,
    data: Any,
    flags: int,
    sent: int,
    *,
    whole: bool = False,
) -> int:
    """Send what is left; return how much went out. An error counts only if all had to go out.

    `sent` is negative if even the first attempt would have had to wait.
    """
    if deadline == NOT_YET:
        deadline = state.deadline()
    flags |= DONTWAIT
    call = _never_blocking(state, state.send)
    if sent < 0:
        sent = state.retry(side, deadline, call, data, flags)
    with memoryview(data) as given, given.cast("B") as view:
        while sent < len(view):
            try:
                sent += state.attempt(side, deadline, call, view[sent:], flags)
            except OSError:
                if whole:
                    raise
                break
    return sent


def sendto(self: Any, data: Any, *args: Any) -> int:
    """Like send(data, flags) but allows specifying the destination address."""
    state = adopt(self)
    flags = args[0] if len(args) == 2 else 0
    if len(args) in (1, 2) and isinstance(flags, int):
        address = _resolve.settled(self, args[-1])
        args = (*args[:-1], address)
    if state is None or not may_wait(flags) or len(args) not in (1, 2):
        count: int = _sendto(self, data, *args)
        return count
    call = _never_blocking(state, state.shadow.sendto)
    return state.run(state.writer, call, data, flags | DONTWAIT, address)


def sendmsg(
    self: Any, buffers: Any, ancdata: Any = (), flags: Any = 0, address: Any = None, /
) -> int:
    """Send normal and ancillary data to the socket; return how many bytes of the former."""
    state = adopt(self)
    if address is not None:
        address = _resolve.settled(self, address)
    if state is None or not may_wait(flags):
        count: int = _sendmsg(self, buffers, ancdata, flags, address)
        return count
    buffers, ancdata = list(buffers), list(ancdata)
    call = _never_blocking(state, state.shadow.sendmsg)
    side = state.writer
    deadline = state.begin(side)
    try:
        sent = state.attempt(side, deadline, call, buffers, ancdata, flags | DONTWAIT, address)
        if state.timeout is None and sent < sum(map(size_of, buffers)) and state.fd.is_stream:
            sent = _send_rest(state, side, None, b"".join(buffers), flags, sent)
        return sent
    finally:
        state.give(side)


def sendmsg_afalg(self: Any, *args: Any, **kwargs: Any) -> int:
    """Set operation mode, IV and length of associated data for an AF_ALG socket."""
    state = adopt(self)
    flags = kwargs.get("flags", 0)
    if state is None or not may_wait(flags):
        count: int = _sendmsg_afalg(self, *args, **kwargs)
        return count
    kwargs["flags"] = flags | DONTWAIT
    call: Callable[..., int] = state.shadow.sendmsg_afalg
    return state.run(state.writer, call, *args, **kwargs)


METHODS: Final[dict[str, Any]] = {
    "send": send,
    "sendall": sendall,
    "sendto": sendto,
    "sendmsg": sendmsg,
    "sendmsg_afalg": sendmsg_afalg,
}
