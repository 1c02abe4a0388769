"""TLS sockets in many hands: a call may want either direction, and nobody sleeps too long."""

import pytest

from tests.support.tls import run

pytestmark = pytest.mark.network

# What stands for OpenSSL here works on the same descriptor, by `raw`, which never blocks.
IN_PLACE_OF_OPENSSL = """
client, server = pair()
raw = socket.socket(fileno=os.dup(client.fileno())); raw.setblocking(False)
far = socket.socket(fileno=os.dup(server.fileno())); far.setblocking(False)
Read, Write = ssl.SSLWantReadError, ssl.SSLWantWriteError
try: far_received = far.recv(9999)
except BlockingIOError: pass
try: raw.recv(9999)  # tickets
except BlockingIOError: pass
def fill():
    try:
        while raw.send(bytes(9999)): pass
    except BlockingIOError: pass
def drain():
    try:
        while far.recv(99999): pass
    except BlockingIOError: pass
class Engine:
    '''What read and write find is the same: in a handshake the connection wants, not the call.'''
    stage, calls = 0, 0
    def pending(self): return self.stage
    def arrived(self):
        try: return bool(raw.recv(1))
        except BlockingIOError: return False
    def read(self, n, buffer=None):
        self.calls += 1
        self.go_on('read')
        return b'data'
    def write(self, data):
        self.calls += 1
        self.go_on('write')
        return len(data)
    def go_on(self, call):
        '''A handshake that a byte from the other end completes.'''
        if self.stage == 0 and self.arrived(): self.stage = 1
        if self.stage == 0: raise Read
def use(engine):
    client._sslobj = engine
    return engine
def finish(): close(raw, far, client, server)
"""


def test_a_read_that_wants_to_write_waits_until_it_can():
    assert run(
        IN_PLACE_OF_OPENSSL + "class Changing(Engine):\n"
        "    def go_on(self, call):\n"
        "        try: raw.send(b'new keys')\n"
        "        except BlockingIOError: raise Write\n"
        "engine = use(Changing())\n"
        "fill()\n"
        "g = gopoll.go(client.recv, 10)\n"
        "wait_idle()\n"
        "print(g.done, engine.calls < 3)\n"
        "drain()\n"
        "print(g.result(5), engine.calls < 4)\n"
        "finish()\n"
    ) == ["False True", "b'data' True"]


@pytest.mark.parametrize("first", ["recv, 10", "send, b'four'"])
def test_one_byte_wakes_both_who_wait_for_it(first):
    assert run(
        IN_PLACE_OF_OPENSSL + f"engine = use(Engine())\none = gopoll.go(client.{first})\n"
        "wait_idle()\n"
        "reading, writing = gopoll.go(client.recv, 10), gopoll.go(client.send, b'four')\n"
        "wait_idle()\n"
        "print(one.done, reading.done, writing.done)\n"
        "far.send(b'x')\n"
        "print(one.result(5) in (4, b'data'), reading.result(5), writing.result(5))\n"
        "print(engine.calls < 9)\n"
        "finish()\n"
    ) == ["False False False", "True b'data' 4", "True"]


def test_who_gives_up_leaves_the_others_awake():
    assert run(
        IN_PLACE_OF_OPENSSL + "engine = use(Engine())\n"
        "client.settimeout(0.02)\n"
        "reading = gopoll.go(said, client.recv, 10)\n"
        "wait_idle()\n"
        "client.settimeout(None)\n"
        "writing = gopoll.go(client.send, b'four')\n"
        "print(reading.result(5))\n"
        "wait_idle()\n"
        "far.send(b'x')\n"
        "print(writing.result(5))\n"
        "finish()\n"
    ) == ["TimeoutError: The read operation timed out", "4"]


def test_a_wish_that_somebody_else_has_overtaken_is_looked_at_again():
    assert run(
        IN_PLACE_OF_OPENSSL + "class Longer(Engine):\n"
        "    def go_on(self, call):\n"
        "        if self.stage == 0 and self.arrived(): self.stage = 1\n"
        "        if self.stage == 0: raise Read\n"
        "        if self.stage == 1 and call == 'read': raise Write\n"
        "        if self.stage == 1: self.stage = 2  # the write has sent what was to be sent\n"
        "        if self.stage == 2 and self.arrived(): self.stage = 3\n"
        "        if self.stage == 2: raise Read\n"
        "engine = use(Longer())\n"
        "reading = gopoll.go(client.recv, 10)\n"
        "wait_idle()\n"
        "writing = gopoll.go(client.send, b'four')\n"
        "wait_idle()\n"
        "far.send(b'x')\n"
        "wait_idle()\n"
        "print(engine.stage, reading.done, writing.done)\n"
        "far.send(b'y')\n"
        "print(reading.result(5), writing.result(5), engine.calls < 12)\n"
        "finish()\n"
    ) == ["2 False False", "b'data' 4 True"]


def test_closing_wakes_all():
    assert (
        run(
            IN_PLACE_OF_OPENSSL + "use(Engine())\n"
            "calls = [(client.recv, 10), (client.send, b'x')] * 2\n"
            "waiting = []\n"
            "for call in calls:\n"
            "    waiting.append(gopoll.go(said, *call))\n"
            "    wait_idle()\n"
            "client.close()\n"
            "for g in waiting: print(g.result(5))\n"
            "finish()\n"
        )
        == ["OSError: [Errno 9] Bad file descriptor"] * 4
    )


