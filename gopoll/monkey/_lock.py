"""The locks under everything in ``threading``: they park whoever waits, and nobody else.

A lock is one word, `_held` or `_owner`, which is taken and given back by an exchange, all in one
line, which nobody can tear apart (see ``Waiter.claim``). So it works between OS threads, and in a
signal handler or finalizer that interrupts its own thread in the middle of any of this. All else
is done only if somebody has to wait: see `_waited`.
"""

import sys
from typing import Any, Final, Self, TypeVar

from gopoll import _original
from gopoll.monkey._ident import ident_of
from gopoll.monkey._waited import Waited, end_turn
from gopoll.runtime.bubble import bubble_of, bubbles
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.sched import Scheduler, this

__all__ = ["Lock", "RLock", "new_lock"]

L = TypeVar("L", bound="Lock")

_new: Final = object.__new__
_has_class: Final = sys.version_info >= (3, 13)  # since then ``threading.Lock`` is the class


class Lock(Waited):
    """A lock, which belongs to nobody: whoever likes may release it.

    Who acquires it twice waits until somebody else has released it.
    """

    __slots__ = ("_held",)

    _held: bool

    def __new__(cls) -> Self:
        if not _has_class:
            raise TypeError("cannot create '_thread.lock' instances")
        return new_lock(cls)

    def __init_subclass__(cls) -> None:
        if not cls.__module__.startswith("gopoll."):
            raise TypeError("type '_thread.lock' is not an acceptable base type")

    def acquire(self, blocking: Any = True, timeout: Any = -1) -> bool:
        """Lock the lock; wait until it is free, if `blocking`, at most `timeout` seconds.

        Return whether it was locked.
        """
        turn = self._turn
        turn[0] -= 1
        if turn[0] < 0:
            end_turn(turn)
        if timeout != -1:
            timeout = self._timed(blocking, timeout)
        held, self._held = self._held, True
        if not held:
            return True
        if not blocking or timeout == 0:
            return False
        return self._wait(None if timeout == -1 else timeout)

    def release(self) -> None:
        """Unlock the lock; one of those who wait for it goes on.

        Raises:
            RuntimeError: It is not locked.
        """
        held, self._held = self._held, False
        if not held:
            raise RuntimeError("release unlocked lock")
        if self._waiters:
            self._pass_on()

    def locked(self) -> bool:
        """Return whether the lock is locked."""
        return self._held

    def __enter__(self) -> bool:
        # What `acquire` and `release` do, once more: a call costs as much as the rest.
        turn = self._turn
        turn[0] -= 1
        if turn[0] < 0:
            end_turn(turn)
        held, self._held = self._held, True
        return self._wait(None) if held else True

    def __exit__(self, kind: object = None, exc: object = None, tb: object = None) -> None:
        held, self._held = self._held, False
        if not held:
            raise RuntimeError("release unlocked lock")
        if self._waiters:
            self._pass_on()

    def __repr__(self) -> str:
        status = "locked" if self._held else "unlocked"
        return f"<{status} {self._name()} object at {id(self):#x}>"

    # For ``threading.Condition``, which would make do without, and pay more than twice the price.

    def _is_owned(self) -> bool:
        return self._held

    def _release_save(self) -> None:
        self.release()

    def _acquire_restore(self, _: object, /) -> None:
        """Acquire it; what interrupts the wait is raised once that is done."""
        interruption = self._retake()
        if interruption is not None:
            raise interruption

    def _at_fork_reinit(self) -> None:
        self._waiters = None
        self._held = False

    def _take(self, _: Any, /) -> bool:
        held, self._held = self._held, True
        return not held

    def _free(self) -> None:
        self._held = False

    acquire_lock = acquire
    release_lock = release
    locked_lock = locked


