"""eventlet, as far as it has such things."""

import eventlet
from eventlet.event import Event
from eventlet.queue import LightQueue
from eventlet.semaphore import Semaphore

from tests.bench.primitives import Scales, obey


def nothing():
    pass


def spawn(n):
    for _ in range(n // 100):
        for g in [eventlet.spawn(nothing) for _ in range(100)]:
            g.wait()


def yield_(n):
    def run():
        for _ in range(n // 2):
            eventlet.sleep(0)

    for g in [eventlet.spawn(run), eventlet.spawn(run)]:
        g.wait()


def channel(n):
    there, back = LightQueue(0), LightQueue(0)

    def echo():
        for _ in range(n):
            back.put(there.get())

    g = eventlet.spawn(echo)
    for i in range(n):
        there.put(i)
        back.get()
    g.wait()


def buffered(n):
    queue = LightQueue(100)

    def produce():
        for i in range(n):
            queue.put(i)

    g = eventlet.spawn(produce)
    for _ in range(n):
        queue.get()
    g.wait()


def mutex(n):
    lock = Semaphore()
    for _ in range(n):
        with lock:
            pass


def parked(n):
    event, started = Event(), 0

    def park():
        nonlocal started
        started += 1
        event.wait()

    scales = Scales()
    for _ in range(n):
        eventlet.spawn(park)
    while started < n:
        eventlet.sleep(0)
    scales.read(n)


if __name__ == "__main__":
    obey(
        {
            "spawn": spawn,
            "yield": yield_,
            "channel": channel,
            "buffered": buffered,
            "mutex": mutex,
            "parked": parked,
        }
    )
