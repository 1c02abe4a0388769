"""``socket`` under the patch: whatever waits parks, and answers as ever."""

import socket
import sys

import pytest

from tests.support.script import run_script

pytestmark = pytest.mark.network

PATCHED = """
from gopoll.monkey import registry
for room in ("time", "select", "selectors", "os", "io", "socket"): registry.enter(room, room)
import gopoll, os, select, socket, sys, time
from gopoll.testing import wait_idle
def later(fn, *args):
    '''Call it once everybody else waits.'''
    gopoll.go(lambda: (wait_idle(), fn(*args)))
def tried(fn, *args):
    '''What it returns, or the name of what it raises.'''
    try: return fn(*args)
    except OSError as exc: return type(exc).__name__
def tcp():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        return near, listener.accept()[0]
def udp():
    one, two = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
    for sock in (one, two): sock.bind(("127.0.0.1", 0))
    one.connect(two.getsockname()); two.connect(one.getsockname())
    return one, two
"""


def run(code, *args, **env):
    done = run_script(PATCHED + code, *args, **env)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


WAYS = {
    "recv": "lambda: b.recv(100)",
    "recv with flags": "lambda: b.recv(100, socket.MSG_NOSIGNAL)",
    "recv_into": "lambda: (m := bytearray(100), m[:b.recv_into(m)])[1]",
    "recvfrom": "lambda: b.recvfrom(100)[0]",
    "recvfrom_into": "lambda: (m := bytearray(100), m[:b.recvfrom_into(m)[0]])[1]",
    "recvmsg": "lambda: b.recvmsg(100)[0]",
    "recvmsg_into": "lambda: (m := bytearray(100), m[:b.recvmsg_into([m])[0]])[1]",
    "makefile": "b.makefile('rb', 0).read",
    "readline": "b.makefile('rb').readline",
    "text": "b.makefile().readline",
}


@pytest.mark.parametrize("pair", ["tcp()", "socket.socketpair()", "udp()"])
@pytest.mark.parametrize("way", WAYS)
def test_reading_lets_the_others_run(way, pair):
    args = "(6)" if way == "makefile" else "()"
    assert run(
        f"a, b = {pair}\n"
        f"read = {WAYS[way]}\n"
        "for i in range(3):\n"
        "    later(a.send, b'line%d\\n' % i)\n"
        f"    got = read{args}\n"
        "    print(bytes(got, 'ascii') if isinstance(got, str) else bytes(got))\n"
        "del read; a.close(); b.close()\n"
    ) == [rf"b'line{i}\n'" for i in range(3)]


@pytest.mark.parametrize("way", WAYS)
def test_a_timeout_is_the_one_of_the_standard_library(way):
    args = "(6)" if way == "makefile" else "()"
    assert run(
        "a, b = tcp()\n"
        "b.settimeout(0.02)\n"
        f"read = {WAYS[way]}\n"
        "began = time.monotonic()\n"
        f"try: read{args}\n"
        "except TimeoutError as exc: print(repr(exc), 0.02 <= time.monotonic() - began < 5)\n"
        "del read; a.close(); b.close()\n"
    ) == ["TimeoutError('timed out') True"]


def test_a_timeout_covers_the_queue_too():
    assert run(
        "a, b = tcp()\n"
        "first = gopoll.go(b.recv, 10)\n"
        "gopoll.gosched()\n"
        "b.settimeout(0.02)\n"
        "print(tried(b.recv, 10), first.done)\n"
        "a.send(b'late'); print(first.result(5))\n"
        "a.close(); b.close()\n"
    ) == ["TimeoutError False", "b'late'"]


WRITES = {
    "send": "a.send(data)",
    "sendall": "a.sendall(data)",
    "sendmsg": "a.sendmsg([data[:1], data[1:]])",
    "makefile": "(f := a.makefile('wb', 0), f.write(data), f.close())[1]",
}


@pytest.mark.parametrize("pair", ["tcp()", "socket.socketpair()"])
@pytest.mark.parametrize("way", WRITES)
def test_a_blocking_write_takes_everything_and_lets_the_others_run(way, pair):
    assert run(
        f"a, b = {pair}\n"
        "size = 5_000_000\n"
        "data = os.urandom(size)\n"
        f"g = gopoll.go(lambda: {WRITES[way]})\n"
        "gopoll.gosched()\n"
        "got = b''\n"
        "while len(got) < size: got += b.recv(1 << 20)\n"
        "print(g.result(5), got == data, a.getblocking(), os.get_blocking(a.fileno()))\n"
        "a.close(); b.close()\n"
    ) == [f"{None if way == 'sendall' else 5000000} True True True"]


