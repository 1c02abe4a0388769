"""Waiting for descriptors that the program owns: by number, parked, and only when it must be.

What is ready is always asked of the kernel, by the very call that the program made, with a timeout
of 0; the poller only says when to ask again. So the answers are the kernel's own: POLLNVAL, POLLHUP
and urgent data, and as many descriptors as there are.

    ===========================  ==============================================================
    waiting for                  then
    ===========================  ==============================================================
    one descriptor, one          it is lent to the scheduler's poller for this wait
    direction
    anything else                a set of its own in the kernel, whose descriptor is lent. It is
                                 edge-triggered: a hang-up that the program did not ask for is
                                 told once, not again and again
    what a set cannot take       is always ready (a regular file), or is asked again at intervals
    ===========================  ==============================================================

To harvest the set first and ask afterwards loses nothing: what changes in between is in the set.

Whoever closes a number calls `closing` before: who waits for it learns EBADF, in all threads.
"""

import os
from collections.abc import Callable, Mapping
from fcntl import F_GETFL, fcntl
from typing import Any, Final, TypeVar

from gopoll._original import epoll_poll, errno, os_close, os_dup, os_strerror, select_module
from gopoll.monkey._wait import Hinted, Parked, park
from gopoll.runtime.netpoll import _Borrowed
from gopoll.runtime.poller.base import READ, WRITE
from gopoll.runtime.sched import Scheduler, on_thread_of, schedulers, this

__all__ = ["READ", "WRITE", "ask_until", "closing", "on_closing", "until_ready", "wait_ready"]

T = TypeVar("T")

_REASON: Final = "IO wait"
_SOONEST, _LATEST = 0.001, 0.02  # between two questions where the kernel cannot tell when to ask
_BITS: Final = {READ: 0x001, WRITE: 0x004}  # POLLIN and POLLOUT, the same everywhere
_READ_ALONE: Final = 0x001 | 0x002 | 0x040 | 0x080 | 0x2000  # what waiting for READ tells of
_WRITE_ALONE: Final = 0x004 | 0x100 | 0x200
_UNUSABLE: Final = {READ: os.O_WRONLY, WRITE: os.O_RDONLY}  # there a call fails, and never waits
_poll: Final[Any] = getattr(select_module, "poll", None)


def wait_ready(fd: int, mode: int, timeout: float | None = None) -> bool:
    """Park until `fd` may be ready; False once `timeout` seconds are over.

    The caller runs in a goroutine, and has asked the kernel before.

    Raises:
        OSError: `fd` is no open descriptor, or was closed meanwhile.
    """
    sched = this.sched
    g = sched.current
    assert g is not None
    poller = sched.need_poller()
    target = poller.find(fd)
    copy = -1
    if target is not None and not isinstance(target, _Borrowed):
        fd = copy = os_dup(fd)  # it is registered for good: the copy has a registration of its own
        target = None
    borrowed = target or _Borrowed(sched, fd)
    waiter = Hinted(g)
    waiters = borrowed.waiters(mode)
    waiters.append(waiter)
    try:
        if borrowed.arm():
            return park(waiter, _REASON, timeout) or waiter not in waiters
        return True
    finally:
        if waiter in waiters:
            waiters.remove(waiter)
            if not sched.dead:  # as it is in a child that a signal handler has forked meanwhile
                borrowed.arm()
        if copy >= 0:
            if not sched.dead:
                poller.unregister(copy, borrowed)
            os_close(copy)


def until_ready(fd: int, mode: int) -> None:
    """Park until a call in that direction would not block.

    Returns at once if it fails anyway, if `fd` is non-blocking, or if nobody here can park.

    Raises:
        OSError: It was closed meanwhile; its number may be another's by now.
    """
    sched = this.sched
    sched.operations -= 1
    if sched.operations < 0:
        sched.yield_turn()
    if sched.current is None or sched.dead:
        return
    asking = _poll()
    try:
        asking.register(fd, _BITS[mode])
    except (TypeError, ValueError, OverflowError):
        return
    if not asking.poll(0) and _would_block(fd, mode):
        wait_ready(fd, mode)
        if not asking.poll(0):  # somebody was faster, or the poller told of something else
            ask_until(lambda: asking.poll(0), {fd: _BITS[mode]}, None)


def _would_block(fd: int, mode: int) -> bool:
    flags = fcntl(fd, F_GETFL)
    return not flags & os.O_NONBLOCK and flags & os.O_ACCMODE != _UNUSABLE[mode]