def test_closing_gives_the_number_back_at_once():
    assert run(
        "client, server = pair()\n"
        "number = client.fileno()\n"
        "reading = gopoll.go(said, client.recv, 10)\n"
        "wait_idle()\n"
        "client.close()\n"
        "print(said(os.fstat, number))\n"
        "print(reading.result(5), server.recv(10))\n"
        "server.close()\n"
    ) == [
        "OSError: [Errno 9] Bad file descriptor",
        "OSError: [Errno 9] Bad file descriptor b''",
    ]


def test_shutting_down_tells_who_reads_that_this_is_the_end():
    assert run(
        "client, server = pair()\n"
        "reading = gopoll.go(client.recv, 10)\n"
        "wait_idle()\n"
        "client.shutdown(socket.SHUT_RDWR)\n"
        "print(reading.result(5))\n"
        "close(client, server)\n"
    ) == ["b''"]


def test_saying_goodbye_while_somebody_reads():
    assert run(
        "client, server = pair()\n"
        "reading = gopoll.go(said, client.recv, 10)\n"
        "wait_idle()\n"
        "leaving = gopoll.go(client.unwrap)\n"
        "wait_idle()\n"
        "print(server.recv(10))\n"
        "server.unwrap()\n"
        "print(reading.result(5), leaving.result(5) is client)\n"
        "close(client, server)\n"
    ) == ["b''", "SSLZeroReturnError True"]


def test_an_interrupted_wait_loses_nothing():
    assert run(
        "client, server = pair()\n"
        "for _ in range(3):\n"
        "    try:\n"
        "        with gopoll.timeout(0.01): client.recv(10)\n"
        "    except TimeoutError: print('interrupted')\n"
        "server.send(b'all of it')\n"
        "print(client.recv(100))\n"
        "close(client, server)\n"
    ) == ["interrupted", "interrupted", "interrupted", "b'all of it'"]


def test_one_at_a_time_is_in_openssl():
    assert run(
        IN_PLACE_OF_OPENSSL + "class Slow(Engine):\n"
        "    inside = 0\n"
        "    def go_on(self, call):\n"
        "        self.inside += 1\n"
        "        gopoll.sleep(0.001)  # a callback that parks\n"
        "        print(call, self.inside)\n"
        "        self.inside -= 1\n"
        "use(Slow())\n"
        "calls = [(client.recv, 10), (client.send, b'x')] * 2\n"
        "for g in [gopoll.go(*call) for call in calls]: g.result(5)\n"
        "finish()\n"
    ) == ["read 1", "write 1", "read 1", "write 1"]


def test_goroutines_of_several_threads_share_a_connection():
    assert run(
        "import threading\n"
        "client, server = pair()\n"
        "data, got = os.urandom(1_000_000), []\n"
        "def echo():\n"
        "    for _ in range(0, len(data), 10_000): server.sendall(take(server, 10_000))\n"
        "reader = threading.Thread(target=lambda: got.append(take(client, len(data))))\n"
        "echoing = threading.Thread(target=echo)\n"
        "reader.start(); echoing.start()\n"
        "for at in range(0, len(data), 10_000): client.sendall(data[at:at + 10_000])\n"
        "reader.join(20); echoing.join(20)\n"
        "print(got == [data])\n"
        "close(client, server)\n"
    ) == ["True"]


def test_a_child_has_the_connection_to_itself():
    assert run(
        "client, server = pair()\n"
        "reading = gopoll.go(client.recv, 10)\n"
        "wait_idle()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    client.settimeout(0.02)\n"
        "    late = said(client.recv, 10)\n"
        "    client.sendall(late.encode())\n"
        "    os._exit(0)\n"
        "print(server.recv(100), os.waitpid(child, 0)[1])\n"
        "server.send(b'x')\n"
        "print(reading.result(5))\n"
        "close(client, server)\n"
    ) == ["b'TimeoutError: The read operation timed out' 0", "b'x'"]


def test_waiting_for_a_peer_is_no_deadlock():
    assert run(
        "import signal\n"
        "client, server = pair()\n"
        "waiting = [gopoll.go(client.recv, 10) for _ in range(2)]\n"
        "wait_idle()\n"
        "signal.signal(signal.SIGALRM, lambda *_: server.send(b'at last'))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)\n"
        "print(client.recv(100), *(g.result(5) for g in waiting))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "close(client, server)\n"
    ) == ["b'at last' b'at last' b'at last'"]


def test_a_handler_inside_of_the_scheduler_waits_for_real():
    assert run(
        "import signal, threading\n"
        "from gopoll.runtime.sched import this\n"
        "client, server = pair()\n"
        "said_so = gopoll.Chan(2)\n"
        "def handle(*_):\n"
        "    if this.sched.current is not None: return  # it struck elsewhere: once more\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "    thread.start()\n"
        "    said_so.send(client.recv(20))\n"
        "    client.settimeout(0.01)\n"
        "    said_so.send(said(client.recv, 10))\n"
        "thread = threading.Thread(target=server.send, args=(b'from a thread',))\n"
        "signal.signal(signal.SIGALRM, handle)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)\n"
        "print(said_so.recv(), said_so.recv())\n"
        "thread.join()\n"
        "close(client, server)\n"
    ) == ["b'from a thread' TimeoutError: The read operation timed out"]


def test_nothing_keeps_a_forgotten_connection_alive():
    assert run(
        "import gc, warnings\n"
        "client, server = pair()\n"
        "later(server.send, b'x'); client.recv(10)\n"
        "with warnings.catch_warnings(record=True) as warned:\n"
        "    warnings.simplefilter('always')\n"
        "    del client\n"
        "    gc.collect()\n"
        "print(*(str(w.message)[:23] for w in warned), server.recv(10))\n"
        "server.close()\n"
    ) == ["unclosed <ssl.SSLSocket b''"]
