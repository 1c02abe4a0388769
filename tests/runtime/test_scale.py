"""Many goroutines: what they cost in memory, while they wait and when they have ended."""

import platform
import sys

import pytest

from tests.support.script import run_script

pytestmark = [
    pytest.mark.scale,
    pytest.mark.timeout(150),
    pytest.mark.skipif(platform.system() != "Linux", reason="reads /proc/self/statm"),
]

MEMORY = """
import os, sys
import gopoll

def rss():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")
"""

# Python 3.11 keeps the frames of a greenlet in a chunk of its own, and a parked one costs little
# beside it. From 3.12 on greenlet copies the frames that it parks as well, one object for each.
MOST = 6_500 if sys.version_info < (3, 12) else 9_000


def test_a_hundred_thousand_parked_goroutines():
    done = run_script(
        MEMORY
        + """
def wait(ch):
    ch.recv()

def main():
    ch = gopoll.Chan()
    many = 100_000
    for i in range(100):  # what is made once
        gopoll.go(wait, ch)
    gopoll.gosched()
    before = rss()
    goroutines = [gopoll.go(wait, ch) for i in range(many)]
    last = goroutines[-1]
    del goroutines
    while last.state != "chan receive":
        gopoll.gosched()
    print((rss() - before) // many, gopoll.num_goroutine())
    ch.close()
    last.join()

gopoll.run(main)
""",
        timeout=120,
        PYTHONDEVMODE="0",
        PYTHONMALLOC="default",  # the debugging allocator would double the figure
        GOPOLL_TEST_SEED="",
    )
    assert done.stderr == ""
    each, living = map(int, done.stdout.split())
    assert living == 100_101
    assert each < MOST


def test_goroutines_that_ended_leave_no_memory_behind():
    done = run_script(
        MEMORY
        + """
def main():
    total = 0

    def count(i):
        nonlocal total
        total += i & 1

    def some(n):
        for i in range(n):
            gopoll.go(count, i)
            if i % 100 == 99:
                gopoll.gosched()
        gopoll.gosched()

    some(20_000)
    before = rss()
    some(200_000)
    print(total, rss() - before, gopoll.num_goroutine())

gopoll.run(main)
""",
        timeout=120,
    )
    assert done.stderr == ""
    total, grown, living = map(int, done.stdout.split())
    assert (total, living) == (110_000, 1)
    assert grown < 2_000_000  # ten bytes for each


def test_workers_are_given_back_after_a_crowd():
    """Of twenty thousand worker greenlets only the few that are kept remain."""
    done = run_script(
        MEMORY
        + """
from gopoll.runtime.sched import _FREE_WORKERS, this

def main():
    def crowd():
        ch = gopoll.Chan()
        goroutines = [gopoll.go(ch.recv) for _ in range(20_000)]
        while any(g.state != "chan receive" for g in goroutines[-1:]):
            gopoll.gosched()
        ch.close()
        for g in goroutines:
            g.join()

    crowd()
    before = rss()
    crowd()
    crowd()
    print(rss() - before, len(this.sched.free) <= _FREE_WORKERS)

gopoll.run(main)
""",
        timeout=120,
    )
    assert done.stderr == ""
    grown, bounded = done.stdout.split()
    assert bounded == "True"
    assert int(grown) < 8_000_000
