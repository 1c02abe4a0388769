"""A chat server with nicknames, rooms and private messages: plain text, line by line.

    python examples/chat_server.py        starts it; then, in other terminals,
    nc 127.0.0.1 9000                     joins the chat

Every client has two goroutines. Its reader waits for lines and hands them to the hub; its writer
sends what the hub has put into the client's channel. The hub is the main goroutine. It alone knows
who is called what and who sits where, so nothing here needs a lock:

    reader ──┐                      ┌──▶ client's channel ──▶ writer
    reader ──┼──▶ events ──▶ hub ───┼──▶ client's channel ──▶ writer
    reader ──┘                      └──▶ client's channel ──▶ writer

The hub never waits for a client. A channel has room for QUEUE lines, and a client that has left so
many unread is dropped. Ctrl-C says goodbye to everybody.
"""

import argparse
import re
import resource
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import gopoll
from gopoll import Chan, go, net, time

MAX_LINE = 1000  # bytes; whoever sends a longer line is told so and disconnected
QUEUE = 64  # lines that wait for one client
WRITE_TIMEOUT = 10.0  # seconds that a client may refuse to take anything
LINGER = 1.0  # seconds for the last line to arrive
GRACE = 3.0  # seconds for everybody to leave after Ctrl-C
SHOWN = 50  # names in the answer to /who
NAME = re.compile(r"[\w-]{1,20}")
HELP = b"""\
* /nick NAME       change your name
* /join ROOM       go to another room; it is there as long as somebody is in it
* /who             who is in this room, and which rooms there are
* /msg NAME TEXT   tell somebody something in private, wherever they are
* /quit            leave
* Everything else is said to all in the room.
"""


class Client:
    """One connection: its name, its room, and the channel that its writer empties."""

    def __init__(self, conn: net.Conn) -> None:
        self.conn = conn
        self.name = ""  # until it has told us
        self.room = ""
        self.fault = ""  # for which it was dropped
        self.is_writing = False
        self.outgoing = Chan[bytes](QUEUE)

    def send(self, text: bytes) -> None:
        """Queue text without ever waiting for the client; drop it if it does not read."""
        while not self.outgoing.try_send(text):
            if self.is_writing or self.conn.closed:
                self.drop("did not keep up")
                return
            gopoll.gosched()  # all that its writer waits for is its turn

    def say(self, text: str) -> None:
        """Send a line from the server."""
        self.send(f"* {text}\n".encode())

    def say_goodbye(self, text: str) -> None:
        """Send the last line, after which the writer ends."""
        with suppress(gopoll.ChannelClosed):  # it was sent before
            self.say(text)
            self.outgoing.close()

    def drop(self, fault: str) -> None:
        """Close the connection, which wakes reader and writer with `net.ClosedError`."""
        if not self.conn.closed:
            self.fault = fault
            self.conn.close()

    def write_lines(self) -> None:
        """Send what comes through the channel; what has gathered in it goes as one write."""
        try:
            for text in self.outgoing:
                more = [self.outgoing.try_recv()[0] for _ in range(len(self.outgoing))]
                self.conn.set_write_deadline(time.now() + WRITE_TIMEOUT)
                self.is_writing = True
                self.conn.write(b"".join([text, *more]))
                self.is_writing = False
        except TimeoutError:
            self.drop("did not keep up")
        except OSError:
            self.drop("connection lost")

    def read_lines(self, idle_timeout: float) -> Iterator[str]:
        """Yield line after line, until the client hangs up or is silent for too long."""
        rest = b""
        self.conn.set_read_deadline(time.now() + idle_timeout)
        while data := self.conn.read(MAX_LINE):
            *lines, rest = (rest + data).split(b"\n")
            if max(map(len, (*lines, rest))) > MAX_LINE:
                raise ValueError(f"line longer than {MAX_LINE} bytes")
            for line in lines:
                text = line.decode(errors="replace")  # and nothing that moves the cursor
                yield "".join(c if c.isprintable() else " " for c in text).strip()
            if lines:  # only a whole line is a sign of life
                self.conn.set_read_deadline(time.now() + idle_timeout)

    def linger(self) -> None:
        """Wait for the client to hang up: closing on unread input would destroy the last line."""
        with suppress(OSError):
            self.conn.close_write()
            self.conn.set_read_deadline(time.now() + LINGER)
            while self.conn.read():
                pass


