"""Somebody who chats: a plain socket, line by line."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

__all__ = ["Talker", "joined"]

_PATIENCE = 20.0


class Talker:
    """A client of the chat server; what it reads it must get soon, and in this order."""

    def __init__(self, address: tuple[str, int], *, receive_buffer: int = 0) -> None:
        self.sock = socket.socket()
        self.sock.settimeout(_PATIENCE)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            # Small segments keep the server's send buffer small, too.
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        self.sock.connect(address)
        self.file = self.sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def send(self, *lines: str) -> None:
        self.send_bytes("".join(f"{line}\n" for line in lines).encode())

    def send_bytes(self, data: bytes) -> None:
        self.sock.sendall(data)

    def line(self) -> str:
        """Return the next line, or an empty text at the end."""
        return self.file.readline().decode().removesuffix("\n")

    def expect(self, *lines: str) -> None:
        """These are the next lines."""
        got = [self.line() for _ in lines]
        assert got == list(lines), got

    def expect_end(self) -> None:
        assert self.file.read() == b""

    def close(self) -> None:
        self.file.close()
        self.sock.close()

    def reset(self) -> None:
        """Break off the connection."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


@contextmanager
def joined(address: tuple[str, int], *names: str, **options: int) -> Iterator[list[Talker]]:
    """Come in one after the other; all have heard of all who came after them."""
    talkers: list[Talker] = []
    try:
        for name in names:
            talker = Talker(address, **options)
            talker.expect("* Welcome! What is your name?")
            talker.send(name)
            talker.expect(
                f"* Hello, {name}. /help lists what you can do.",
                f"* You are in lobby. People here: {len(talkers) + 1}.",
            )
            for other in talkers:
                other.expect(f"* {name} has come in.")
            talkers.append(talker)
        yield talkers
    finally:
        for talker in talkers:
            talker.close()
