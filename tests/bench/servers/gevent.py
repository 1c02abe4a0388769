"""gevent: echo by its StreamServer, udp on its socket."""

import sys

from gevent import socket
from gevent.server import StreamServer


def handle(sock, address):
    with sock:
        while data := sock.recv(65536):
            sock.sendall(data)


def echo():
    server = StreamServer(("127.0.0.1", 0), handle)
    server.start()
    print(server.server_port, flush=True)
    server.serve_forever()


def udp():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    print(sock.getsockname()[1], flush=True)
    while True:
        sock.sendto(*sock.recvfrom(65536))


if __name__ == "__main__":
    {"echo": echo, "udp": udp}[sys.argv[1]]()
