"""asyncio and uvloop: streams, protocol, udp, tls (streams): ``asyncio KIND [uvloop]``."""

import asyncio
import ssl
import sys
from pathlib import Path

CERTIFICATE = Path(__file__).parents[2] / "support" / "localhost.pem"


async def handle(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Packets(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


async def main(kind):
    here = ("127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    if kind == "udp":
        transport, _ = await loop.create_datagram_endpoint(Packets, here)
        print(transport.get_extra_info("sockname")[1], flush=True)
        await loop.create_future()
    if kind == "protocol":
        server = await loop.create_server(Echo, *here, backlog=4096)
    else:
        context = None
        if kind == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
        server = await asyncio.start_server(handle, *here, backlog=4096, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    run = asyncio.run
    if sys.argv[2:] == ["uvloop"]:
        from uvloop import run
    run(main(sys.argv[1]))
