"""Receiving: the methods of ``socket.socket`` that read.

Each makes the C method's call on the socket's shadow with MSG_DONTWAIT, and parks when there is
nothing to read. What the program itself said must not wait, and what nobody can park for, is the
original's. A read that left nothing behind waits first the next time (see `gopoll.fd`).

What MSG_WAITALL promises is kept here: the kernel forgets it where it must not wait.
"""

from typing import Any, Final

from greenlet import getcurrent

from gopoll._original import Socket, socket_module
from gopoll.errors import ClosedError
from gopoll.monkey._sock_fd import DONTWAIT, may_wait, size_of
from gopoll.monkey._sock_state import NOT_YET, State, adopt, bad_descriptor, states

__all__ = ["METHODS"]

_WAITALL: Final = socket_module.MSG_WAITALL
_PEEK: Final = socket_module.MSG_PEEK
_recv: Final = Socket.recv
_recv_into: Final = Socket.recv_into
_recvfrom: Final = Socket.recvfrom
_recvfrom_into: Final = Socket.recvfrom_into
_recvmsg: Final[Any] = getattr(Socket, "recvmsg", None)
_recvmsg_into: Final[Any] = getattr(Socket, "recvmsg_into", None)
_SIZED: Final = (memoryview, bytearray)  # of others it takes longer to tell the size


def recv(self: Any, bufsize: Any, flags: Any = 0, /) -> bytes:
    """Receive up to bufsize bytes from the socket; b"" at the end of the stream."""
    try:
        state: State | None = states[id(self)]
    except KeyError:
        state = adopt(self)
    if state is None or flags:
        return _recv_by_flags(self, state, bufsize, flags)
    call = state.recv  # a method that is kept in a slot is found faster so than called there
    side = state.reader
    held, side.held = side.held, True
    if held:
        return state.run(side, call, bufsize, DONTWAIT)
    try:
        slot = side.slot
        if (
            side.drained
            and state.timeout is None
            and slot is not None
            and (g := slot.sched.current) is not None
            and g.greenlet is (me := getcurrent())  # so the slot is of our thread
            and bufsize > 0
        ):
            try:  # what `state.read` does in a conversation, spelled out, as in `FD.read`
                if slot.state is None and slot.desc.edge:
                    slot.deadline = None
                    slot.state = g
                    slot.sched.park(slot, "IO wait", me)
                else:
                    slot.wait(None, me)
                if state.fd.closing:
                    raise bad_descriptor()
                slot.state = None
                data = None
                try:
                    data = call(bufsize, DONTWAIT)
                except BlockingIOError:
                    pass  # nobody parks in here
                if data is None:
                    data = state.retry(side, NOT_YET, call, bufsize, DONTWAIT)
            except BaseException as exc:
                side.drained = False
                if slot.state is g:
                    slot.state = None
                if isinstance(exc, RecursionError):
                    slot.undo(g)
                raise
            if len(data) == bufsize or not data or not slot.desc.shortcut:
                side.drained = False
            return data
        data = state.read(side, bufsize, call, bufsize, DONTWAIT)
        if len(data) < bufsize and data and state.short_reads:
            side.drained = (slot := side.slot) is None or slot.desc.shortcut
        return data
    except ClosedError:
        raise bad_descriptor() from None
    finally:
        side.held = False
        if side.contended:
            side.settle()


def _recv_by_flags(self: Any, state: State | None, bufsize: Any, flags: Any) -> bytes:
    if state is None or not may_wait(flags):
        return _recv(self, bufsize, flags)
    if _whole(state, flags):
        return _recv_whole(state, bufsize, flags)[0]
    return state.run(state.reader, state.recv, bufsize, flags | DONTWAIT)


def recv_into(self: Any, buffer: Any, nbytes: Any = 0, flags: Any = 0) -> int:
    """Receive up to nbytes bytes, or as many as fit, into a buffer; return how many."""
    try:
        state: State | None = states[id(self)]
    except KeyError:
        state = adopt(self)
    if state is None or flags:
        if state is None or not may_wait(flags):
            return _recv_into(self, buffer, nbytes, flags)
        if _whole(state, flags):
            return _recv_into_whole(state, buffer, nbytes, flags)[0]
        return state.run(state.reader, state.recv_into, buffer, nbytes, flags | DONTWAIT)
    side = state.reader
    held, side.held = side.held, True
    if held:
        return state.run(side, state.recv_into, buffer, nbytes, DONTWAIT)
    try:
        wanted = nbytes or (size_of(buffer) if type(buffer) in _SIZED else 0)
        slot = side.slot
        if (
            side.drained
            and state.timeout is None
            and slot is not None
            and (g := slot.sched.current) is not None
            and g.greenlet is (me := getcurrent())
            and wanted > 0
        ):
            side.drained = False
            slot.wait(None, me)
            if state.fd.closing:
                raise bad_descriptor()
            slot.state = None
            n = -1
            try:
                n = state.recv_into(buffer, nbytes, DONTWAIT)
            except BlockingIOError:
                pass
            if n < 0:
                n = state.retry(side, NOT_YET, state.recv_into, buffer, nbytes, DONTWAIT)
        else:
            n = state.read(side, wanted, state.recv_into, buffer, nbytes, DONTWAIT)
        if 0 < n < wanted and state.short_reads:
            slot = side.slot
            side.drained = slot is None or slot.desc.shortcut
        return n
    except ClosedError:
        raise bad_descriptor() from None
    finally:
        side.held = False
        if side.contended:
            side.settle()