def test_whole_writes_do_not_mix():
    assert run(
        "a, b = tcp()\n"
        "for letter in b'abc': gopoll.go(a.sendall, bytes([letter]) * 3_000_000)\n"
        "gopoll.gosched()\n"
        "got = b''\n"
        "while len(got) < 9_000_000: got += b.recv(1 << 20)\n"
        "import itertools\n"
        "print([(k, len(list(g))) for k, g in itertools.groupby(got)])\n"
        "a.close(); b.close()\n"
    ) == ["[(97, 3000000), (98, 3000000), (99, 3000000)]"]


def test_sendall_has_one_deadline_for_all_of_it():
    assert run(
        "a, b = tcp()\n"
        "a.settimeout(0.1)\n"
        "def drip():\n"
        "    while b.recv(100_000): gopoll.sleep(0.01)\n"
        "gopoll.go(drip)\n"
        "print(tried(a.sendall, bytes(100_000_000)))\n"
        "a.close()\n"
        "wait_idle(); b.close()\n"
    ) == ["TimeoutError"]


@pytest.mark.parametrize(
    "call",
    [
        "b.recv(10, ALL)",
        "b.recvfrom(10, ALL)[0]",
        "b.recvmsg(10, 0, ALL)[0]",
        "(m := bytearray(10), b.recv_into(m, 0, ALL), bytes(m))[2]",
        "(m := bytearray(10), b.recvfrom_into(m, 0, ALL), bytes(m))[2]",
        "(m := [bytearray(6), bytearray(4)], b.recvmsg_into(m, 0, ALL), m[0] + m[1])[2]",
    ],
)
def test_waitall_waits_for_all(call):
    assert run(
        "a, b = tcp(); ALL = socket.MSG_WAITALL\n"
        f"g = gopoll.go(lambda: {call})\n"
        "for piece in (b'abc', b'defg', b'hij'): wait_idle(); a.send(piece)\n"
        "print(bytes(g.result(5)))\n"
        f"g = gopoll.go(lambda: {call})\n"
        "wait_idle(); a.send(b'the end'); wait_idle(); a.close()\n"
        "print(bytes(g.result(5)[:7])); b.close()\n"
    ) == ["b'abcdefghij'", "b'the end'"]


def test_the_kernel_flag_and_the_timeout_stay_what_the_program_set():
    assert run(
        "def shown(s):\n"
        "    print(s.gettimeout(), s.timeout, s.getblocking(), os.get_blocking(s.fileno()))\n"
        "a, b = tcp(); ALL = socket.MSG_WAITALL\n"
        "for value in (None, 5.0, 0.0, None):\n"
        "    for s in (a, b): s.settimeout(value)\n"
        "    a.send(b'x'); select.select([b], [], [])\n"
        "    b.recv(1); shown(a); shown(b)\n"
        "a.setblocking(False); print(tried(a.recv, 1)); a.setblocking(True); shown(a)\n"
        "a.close(); b.close()\n"
    ) == [
        *["None None True True"] * 2,
        *["5.0 5.0 True False"] * 2,
        *["0.0 0.0 False False"] * 2,
        *["None None True True"] * 2,
        "BlockingIOError",
        "None None True True",
    ]


def test_flags_that_say_not_to_wait_are_obeyed():
    assert run(
        "a, b = tcp(); ALL = socket.MSG_WAITALL\n"
        "g = gopoll.go(b.recv, 3); gopoll.gosched()\n"
        "print(tried(b.recv, 3, socket.MSG_DONTWAIT))\n"
        "a.send(b'abc'); print(g.result(5))\n"
        "os.set_blocking(a.detach(), False); b.close()\n"
        "a, b = socket.socketpair(); os.set_blocking(b.fileno(), False)\n"
        "print(tried(b.recv, 3)); a.close(); b.close()\n"
    ) == ["BlockingIOError", "b'abc'", "BlockingIOError"]