class Chat:
    """The readers, which are many, and the hub that they feed."""

    def __init__(self, max_clients: int, idle_timeout: float) -> None:
        self.max_clients = max_clients
        self.idle_timeout = idle_timeout
        self.clients: set[Client] = set()  # all that are connected, with or without a name
        self.names: dict[str, Client] = {}
        self.rooms: dict[str, set[Client]] = {}
        self.events = Chan[tuple[Callable[[Client, str], None], Client, str]](QUEUE)

    def welcome(self, conn: net.Conn) -> None:
        """Look after a client from its first line to its last, as its reader."""
        if len(self.clients) >= self.max_clients:
            conn.write(b"* Sorry, the server is full. Try again later.\n")
            return
        client = Client(conn)
        self.clients.add(client)
        writer = go(client.write_lines)
        try:
            client.say("Welcome! What is your name?")
            with suppress(gopoll.ChannelClosed):  # the hub has ended, and has said goodbye
                reason = self.listen_to(client)
                self.events.send((self.leave, client, client.fault or reason))
            writer.join()
            client.linger()
        finally:
            self.clients.remove(client)

    def listen_to(self, client: Client) -> str:
        """Pass the client's lines on to the hub; return why there are no more."""
        try:
            for line in client.read_lines(self.idle_timeout):
                if line == "/quit":
                    return "quit"
                if line:
                    self.events.send((self.obey, client, line))
        except ValueError as error:
            return str(error)
        except TimeoutError:
            return f"silent for {self.idle_timeout:g} seconds"
        except OSError:
            return "connection lost"
        return "hung up"

    def run(self, listener: net.Listener) -> None:
        """Be the hub: deal with one event after the other, until Ctrl-C."""
        server = go(net.serve, listener, self.welcome, grace=GRACE)
        try:
            for deal_with, client, text in self.events:
                deal_with(client, text)
        except KeyboardInterrupt:
            print("\nGoodbye.")
        listener.close()
        self.events.close()
        for client in list(self.clients):
            client.say_goodbye("The server is shutting down. Goodbye!")
            with suppress(net.ClosedError):
                client.conn.set_read_deadline(time.now())  # its reader need not wait any longer
        server.join()

    def obey(self, client: Client, line: str) -> None:
        """Do what a line says."""
        word, _, rest = line.partition(" ")
        match word if client.name else "no name yet":
            case "no name yet":
                self.rename(client, line)
            case "/nick":
                self.rename(client, rest)
            case "/join":
                self.join(client, rest.casefold())
            case "/who":
                members = self.rooms[client.room]
                client.say(f"In {client.room}: {listed(member.name for member in members)}.")
                client.say(f"Rooms: {listed(f'{r} ({len(m)})' for r, m in self.rooms.items())}.")
            case "/msg":
                self.whisper(client, *rest.partition(" ")[::2])
            case "/help":
                client.send(HELP)
            case _ if line.startswith("/"):
                client.say(f"There is no {word}. /help lists what there is.")
            case _:
                self.tell_room(client, f"<{client.name}> {line}")

    def rename(self, client: Client, name: str) -> None:
        if not NAME.fullmatch(name):
            client.say("A name is 1 to 20 letters, digits, - or _. Try another.")
        elif self.names.get(name.casefold(), client) is not client:
            client.say(f"The name {name} is taken. Try another.")
        else:
            before, client.name = client.name, name
            self.names.pop(before.casefold(), None)
            self.names[name.casefold()] = client
            if before:
                client.say(f"You are now {name}.")
                self.tell_room(client, f"* {before} is now {name}.")
            else:
                client.say(f"Hello, {name}. /help lists what you can do.")
                self.enter(client, "lobby")

    def join(self, client: Client, room: str) -> None:
        if not NAME.fullmatch(room):
            client.say("A room is 1 to 20 letters, digits, - or _.")
        elif room != client.room:
            self.exit(client, f"has gone to {room}")
            self.enter(client, room)

    def whisper(self, client: Client, name: str, text: str) -> None:
        if other := self.names.get(name.casefold()):
            other.send(f"<{client.name}, in private> {text}\n".encode())
        else:
            client.say(f"Nobody here is called {name}.")

    def leave(self, client: Client, reason: str) -> None:
        if client.name:
            del self.names[client.name.casefold()]
            self.exit(client, f"has left ({reason})")
        client.say_goodbye(f"Goodbye ({reason}).")

    def enter(self, client: Client, room: str) -> None:
        client.room = room
        self.rooms.setdefault(room, set()).add(client)
        client.say(f"You are in {room}. People here: {len(self.rooms[room])}.")
        self.tell_room(client, f"* {client.name} has come in.")

    def exit(self, client: Client, how: str) -> None:
        self.tell_room(client, f"* {client.name} {how}.")
        self.rooms[client.room].remove(client)
        if not self.rooms[client.room]:
            del self.rooms[client.room]

    def tell_room(self, client: Client, line: str) -> None:
        text = f"{line}\n".encode()
        for member in self.rooms[client.room]:
            if member is not client:
                member.send(text)


def listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words)[:SHOWN])


def main() -> None:
    parser = argparse.ArgumentParser(description="A chat server. Connect with nc.")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    parser.add_argument("--port", type=int, default=9000, help="0: any free one (%(default)s)")
    parser.add_argument("--max-clients", type=int, default=1000, help="(%(default)s)")
    parser.add_argument("--idle-timeout", type=float, default=600.0, help="seconds (%(default)s)")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = max(soft, min(hard, options.max_clients + 100))
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        listener = net.listen("tcp", net.join_host_port(options.host, options.port))
    except (OSError, ValueError) as error:
        sys.exit(f"cannot listen: {error}")
    addr = listener.addr
    print(f"Listening on {addr}. Connect with: nc {addr.host} {addr.port}", flush=True)
    gopoll.run(Chat(options.max_clients, options.idle_timeout).run, listener)


if __name__ == "__main__":
    main()