def ask_until(ask: Callable[[], T], interest: Mapping[int, int], timeout: float | None) -> T:
    """Return ``ask()`` once it is true, at the latest after `timeout` seconds.

    `interest` has the bits of poll(2) for each descriptor on which the answer depends. The caller
    runs in a goroutine, and has asked before.
    """
    g = this.sched.current
    assert g is not None
    now = g.timeline.now
    deadline = None if timeout is None else now() + timeout
    if len(interest) == 1:
        ((fd, bits),) = interest.items()
        mode = _mode(bits)
        if mode:
            expired = _is_over(fd, mode, timeout)
            answer = ask()
            if answer or expired:
                return answer
    changes = _Changes(interest)
    try:
        while True:
            left = None if deadline is None else deadline - now()
            expired = left is not None and left <= 0
            if not expired:
                expired = not changes.wait(left) and left is not None
            answer = ask()
            if answer or expired:
                return answer
    finally:
        changes.close()


on_closing: Final[list[Callable[[int, bool], None]]] = []  # who else wants to know, see `closing`


def closing(fd: int, *, replaced: bool = False) -> None:
    """Wake whoever waits for the number with EBADF: its owner is about to close it.

    `replaced` says that at once the number will be that of another file.
    """
    for tell in on_closing:
        tell(fd, replaced)
    for sched in tuple(schedulers.values()):
        poller = sched.poller
        if poller is not None and isinstance(poller.find(fd), _Borrowed):
            on_thread_of(sched, _wake, (sched, fd))


def _wake(what: tuple[Scheduler, int]) -> None:
    sched, fd = what
    target = sched.need_poller().find(fd)
    if not isinstance(target, _Borrowed):
        return
    for waiters in (target.readers, target.writers):
        for waiter in waiters:
            if waiter.claim():
                waiter.g.thrown = OSError(errno.EBADF, os_strerror(errno.EBADF))
                sched.ready(waiter.g)
        waiters.clear()
    target.arm()


def _mode(bits: int) -> int:
    """Return the one direction in which these bits are all waited for; 0 if there is none."""
    if bits & _BITS[READ] and not bits & ~_READ_ALONE:
        return READ
    if bits & _BITS[WRITE] and not bits & ~_WRITE_ALONE:
        return WRITE
    return 0


def _is_over(fd: int, mode: int, timeout: float | None) -> bool:
    try:
        return not wait_ready(fd, mode, timeout)
    except OSError as exc:
        if exc.errno != errno.EBADF:
            raise
        return False  # the answer will tell


class _Changes:
    """A set of descriptors in the kernel that tells when to ask again."""

    __slots__ = ("_blind", "_pause", "_set")

    def __init__(self, interest: Mapping[int, int]) -> None:
        self._set: Any = None
        self._blind = False  # the kernel does not tell of everything
        self._pause = _SOONEST
        try:
            if hasattr(select_module, "epoll"):
                self._fill_epoll(interest)
            elif hasattr(select_module, "kqueue"):
                self._fill_kqueue(interest)
            else:
                self._blind = True
        except OSError:  # too many descriptors or watches, or epolls within epolls
            self._blind = True

    def _fill_epoll(self, interest: Mapping[int, int]) -> None:
        self._set = select_module.epoll()
        register = self._set.register
        for fd, bits in interest.items():
            try:
                register(fd, bits & 0xFFFF | select_module.EPOLLET)
            except PermissionError:  # always ready, or never in the way that was asked for
                continue
            except OSError as exc:
                if exc.errno != errno.EBADF:
                    raise
                self._blind = True  # closed meanwhile: the answer will tell

    def _fill_kqueue(self, interest: Mapping[int, int]) -> None:
        self._set = select_module.kqueue()
        add = select_module.KQ_EV_ADD | select_module.KQ_EV_CLEAR
        for fd, bits in interest.items():
            for wanted, which in (
                (bits & _READ_ALONE, select_module.KQ_FILTER_READ),
                (bits & _WRITE_ALONE, select_module.KQ_FILTER_WRITE),
            ):
                if wanted:
                    self._set.control([select_module.kevent(fd, which, add)], 0, 0)

    def wait(self, timeout: float | None) -> bool:
        """Park until something may have changed; False once the time is over."""
        if self._blind:
            g = this.sched.current
            assert g is not None
            pause = self._pause
            self._pause = min(2 * pause, _LATEST)
            park(Parked(g), _REASON, pause if timeout is None else min(pause, timeout))
            return True
        changed = wait_ready(self._set.fileno(), READ, timeout)
        if changed:
            self._harvest()
        return changed

    def _harvest(self) -> None:
        if hasattr(self._set, "poll"):
            while len(epoll_poll(self._set, 0, 1024)) == 1024:
                continue
        else:
            while len(self._set.control(None, 1024, 0)) == 1024:
                continue

    def close(self) -> None:
        """Give the set back."""
        if self._set is not None:
            self._set.close()
