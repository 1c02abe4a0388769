"""An HTTP server that takes 0.2 s for each request, and says how many it had at once.

    python slow_http.py PORT

The answer to ``POST /N`` is ``N <most at once> <the body>``.
"""

import asyncio
import sys

DELAY = 0.2
now = most = 0


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    global now, most
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split()[1]
            fields = dict(
                line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
            )
            body = await reader.readexactly(int(fields.get("content-length", 0)))
            now += 1
            most = max(most, now)
            await asyncio.sleep(DELAY)
            answer = f"{path[1:]} {most} ".encode() + body
            now -= 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=256)
    await server.serve_forever()


asyncio.run(main())
