"""What the client programs have in common: fifty threads that do the same at once.

Under the patch they are goroutines; without it the same program shows that it is right itself.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["CROWD", "DELAY", "done", "together", "where"]

CROWD = 50
DELAY = 0.2  # seconds for which the server keeps each operation waiting
where: dict[str, Any] = json.loads(sys.argv[1])  # the server
_ONE_THREAD = os.environ.get("CROWD_THREADS") == "1"
_TASKS = Path("/proc/self/task")
_most_threads = 0


def look() -> None:
    """See how many OS threads there are."""
    global _most_threads
    if _TASKS.exists():
        _most_threads = max(_most_threads, sum(1 for _ in _TASKS.iterdir()))


def together(
    operation: Callable[[int, Any], Any],
    prepare: Callable[[int], Any] = lambda i: i,
    *,
    n: int = CROWD,
    delayed: bool = True,
) -> list[Any]:
    """Have `n` threads call ``operation(i, prepare(i))``, once all are prepared.

    If the server delays what they do, they must overlap: most have begun before the first has
    ended, and their times add up to far more than all took. One after the other that would be as
    much, on however slow a machine. Returns what they return, in order.
    """
    start = threading.Barrier(n)
    answers: list[Any] = [None] * n
    failures: list[BaseException] = []
    lock = threading.Lock()
    inside = most = 0
    spans: list[tuple[float, float]] = []

    def visit(i: int) -> None:
        nonlocal inside, most
        try:
            prepared = prepare(i)
            start.wait(60)
            begun = time.monotonic()
            with lock:
                inside += 1
                most = max(most, inside)
            answers[i] = operation(i, prepared)
            with lock:
                inside -= 1
                look()
            spans.append((begun, time.monotonic()))
        except BaseException as error:
            failures.append(error)
            start.abort()

    threads = [threading.Thread(target=visit, args=[i], name=f"visitor {i}") for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        if not isinstance(failure, threading.BrokenBarrierError):
            raise failure
    assert not failures
    if delayed:
        took = max(end for _, end in spans) - min(begin for begin, _ in spans)
        overlap = sum(end - begin for begin, end in spans) / took
        assert most > n / 2, f"{most} at once, {overlap:.1f} on average"
        assert overlap > n / 4, f"{overlap:.1f} at once on average, in {took:.2f} s"
    return answers


def done() -> None:
    """The last thing that a program says."""
    look()
    if _ONE_THREAD:
        assert _most_threads <= 1, f"{_most_threads} OS threads"
    print("done")
