"""A doubly linked list through its own members: any of them is taken out at the same small price.

It allocates nothing, which for a hundred thousand members counts. A member is in one chain at most;
`prev` and `next` are None in one that is in none.
"""

from gopoll._typing import Generic, Protocol, Self, TypeVar

__all__ = ["Chain"]


class Link(Protocol):
    """What can be a member."""

    prev: Self | None
    next: Self | None


L = TypeVar("L", bound=Link)


class Chain(Generic[L]):
    """Members in the order of their coming."""

    __slots__ = ("first", "last")

    def __init__(self) -> None:
        self.first: L | None = None
        self.last: L | None = None

    def push(self, link: L) -> None:
        """Put `link` last; it is in no chain."""
        last = self.last
        if last is None:
            self.first = link
        else:
            last.next = link
            link.prev = last
        self.last = link

    def discard(self, link: L) -> bool:
        """Take `link` out; False if it is in no chain."""
        before, after = link.prev, link.next
        if before is None and self.first is not link:
            return False
        if before is None:
            self.first = after
        else:
            before.next = after
        if after is None:
            self.last = before
        else:
            after.prev = before
        link.prev = link.next = None
        return True
