"""gopoll's own words."""

import gopoll
from gopoll import Chan, go, gosched, select, sync
from gopoll.time import after_func
from tests.bench.primitives import TIMERS, Scales, obey


def nothing():
    pass


def spawn(n):
    for _ in range(n // 100):
        for g in [go(nothing) for _ in range(100)]:
            g.join()


def yield_(n):
    def run():
        for _ in range(n // 2):
            gosched()

    for g in [go(run), go(run)]:
        g.join()


def channel(n):
    there, back = Chan[int](), Chan[int]()

    def echo():
        for value in there:
            back.send(value)

    g = go(echo)
    for i in range(n):
        there.send(i)
        back.recv()
    there.close()
    g.join()


def buffered(n):
    queue = Chan[int](100)

    def produce():
        for i in range(n):
            queue.send(i)
        queue.close()

    g = go(produce)
    for _ in queue:
        pass
    g.join()


def select_of(ways, n):
    def produce(chan):
        for i in range(n // ways):
            chan.send(i)

    chans = [Chan[int]() for _ in range(ways)]
    producers = [go(produce, chan) for chan in chans]
    cases = [chan.recv for chan in chans]
    for _ in range(n // ways * ways):
        select(*cases)
    for g in producers:
        g.join()


def mutex(n):
    lock = sync.Mutex()
    for _ in range(n):
        with lock:
            pass


def timers_cancel(n):
    for _ in range(n // TIMERS):
        for call in [after_func(60.0, nothing) for _ in range(TIMERS)]:
            call.stop()


def timers_fire(n):
    for _ in range(n // TIMERS):
        left = sync.WaitGroup()
        left.add(TIMERS)
        for _ in range(TIMERS):
            after_func(0.2, left.done)
        left.wait()


def parked(n):
    chan, started = Chan[int](), 0

    def park():
        nonlocal started
        started += 1
        chan.recv()

    scales = Scales()
    for _ in range(n):
        go(park)
    while started < n:
        gosched()
    scales.read(n)


if __name__ == "__main__":
    functions = {
        "spawn": spawn,
        "yield": yield_,
        "channel": channel,
        "buffered": buffered,
        "select-2": lambda n: select_of(2, n),
        "select-16": lambda n: select_of(16, n),
        "mutex": mutex,
        "timers-cancel": timers_cancel,
        "timers-fire": timers_fire,
        "parked": parked,
    }
    gopoll.run(obey, functions)
