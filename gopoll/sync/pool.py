"""Keeping what is expensive to make and can be used again.

What lies in the pool grows old by full garbage collections, as in Go: what nobody got since the
last one is dropped at the next. So a pool never holds more than its users needed not long ago.

    =========  ==========================  ============================
    list       get()                       a full collection
    =========  ==========================  ============================
    _fresh     takes the last put          becomes the old one
    _old       takes it if none is fresh   is dropped
    =========  ==========================  ============================

Each step of it is one call into a list, or an exchange, and can be made from anywhere.
"""

import gc
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import ReferenceType, ref

from gopoll.sync._primitive import Uncopied, call

__all__ = ["Pool"]

T = TypeVar("T")


class Pool(Uncopied, Generic[T]):
    """Objects that wait to be used again; mirrors ``sync.Pool``.

    `new` makes one when there is none. What lies in the pool may vanish at any time.
    """

    __slots__ = ("__weakref__", "_fresh", "_new", "_old")

    def __init__(self, new: Callable[[], T]) -> None:
        if not callable(new):
            msg = f"a Pool needs a function that makes what it lacks, got {new!r}"
            raise TypeError(msg)
        self._new = new
        self._fresh: list[T] = []
        self._old: list[T] = []
        gc.callbacks.append(_Ageing(self))

    def __repr__(self) -> str:
        return f"<Pool at {id(self):#x} of {len(self._fresh) + len(self._old)}>"

    def get(self) -> T:
        """Take one out, the one put in last; make a new one if there is none."""
        for kept in (self._fresh, self._old):
            try:
                return kept.pop()
            except IndexError:
                continue
        return call(self._new)

    def put(self, x: T) -> None:
        """Put `x` in, which the caller must not use any more; None is ignored, as in Go."""
        if x is not None:
            self._fresh.append(x)


class _Ageing:
    """Told of each garbage collection, as long as its pool lives."""

    __slots__ = ("pool",)

    def __init__(self, pool: Pool[Any]) -> None:
        self.pool = ref(pool, self.end)

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        pool = self.pool()
        if pool is not None and phase == "stop" and info["generation"] == 2:
            pool._fresh, pool._old = [], pool._fresh

    def end(self, _: ReferenceType[Pool[Any]]) -> None:
        gc.callbacks.remove(self)
