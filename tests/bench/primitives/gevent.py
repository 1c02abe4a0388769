"""gevent; with `loop` as the last argument, the timers of its C loop, which call in the hub."""

import sys

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.queue import Channel, Queue

from tests.bench.primitives import TIMERS, Scales, obey


def nothing():
    pass


def spawn(n):
    for _ in range(n // 100):
        for g in [gevent.spawn(nothing) for _ in range(100)]:
            g.join()


def yield_(n):
    def run():
        for _ in range(n // 2):
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(run), gevent.spawn(run)])


def channel(n):
    there, back = Channel(), Channel()

    def echo():
        for value in there:
            back.put(value)

    g = gevent.spawn(echo)
    for i in range(n):
        there.put(i)
        back.get()
    there.put(StopIteration)
    g.join()


def buffered(n):
    queue = Queue(100)

    def produce():
        for i in range(n):
            queue.put(i)
        queue.put(StopIteration)

    g = gevent.spawn(produce)
    for _ in queue:
        pass
    g.join()


def mutex(n):
    lock = BoundedSemaphore()
    for _ in range(n):
        with lock:
            pass


def timers_cancel(n):
    for _ in range(n // TIMERS):
        for timeout in [gevent.Timeout.start_new(60.0) for _ in range(TIMERS)]:
            timeout.close()


def loop_timers_cancel(n):
    new = gevent.get_hub().loop.timer
    for _ in range(n // TIMERS):
        timers = [new(60.0) for _ in range(TIMERS)]
        for timer in timers:
            timer.start(nothing)
        for timer in timers:
            timer.close()


class Countdown:
    """All timers have fired."""

    def __init__(self):
        self.left, self.over = TIMERS, Event()

    def fire(self):
        self.left -= 1
        if not self.left:
            self.over.set()


def timers_fire(n):
    for _ in range(n // TIMERS):
        down = Countdown()
        for _ in range(TIMERS):
            gevent.spawn_later(0.2, down.fire)
        down.over.wait()


def loop_timers_fire(n):
    new = gevent.get_hub().loop.timer
    for _ in range(n // TIMERS):
        down = Countdown()
        timers = [new(0.2) for _ in range(TIMERS)]
        for timer in timers:
            timer.start(down.fire)
        down.over.wait()
        for timer in timers:
            timer.close()


def parked(n):
    event, started = Event(), 0

    def park():
        nonlocal started
        started += 1
        event.wait()

    scales = Scales()
    for _ in range(n):
        gevent.spawn(park)
    while started < n:
        gevent.sleep(0)
    scales.read(n)


if __name__ == "__main__":
    loop = sys.argv[3:] == ["loop"]
    obey(
        {
            "spawn": spawn,
            "yield": yield_,
            "channel": channel,
            "buffered": buffered,
            "mutex": mutex,
            "timers-cancel": loop_timers_cancel if loop else timers_cancel,
            "timers-fire": loop_timers_fire if loop else timers_fire,
            "parked": parked,
        }
    )
