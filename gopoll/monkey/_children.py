"""Waiting for children, by ``os``: parked, without a handler for SIGCHLD, and stealing nobody's.

    =====================  =====================================================================
    who is waited for      then
    =====================  =====================================================================
    one child, its end     the scheduler's poller tells (pidfd, EVFILT_PROC)
    any child, a group;    a thread looks, and leaves the status where it is (WNOWAIT): one for
    who stops or goes on   all who wait for the same, until it has seen something
    anybody, where there   nobody can look without taking: the goroutine asks at intervals
    is no waitid(2)
    =====================  =====================================================================

In either case the goroutine itself takes the status, by the original with WNOHANG, as if it had
never waited. If somebody was faster it waits again; ECHILD comes from the original.
"""

import os
from collections.abc import Callable
from typing import Any, Final

from gopoll._original import os_close, start_new_thread
from gopoll.monkey._ready import READ, wait_ready
from gopoll.monkey._wait import Hinted, Parked, park
from gopoll.runtime import outside
from gopoll.runtime.guard import Guard
from gopoll.runtime.sched import this
from gopoll.runtime.waitq import resume

__all__ = ["REPLACEMENTS", "wait_for_end"]

_waitpid: Final = os.waitpid
_wait3: Final[Any] = getattr(os, "wait3", None)
_wait4: Final[Any] = getattr(os, "wait4", None)
_waitid: Final[Any] = getattr(os, "waitid", None)
_pidfd_open: Final[Any] = getattr(os, "pidfd_open", None)
_REASON: Final = "process wait"
_STATES: Final = os.WUNTRACED | os.WCONTINUED
_SOONEST, _LATEST = 0.001, 0.05  # between two questions


def waitpid(pid: Any, options: Any, /) -> Any:
    """Wait for completion of a given child process: (pid, status)."""
    return _status(pid, options, _waitpid, pid)


def wait() -> Any:
    """Wait for completion of a child process: (pid, status)."""
    return _status(-1, 0, _waitpid, -1)


def wait3(options: Any) -> Any:
    """Wait for completion of a child process: (pid, status, rusage)."""
    return _status(-1, options, _wait3)


def wait4(pid: Any, options: Any) -> Any:
    """Wait for completion of a specific child process: (pid, status, rusage)."""
    return _status(pid, options, _wait4, pid)


def waitid(idtype: Any, id: Any, options: Any, /) -> Any:
    """Return the result of waiting for a process or processes; None with WNOHANG and no news."""
    if not isinstance(options, int) or options & os.WNOHANG or this.sched.current is None:
        return _waitid(idtype, id, options)
    while True:
        found = _waitid(idtype, id, options | os.WNOHANG)
        if found is not None:
            return found
        if options & (os.WSTOPPED | os.WCONTINUED):
            _look(idtype, id, options)
        elif idtype == os.P_PID:
            wait_for_end(id, None)
        elif idtype == getattr(os, "P_PIDFD", None):
            wait_ready(id, READ)
        else:
            _look(idtype, id, options)


def _status(pid: Any, options: Any, ask: Callable[..., Any], *who: Any) -> Any:
    """Ask for the children that `pid` stands for in waitpid(2), until there is news."""
    wrong = not isinstance(pid, int) or not isinstance(options, int)
    if wrong or options & os.WNOHANG or this.sched.current is None:
        return ask(*who, options)
    pause = _SOONEST
    while True:
        found = ask(*who, options | os.WNOHANG)
        if found[0] != 0:
            return found
        if _waitid is None or options & ~_STATES:
            g = this.sched.current
            assert g is not None
            park(Parked(g), _REASON, pause)
            pause = min(2 * pause, _LATEST)
        elif pid > 0 and not options & _STATES:
            wait_for_end(pid, None)
        else:
            states = os.WEXITED
            states |= os.WSTOPPED if options & os.WUNTRACED else 0
            states |= os.WCONTINUED if options & os.WCONTINUED else 0
            if pid == -1:
                _look(os.P_ALL, 0, states)
            elif pid > 0:
                _look(os.P_PID, pid, states)
            else:
                _look(os.P_PGID, -pid or os.getpgrp(), states)


def wait_for_end(pid: int, timeout: float | None) -> bool:
    """Park until the child `pid` has ended, and leave its status; False once the time is over."""
    g = this.sched.current
    assert g is not None
    deadline = None if timeout is None else g.timeline.now() + timeout
    try:
        number = _pidfd_open(pid)
    except ProcessLookupError:  # no child of ours: the next question tells
        return True
    except (TypeError, OSError):  # no such call, or no descriptor left
        return _wait_by_number(pid, timeout)
    try:
        while _waitid(os.P_PIDFD, number, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            left = None if deadline is None else max(0.0, deadline - g.timeline.now())
            if not wait_ready(number, READ, left):
                return False
        return True
    except ChildProcessError:  # it is somebody else's child
        return True
    finally:
        os_close(number)


def _wait_by_number(pid: int, timeout: float | None) -> bool:
    from gopoll.os._child import Child

    g = this.sched.current
    assert g is not None
    deadline = None if timeout is None else g.timeline.now() + timeout
    child = Child(pid)
    try:
        child.wait(timeout, reap=False)
    except TimeoutError:
        if deadline is None or g.timeline.now() < deadline:
            raise  # of a signal handler
        return False
    finally:
        child.close()
    return True


# -- looking, in a thread --------------------------------------------------------------------------

_Who = tuple[Any, Any, int]  # the arguments of waitid(2)


class _Lookouts(Guard):
    """The threads that look for news of children, and who waits for what they see."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[_Who, list[Parked]] = {}

    def renew_after_fork(self) -> None:
        """Forget them: in a child they do not exist."""
        super().renew_after_fork()
        self.waiting = {}

    def wait(self, who: _Who) -> None:
        """Park until there is news; the one who asks next finds it."""
        g = this.sched.current
        assert g is not None
        waiter = Hinted(g)
        self.enter()
        waiters = self.waiting.get(who)
        if waiters is None:
            waiters = self.waiting[who] = []
            outside.own_threads[0] += 1
            start_new_thread(self._look, (who,))
        waiters.append(waiter)
        self.leave()
        try:
            park(waiter, _REASON, None)
        finally:
            if waiter in waiters:  # interrupted; the thread looks on for the next one
                waiters.remove(waiter)

    def _look(self, who: _Who) -> None:
        try:
            _waitid(*who)
        except OSError:  # no such child: the next question tells
            pass
        finally:
            outside.own_threads[0] -= 1
            self.enter()
            waiters = self.waiting.pop(who, [])
            self.leave()
            for waiter in tuple(waiters):
                if waiter.claim():
                    resume(waiter.g)


_lookouts: Final = _Lookouts()


def _look(idtype: Any, id: Any, states: int) -> None:
    """Wait until there is news of such a child, and leave it for the next question."""
    _lookouts.wait((idtype, id, states | os.WNOWAIT))


REPLACEMENTS: Final[dict[str, Any]] = {
    "waitpid": waitpid,
    "wait": wait,
    "wait3": wait3,
    "wait4": wait4,
    "waitid": waitid,
}
