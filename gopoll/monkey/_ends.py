"""How the end of a thread is told to those who wait for it.

    ============  =========================================  ===================================
    up to Python  a lock that the interpreter releases when  `Sentinel`
    3.12          the thread is gone
    since 3.13    a handle, which also starts the thread     `ThreadHandle`
    ============  =========================================  ===================================

Both tell whoever waits of nothing but the end: all of them go on, in any order.
"""

from os import getpid
from typing import Any, Final

from gopoll.monkey._ident import builtin, current, ident_of
from gopoll.monkey._lock import Lock, new_lock
from gopoll.monkey._waited import first_of
from gopoll.runtime.waitq import resume

__all__ = ["Sentinel", "ThreadHandle", "make_thread_handle", "only_survivor"]

_process: Final = [getpid()]  # the one in which all handles are marked


class Sentinel(Lock):
    """The lock that tells of the end of a thread, up to Python 3.12.

    Whoever waits for it acquires and releases it, and then finds it free: so it is never handed
    from one to the next, and who waits is only told to try.
    """

    __slots__ = ()

    def _pass_on(self) -> None:
        waiters = self._waiters
        first = None if waiters is None else first_of(waiters)
        if first is not None:
            first.ok = True
            first.value = False
            resume(first.g)


Sentinel.__module__, Sentinel.__name__, Sentinel.__qualname__ = "_thread", "lock", "lock"


class ThreadHandle:
    """What a thread is waited for by, since Python 3.13."""

    __slots__ = ("_begun", "_done", "_ident", "_lives", "_process")

    def __init__(self) -> None:
        self._ident = 0
        self._begun = False
        self._done = False
        self._lives: Lock = new_lock()  # locked while it does
        self._process = 0

    def __repr__(self) -> str:
        return f"<_ThreadHandle object: ident={self._ident}>"

    @property
    def ident(self) -> int:
        """The ident of the thread; 0 before it is started."""
        return self._ident

    def is_done(self) -> bool:
        """Return whether the thread has ended."""
        if self._done or not self._begun:
            return self._done
        process = getpid()
        if self._process == process:
            return False
        # In a forked child only one thread is left. `threading` asks before we have marked it.
        return _process[0] == process or self._ident != ident_of(current())

    def _begin(self, ident: int) -> None:
        self._begun = True
        self._ident = ident
        self._process = getpid()
        self._lives.acquire(False)

    def _set_done(self) -> None:
        """Let those go on who wait for its end.

        Raises:
            RuntimeError: It was never started.
        """
        if not self._begun:
            raise RuntimeError("thread not started")
        self._done = True
        if self._lives.locked():
            self._lives.release()

    def join(self, timeout: float | None = None, /) -> None:
        """Wait until the thread has ended, at most `timeout` seconds.

        Raises:
            RuntimeError: It was never started, or is the one that calls.
        """
        if timeout is not None and not isinstance(timeout, (int, float)):
            raise TypeError(
                f"{type(timeout).__name__!r} object cannot be interpreted as an integer"
            )
        if not self._begun:
            raise RuntimeError("thread not started")
        if self.is_done():
            return
        if self._ident == ident_of(current()):
            raise RuntimeError("Cannot join current thread")
        if self._lives.acquire(True, -1 if timeout is None or timeout < 0 else timeout):
            self._lives.release()


@builtin
def make_thread_handle(ident: int, /) -> ThreadHandle:
    """Return the handle of a thread that runs already."""
    handle = ThreadHandle()
    handle._begin(ident)
    return handle


def only_survivor(handle: Any, ident: int) -> None:
    """In a forked child, whose only thread has this handle and this ident: no other is alive."""
    _process[0] = getpid()
    if isinstance(handle, ThreadHandle):
        handle._begin(ident)
