"""asyncio, or uvloop if the last argument says so: tasks; queues of one for want of channels."""

import asyncio
import sys

from tests.bench.primitives import TIMERS, Scales, obey


async def nothing():
    pass


async def spawn(n):
    for _ in range(n // 100):
        for task in [asyncio.create_task(nothing()) for _ in range(100)]:
            await task


async def yield_(n):
    async def run():
        for _ in range(n // 2):
            await asyncio.sleep(0)

    await asyncio.gather(run(), run())


async def channel(n):
    there, back = asyncio.Queue(1), asyncio.Queue(1)

    async def echo():
        for _ in range(n):
            await back.put(await there.get())

    task = asyncio.create_task(echo())
    for i in range(n):
        await there.put(i)
        await back.get()
    await task


async def buffered(n):
    queue = asyncio.Queue(100)

    async def produce():
        for i in range(n):
            await queue.put(i)

    task = asyncio.create_task(produce())
    for _ in range(n):
        await queue.get()
    await task


async def mutex(n):
    lock = asyncio.Lock()
    for _ in range(n):
        async with lock:
            pass


async def timers_cancel(n):
    def call():
        pass

    loop = asyncio.get_running_loop()
    for _ in range(n // TIMERS):
        for handle in [loop.call_later(60.0, call) for _ in range(TIMERS)]:
            handle.cancel()
        await asyncio.sleep(0)


async def timers_fire(n):
    loop = asyncio.get_running_loop()
    for _ in range(n // TIMERS):
        left, all_fired = TIMERS, asyncio.Event()

        def fire(all_fired=all_fired):
            nonlocal left
            left -= 1
            if not left:
                all_fired.set()

        for _ in range(TIMERS):
            loop.call_later(0.2, fire)
        await all_fired.wait()


async def parked(n):
    event, started = asyncio.Event(), 0

    async def park():
        nonlocal started
        started += 1
        await event.wait()

    scales = Scales()
    tasks = [asyncio.create_task(park()) for _ in range(n)]
    while started < n:  # noqa: ASYNC110 - an event would have to be told by the last one
        await asyncio.sleep(0)
    scales.read(len(tasks))


if __name__ == "__main__":
    run = asyncio.run
    if sys.argv[3:] == ["uvloop"]:
        from uvloop import run
    functions = {
        "spawn": spawn,
        "yield": yield_,
        "channel": channel,
        "buffered": buffered,
        "mutex": mutex,
        "timers-cancel": timers_cancel,
        "timers-fire": timers_fire,
        "parked": parked,
    }
    obey({name: lambda n, main=main: run(main(n)) for name, main in functions.items()})