def recvfrom(self: Any, bufsize: Any, flags: Any = 0, /) -> Any:
    """Like recv(bufsize, flags) but also return the sender's address info."""
    state = adopt(self)
    if state is None or not may_wait(flags):
        return _recvfrom(self, bufsize, flags)
    if _whole(state, flags):
        return _recv_whole(state, bufsize, flags)
    return state.run(state.reader, state.shadow.recvfrom, bufsize, flags | DONTWAIT)


def recvfrom_into(self: Any, buffer: Any, nbytes: Any = 0, flags: Any = 0) -> Any:
    """Like recv_into(buffer, nbytes, flags) but also return the sender's address info."""
    state = adopt(self)
    if state is None or not may_wait(flags):
        return _recvfrom_into(self, buffer, nbytes, flags)
    if _whole(state, flags):
        return _recv_into_whole(state, buffer, nbytes, flags)
    return state.run(state.reader, state.shadow.recvfrom_into, buffer, nbytes, flags | DONTWAIT)


def recvmsg(self: Any, bufsize: Any, ancbufsize: Any = 0, flags: Any = 0, /) -> Any:
    """Receive normal data (up to bufsize bytes) and ancillary data from the socket."""
    state = adopt(self)
    if state is None or not may_wait(flags):
        return _recvmsg(self, bufsize, ancbufsize, flags)
    shadow: Any = state.shadow
    call = shadow.recvmsg
    got = state.run(state.reader, call, bufsize, ancbufsize, flags | DONTWAIT)
    if _whole(state, flags):
        data, ancillary, told, address = got
        if 0 < len(data) < bufsize and not ancillary and not told:
            rest, _ = _recv_whole(state, bufsize - len(data), flags, some=True)
            return data + rest, ancillary, told, address
    return got


def recvmsg_into(self: Any, buffers: Any, ancbufsize: Any = 0, flags: Any = 0, /) -> Any:
    """Receive normal data into a series of buffers, and ancillary data, from the socket."""
    state = adopt(self)
    if state is None or not may_wait(flags):
        return _recvmsg_into(self, buffers, ancbufsize, flags)
    shadow: Any = state.shadow
    call = shadow.recvmsg_into
    buffers = list(buffers)
    got = state.run(state.reader, call, buffers, ancbufsize, flags | DONTWAIT)
    if _whole(state, flags):
        n, ancillary, told, address = got
        if n and not ancillary and not told:
            start = 0
            for buffer in buffers:
                size = size_of(buffer)
                if n < start + size:
                    with memoryview(buffer) as view, view.cast("B") as flat:
                        end = start + size
                        more, _ = _recv_into_whole(state, flat[n - start :], 0, flags, some=True)
                    n += more
                    if n < end:
                        break
                start += size
            return n, ancillary, told, address
    return got


def _whole(state: State, flags: int) -> bool:
    """Whether all that was asked for has to come, which the kernel takes care of if it blocks."""
    return flags & (_WAITALL | _PEEK) == _WAITALL and state.timeout is None and state.fd.is_stream


def _recv_whole(state: State, bufsize: int, flags: int, *, some: bool = False) -> tuple[bytes, Any]:
    """Receive `bufsize` bytes, or up to the end of the stream."""
    if bufsize <= 0:
        return state.run(state.reader, state.shadow.recvfrom, bufsize, flags | DONTWAIT)
    buffer = bytearray(bufsize)
    n, address = _recv_into_whole(state, buffer, bufsize, flags, some=some)
    return bytes(buffer[:n]), address


def _recv_into_whole(
    state: State, buffer: Any, nbytes: int, flags: int, *, some: bool = False
) -> tuple[int, Any]:
    """The same, into `buffer`. An error counts only if nothing came, nor `some` before."""
    call = state.shadow.recvfrom_into
    flags |= DONTWAIT
    side = state.reader
    with memoryview(buffer) as given, given.cast("B") as view:
        wanted = nbytes or len(view)
        if not 0 < wanted <= len(view):
            return state.run(side, call, buffer, nbytes, flags)
        got, address = 0, None
        deadline = state.begin(side)
        try:
            side.drained = False
            while got < wanted:
                try:
                    n, address = state.attempt(side, deadline, call, view[got:wanted], 0, flags)
                except OSError:
                    if got or some:
                        break
                    raise
                if not n:
                    break
                got += n
        finally:
            state.give(side)
    return got, address


METHODS: Final[dict[str, Any]] = {
    "recv": recv,
    "recv_into": recv_into,
    "recvfrom": recvfrom,
    "recvfrom_into": recvfrom_into,
    "recvmsg": recvmsg,
    "recvmsg_into": recvmsg_into,
}
