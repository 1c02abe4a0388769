"""gopoll.net: echo, udp, and a handler that computes, with one worker or two."""

import inspect
import sys

import gopoll
from gopoll import net


def handle(conn):
    while data := conn.read(65536):
        conn.write(data)


def echo():
    listener = net.listen("tcp", "127.0.0.1:0")
    print(listener.addr.port, flush=True)
    net.serve(listener, handle)


def udp():
    conn = net.listen_packet("udp", "127.0.0.1:0")
    print(conn.local_addr.port, flush=True)
    while True:
        conn.write_to(*conn.read_from(65536))


def compute(conn):
    """Some half a millisecond of Python for each message, so that the client hardly counts."""
    while data := conn.read(65536):
        total = 0
        for i in range(10_000):
            total ^= i
        conn.write(data)


def workers(n):
    if "workers" not in inspect.signature(net.serve).parameters:
        print("skip net.serve has no `workers` yet", flush=True)
        return
    listener = net.listen("tcp", "127.0.0.1:0")
    print(listener.addr.port, flush=True)
    net.serve(listener, compute, workers=int(n))


if __name__ == "__main__":
    gopoll.run({"echo": echo, "udp": udp, "workers": workers}[sys.argv[1]], *sys.argv[2:])
