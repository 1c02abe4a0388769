"""``select`` on goroutines: each of its ways to wait parks, and reports what the kernel reports.

    ==================  ====================================================================
    name                what becomes of it
    ==================  ====================================================================
    ``select()``        a function that asks with timeout 0, and parks if nothing is ready
    ``poll()``          returns an object around the real one, which is asked in the same
                        way: that does not tell what is registered, and cannot be waited for
    ``epoll`` objects   the class stays, `poll` is set on it: such an object is a descriptor,
                        which the scheduler's poller waits for
    ``kqueue`` objects  the same, for `control`
    ==================  ====================================================================

Closing an epoll or kqueue wakes whoever waits in it, who learns that it is closed.
"""

import math
import select as _module  # noqa: TID251 - the module that is patched
from operator import index
from typing import Any, Final, Self

from gopoll.monkey import _ready
from gopoll.monkey._builtin import Builtin
from gopoll.monkey.registry import Room
from gopoll.runtime.poller.base import READ
from gopoll.runtime.sched import Scheduler, this

__all__ = ["ROOM", "poll", "select"]

_select: Final = _module.select
_poll: Final[Any] = getattr(_module, "poll", None)
_epoll: Final[Any] = getattr(_module, "epoll", None)
_kqueue: Final[Any] = getattr(_module, "kqueue", None)

_LONGEST: Final = 9_223_372_036  # seconds, as the real select() has it
_LONGEST_MS: Final = 2**31 - 1  # milliseconds in an int
_IN: Final = 0x001 | 0x040 | 0x080  # what select() takes for readable, besides HUP and ERR
_OUT: Final = 0x004 | 0x100 | 0x200
_PRI: Final = 0x002


def _spend(sched: Scheduler) -> None:
    sched.operations -= 1
    if sched.operations < 0:
        sched.yield_turn()


def _is_span(timeout: object, longest: float) -> bool:
    return timeout is None or (isinstance(timeout, (int, float)) and -longest < timeout < longest)


def _number(timeout: Any) -> Any:
    """Return what counts as an integer as one."""
    return index(timeout) if hasattr(timeout, "__index__") else timeout


def _fileno(file: Any) -> int:
    number: int = file if isinstance(file, int) else file.fileno()
    return number


def _kept(files: Any) -> Any:
    """Return `files` as something that can be gone through twice."""
    return list(files) if hasattr(files, "__next__") else files


# -- select --------------------------------------------------------------------------------------


@Builtin.of("select")  # type: ignore[untyped-decorator]
def select(rlist: Any, wlist: Any, xlist: Any, timeout: Any = None, /) -> Any:
    """select(rlist, wlist, xlist[, timeout]) -> (rlist, wlist, xlist)

    Wait until one or more file descriptors are ready for some kind of I/O; ``timeout`` is in
    seconds and may be a fraction, None waits for ever.
    """  # noqa: D402, D415 - the words of the standard library
    sched = this.sched
    timeout = _number(timeout)
    wrong = not _is_span(timeout, _LONGEST) or not (timeout is None or timeout >= 0)
    if sched.current is None or wrong:
        return _select(rlist, wlist, xlist, timeout)
    _spend(sched)
    rlist, wlist, xlist = _kept(rlist), _kept(wlist), _kept(xlist)
    ready = _select(rlist, wlist, xlist, 0)
    if timeout == 0 or any(ready):
        return ready

    def ask() -> Any:
        nonlocal ready
        ready = _select(rlist, wlist, xlist, 0)
        return any(ready)

    interest: dict[int, int] = {}
    for files, bits in ((rlist, _IN), (wlist, _OUT), (xlist, _PRI)):
        for file in files:
            fd = _fileno(file)
            interest[fd] = interest.get(fd, 0) | bits
    _ready.ask_until(ask, interest, timeout)
    return ready


# -- poll ----------------------------------------------------------------------------------------


class _Poll:
    """A polling object: descriptors can be registered with it, and asked for I/O events."""

    __slots__ = ("_masks", "_polling", "_real")

    _real: Any
    _masks: dict[int, int]
    _polling: bool

    def __new__(cls) -> Self:
        raise TypeError("cannot create 'select.poll' instances")

    def register(self, fd: Any, eventmask: int = 0x007, /) -> None:
        """Register a file descriptor with the polling object."""
        self._real.register(fd, eventmask)
        self._masks[_fileno(fd)] = eventmask

    def modify(self, fd: Any, eventmask: int, /) -> None:
        """Modify an already registered file descriptor."""
        self._real.modify(fd, eventmask)
        self._masks[_fileno(fd)] = eventmask

    def unregister(self, fd: Any, /) -> None:
        """Remove a file descriptor being tracked by the polling object."""
        self._real.unregister(fd)
        self._masks.pop(_fileno(fd), None)

    def poll(self, timeout: Any = None, /) -> Any:
        """Poll the set of registered file descriptors, for at most `timeout` milliseconds.

        Returns a list of (descriptor, event) tuples of those that have something to report.
        """
        sched = this.sched
        timeout = _number(timeout)
        polling, self._polling = self._polling, True
        if polling:
            raise RuntimeError("concurrent poll() invocation")
        try:
            if sched.current is None or not _is_span(timeout, _LONGEST_MS):
                return self._real.poll(timeout)
            _spend(sched)
            ready = self._real.poll(0)
            if ready or timeout == 0:
                return ready
            seconds = None if timeout is None or timeout < 0 else math.ceil(timeout) / 1000
            return _ready.ask_until(lambda: self._real.poll(0), self._masks.copy(), seconds)
        finally:
            self._polling = False


