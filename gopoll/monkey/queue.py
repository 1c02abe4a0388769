"""``queue`` on goroutines: its classes are Python code over locks, but for one.

`SimpleQueue` is written in C and blocks the OS thread. What stands for it here may be used in
signal handlers and finalizers, as the original may: who puts never waits, and there is no lock.

Who wants an item queues up in `_getters` before a last look at the items; who puts one looks at the
getters after that. So one of the two sees the other. Each item wakes one getter, who may find that
somebody else was faster; then he is the first of the queue again.
"""

import sys
from _queue import Empty
from collections import deque
from types import GenericAlias
from typing import Any, ClassVar, Final, NoReturn, Self

from gopoll.monkey._wait import Hinted, Parked, park
from gopoll.monkey._waited import Waited, end_turn, first_of, withdraw
from gopoll.monkey.registry import Room
from gopoll.runtime.bubble import BubbleTime, bubble_of, bubbles, durable
from gopoll.runtime.sched import this
from gopoll.runtime.waitq import refuse, resume

__all__ = ["ROOM"]

_REASON: Final = "queue"
_MAX: Final = 9e9  # seconds; from about here on the original raises OverflowError


class SimpleQueue:
    """Simple, unbounded, reentrant FIFO queue."""

    __slots__ = ("__weakref__", "_bubble", "_getters", "_items")

    _items: deque[Any]
    _getters: deque[Parked]
    _bubble: BubbleTime | None  # in which it was made

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError("SimpleQueue() takes no arguments")
        self = super().__new__(cls)
        self._items = deque()
        self._getters = deque()
        self._bubble = bubble_of(this.sched.current) if bubbles[0] else None
        return self

    def put(
        self,
        item: Any,
        block: bool = True,  # noqa: ARG002 - for those who take it for a Queue
        timeout: float | None = None,  # noqa: ARG002
    ) -> None:
        """Put the item on the queue; this never waits."""
        turn = Waited._turn
        turn[0] -= 1
        if turn[0] < 0:
            end_turn(turn)
        self._items.append(item)
        if self._getters:
            self._wake_one()

    def put_nowait(self, item: Any) -> None:
        """Put an item into the queue without blocking."""
        self.put(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Remove and return an item; wait for one, if `block`, at most `timeout` seconds.

        Raises:
            queue.Empty: There was none.
        """
        turn = Waited._turn
        turn[0] -= 1
        if turn[0] < 0:
            end_turn(turn)
        if timeout is not None and block:
            _check(timeout)
        items = self._items
        if items:
            try:
                return items.popleft()
            except IndexError:  # another thread was faster
                pass
        if not block or timeout == 0:
            raise Empty
        return self._wait(timeout)

    def get_nowait(self) -> Any:
        """Remove and return an item from the queue without blocking."""
        return self.get(False)

    def empty(self) -> bool:
        """Return True if the queue is empty, False otherwise (not reliable!)."""
        return not self._items

    def qsize(self) -> int:
        """Return the approximate size of the queue (not reliable!)."""
        return len(self._items)

    def __reduce__(self) -> NoReturn:
        msg = f"cannot pickle '_queue.{type(self).__name__}' object"
        raise TypeError(msg)

    __class_getitem__: ClassVar[Any] = classmethod(GenericAlias)

    def _wake_one(self) -> None:
        getter = first_of(self._getters)
        if getter is not None:
            getter.ok = True
            resume(getter.g)

    def _wait(self, timeout: float | None) -> Any:
        g = this.sched.current or refuse(_REASON)
        now = g.timeline.now
        deadline = None if timeout is None else now() + timeout
        items, getters = self._items, self._getters
        late = False
        reason = _REASON if self._bubble is None else durable(_REASON, g, self._bubble)
        while True:
            getter = Hinted(g)
            if late:
                getters.appendleft(getter)
            else:
                getters.append(getter)
            woken = True
            if items and getter.claim():
                withdraw(getter, getters)
            else:
                left = None if deadline is None else max(0.0, deadline - now())
                try:
                    woken = park(getter, reason, left)
                except BaseException:
                    withdraw(getter, getters)
                    if getter.ok and items:  # it was to be ours
                        self._wake_one()
                    raise
                if not woken:
                    withdraw(getter, getters)
            try:
                return items.popleft()
            except IndexError:
                withdraw(getter, getters)  # a signal handler has ended this wait
                late = True
            if not woken:
                raise Empty


def _check(timeout: Any) -> None:
    if not isinstance(timeout, (int, float)):
        msg = f"{type(timeout).__name__!r} object cannot be interpreted as an integer"
        raise TypeError(msg)
    if timeout != timeout:  # noqa: PLR0124 - only nan differs from itself
        raise ValueError("Invalid value NaN (not a number)")
    if timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    if timeout > _MAX:
        raise OverflowError("timeout value is too large")


SimpleQueue.__module__ = "_queue"


def _replacements() -> dict[str, Any]:
    places = {"_queue:SimpleQueue": SimpleQueue}
    module = sys.modules.get("queue")  # it may have no `_queue`, and have it all in Python
    if getattr(getattr(module, "SimpleQueue", None), "__module__", "") == "_queue":
        places["queue:SimpleQueue"] = SimpleQueue
    return places


ROOM = Room(
    "queue",
    replaces=_replacements(),
    leaves={
        "queue:Queue": "Python code over a lock and conditions; so are LifoQueue, PriorityQueue",
        "_queue:Empty": "the same exception",
    },
)
