"""What gopoll's primitives cost beside gevent's: CPU time per operation, in one interleaved run.

    python tests/bench/primitives.py [--rounds N] [NAME ...]

Each figure is the median of the rounds, in microseconds; gopoll and gevent take turns in one
process. A scenario that gevent has nothing for shows gopoll alone.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.queue import Channel, Queue

from gopoll import Chan, context, go, gosched, select, sync


def gopoll_spawn(n: int) -> None:
    for _ in range(n // 100):
        for g in [go(int) for _ in range(100)]:
            g.join()


def gevent_spawn(n: int) -> None:
    for _ in range(n // 100):
        gevent.joinall([gevent.spawn(int) for _ in range(100)])


def gopoll_yield(n: int) -> None:
    def run() -> None:
        for _ in range(n // 2):
            gosched()

    for g in [go(run), go(run)]:
        g.join()


def gevent_yield(n: int) -> None:
    def run() -> None:
        for _ in range(n // 2):
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(run), gevent.spawn(run)])


def gopoll_round_trip(n: int) -> None:
    there, back = Chan[int](), Chan[int]()

    def echo() -> None:
        for value in there:
            back.send(value)

    g = go(echo)
    for i in range(n):
        there.send(i)
        back.recv()
    there.close()
    g.join()


def gevent_round_trip(n: int) -> None:
    there, back = Channel(), Channel()

    def echo() -> None:
        for value in there:
            back.put(value)

    g = gevent.spawn(echo)
    for i in range(n):
        there.put(i)
        back.get()
    there.put(StopIteration)
    g.join()


def gopoll_buffered(n: int) -> None:
    queue = Chan[int](100)

    def produce() -> None:
        for i in range(n):
            queue.send(i)
        queue.close()

    g = go(produce)
    for _ in queue:
        pass
    g.join()


def gevent_buffered(n: int) -> None:
    queue = Queue(100)

    def produce() -> None:
        for i in range(n):
            queue.put(i)
        queue.put(StopIteration)

    g = gevent.spawn(produce)
    for _ in queue:
        pass
    g.join()


def gopoll_select_2(n: int) -> None:
    a, b = Chan[int](), Chan[int]()

    def produce(chan: Chan[int]) -> None:
        for i in range(n // 2):
            chan.send(i)

    producers = [go(produce, a), go(produce, b)]
    for _ in range(n // 2 * 2):
        select(a.recv, b.recv)
    for g in producers:
        g.join()


def gopoll_lock(n: int) -> None:
    mutex = sync.Mutex()
    for _ in range(n):
        with mutex:
            pass


def gevent_lock(n: int) -> None:
    lock = BoundedSemaphore()
    for _ in range(n):
        with lock:
            pass


def gopoll_event(n: int) -> None:
    for _ in range(n):
        ctx, cancel = context.with_cancel(context.background())
        cancel()
        ctx.done().recv()


def gevent_event(n: int) -> None:
    for _ in range(n):
        event = Event()
        event.set()
        event.wait()


SCENARIOS = ("spawn", "yield", "round_trip", "buffered", "select_2", "lock", "event")


def measure(scenario: Callable[[int], None], n: int) -> float:
    """CPU microseconds per operation."""
    start = time.process_time()
    scenario(n)
    return (time.process_time() - start) / n * 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-n", type=int, default=20_000, help="operations per round")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SCENARIOS)}")
    options = parser.parse_args()
    print(f"{'us per operation':18}{'gopoll':>8}{'gevent':>8}{'ratio':>8}")
    for name in options.names or SCENARIOS:
        sides = [globals().get(f"{side}_{name}") for side in ("gopoll", "gevent")]
        rounds = [
            [measure(side, options.n) if side else float("nan") for side in sides]
            for _ in range(options.rounds)
        ]
        ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratio = statistics.median(ours / theirs for ours, theirs in rounds)
        print(f"{name:18}{ours:8.2f}{theirs:8.2f}{ratio:8.2f}")


if __name__ == "__main__":
    main()
