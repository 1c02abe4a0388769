"""What gopoll knows of a socket of the standard library: who waits for it, and how.

`adopt` gives the `State` of a socket, at the first call that may have to wait. Until then, and as
long as it does not block (timeout 0), a socket is nobody's business but the kernel's.

    ==========================  ================================================================
    thing                       belongs to
    ==========================  ================================================================
    ``socket.socket`` object    the program; its own timeout, the kernel's flag and the number in
                                it are what the program asked for, always
    `State`                     one such object, by `id`; goes when it is closed, or collected
    `SocketFD`                  a number: all objects that have it share one. Of gopoll's `FD` it
                                has the sides, the queues and the registration
    shadow                      the `SocketFD`: an object of the C class with the same number,
                                which never waits; all calls that may find nothing are made on it
    ==========================  ================================================================

The kernel's flag stays as the program set it, so a blocking socket blocks wherever else it is used.
Calls that take flags say MSG_DONTWAIT; for the others see `SocketFD.unblocked` and `unblock`.

    =====================================  =====================================================
    what happens to the number             then
    =====================================  =====================================================
    the object is closed                   whoever waits wakes with EBADF; it is closed at once,
                                           unless another thread is inside of a call with it
    the object is detached                 the same, but the number stays open
    the object is collected                nobody can wait any more; the number is forgotten
    it is closed by number                 who waits wakes with EBADF; the object fails so for ever
    `dup2` puts another file there         who waits wakes with EBADF; the object goes on with it
    somebody else has it by now            `FD` finds out when that one registers
    =====================================  =====================================================

**For rooms that build on it** (this much is stable)::

    state = adopt(sock)                 # None: it does not block, is closed, or nobody can park
    state.run(state.reader, call, *args)            # a whole operation: `call` raises
                                                    # BlockingIOError as long as it must wait

or in steps, where an operation may have to wait in either direction::

    deadline = state.begin(side)        # alone on state.reader or state.writer; queues for it.
                                        # The deadline is NOT_YET if nobody had to wait so far
    try:
        while True:
            state.clear(READ)           # forget what was remembered, immediately before the call
            try to make progress, without blocking
            if deadline == NOT_YET:
                deadline = state.deadline()     # of the socket's timeout, from now; None: no end
            state.wait(READ, deadline)  # park until there may be some more
    finally:
        state.give(side)

`wait` and `begin` raise ``TimeoutError("timed out")`` once the deadline has passed, and OSError
(EBADF) when the socket was closed or detached meanwhile. `clear` both directions before a call that
may want either. `state.fd.number` is the number, `state.timeout` what ``gettimeout()`` says,
`state.shadow` the C object that never waits. Closing, detaching and ``settimeout`` need nothing:
the room `socket` sees them.
"""

import os
from typing import Any, Final

from gopoll._original import Socket, os_fstat, set_blocking, sleep, socket_module
from gopoll.errors import ClosedError
from gopoll.monkey import _ready
from gopoll.monkey._sock_fd import NOT_YET, SocketFD, State, bad_descriptor, by_number, timed_out
from gopoll.runtime.poller.base import READ, WRITE
from gopoll.runtime.sched import schedulers, this
from gopoll.runtime.waitq import need_much_room

__all__ = [
    "NOT_YET",
    "READ",
    "WRITE",
    "SocketFD",
    "State",
    "adopt",
    "bad_descriptor",
    "close",
    "detach",
    "listens",
    "states",
    "timed_out",
]

_fileno: Final = Socket.fileno
_gettimeout: Final = Socket.gettimeout
_detach: Final = Socket.detach
_close_number: Final[Any] = socket_module.close
_DEPTH: Final = 14  # calls below `detach`, at most
_MOMENT, _PATIENCE = 0.0001, 100  # for other threads to come back from a call that does not wait
_family: Final[Any] = vars(Socket)["family"].__get__
_type: Final[Any] = vars(Socket)["type"].__get__
_proto: Final[Any] = vars(Socket)["proto"].__get__
_NEVER_WAITS: Final[int] = getattr(socket_module, "SOCK_NONBLOCK", 0)
_SO_DOMAIN: Final = getattr(socket_module, "SO_DOMAIN", None)
_INET: Final = (socket_module.AF_INET, socket_module.AF_INET6)
_TCP: Final = (0, socket_module.IPPROTO_TCP)

states: Final[dict[int, State]] = {}  # by the id of the socket object


