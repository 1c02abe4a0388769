"""The standard library with a thread for each connection, by hand: echo, udp."""

import socket
import sys
import threading


def handle(sock):
    with sock:
        while data := sock.recv(65536):
            sock.sendall(data)


def echo():
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(listener.getsockname()[1], flush=True)
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=handle, args=(sock,), daemon=True).start()


def udp():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    print(sock.getsockname()[1], flush=True)
    while True:
        sock.sendto(*sock.recvfrom(65536))


if __name__ == "__main__":
    {"echo": echo, "udp": udp}[sys.argv[1]]()
