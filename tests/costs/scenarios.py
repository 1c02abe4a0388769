"""What is measured: each scenario sets something up, gives what does `n` operations, and ends.

A server is driven from within its own process, so that nothing happens by chance: the driver writes
to all connections by calls that gopoll does not know of, sees that everything has arrived, and
waits until all have been answered. So of the system calls of an echo, one `write` and one `read`
are the driver's. A lone echo, on the only connection, is a sleep and a wake-up each time; the
driver has its share in those.
"""

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from gopoll import Chan, go, gosched, net
from gopoll import select as choose
from gopoll._original import Socket

__all__ = ["PATCHED", "PLAIN", "Operations", "Scenario"]

Operations = Callable[[int], None]  # does so many
Scenario = Callable[[], AbstractContextManager[Operations]]
CROWD = 64  # connections: few enough to be answered in one turn, so that each round is one wait
MESSAGE = b"x" * 64
# Under such names they stay what they are when the standard library is patched.
real_read, real_write, real_select = os.read, os.write, select.select


@contextmanager
def spawn() -> Iterator[Operations]:
    def run(n: int) -> None:
        for _ in range(n // 64):
            for g in [go(int) for _ in range(64)]:
                g.join()

    yield run


@contextmanager
def switch() -> Iterator[Operations]:
    def one(n: int) -> None:
        for _ in range(n):
            gosched()

    def run(n: int) -> None:
        for g in [go(one, n // 2), go(one, n // 2)]:
            g.join()

    yield run


@contextmanager
def round_trip() -> Iterator[Operations]:
    there, back = Chan[int](), Chan[int]()

    def echo() -> None:
        for value in there:
            back.send(value)

    def run(n: int) -> None:
        for i in range(n):
            there.send(i)
            back.recv()

    g = go(echo)
    yield run
    there.close()
    g.join()


@contextmanager
def buffered() -> Iterator[Operations]:
    chan = Chan[int](8)

    def run(n: int) -> None:
        for i in range(n):
            chan.send(i)
            chan.recv()

    yield run


@contextmanager
def selected() -> Iterator[Operations]:
    chans = Chan[int](), Chan[int]()

    def produce(chan: Chan[int], n: int) -> None:
        for i in range(n):
            chan.send(i)

    def run(n: int) -> None:
        a, b = chans
        producers = [go(produce, chan, n // 2) for chan in chans]
        for _ in range(n):
            choose(a.recv, b.recv)
        for g in producers:
            g.join()

    yield run


class Crowd:
    """The driver's ends of the connections to a server."""

    def __init__(self, port: int, size: int) -> None:
        self.socks = [Socket() for _ in range(size)]
        for sock in self.socks:
            sock.connect(("127.0.0.1", port))
        self.unanswered = 0
        self.all_answered = Chan[None](1)

    def answered(self) -> None:
        """Count an answer; the server says so."""
        self.unanswered -= 1
        if not self.unanswered:
            self.all_answered.send(None)

    @contextmanager
    def driving(self, served: list[int]) -> Iterator[Operations]:
        """Give what sends `n` messages to the server, whose descriptors these are."""
        numbers = [sock.fileno() for sock in self.socks]
        size = len(numbers)

        def run(n: int) -> None:
            for _ in range(n // size):
                for number in numbers:
                    real_write(number, MESSAGE)
                while len(real_select(served, (), ())[0]) < size:
                    pass
                self.unanswered = size
                self.all_answered.recv()
                for number in numbers:
                    real_read(number, len(MESSAGE))

        yield run
        for sock in self.socks:
            sock.close()


@contextmanager
def echo(size: int = CROWD) -> Iterator[Operations]:
    with net.listen("tcp", "127.0.0.1:0") as listener:
        crowd = Crowd(listener.addr.port, size)

        def serve(conn: net.Conn) -> None:
            with conn:
                while data := conn.read():
                    conn.write(data)
                    crowd.answered()

        conns = [listener.accept() for _ in crowd.socks]
        handlers = [go(serve, conn) for conn in conns]
        with crowd.driving([conn.fileno() for conn in conns]) as run:
            yield run
        for g in handlers:
            g.join()


@contextmanager
def connection() -> Iterator[Operations]:
    """From a client's ``connect`` to the server's ``close``, with one message there and back."""
    answered, ended = Chan[None](), Chan[None]()

    def handle(conn: net.Conn) -> None:
        conn.write(conn.read())
        answered.send(None)
        assert not conn.read()
        go(ended.send, None)  # when the connection has been closed, too

    with net.listen("tcp", "127.0.0.1:0") as listener:
        address = ("127.0.0.1", listener.addr.port)
        server = go(net.serve, listener, handle)

        def run(n: int) -> None:
            for _ in range(n // CROWD):
                socks = [Socket() for _ in range(CROWD)]
                for sock in socks:
                    sock.connect(address)
                    real_write(sock.fileno(), MESSAGE)
                for _ in socks:
                    answered.recv()
                for sock in socks:
                    real_read(sock.fileno(), len(MESSAGE))
                    sock.close()
                for _ in socks:
                    ended.recv()

        yield run
    server.join()


@contextmanager
def patched_echo() -> Iterator[Operations]:
    with socket.create_server(("127.0.0.1", 0), backlog=CROWD) as listener:
        crowd = Crowd(listener.getsockname()[1], CROWD)

        def serve(sock: socket.socket) -> None:
            with sock:
                while data := sock.recv(65536):
                    sock.sendall(data)
                    crowd.answered()

        conns = [listener.accept()[0] for _ in crowd.socks]
        handlers = [threading.Thread(target=serve, args=(conn,)) for conn in conns]
        for thread in handlers:
            thread.start()
        with crowd.driving([conn.fileno() for conn in conns]) as run:
            yield run
        for thread in handlers:
            thread.join()


# Those that need no poller come first: it appears with the first descriptor, and stays.
PLAIN: dict[str, Scenario] = {
    "spawn": spawn,
    "switch": switch,
    "round trip": round_trip,
    "buffered": buffered,
    "select": selected,
    "echo": echo,
    "lone echo": lambda: echo(1),
    "connection": connection,
}
# After these the standard library is patched.
PATCHED: dict[str, Scenario] = {
    "patched echo": patched_echo,
}
