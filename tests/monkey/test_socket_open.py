"""``socket`` under the patch: connecting, accepting, and the flags of listeners."""

import socket
import sys

import pytest

from tests.monkey.test_socket_life import THREADS
from tests.monkey.test_socket_waits import run

pytestmark = pytest.mark.network

linux = pytest.mark.skipif(sys.platform != "linux", reason="queues as Linux has them")

# A listener whose queue is full: who connects to it has to wait.
FULL = """
import errno
full = socket.socket(); full.bind(("127.0.0.1", 0)); full.listen(0)
queue = []
while len(queue) < 10:
    sock = socket.socket(); sock.settimeout(0.05); queue.append(sock)
    if sock.connect_ex(full.getsockname()): break
def done():
    full.close()
    for sock in queue: sock.close()
"""


def test_accepting_lets_the_others_run_and_the_result_blocks():
    assert run(
        "with socket.create_server(('127.0.0.1', 0)) as listener:\n"
        "    for timeout in (None, 5.0):\n"
        "        listener.settimeout(timeout)\n"
        "        g = gopoll.go(listener.accept); gopoll.gosched()\n"
        "        a = socket.create_connection(listener.getsockname())\n"
        "        b, peer = g.result(5)\n"
        "        print(peer == a.getsockname(), b.gettimeout(), os.get_blocking(b.fileno()))\n"
        "        print(listener.gettimeout(), listener.getblocking())\n"
        "        g = gopoll.go(b.recv, 5); gopoll.gosched(); a.send(b'x'); print(g.result(5))\n"
        "        a.close(); b.close()\n"
        "    listener.settimeout(0.01); print(tried(listener.accept))\n"
        "    listener.setblocking(False); print(tried(listener.accept))\n"
    ) == [
        *("True None True", "None True", "b'x'"),
        *("True None True", "5.0 True", "b'x'"),
        *("TimeoutError", "BlockingIOError"),
    ]


def test_another_process_may_take_the_connection():
    assert run(
        "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "address = listener.getsockname()\n"
        "r, w = os.pipe()\n"
        "pid = os.fork()\n"
        "def serve(word):\n"
        "    while True:\n"
        "        conn, _ = listener.accept()\n"
        "        with conn: conn.sendall(word)\n"
        "if not pid:\n"
        "    gopoll.go(tried, serve, b'child')\n"
        "    os.close(w); os.read(r, 1); os._exit(0)\n"
        "os.close(r)\n"
        "gopoll.go(tried, serve, b'parent')\n"
        "for _ in range(50):\n"
        "    with socket.create_connection(address) as conn: conn.recv(10)\n"
        "    gopoll.sleep(0.0001)\n"
        "os.close(w); os.waitpid(pid, 0); listener.close(); gopoll.gosched(); print('done')\n"
    ) == ["done"]


def test_a_listener_is_blocking_again_when_it_is_handed_on():
    assert run(
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "g = gopoll.go(tried, listener.accept); gopoll.gosched()\n"
        "number = listener.detach(); print(os.get_blocking(number), g.result(5))\n"
        "again = socket.socket(fileno=number)\n"
        "g = gopoll.go(again.accept); gopoll.gosched()\n"
        "copy = again.dup(); h = gopoll.go(copy.accept); gopoll.gosched()\n"
        "a = socket.create_connection(again.getsockname())\n"
        "b = socket.create_connection(again.getsockname())\n"
        "for x in (g, h): x.result(5)[0].close()\n"
        "for s in (a, b, again, copy): s.close()\n"
    ) == ["True OSError"]


def test_what_is_no_listener_keeps_its_mode():
    assert (
        run(
            "with socket.socket() as sock:\n"
            "    print(tried(sock.accept), os.get_blocking(sock.fileno()))\n"
            "with socket.socket(type=socket.SOCK_DGRAM) as sock:\n"
            "    print(tried(sock.accept), os.get_blocking(sock.fileno()))\n"
        )
        == ["OSError True"] * 2
    )


def test_connecting_says_what_went_wrong():
    assert run(
        "import errno\n"
        "with socket.create_server(('127.0.0.1', 0)) as free: address = free.getsockname()\n"
        "for timeout in (None, 5):\n"
        "    with socket.socket() as sock:\n"
        "        sock.settimeout(timeout)\n"
        "        try: sock.connect(address)\n"
        "        except ConnectionRefusedError as exc: print(exc.errno == errno.ECONNREFUSED)\n"
        "    with socket.socket() as sock:\n"
        "        sock.settimeout(timeout)\n"
        "        print(errno.errorcode[sock.connect_ex(address)], os.get_blocking(sock.fileno()))\n"
    ) == [
        *("True", "ECONNREFUSED True"),
        *("True", "ECONNREFUSED False"),
    ]