class RLock(Waited):
    """A lock that its owner may lock again; it is free after as many releases."""

    __slots__ = ("_count", "_owner")

    _owner: Goroutine[Any] | Scheduler | None  # a scheduler: of a finalizer that interrupted it

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        self._waiters = None
        self._bubble = bubble_of(this.sched.current) if bubbles[0] else None
        self._owner = None
        self._count = 0  # of the acquisitions after the first

    def acquire(self, blocking: Any = True, timeout: Any = -1) -> bool:
        """Lock the lock; wait until nobody else has it, if `blocking`, at most `timeout` seconds.

        Return whether it was locked.
        """
        turn = self._turn
        turn[0] -= 1
        if turn[0] < 0:
            end_turn(turn)
        if timeout != -1:
            timeout = self._timed(blocking, timeout)
        sched = this.sched
        me = sched.current or sched
        owner, self._owner = self._owner, self._owner or me
        if owner is None:
            return True
        if owner is me:
            self._count += 1
            return True
        if not blocking or timeout == 0:
            return False
        return self._wait(None if timeout == -1 else timeout)

    def release(self) -> None:
        """Give back one acquisition.

        Raises:
            RuntimeError: The caller is not the owner.
        """
        sched = this.sched
        if self._owner is not (sched.current or sched):
            raise RuntimeError("cannot release un-acquired lock")
        if self._count:
            self._count -= 1
            return
        self._owner = None
        if self._waiters:
            self._pass_on()

    def __enter__(self) -> bool:
        turn = self._turn
        turn[0] -= 1
        if turn[0] < 0:
            end_turn(turn)
        sched = this.sched
        me = sched.current or sched
        owner, self._owner = self._owner, self._owner or me
        if owner is None:
            return True
        if owner is me:
            self._count += 1
            return True
        return self._wait(None)

    def __exit__(self, kind: object = None, exc: object = None, tb: object = None) -> None:
        sched = this.sched
        if self._owner is not (sched.current or sched):
            raise RuntimeError("cannot release un-acquired lock")
        if self._count:
            self._count -= 1
            return
        self._owner = None
        if self._waiters:
            self._pass_on()

    def __repr__(self) -> str:
        owner, count = self._owner, self._count + 1
        ident = 0
        if isinstance(owner, Goroutine):
            ident = ident_of(owner)
        elif owner is None:
            count = 0
        else:
            ident = owner.thread
        status = "locked" if count else "unlocked"
        return f"<{status} {self._name()} object owner={ident} count={count} at {id(self):#x}>"

    def _is_owned(self) -> bool:
        """For ``threading.Condition``."""
        sched = this.sched
        return self._owner is (sched.current or sched)

    def _recursion_count(self) -> int:
        return self._count + 1 if self._is_owned() else 0

    def _release_save(self) -> tuple[int, Any]:
        """Give all acquisitions back; what is returned brings them again."""
        if not self._is_owned():
            raise RuntimeError("cannot release un-acquired lock")
        state = self._count, self._owner
        self._count = 0
        self._owner = None
        if self._waiters:
            self._pass_on()
        return state

    def _acquire_restore(self, state: tuple[int, Any], /) -> None:
        """Take it as often as before; what interrupts the wait is raised once that is done."""
        interruption = self._retake()
        self._count = state[0]
        if interruption is not None:
            raise interruption

    def _at_fork_reinit(self) -> None:
        self._waiters = None
        self._owner = None
        self._count = 0

    def _take(self, g: Any, /) -> bool:
        owner, self._owner = self._owner, self._owner or g
        return owner is None

    def _give(self, g: Any) -> None:
        self._owner = g

    def _free(self) -> None:
        self._owner = None

    def _locked(self) -> bool:
        """Return whether somebody has it."""
        return self._owner is not None

    if hasattr(_original.RLock, "locked"):  # since 3.14
        locked = _locked


def new_lock(cls: type[L] = Lock) -> L:  # type: ignore[assignment]
    """Make a lock: here and not in the class, where most Pythons want no call."""
    lock = _new(cls)
    lock._held = False
    lock._waiters = None
    lock._bubble = bubble_of(this.sched.current) if bubbles[0] else None
    return lock


for _cls, _its_name in ((Lock, "lock"), (RLock, "RLock")):
    _cls.__module__ = "_thread"
    _cls.__name__ = _cls.__qualname__ = _its_name
