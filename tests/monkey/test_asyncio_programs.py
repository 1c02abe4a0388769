"""Libraries that people run on asyncio, beside goroutines: aiohttp, uvloop."""

import pytest

from tests.support.script import run_script

pytestmark = pytest.mark.network

WAYS = {
    "patched": "from gopoll import monkey; monkey.patch_all()\nfrom asyncio import run\n",
    "plain": "from gopoll.aio import run\n",
}


def run(way, code):
    done = run_script(WAYS[way] + code, PYTHONASYNCIODEBUG="")
    lines = done.stderr.splitlines()  # in the debug mode a busy machine is slow in every callback
    assert [line for line in lines if not line.startswith("Executing <")] == []
    assert done.returncode == 0
    return done.stdout.splitlines()


AIOHTTP = """
import asyncio, gopoll
from aiohttp import ClientSession, web
from gopoll import aio

async def answer(request):
    await asyncio.sleep(0.01)
    return web.json_response({"n": request.match_info["n"]})

async def echo(request):
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    async for message in ws:
        await ws.send_str(message.data.upper())
    return ws

async def main():
    app = web.Application()
    app.add_routes([web.get("/n/{n}", answer), web.get("/ws", echo)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://127.0.0.1:%d" % runner.addresses[0][1]
    async with ClientSession() as session:
        async def get(n):
            async with session.get(f"{url}/n/{n}") as response:
                return int((await response.json())["n"])
        found = await asyncio.gather(*[get(n) for n in range(20)])
        async with session.ws_connect(url + "/ws") as ws:
            await ws.send_str("hello")
            found.append(await ws.receive_str())
        found.append(await aio.result(gopoll.go(lambda: (gopoll.sleep(0.001), "goroutine")[1])))
    await runner.cleanup()
    return found == [*range(20), "HELLO", "goroutine"]

def tick():
    global ticks
    while True:
        gopoll.sleep(0.001)
        ticks += 1

def body():
    gopoll.go(tick)
    goroutines = [gopoll.go(run, main()) for _ in range(2)]
    print([g.result(30) for g in goroutines], ticks > 1)

ticks = 0
gopoll.run(body)
"""


@pytest.mark.parametrize("way", WAYS)
def test_aiohttp_serves_and_asks_beside_goroutines(way):
    pytest.importorskip("aiohttp")
    assert run(way, AIOHTTP) == ["[True, True] True"]


UVLOOP = """
import asyncio, gopoll, uvloop
from gopoll import aio

async def value(it):
    await asyncio.sleep(0.001)
    return it

async def serve(loops, stop):
    await aio.send(loops, asyncio.get_running_loop())
    return await aio.recv(stop)

def thread(*args):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(*args))

def body():
    loops, stop = gopoll.Chan(), gopoll.Chan()
    g = gopoll.go(gopoll.offload, thread, loops, stop)
    loop = loops.recv()
    print(type(loop).__module__, [h.result(5) for h in
        [gopoll.go(aio.submit, value(n), loop) for n in range(3)]])
    print(aio.submit(aio.result(gopoll.go(lambda: (gopoll.sleep(0.001), "slept")[1])), loop))
    stop.send("stopped")
    print(g.result(5))

gopoll.run(body)
"""

UVLOOP_HERE = """
import asyncio, gopoll, uvloop
from gopoll import aio

async def main():
    loop = asyncio.get_running_loop()
    g = gopoll.go(lambda: (gopoll.sleep(0.001), asyncio._get_running_loop())[1])
    try: await aio.result(g)
    except RuntimeError as exc: print(exc)
    print(g.result(5), asyncio.get_running_loop() is loop)  # parks in the middle of uvloop

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize("way", WAYS)
def test_uvloop_in_an_os_thread_of_its_own(way):
    pytest.importorskip("uvloop")
    assert run(way, UVLOOP) == ["uvloop [0, 1, 2]", "slept", "stopped"]


def test_uvloop_in_the_main_goroutine_blocks_the_thread_and_says_so():
    pytest.importorskip("uvloop")
    assert run("patched", UVLOOP_HERE) == [
        "this event loop blocks its OS thread, in which the goroutine is to run",
        "None True",
    ]
