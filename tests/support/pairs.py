"""Connections for tests: both ends at once, with a foreign end, or with nobody at the other end."""

import os
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import gopoll
from gopoll import net

__all__ = [
    "NETWORKS",
    "PAST",
    "Counted",
    "attempt",
    "black_hole",
    "echo",
    "fill",
    "foreign_pair",
    "is_open",
    "local_address",
    "open_descriptors",
    "open_numbers",
    "pair",
    "reset",
    "roundtrip",
    "wait_until",
]

NETWORKS = ("tcp", "unix", "pipe")
_FDS = Path("/proc/self/fd")
PAST = 0.0  # a deadline that has passed, on every clock


@contextmanager
def local_address(network: str) -> Iterator[str]:
    """An address of this machine to listen on."""
    if network.startswith("unix"):
        with tempfile.TemporaryDirectory(prefix="gp") as directory:
            yield str(Path(directory) / "s")
    else:
        yield "[::1]:0" if network.endswith("6") else "127.0.0.1:0"


@contextmanager
def pair(network: str) -> Iterator[tuple[Any, Any]]:
    """Both ends of a connection; they are closed afterwards if they are not by then."""
    if network == "pipe":
        ends: Any = net.pipe()
    else:
        with local_address(network) as address, net.listen(network, address) as listener:
            accepted = gopoll.go(listener.accept)
            dialled = net.dial(network, str(listener.addr))
            ends = dialled, accepted.result(10)
    try:
        yield ends
    finally:
        for conn in ends:
            if not conn.closed:
                conn.close()


@contextmanager
def foreign_pair() -> Iterator[tuple[Any, socket.socket]]:
    """A TCP connection and its other end, a plain socket of the standard library."""
    with ExitStack() as stack:
        listener = stack.enter_context(net.listen("tcp", "127.0.0.1:0"))
        peer = stack.enter_context(socket.create_connection(("127.0.0.1", listener.addr.port)))
        conn = stack.enter_context(listener.accept())
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield conn, peer


@contextmanager
def black_hole() -> Iterator[tuple[str, int]]:
    """An address that neither accepts nor refuses: the queue of its listener is full."""
    with ExitStack() as stack:
        hole = stack.enter_context(socket.socket())
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        yield hole.getsockname()


class Counted:
    """A callable that counts its calls, and how many of them would have blocked."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call
        self.calls = 0
        self.failed = 0

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        try:
            return self.call(*args)
        except BlockingIOError:
            self.failed += 1
            raise


def attempt(call: Callable[..., Any], *args: Any) -> Any:
    """What `call` returns, or the exception it raises: for goroutines that may end by either."""
    try:
        return call(*args)
    except Exception as exc:
        return exc


def echo(conn: Any, size: int = 65536) -> int:
    """Send back what comes until the stream or the connection ends; return how many bytes."""
    total = 0
    try:
        while data := conn.read(size):
            conn.write(data)
            total += len(data)
    except OSError:
        pass
    return total


def roundtrip(conn: Any, message: bytes = b"Hello, world!") -> None:
    """Have the other end, an `echo`, send something back."""
    conn.set_deadline(None)
    assert conn.write(message) == len(message)
    assert conn.read_exactly(len(message)) == message


def fill(conn: Any) -> Exception:
    """Write until that fails, which is when nobody reads; return why it did."""
    while True:
        try:
            conn.write(bytes(65536))
        except OSError as exc:
            return exc


def reset(sock: socket.socket) -> None:
    """Close `sock` so that the other end sees a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def is_open(number: int) -> bool:
    """Whether a descriptor has this number."""
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def open_numbers() -> list[int]:
    """The numbers of this process's descriptors, that of the look included."""
    return [int(entry.name) for entry in (_FDS if _FDS.exists() else Path("/dev/fd")).iterdir()]


def open_descriptors() -> int:
    """How many descriptors this process has."""
    return len(open_numbers())


def wait_until(condition: Callable[[], object]) -> None:
    """Let others run until `condition` holds; the test's time limit bounds it."""
    while not condition():
        gopoll.gosched()
