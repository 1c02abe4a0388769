"""Many goroutines, and many connections that break at once."""

import inspect
import os
import resource
import socket
import struct
from pathlib import Path

import pytest

import gopoll
from gopoll import Chan, go, net, testing
from tests.support.script import run_script

pytestmark = pytest.mark.scale

CONNECTIONS = 1000
FILES = 2 * CONNECTIONS + 200


def pass_on(left, right):
    left.send(1 + right.recv())


def test_a_chain_of_ten_thousand():
    leftmost = left = Chan[int]()
    for _ in range(10_000):
        right = Chan[int]()
        go(pass_on, left, right)
        left = right
    before = gopoll.num_goroutine()
    assert before > 10_000
    go(left.send, 0)
    assert leftmost.recv() == 10_000
    testing.wait_idle()
    assert before - gopoll.num_goroutine() == 10_000


def test_a_chain_of_ten_thousand_grows_no_deeper():
    """Each is started by the one before it, whose stack must not become its own."""
    seen = Chan[int](cap=1)

    def link(n):
        if n:
            go(link, n - 1)
        else:
            seen.send(depth())

    def depth():
        return len(inspect.stack(0))

    go(link, 10_000)
    assert seen.recv() < 10


@pytest.mark.timeout(120)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads its size from /proc")
def test_a_million_leave_nothing_behind():
    done = run_script(
        """
        import os, gopoll
        from gopoll import Chan, go

        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 10

        ended = 0

        def short(_):
            global ended
            ended += 1

        def waits(ch):
            global ended
            ch.recv()
            ended += 1

        def spawn(n):
            for _ in range(n // 2000):
                gate = Chan()
                for _ in range(1000):
                    go(short, gate)
                    go(waits, gate)
                gopoll.gosched()
                gate.close()
                gopoll.gosched()

        def main():
            spawn(100_000)
            print(resident())
            spawn(900_000)
            print(resident())
            print(ended, gopoll.num_goroutine())

        gopoll.run(main)
        """,
        timeout=110,
        PYTHONMALLOC="pymalloc",  # as users have it: -X dev would take the debugging one
    )
    assert done.stderr == ""
    first, last, ended, left = map(int, done.stdout.split())
    assert (ended, left) == (1_000_000, 1)
    assert last - first < 512  # kB; a goroutine in a thousand that stayed would make ten times that


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < FILES or os.environ.get("GOPOLL_POLLER") == "select":
        pytest.skip("needs descriptor numbers past a limit of this system or of select()")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def echo(conn):
    while data := conn.read():
        conn.write(data)


def talk(conn, turns):
    for n in range(turns):
        message = b"%d" % n * 100
        conn.write(message)
        assert conn.read_exactly(len(message)) == message
    return turns


def test_a_thousand_resets_do_not_disturb_an_echo(many_files):
    with net.listen("tcp", "127.0.0.1:0") as listener:
        go(net.serve, listener, echo)
        address = (listener.addr.host, listener.addr.port)
        with net.dial("tcp", str(listener.addr)) as conn:
            assert talk(conn, 1) == 1
            before = gopoll.num_goroutine()
            socks = [socket.create_connection(address) for _ in range(CONNECTIONS)]
            for sock in socks:
                sock.sendall(b"x" * 1000)  # and nobody will read the answer
            testing.wait_idle()
            assert gopoll.num_goroutine() == before + CONNECTIONS
            talker = go(talk, conn, 1000)
            gopoll.gosched()
            for sock in socks:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
            assert not talker.done
            assert talker.result(30) == 1000
            testing.wait_idle()
            assert gopoll.num_goroutine() == before
        listener.close()
    testing.wait_idle()