def test_a_default_timeout_is_that_of_new_sockets_only():
    assert run(
        "a, b = tcp(); ALL = socket.MSG_WAITALL\n"
        "g = gopoll.go(b.recv, 3); gopoll.gosched()\n"
        "socket.setdefaulttimeout(0.02)\n"
        "c, d = tcp(); print(c.gettimeout(), tried(c.recv, 1))\n"
        "h = gopoll.go(a.recv, 3); wait_idle()\n"
        "print(os.get_blocking(a.fileno()), a.gettimeout())\n"
        "a.send(b'abc'); b.send(b'def'); print(g.result(5), h.result(5))\n"
        "for s in (a, b, c, d): s.close()\n"
    ) == ["0.02 TimeoutError", "True None", "b'abc' b'def'"]


@pytest.mark.skipif(not hasattr(socket, "SCM_RIGHTS"), reason="no descriptors can be passed")
def test_descriptors_are_passed():
    assert run(
        "a, b = socket.socketpair(socket.AF_UNIX)\n"
        "r, w = os.pipe()\n"
        "later(socket.send_fds, a, [b'here'], [w])\n"
        "data, (copy,), _, _ = socket.recv_fds(b, 100, 1)\n"
        "os.write(copy, b'there'); print(data, os.read(r, 10))\n"
        "for fd in (r, w, copy): os.close(fd)\n"
        "a.close(); b.close()\n"
    ) == ["b'here' b'there'"]


def test_urgent_data_is_no_end_of_waiting():
    assert run(
        "a, b = tcp()\n"
        "a.send(b'ab'); print(b.recv(10))\n"
        "a.send(b'!', socket.MSG_OOB); a.send(b'cd')\n"
        "wait_idle()\n"
        "print(b.recv(1, socket.MSG_OOB), b.recv(10))\n"
        "later(a.send, b'ef'); print(b.recv(10))\n"
        "a.close(); b.close()\n"
    ) == ["b'ab'", "b'!' b'cd'", "b'ef'"]


def test_a_peek_takes_nothing():
    assert run(
        "a, b = tcp()\n"
        "a.send(b'ab'); print(b.recv(10))\n"
        "later(a.send, b'cd')\n"
        "print(b.recv(10, socket.MSG_PEEK), b.recv(0), b.recv(10))\n"
        "later(a.send, b'ef'); print(b.recv(10))\n"
        "a.close(); b.close()\n"
    ) == ["b'ab'", "b'cd' b'' b'cd'", "b'ef'"]


def test_two_goroutines_share_a_file_over_a_socket():
    assert run(
        "a, b = tcp()\n"
        "for mode in ('rb', 'rwb'):\n"
        "    file = b.makefile(mode)\n"
        "    lines = [gopoll.go(file.readline) for _ in range(3)]\n"
        "    gopoll.gosched()\n"
        "    a.sendall(b'one\\ntwo\\nthree\\n')\n"
        "    print([g.result(5) for g in lines])\n"
        "    if mode == 'rwb':\n"
        "        h = gopoll.go(file.readline); gopoll.gosched()\n"
        "        file.write(b'not held up'); file.flush(); print(a.recv(100))\n"
        "        a.sendall(b'four\\n'); print(h.result(5))\n"
        "    file.close(); print(file.closed)\n"
        "    print(repr(file).partition(' object')[0].partition(' name')[0])\n"
        "a.close(); b.close()\n"
    ) == [
        r"[b'one\n', b'two\n', b'three\n']",
        "True",
        "<_io.BufferedReader",
        r"[b'one\n', b'two\n', b'three\n']",
        "b'not held up'",
        r"b'four\n'",
        "True",
        "<_io.BufferedRWPair",
    ]


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_sendfile_lets_the_others_run(timeout, tmp_path):
    assert run(
        "a, b = tcp()\n"
        f"a.settimeout({timeout})\n"
        "data = os.urandom(5_000_000)\n"
        "with open(sys.argv[1], 'wb') as file: file.write(data)\n"
        "with open(sys.argv[1], 'rb') as file:\n"
        "    g = gopoll.go(a.sendfile, file, 1000, 4_500_000)\n"
        "    gopoll.gosched()\n"
        "    h = gopoll.go(a.sendall, b'after it')\n"
        "    got = b''\n"
        "    while len(got) < 4_500_008: got += b.recv(1 << 20)\n"
        "    print(g.result(5), got == data[1000:4_501_000] + b'after it', file.tell())\n"
        "print(os.get_blocking(a.fileno()))\n"
        "a.close(); b.close()\n",
        str(tmp_path / "file"),
    ) == ["4500000 True 4501000", str(timeout is None)]


