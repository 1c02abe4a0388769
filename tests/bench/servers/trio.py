"""trio: echo by serve_listeners, udp on its socket."""

import sys

import trio


async def handle(stream):
    async for data in stream:
        await stream.send_all(data)


async def echo():
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, handle, 0)
        print(listeners[0].socket.getsockname()[1], flush=True)


async def udp():
    sock = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
    await sock.bind(("127.0.0.1", 0))
    print(sock.getsockname()[1], flush=True)
    while True:
        await sock.sendto(*await sock.recvfrom(65536))


if __name__ == "__main__":
    trio.run({"echo": echo, "udp": udp}[sys.argv[1]])
