"""What the tests of locks and kin have in common."""

from collections.abc import Callable
from contextlib import suppress

import gopoll
from gopoll import go
from gopoll.runtime.sched import this
from tests.support.parking import in_thread
from tests.support.threads import SOON

__all__ = ["Boom", "Context", "crowd", "interrupt", "next_wait"]

THREADS, GOROUTINES = 4, 40


class Boom(BaseException):
    """Something that interrupts a wait, as a Ctrl-C does."""


class Context:
    """What a context offers to those who wait, and its cancel function."""

    def __init__(self):
        self.error = None
        self.told = []

    def err(self):
        return self.error

    def on_done(self, fn: Callable[[], object]) -> Callable[[], bool]:
        if self.error is not None:
            fn()
            return lambda: False
        self.told.append(fn)

        def call_off():
            with suppress(ValueError):
                self.told.remove(fn)
                return True
            return False

        return call_off

    def cancel(self, error):
        self.error = error
        told, self.told = self.told, []
        for fn in told:
            fn()


def interrupt(g, exc=None):
    """End the wait of `g`, or its next one."""
    this.sched.interrupt(g, exc or Boom())


def next_wait():
    """What the next wait of the calling goroutine raises, as a type; None if nothing does."""
    try:
        gopoll.gosched()
    except BaseException as exc:
        return type(exc)
    return None


def crowd(work):
    """Call ``work(thread, goroutine)`` in four OS threads with forty goroutines each, at once."""

    def body(thread):
        goroutines = [go(work, thread, number) for number in range(GOROUTINES)]
        for g in goroutines:
            g.result(SOON)

    threads = [go(in_thread, body, thread) for thread in range(THREADS)]
    for g in threads:
        g.result(2 * SOON)
    return THREADS * GOROUTINES
