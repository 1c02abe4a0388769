"""Every exception of gopoll, in one tree, so that a reader finds what can be raised in one place.

Python's own exceptions are used wherever one exists: ``TimeoutError`` for a deadline, ``OSError``
for what the kernel says, ``ValueError`` and ``TypeError`` for bad arguments. What is left is here.

Invariant: nothing in this room imports anything of gopoll.
"""

import errno

__all__ = [
    "AddrError",
    "Canceled",
    "ChannelClosed",
    "ClosedError",
    "DeadlineExceeded",
    "Deadlock",
    "GoExit",
    "ScopeEnd",
]


class ChannelClosed(Exception):  # noqa: N818 - a state of the channel, named as Go's panics name it
    """Send on a closed channel, close of a closed or nil channel, or ``try_recv`` on a drained one.

    The message tells which, in Go's words.
    """


class Deadlock(RuntimeError):  # noqa: N818 - Go's word for it
    """All goroutines are asleep: nothing that gopoll knows of can ever wake one of them.

    Raised in the main goroutine. The message lists every goroutine with what it waits for.
    """


class ClosedError(OSError):
    """The connection, listener or descriptor was closed, by this goroutine or by another.

    Mirrors Go's ``net.ErrClosed``. ``errno`` is ``EBADF``, as for a closed socket of the standard
    library.
    """

    def __init__(self, what: str = "use of closed network connection") -> None:
        """Say what was closed; the default is Go's text."""
        super().__init__(errno.EBADF, what)


class AddrError(ValueError):
    """A network name or an address that cannot be used; mirrors Go's ``net.AddrError``."""


class Canceled(Exception):  # noqa: N818 - Go's word for it
    """The context was cancelled; mirrors Go's ``context.Canceled``.

    Why it was, ``context.cause(ctx)`` tells.
    """

    def __init__(self, what: str = "context canceled") -> None:
        """Say what happened; the default is Go's text."""
        super().__init__(what)


class DeadlineExceeded(TimeoutError):  # noqa: N818 - the same
    """The deadline of the context has passed; mirrors Go's ``context.DeadlineExceeded``."""

    def __init__(self, what: str = "context deadline exceeded") -> None:
        """Say what happened; the default is Go's text."""
        super().__init__(what)


class ScopeEnd(BaseException):
    """Unwinds a goroutine to the end of the `scope` that somebody ended, ``timeout()`` for one.

    A ``BaseException``, so that nobody on the way takes it for an error of the operation.
    """

    def __init__(self, scope: object) -> None:
        super().__init__(f"end of {scope!r}")
        self.scope = scope


class GoExit(BaseException):
    """Unwinds a goroutine that called ``goexit()``, or one that outlived ``run()``.

    A ``BaseException``, so that ``except Exception`` lets it pass and ``finally`` blocks run.
    """
