"""The chat server by a clock that moves by hand: it runs in the test, and so do its clients."""

import importlib.util
from contextlib import contextmanager

import pytest

from gopoll import go, net, testing
from tests.support.example import EXAMPLES

pytestmark = pytest.mark.network

IDLE = 60.0


def load():
    spec = importlib.util.spec_from_file_location("chat_server", EXAMPLES / "chat_server.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


chat_server = load()


def press_ctrl_c(*_):
    raise KeyboardInterrupt


class Server:
    """A chat server at work; the hub is a goroutine of the test."""

    def __init__(self, clock, address):
        self.clock = clock
        self.listener = net.listen("unix", address)
        self.chat = chat_server.Chat(10, IDLE)
        self.hub = go(self.chat.run, self.listener)

    @contextmanager
    def joined(self, name, *, mute=False):
        """A client, and all that it has heard."""
        with net.dial("unix", str(self.listener.addr)) as conn:
            heard = bytearray()
            if not mute:
                go(self._collect, conn, heard)
            conn.write(f"{name}\n".encode())
            self.clock.advance(0)
            yield conn, heard

    @staticmethod
    def _collect(conn, heard):
        try:
            while data := conn.read():
                heard += data
        except net.ClosedError:
            return
        conn.close()  # hung up on, it hangs up

    def interrupt(self):
        self.chat.events.send((press_ctrl_c, None, ""))
        self.clock.advance(0)


@pytest.fixture
def server(tmp_path, capsys):
    with testing.fake_clock() as clock:
        server = Server(clock, str(tmp_path / "chat"))
        yield server
        if not server.hub.done:
            server.interrupt()
            clock.advance(chat_server.GRACE)
        assert server.hub.done
        assert capsys.readouterr().out == "\nGoodbye.\n"


def test_who_speaks_in_time_stays(server):
    with server.joined("ann") as (ann, heard), server.joined("bob") as (_, silent):
        for _ in range(5):
            server.clock.advance(IDLE - 1)
            ann.write(b"still here\n")
            server.clock.advance(0)
        assert silent.endswith(b"* Goodbye (silent for 60 seconds).\n")
        assert silent.count(b"<ann> still here\n") == 1
        assert heard.endswith(b"* bob has left (silent for 60 seconds).\n")
        server.clock.advance(IDLE - 0.001)
        assert not heard.endswith(b"* Goodbye (silent for 60 seconds).\n")
        server.clock.advance(0.001)
        assert heard.endswith(b"* Goodbye (silent for 60 seconds).\n")
        assert not server.chat.clients
        assert not server.chat.names
        assert not server.chat.rooms


def test_a_byte_now_and_then_is_no_line(server):
    with server.joined("ann") as (ann, heard):
        for _ in range(int(IDLE) - 1):
            server.clock.advance(1)
            ann.write(b"x")
        assert b"Goodbye" not in heard
        server.clock.advance(1)
        assert heard.endswith(b"* Goodbye (silent for 60 seconds).\n")


def test_who_never_reads_delays_nobody(server):
    with (
        server.joined("ann") as (ann, _),
        server.joined("mute", mute=True),
        server.joined("bob") as (_, heard),
    ):
        mute = server.chat.names["mute"]
        words = b"x" * (chat_server.MAX_LINE - 5)
        for n in range(5000):
            ann.write(b"%05d" % n + words + b"\n")
            server.clock.advance(0)
            assert b"<ann> %05d" % n + words + b"\n" in heard  # and not a moment later
            if mute.conn.closed:
                break
            heard.clear()
        assert mute.conn.closed
        assert heard.endswith(b"* mute has left (did not keep up).\n")


def test_a_burst_drops_nobody_who_reads(server):
    lines = 2 * chat_server.QUEUE  # of two speakers: fewer than writes that a socket can hold
    with (
        server.joined("ann") as (ann, _),
        server.joined("bob") as (bob, heard_by_bob),
        server.joined("cid") as (_, heard_by_cid),
    ):
        for name, conn in ((b"ann", ann), (b"bob", bob)):
            go(conn.write, b"".join(b"%d from %b\n" % (n, name) for n in range(lines)))
        server.clock.advance(0)
        for n in range(lines):
            assert b"<ann> %d from ann\n" % n in heard_by_bob
            assert b"<ann> %d from ann\n" % n in heard_by_cid
            assert b"<bob> %d from bob\n" % n in heard_by_cid


def test_who_takes_nothing_for_too_long_is_dropped(server):
    with (
        server.joined("ann") as (ann, heard),
        server.joined("mute", mute=True),
    ):
        stuck = server.chat.names["mute"]
        while not len(stuck.outgoing):  # until the kernel takes no more, and some lines wait
            ann.write(b"x" * chat_server.MAX_LINE + b"\n")
            server.clock.advance(0)
        server.clock.advance(chat_server.WRITE_TIMEOUT - 0.001)
        assert not stuck.conn.closed
        server.clock.advance(0.001)
        assert heard.endswith(b"* mute has left (did not keep up).\n")
        assert stuck not in server.chat.clients


def test_shutting_down_waits_for_who_hangs_up_and_not_for_who_does_not(server):
    with (
        server.joined("ann") as (_, heard),
        server.joined("mute", mute=True) as (mute, _),
    ):
        server.interrupt()
        assert heard.endswith(b"* The server is shutting down. Goodbye!\n")
        assert [client.name for client in server.chat.clients] == ["mute"]
        server.clock.advance(chat_server.LINGER - 0.001)
        assert not server.hub.done
        server.clock.advance(0.001)
        assert server.hub.done
        assert not server.chat.clients
        assert mute.read().endswith(b"* The server is shutting down. Goodbye!\n")
        assert mute.read() == b""


def test_shutting_down_closes_who_takes_nothing(server):
    with (
        server.joined("ann") as (ann, _),
        server.joined("mute", mute=True),
    ):
        stuck = server.chat.names["mute"]
        while not len(stuck.outgoing):
            ann.write(b"x" * chat_server.MAX_LINE + b"\n")
            server.clock.advance(0)
        server.interrupt()
        server.clock.advance(chat_server.GRACE - 0.001)
        assert not server.hub.done
        server.clock.advance(0.001)
        assert server.hub.done
        assert stuck.conn.closed
