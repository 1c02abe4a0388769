"""What a test left behind: goroutines, descriptors, OS threads."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gopoll._original import sleep, thread_count
from gopoll.runtime import outside
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.sched import schedulers, this
from gopoll.runtime.traceback import format_goroutines
from gopoll.testing.idle import wait_idle

__all__ = ["no_leaks"]

_PATIENCE = 100  # looks, a millisecond apart: a thread that was joined is still on its way out
_FDS = Path("/proc/self/fd") if Path("/proc/self/fd").exists() else Path("/dev/fd")


@contextmanager
def no_leaks() -> Iterator[None]:
    """Fail unless the block ends with the goroutines, descriptors and threads it began with.

    Goroutines that can still run are given the chance to end first. gopoll's own worker threads,
    which are kept for reuse, do not count.

    Raises:
        AssertionError: Something was left; the message names it, goroutines with their stacks.
    """
    this.sched.need_poller()  # its descriptors are not the block's
    gc.collect()
    goroutines, descriptors, threads = _goroutines(), _descriptors(), _threads()
    yield
    for _ in range(_PATIENCE):
        wait_idle()
        left = _goroutines() - goroutines
        opened = {fd: what for fd, what in _descriptors().items() if descriptors.get(fd) != what}
        if not left and not opened and _threads() <= threads:
            return
        gc.collect()
        sleep(0.001)
    report = []
    if left:
        report.append(f"{len(left)} goroutines were left behind:\n\n{format_goroutines(left)}")
    if opened:
        names = "\n".join(f"  {fd}: {what}" for fd, what in sorted(opened.items()))
        report.append(f"{len(opened)} descriptors were left open:\n{names}")
    if _threads() > threads:
        report.append(f"{_threads() - threads} threads were left running")
    raise AssertionError("\n".join(report))


def _goroutines() -> set[Goroutine[Any]]:
    return {g for sched in list(schedulers.values()) for g in list(sched.goroutines)}


def _threads() -> int:
    return thread_count() - outside.own_threads[0]


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir(_FDS):  # noqa: PTH208 - the directory's own descriptor is listed too
        try:
            found[int(name)] = os.readlink(_FDS / name) if _FDS.parts[1] == "proc" else ""  # noqa: PTH115
        except OSError:  # the one that listed them
            continue
    return found