def test_sendfile_falls_back_and_says_what_is_wrong(tmp_path):
    assert run(
        "import io\n"
        "a, b = tcp()\n"
        "print(a.sendfile(io.BytesIO(b'in memory')), b.recv(100))\n"
        "with open(sys.argv[1], 'wb+') as file:\n"
        "    print(a.sendfile(file))\n"
        "    try: a.sendfile(file, 0, 0)\n"
        "    except ValueError as exc: print(exc)\n"
        "    file.write(bytes(10_000_000)); file.flush()\n"
        "    g = gopoll.go(tried, a.sendfile, file, 0); later(b.close)\n"
        "    print(g.result(5) in ('ConnectionResetError', 'BrokenPipeError'))\n"
        "a.close()\n",
        str(tmp_path / "file"),
    ) == [
        "9 b'in memory'",
        "0",
        "count must be a positive integer (got 0)",
        "True",
    ]


def test_methods_look_as_they_did():
    assert run(
        "for name in 'recv sendall connect settimeout accept makefile detach'.split():\n"
        "    method = getattr(socket.socket, name)\n"
        "    print(method.__qualname__, method.__module__)\n"
        "class Mine(socket.socket):\n"
        "    def recv(self, n): return b'<' + super().recv(n) + b'>'\n"
        "a, b = socket.socketpair()\n"
        "mine = Mine(fileno=b.detach()); later(a.send, b'x'); print(mine.recv(10))\n"
        "for wrong in ((a.recv, -1), (a.recv, '1'), (a.send, 'x'), (a.sendto, b'')):\n"
        "    try: wrong[0](wrong[1])\n"
        "    except (TypeError, ValueError) as exc: print(exc)\n"
        "a.close(); mine.close(); print(tried(a.recv, 1), a)\n"
    ) == [
        *(f"socket.{n} socket" for n in ("recv", "sendall", "connect", "settimeout")),
        *(f"socket.{n} socket" for n in ("accept", "makefile", "detach")),
        "b'<x>'",
        "negative buffersize in recv",
        "'str' object cannot be interpreted as an integer",
        "a bytes-like object is required, not 'str'",
        "sendto() takes 2 or 3 arguments (1 given)",
        "OSError <socket.socket [closed] fd=-1, family=1, type=1, proto=0>",
    ]


def test_a_socket_made_before_the_patch_follows():
    done = run_script(
        "import socket\n"
        "a, b = socket.socketpair(); b.settimeout(5)\n"
        "from socket import socket as early\n"
        "import gopoll\n"
        "from gopoll import monkey\n"
        "monkey.patch_socket(); monkey.patch_socket()\n"
        "g = gopoll.go(b.recv, 10); gopoll.gosched()\n"
        "a.send(b'x'); print(g.result(5), early is socket.socket, monkey.is_patched('socket'))\n"
        "g = gopoll.go(b.recv, 10); gopoll.gosched()\n"
        "monkey.restore()\n"
        "a.send(b'y'); print(g.result(5), 'recv' in vars(socket.socket))\n"
        "a.send(b'z'); print(b.recv(5), b.gettimeout())\n"
        "monkey.patch_socket()\n"
        "g = gopoll.go(b.recv, 10); gopoll.gosched()\n"
        "a.send(b'x'); print(g.result(5)); a.close(); b.close()\n"
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["b'x' True True", "b'y' False", "b'z' 5.0", "b'x'"]


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
def test_a_flood_of_datagrams_lets_the_others_run():
    assert run(
        "a, b = udp()\n"
        "ran = []\n"
        "gopoll.go(ran.append, 1)\n"
        "for i in range(1000):\n"
        "    a.send(b'x'); b.recv(1)\n"
        "    if ran: break\n"
        "print(i < 999); a.close(); b.close()\n"
    ) == ["True"]


@pytest.mark.parametrize("way", WRITES)
def test_a_kernel_that_does_not_listen_to_the_flag_when_it_sends(way):
    done = run_script(
        "import sys; here, sys.platform = sys.platform, 'darwin'\n"
        "import gopoll.monkey._sock_send; sys.platform = here\n"
        + PATCHED
        + "gopoll.monkey._sock_send.DONTWAIT = 0\n"
        "a, b = tcp(); data = os.urandom(5_000_000)\n"
        f"g = gopoll.go(lambda: {WRITES[way]})\n"
        "gopoll.gosched(); print(g.done, os.get_blocking(a.fileno()))\n"
        "got = b''\n"
        "while len(got) < len(data): got += b.recv(1 << 20)\n"
        "g.result(5); print(got == data)\n"
        "a.close(); b.close()\n"
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["False True", "True"]
