"""The program that is measured: ``python -m tests.costs.program [NAME...]``.

In each scenario it warms up, then makes a short run and a long one, and after each of the three a
*mark*, a call that nobody else makes and that strace and valgrind can be told to look for. What
could differ from one time to the next is kept out: garbage collections, select's dice, where in a
turn a run begins, and the end of a turn by the clock, which a program under valgrind reaches
sooner. ``GOPOLL_COSTS_BEFORE`` is code to be run first, by which a test makes an operation dearer.
"""

import gc
import os
import sys
from collections.abc import Callable
from random import Random

from gopoll import gosched
from gopoll.runtime import turn
from gopoll.runtime.sched import this
from tests.costs.scenarios import PATCHED, PLAIN, Scenario

__all__ = ["LONG", "MARK", "SHORT", "main"]

SHORT, LONG = 64, 320  # operations: a crowd, and four times a crowd more
MARK = "getpriority"  # the system call, and the function of the C library


def make_mark() -> None:
    os.getpriority(os.PRIO_PROCESS, 0)


def main(names: list[str], mark: Callable[[], object] = make_mark) -> None:
    """Run these scenarios, or all, in their own order."""
    assert turn._SLICE < 1
    turn._SLICE = 1e6
    this.sched.dice = Random(1)
    exec(os.environ.get("GOPOLL_COSTS_BEFORE", ""), {})
    gc.disable()
    for name, scenario in PLAIN.items():
        if not names or name in names:
            run_scenario(scenario, mark)
    for name, scenario in PATCHED.items():
        if not names or name in names:
            from gopoll import monkey

            monkey.patch_all()
            run_scenario(scenario, mark)


def run_scenario(scenario: Scenario, mark: Callable[[], object]) -> None:
    with scenario() as run:
        for n in (SHORT, SHORT, LONG):
            this.sched.operations = 0
            gosched()  # a turn begins
            run(n)
            mark()


if __name__ == "__main__":
    main(sys.argv[1:])