_Poll.__module__ = "select"
_Poll.__name__ = _Poll.__qualname__ = "poll"


@Builtin.of("select")  # type: ignore[untyped-decorator]
def poll() -> _Poll:
    """Return a polling object."""
    made: _Poll = object.__new__(_Poll)
    made._real = _poll()
    made._masks = {}
    made._polling = False
    return made


# -- epoll and kqueue ----------------------------------------------------------------------------


def _wait_in(sched: Scheduler, waited_for: Any, seconds: float | None, ask: Any) -> Any:
    """Return what ``ask()`` finds in an epoll or kqueue, parked as long as that is nothing."""
    g = sched.current
    assert g is not None
    now = g.timeline.now
    deadline = None if seconds is None else now() + seconds
    while True:
        left = None if deadline is None else max(0.0, deadline - now())
        try:
            expired = not _ready.wait_ready(waited_for.fileno(), READ, left)
        except OSError:
            if not waited_for.closed:
                raise
            return ask()  # which says so
        found = ask()
        if found or expired:
            return found


if _epoll is not None:
    _epoll_poll: Final[Any] = _epoll.poll
    _epoll_close: Final[Any] = _epoll.close

    def epoll_poll(self: Any, timeout: Any = None, maxevents: int = -1) -> Any:
        """Wait for events on the epoll file descriptor, for at most `timeout` seconds.

        Returns a list of (descriptor, events) tuples, at most `maxevents` of them.
        """
        sched = this.sched
        timeout = _number(timeout)
        if sched.current is None or not _is_span(timeout, _LONGEST_MS / 1000):
            return _epoll_poll(self, timeout, maxevents)
        _spend(sched)
        found = _epoll_poll(self, 0, maxevents)
        milliseconds = None if timeout is None else math.ceil(timeout * 1000)
        if found or milliseconds == 0:
            return found
        seconds = None if milliseconds is None or milliseconds < 0 else timeout
        return _wait_in(sched, self, seconds, lambda: _epoll_poll(self, 0, maxevents))

    def epoll_close(self: Any) -> None:
        """Close the epoll control file descriptor; whoever waits in it learns so."""
        number = -1 if self.closed else self.fileno()
        if number >= 0:
            _ready.closing(number)
        _epoll_close(self)


if _kqueue is not None:
    _kqueue_control: Final[Any] = _kqueue.control
    _kqueue_close: Final[Any] = _kqueue.close

    def kqueue_control(self: Any, changelist: Any, maxevents: int, timeout: Any = None, /) -> Any:
        """Call the kernel event function: apply the changes, wait for at most `maxevents`."""
        sched = this.sched
        span = _is_span(timeout, _LONGEST) and (timeout is None or timeout >= 0)
        if sched.current is None or not span or maxevents <= 0:
            return _kqueue_control(self, changelist, maxevents, timeout)
        _spend(sched)
        found = _kqueue_control(self, changelist, maxevents, 0)
        if found or timeout == 0:
            return found
        return _wait_in(sched, self, timeout, lambda: _kqueue_control(self, None, maxevents, 0))

    def kqueue_close(self: Any) -> None:
        """Close the kqueue control file descriptor; whoever waits in it learns so."""
        number = -1 if self.closed else self.fileno()
        if number >= 0:
            _ready.closing(number)
        _kqueue_close(self)


def _replacements() -> dict[str, Any]:
    places: dict[str, Any] = {"select:select": select}
    if _poll is not None:
        places["select:poll"] = poll
    if _epoll is not None:
        places["select:epoll.poll"] = epoll_poll
        places["select:epoll.close"] = epoll_close
    if _kqueue is not None:
        places["select:kqueue.control"] = kqueue_control
        places["select:kqueue.close"] = kqueue_close
    return places


for _place, _replacement in _replacements().items():
    if "." in _place:
        _replacement.__name__ = _place.rpartition(".")[2]
        _replacement.__qualname__ = _place.partition(":")[2]
        _replacement.__module__ = "select"

ROOM = Room(
    "select",
    replaces=_replacements(),
    leaves={
        "select:devpoll": "of one system only, and not a descriptor that others could wait for",
        "select:epoll.register": "like modify and unregister it never waits",
        "select:PIPE_BUF": "a number",
    },
)
