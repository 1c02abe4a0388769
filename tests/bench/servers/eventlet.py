"""eventlet: echo by its serve loop, udp on its socket."""

import sys

import eventlet
from eventlet.green import socket


def handle(sock, address):
    with sock:
        while data := sock.recv(65536):
            sock.sendall(data)


def echo():
    listener = eventlet.listen(("127.0.0.1", 0), backlog=4096)
    print(listener.getsockname()[1], flush=True)
    eventlet.serve(listener, handle, concurrency=100_000)


def udp():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    print(sock.getsockname()[1], flush=True)
    while True:
        sock.sendto(*sock.recvfrom(65536))


if __name__ == "__main__":
    {"echo": echo, "udp": udp}[sys.argv[1]]()
