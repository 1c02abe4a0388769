"""The load generator for TLS: obeys as load.c does, and knows echo alone.

    python -m tests.bench.load_tls echo PORT CONNECTIONS SIZE

It is Python, and so the slower side; the server's CPU time does not depend on that.
"""

import select
import socket
import ssl
import sys
import time
from pathlib import Path

CERTIFICATE = Path(__file__).parents[1] / "support" / "localhost.pem"


def dial(context: ssl.SSLContext, port: int, message: bytes) -> ssl.SSLSocket:
    """Connect, and exchange a message: the tickets of the session come before its answer."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    tls = context.wrap_socket(sock, server_hostname="localhost")
    tls.sendall(message)
    owed = len(message)
    while owed:
        owed -= len(tls.recv(65536)) or sys.exit("load: the server has closed")
    return tls


def exchange(socks: dict[int, ssl.SSLSocket], message: bytes, seconds: float) -> list[float]:
    """Keep one message under way on each connection; return how long each took."""
    poller = select.epoll()
    sent, owed, times = {}, dict.fromkeys(socks, len(message)), []
    for number, sock in socks.items():
        poller.register(number, select.EPOLLIN)
        sent[number] = time.monotonic()
        sock.sendall(message)
    end = time.monotonic() + seconds
    while owed:
        for number, _ in poller.poll(20) or sys.exit("load: no answer"):
            sock = socks[number]
            owed[number] -= len(sock.recv(65536)) or sys.exit("load: the server has closed")
            if owed[number]:
                continue
            now = time.monotonic()
            times.append(now - sent[number])
            if now < end:
                owed[number], sent[number] = len(message), now
                sock.sendall(message)
            else:
                del owed[number]
    poller.close()
    return times


def main() -> None:
    port, connections, size = map(int, sys.argv[2:])
    message = b"x" * size
    context = ssl.create_default_context(cafile=CERTIFICATE)
    dialed = [dial(context, port, message) for _ in range(connections)]
    socks = {sock.fileno(): sock for sock in dialed}
    print("ready", flush=True)
    for line in sys.stdin:
        begun = time.monotonic()
        times = sorted(exchange(socks, message, float(line.split()[1])))
        taken = time.monotonic() - begun
        p50, p99 = (times[len(times) * part // 100] * 1e6 for part in (50, 99))
        print(len(times), taken, p50, p99, flush=True)


if __name__ == "__main__":
    main()
