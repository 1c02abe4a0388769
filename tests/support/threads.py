"""Other OS threads, and when they do their part."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gopoll
from gopoll.runtime.sched import this

__all__ = ["SOON", "at_once", "running", "when_asleep"]

SOON = 20.0  # seconds: nothing takes as long, unless a wake-up is lost


@contextmanager
def running(*fns: Callable[[], object]) -> Iterator[list[threading.Thread]]:
    """Threads that run `fns`; they have ended afterwards."""
    threads = [threading.Thread(target=fn, daemon=True) for fn in fns]
    for thread in threads:
        thread.start()
    yield threads
    for thread in threads:
        gopoll.offload(thread.join, SOON)
        assert not thread.is_alive()


def at_once(fn: Callable[..., object], *args: Any) -> None:
    """Let another thread call `fn`, from beginning to end, here and now."""
    thread = threading.Thread(target=fn, args=args)
    thread.start()
    thread.join(SOON)
    assert not thread.is_alive(), "the other thread has to wait"


def when_asleep(fn: Callable[..., object], *args: Any) -> Callable[[], object]:
    """A part for another thread: call `fn` once the scheduler of this one sleeps."""
    sleeper = this.sched

    def part() -> None:
        while not sleeper.sleeping:
            os.sched_yield()
        fn(*args)

    return part
