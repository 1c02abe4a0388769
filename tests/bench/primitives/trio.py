"""trio, as far as it has such things."""

import trio

from tests.bench.primitives import Scales, obey


async def nothing():
    pass


async def spawn(n):
    for _ in range(n // 100):
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(nothing)


async def yield_(n):
    async def run():
        for _ in range(n // 2):
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        nursery.start_soon(run)


async def channel(n):
    send_there, there = trio.open_memory_channel(0)
    send_back, back = trio.open_memory_channel(0)

    async def echo():
        async for value in there:
            await send_back.send(value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo)
        for i in range(n):
            await send_there.send(i)
            await back.receive()
        await send_there.aclose()


async def buffered(n):
    send, queue = trio.open_memory_channel(100)

    async def produce():
        for i in range(n):
            await send.send(i)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        for _ in range(n):
            await queue.receive()


async def mutex(n):
    lock = trio.Lock()
    for _ in range(n):
        async with lock:
            pass


async def parked(n):
    event, started = trio.Event(), 0

    async def park():
        nonlocal started
        started += 1
        await event.wait()

    scales = Scales()
    async with trio.open_nursery() as nursery:
        for _ in range(n):
            nursery.start_soon(park)
        while started < n:
            await trio.lowlevel.checkpoint()
        scales.read(n)


if __name__ == "__main__":
    functions = {
        "spawn": spawn,
        "yield": yield_,
        "channel": channel,
        "buffered": buffered,
        "mutex": mutex,
        "parked": parked,
    }
    obey({name: lambda n, main=main: trio.run(main, n) for name, main in functions.items()})
