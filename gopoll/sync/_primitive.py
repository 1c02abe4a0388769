"""What the primitives of this room have in common.

- They are never copied: two halves of a lock protect nothing.
- They wait in one place, so that a bubble knows the waits that only its own goroutines can end.
- They call the program's functions in one place, which a Ctrl-C may interrupt.
"""

from collections.abc import Callable
from typing import Any, NoReturn, SupportsIndex, TypeVar

from gopoll._original import get_ident
from gopoll.runtime.bubble import bubble_of, bubbles, durable
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.guard import Guard, calls_user_code
from gopoll.runtime.sched import Scheduler, this
from gopoll.runtime.waitq import Waiter, WaitQueue

__all__ = ["Primitive", "Uncopied", "call", "is_a_ghost", "next_in"]

T = TypeVar("T")


class Uncopied:
    """Base class of what refuses to be copied and pickled."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:  # of copy, deepcopy and pickle
        msg = f"sync.{type(self).__name__} is copied: all who use it must share the one object"
        raise RuntimeError(msg)


class Primitive(Uncopied, Guard):
    """Base class of the primitives that have a queue."""

    __slots__ = ("__weakref__", "_bubble")

    def __init__(self) -> None:
        super().__init__()
        self._bubble = bubble_of(this.sched.current) if bubbles[0] else None

    def _park(self, sched: Scheduler, waiter: Waiter, reason: str) -> None:
        """Wait durably. For a lock nobody does, as in Go: whoever has it may compute."""
        if self._bubble is not None:
            reason = durable(reason, waiter.g, self._bubble)
        sched.park(waiter, reason)

    def _withdraw(self, waiter: Waiter, queue: WaitQueue) -> None:
        """Take out `waiter`, whose wait was interrupted."""
        self.latch.acquire()
        queue.discard(waiter)
        self.latch.release()


def next_in(queue: WaitQueue) -> Waiter | None:
    """Claim the first of `queue` that can still be woken, and will run."""
    while (waiter := queue.claim_first()) is not None:
        if not waiter.g.done:  # one that refused to end with its thread, and was left behind
            return waiter
    return None


def is_a_ghost(g: Goroutine[Any] | None) -> bool:
    """In a child, while it is renewed: whether `g` is another goroutine than the one that forked.

    The scheduler is still that of the parent.
    """
    if g is None:
        return True
    sched = g.sched
    return sched.thread != get_ident() or (sched.current or sched.main) is not g


@calls_user_code
def call(
    fn: Callable[..., T], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
) -> T:
    """Call the program's `fn`. Nothing else is in here: a Ctrl-C may be raised at any step."""
    # Spelled out: a call with * would be another entry into the interpreter, on the C stack that
    # is copied when the goroutine switches.
    if kwargs:
        return fn(*args, **kwargs)
    if len(args) == 0:
        return fn()
    if len(args) == 1:
        return fn(args[0])
    if len(args) == 2:
        return fn(args[0], args[1])
    return fn(*args)
