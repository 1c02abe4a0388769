"""What is measured from inside: ``python -m tests.bench.primitives.LIBRARY NAME SECONDS``.

Each module has functions that do an operation n times, and hands them to `obey`, by which a program
says "ready" and then answers each line on standard input with the CPU seconds that a round took and
how many operations it had. Rounds are as long as SECONDS says, about; the programs find out by
themselves how many operations that is. "skip" and a reason instead of "ready" says why not.

`parked` alone parks a crowd, prints what each of it costs in memory, and ends.
"""

import gc
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

TIMERS = 100_000
PARKED = 20_000


def obey(functions: dict[str, Callable[[int], object]]) -> None:
    """Measure the one that the command line names, once for each line of input."""
    name, seconds = sys.argv[1], float(sys.argv[2])
    if name == "parked":
        functions[name](PARKED)
        return
    function = functions[name]
    step = TIMERS if name.startswith("timers") else 2_000
    n = step
    while (spent := measure(function, n)) < seconds / 4 and n < 1e9:
        n *= 4
    n = max(round(n * seconds / max(spent, 1e-6) / step), 1) * step
    print("ready", flush=True)
    for _ in sys.stdin:
        print(measure(function, n), n, flush=True)


def measure(function: Callable[[int], object], n: int) -> float:
    """The CPU seconds of n operations."""
    start = time.process_time()
    function(n)
    return time.process_time() - start


class Scales:
    """What a crowd costs in memory: made before the crowd comes, read once all of it is parked."""

    def __init__(self) -> None:
        gc.collect()
        self.before = self.rss()

    @staticmethod
    def rss() -> int:
        """Bytes of memory that this process has to itself."""
        return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) * 1024

    def read(self, n: int) -> NoReturn:
        """Print the bytes for each of n, and end: a crowd would take its time to leave."""
        print((self.rss() - self.before) / n, flush=True)
        os._exit(0)