def adopt(sock: Any) -> State | None:
    """Return the state of a socket; None if it is closed or does not block, or nobody can park."""
    state = states.get(id(sock))
    if state is not None:
        return state if state.timeout != 0 else None
    timeout = _gettimeout(sock)
    number = _fileno(sock)
    if timeout == 0 or number < 0:
        return None
    sched = this.sched
    if sched.current is None or sched.dead:
        return None
    try:
        found = os_fstat(number)
        fd = _share(sock, number, timeout, (found.st_dev, found.st_ino))
    except OSError:  # the call itself will tell
        return None
    if fd is None:  # the program made it non-blocking, by its number
        return None
    new = State(sock, fd, timeout, _collected)
    state = states.setdefault(new.key, new)  # another thread may have been faster
    if state is not new:
        return state
    fd.sharers.append(new)
    if _fileno(sock) != number:  # closed in between: whoever did so has not seen us
        if states.pop(new.key, None) is new:
            _leave(new)
        return None
    return new


def _share(
    sock: Any, number: int, timeout: float | None, identity: tuple[int, int]
) -> SocketFD | None:
    """Return what belongs to the number, made now or shared with other objects."""
    known = by_number.get(number)
    if known is not None:
        if known.identity == identity and identity[1] and not known.closing:
            return known
        if _fileno(sock) != number:  # closed in between, by another thread
            return None
        known.forget()  # it was closed behind our back
    if timeout is None and not os.get_blocking(number) and not listens(sock):
        return None
    family, kind, proto = _family(sock), _type(sock), _proto(sock)
    shadow = Socket(family, kind | _NEVER_WAITS, proto, number)
    try:
        if not _NEVER_WAITS and shadow.gettimeout() is not None:  # it took the default timeout
            shadow.settimeout(None)
            set_blocking(number, timeout is None)
        short_reads = (
            family in _INET
            and kind == socket_module.SOCK_STREAM
            and proto in _TCP
            and _is_inet(shadow)
        )
    except BaseException:
        shadow.detach()
        raise
    new = SocketFD(shadow, identity, short_reads=short_reads)
    fd = by_number.setdefault(number, new)
    if fd is not new:
        shadow.detach()
    return fd


def listens(sock: Any) -> bool:
    """Whether it is a listener: that we, or a parent, may have unblocked; see `unblock`."""
    try:
        answer = Socket.getsockopt(sock, socket_module.SOL_SOCKET, socket_module.SO_ACCEPTCONN)
    except OSError:
        return False
    return bool(answer)


def _is_inet(shadow: Socket) -> bool:
    """Whether it is what the program says it is: `fromfd` believes everything."""
    if _SO_DOMAIN is not None:
        return shadow.getsockopt(socket_module.SOL_SOCKET, _SO_DOMAIN) in _INET
    return isinstance(shadow.getsockname(), tuple)


def close(sock: Any) -> None:
    """Close a socket object; who waits in it wakes with EBADF.

    Raises:
        OSError: What the kernel says.
    """
    need_much_room(_DEPTH)  # once the number is out of the object, nobody could try again
    number = _detach(sock)  # first, so that nobody adopts it any more
    state = states.pop(id(sock), None)
    if state is None:
        if number >= 0:
            _ready.closing(number)
            _close_number(number)
        return
    fd = state.fd
    if fd.closing or number < 0:
        raise bad_descriptor()
    if by_number.get(number) is fd:
        del by_number[number]
    _ready.closing(number)
    try:
        fd.close()
    except ClosedError:
        raise bad_descriptor() from None


def detach(sock: Any) -> int:
    """Take the number out of a socket object, and give it as the program would have it."""
    need_much_room(_DEPTH)
    number = _detach(sock)
    state = states.pop(id(sock), None)
    if state is not None:
        fd = state.fd
        if fd.unblocked and state.timeout is None and not fd.closing:
            set_blocking(number, True)
        _leave(state)
    return number


def _leave(state: State) -> None:
    """Forget the number, unless other objects have it, too; nobody is inside of a call then."""
    fd = state.fd
    if state in fd.sharers:
        fd.sharers.remove(state)
    if fd.sharers or fd.closing:
        return
    fd.forget()
    if len(schedulers) > 1:
        for _ in range(_PATIENCE):
            if not fd.is_in_use():
                break
            sleep(_MOMENT)


def _collected(key: int) -> None:
    """A socket object is gone without having been closed: its number is closed, or will be now."""
    if states is None:  # the interpreter ends, and modules are empty
        return
    state = states.pop(key, None)
    if state is not None:
        state.fd.forget()


def _number_closing(number: int, replaced: bool) -> None:
    """Somebody is about to close a number, or to put another file in its place."""
    fd = by_number.get(number)
    if fd is None:
        return
    need_much_room(_DEPTH)  # so that whoever waits is woken, or nothing has been done
    if replaced:
        for state in fd.sharers:
            states.pop(state.key, None)
    fd.forget()


_ready.on_closing.append(_number_closing)
