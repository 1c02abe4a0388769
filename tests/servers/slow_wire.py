"""A wire that is slow in one direction: what the server says arrives 0.2 s later.

python slow_wire.py PORT TARGET
"""

import asyncio
import sys

DELAY = 0.2


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    try:
        while data := await reader.read(65536):
            await asyncio.sleep(delay)
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        there = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    except OSError:
        writer.close()
        return
    await asyncio.gather(carry(reader, there[1], 0), carry(there[0], writer, DELAY))
    writer.close()
    there[1].close()


async def main() -> None:
    server = await asyncio.start_server(connect, "127.0.0.1", int(sys.argv[1]), backlog=256)
    await server.serve_forever()


asyncio.run(main())
