"""Contexts of tests, and what is true of all of them."""

from gopoll import default, select
from gopoll.context import Context

__all__ = ["Wrapped", "is_done"]


def is_done(ctx):
    """Whether done() is closed; err() must agree."""
    done = select(ctx.done().recv_ok, default) == (0, (None, False))
    assert done == (ctx.err() is not None)
    return done


class Wrapped(Context):
    """A context of the program's own, around another: what Go writes by embedding one."""

    def __init__(self, inner):
        self.inner = inner

    def done(self):
        return self.inner.done()

    def err(self):
        return self.inner.err()

    def deadline(self):
        return self.inner.deadline()

    def value(self, key):
        return self.inner.value(key)