def test_connecting_twice_is_an_error():
    assert run(
        "import errno\n"
        "with socket.create_server(('127.0.0.1', 0)) as listener, socket.socket() as sock:\n"
        "    sock.connect(listener.getsockname())\n"
        "    print(errno.errorcode[sock.connect_ex(listener.getsockname())])\n"
        "    print(os.get_blocking(sock.fileno()))\n"
    ) == ["EISCONN", "True"]


@linux
def test_a_connection_that_is_not_made_in_time():
    assert run(
        FULL + "with socket.socket() as sock:\n"
        "    sock.settimeout(0.02)\n"
        "    try: sock.connect(full.getsockname())\n"
        "    except TimeoutError as exc: print(repr(exc))\n"
        "with socket.socket() as sock:\n"
        "    sock.settimeout(0.02); print(errno.errorcode[sock.connect_ex(full.getsockname())])\n"
        "done()\n"
    ) == ["TimeoutError('timed out')", "EAGAIN"]


@linux
def test_a_socket_closed_while_it_connects():
    assert run(
        FULL + "sock = socket.socket()\n"
        "g = gopoll.go(tried, sock.connect, full.getsockname()); gopoll.gosched()\n"
        "print(g.done, os.get_blocking(sock.fileno())); sock.close(); print(g.result(5))\n"
        "done()\n"
    ) == ["False True", "OSError"]


@linux
def test_connecting_to_a_full_unix_listener_waits_for_room(tmp_path):
    assert run(
        "import errno\n"
        "listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); listener.listen(0)\n"
        "socks = [socket.socket(socket.AF_UNIX) for _ in range(4)]\n"
        "waiting = [gopoll.go(tried, s.connect, sys.argv[1]) for s in socks]\n"
        "gopoll.sleep(0.01); print(all(g.done for g in waiting))\n"
        "with socket.socket(socket.AF_UNIX) as sock:\n"
        "    sock.settimeout(1); print(tried(sock.connect, sys.argv[1]))\n"
        "for _ in socks: listener.accept()[0].close()\n"
        "print([g.result(5) for g in waiting])\n"
        "for s in socks: s.close()\n"
        "listener.close()\n",
        str(tmp_path / "socket"),
    ) == ["False", "BlockingIOError", "[None, None, None, None]"]


def test_helpers_of_the_module_are_the_standard_librarys():
    assert run(
        "with socket.create_server(('127.0.0.1', 0)) as listener:\n"
        "    g = gopoll.go(listener.accept); gopoll.gosched()\n"
        "    a = socket.create_connection(listener.getsockname(), timeout=5)\n"
        "    with a, g.result(5)[0] as b:\n"
        "        print(a.gettimeout()); a.send(b'x'); print(b.recv(1))\n"
        "print(socket.create_connection.__module__, socket.create_connection.__code__.co_filename\n"
        "      == socket.__file__)\n"
        "one, two = socket.socketpair()\n"
        "g = gopoll.go(one.recv, 1); gopoll.gosched(); socket.close(one.detach())\n"
        "try: g.result(5)\n"
        "except OSError as exc: print(exc)\n"
        "two.close()\n"
    ) == ["5.0", "b'x'", "socket True", "[Errno 9] Bad file descriptor"]


def test_a_listener_closed_by_another_thread():
    assert run(
        THREADS + "listener = socket.create_server(('127.0.0.1', 0))\n"
        "accepting = thread(listener.accept); until_parked(listener, 1)\n"
        "listener.close(); print(accepting())\n"
    )[:1] == ["OSError"]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets")
def test_unix_datagrams_wait_for_room():
    assert run(
        "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "def flood():\n"
        "    for i in range(2000): a.send(b'%d' % i)\n"
        "    a.send(b'')\n"
        "g = gopoll.go(flood); gopoll.gosched()\n"
        "got = list(iter(lambda: b.recv(10), b''))\n"
        "g.result(5); print(len(got), got[-1]); a.close(); b.close()\n"
    ) == ["2000 b'1999'"]
