"""A crowd for the chat server, in one process: ``python crowd.py HOST:PORT``.

A hundred rooms with fifty people each. In every room some break off in the same instant, one sends
a line that never ends, and all others listen, while ten of them speak at once; in the loud rooms,
whose lines are long and many, ten more never read at all. Who listens checks that each speaker's
lines come complete and in order, and how everybody has left.

Prints "here" when all are in, and waits for a line of input before anybody talks; prints "heard"
when everybody has heard everything, and what came of it, as JSON, when the server has hung up.
"""

import json
import os
import resource
import socket
import struct
import sys
from collections import Counter

import gopoll
from gopoll import Chan, go, net

ROOMS, PEOPLE = 100, 50
LOUD_ROOMS, LOUD_LINES, LOUD_WORDS = 5, 40, "x" * 980
SPEAKERS, LINES = 10, 8
BREAKING, ENDLESS, MUTE = 5, 1, 10  # in each room; the mute in the loud ones only
DOORS = 50  # how many come in at the same time


class Person:
    """Somebody in the crowd."""

    def __init__(self, room: int, number: int) -> None:
        self.room = room
        self.name = f"r{room}p{number}"
        self.loud = room < LOUD_ROOMS
        if number < BREAKING:
            self.kind = "breaking"
        elif number < BREAKING + ENDLESS:
            self.kind = "endless"
        elif self.loud and number < BREAKING + ENDLESS + MUTE:
            self.kind = "mute"
        else:
            self.kind = "listening"
        self.speaks = number >= PEOPLE - SPEAKERS
        self.lines = LOUD_LINES if self.loud else LINES
        self.spoken: Counter[str] = Counter()  # lines heard from each other speaker
        self.left: Counter[str] = Counter()  # how others have left
        self.content = False  # has heard all that was said
        self.last = b""
        self.rest = b""

    def come_in(self, host: str, port: int) -> None:
        if self.kind == "mute":  # with as small buffers as there are
            self.sock = socket.socket()
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            self.sock.connect((host, port))
            self.sock.sendall(self.entry())
            return
        self.conn = net.dial("tcp", f"{host}:{port}")
        self.conn.write(self.entry())
        arrived = f"* You are in room{self.room}.".encode()
        while arrived not in self.rest:
            data = self.conn.read()
            assert data, self.rest
            self.rest += data
        self.rest = self.rest[self.rest.rindex(arrived) :]

    def entry(self) -> bytes:
        return f"{self.name}\n/join room{self.room}\n".encode()

    def talk(self) -> None:
        words = LOUD_WORDS if self.loud else "hello"
        for n in range(self.lines):
            self.conn.write(f"{n} {words}\n".encode())

    def never_end(self) -> None:
        try:
            while True:
                self.conn.write(b"x" * 4096)
        except OSError:
            return

    def listen(self, heard: "Chan[Person]") -> None:
        """Hear everything until the server hangs up."""
        try:
            while data := self.conn.read():
                *lines, self.rest = (self.rest + data).split(b"\n")
                for line in lines:
                    self.take(line)
                if not self.content and self.has_heard_all():
                    self.content = True
                    heard.send(self)
                if lines:
                    self.last = lines[-1]
        except OSError as error:
            self.last = str(error).encode()
        if not self.conn.closed:
            self.conn.close()

    def take(self, line: bytes) -> None:
        if line.startswith(b"<"):
            speaker, number, words = line.decode().split(" ")
            assert int(number) == self.spoken[speaker], f"{self.name} heard {line!r} out of order"
            assert len(words) == (len(LOUD_WORDS) if self.loud else 5)
            self.spoken[speaker] += 1
        elif b" has left (" in line:
            self.left[line.partition(b"(")[2].decode()] += 1

    def has_heard_all(self) -> bool:
        others = SPEAKERS - self.speaks
        return (
            len(self.spoken) == others
            and self.spoken.total() == others * self.lines
            and self.left.total() == BREAKING + ENDLESS + (MUTE if self.loud else 0)
        )


def usher(host: str, port: int, queue: "Chan[Person]") -> None:
    for person in queue:
        person.come_in(host, port)


def break_off(person: Person) -> None:
    with socket.socket(fileno=os.dup(person.conn.fileno())) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    person.conn.close()


def main(host: str, port: int) -> None:
    crowd = [Person(room, number) for number in range(PEOPLE) for room in range(ROOMS)]
    queue, heard = Chan[Person](), Chan[Person](cap=len(crowd))
    ushers = [go(usher, host, port, queue) for _ in range(DOORS)]
    for person in crowd:
        queue.send(person)
    queue.close()
    for each in ushers:
        each.result()
    print("here", flush=True)
    sys.stdin.readline()

    listening = [person for person in crowd if person.kind == "listening"]
    listeners = [go(person.listen, heard) for person in listening]
    for person in crowd:
        if person.speaks:
            go(person.talk)
        elif person.kind == "endless":
            go(person.never_end)
    gopoll.gosched()
    for person in crowd:  # nobody else runs meanwhile
        if person.kind == "breaking":
            break_off(person)
    for _ in listening:
        heard.recv()
    print("heard", flush=True)

    for listener in listeners:
        listener.result()
    left: Counter[str] = Counter()
    for person in listening:
        left += person.left
    print(
        json.dumps(
            {
                "kinds": Counter(person.kind for person in crowd),
                "lines": sum(person.spoken.total() for person in listening),
                "left": left,
                "last": Counter(person.last.decode() for person in listening),
            }
        )
    )


if __name__ == "__main__":
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    host, port = net.split_host_port(sys.argv[1])
    gopoll.run(main, host, int(port))
