"""The life of a patched socket: closed, detached, collected, forked, shared, by whomever."""

import os
import re

import pytest

from tests.monkey.test_socket_waits import run
from tests.support.script import run_script

pytestmark = pytest.mark.network

WAITS = {
    "recv": "a.recv(10)",
    "recv with a timeout": "(a.settimeout(30), a.recv(10))",
    "recv after a short read": "(tried(b.send, b'x'), a.recv(10), a.recv(10))",
    "recv_into": "a.recv_into(bytearray(10))",
    "recvmsg": "a.recvmsg(10)",
    "sendall": "a.sendall(bytes(50_000_000))",
    "accept": "listener.accept()",
}
SETUP = "listener = socket.create_server(('127.0.0.1', 0)); a, b = tcp()\n"
TEARDOWN = "a.close(); b.close(); listener.close()\n"


@pytest.mark.parametrize("how", ["close", "_real_close", "detach", "by number"])
@pytest.mark.parametrize("what", WAITS)
def test_who_waits_learns_that_it_is_closed_at_once(what, how):
    victim = "listener" if what == "accept" else "a"
    act = {"by number": f"os.close({victim}.fileno())"}.get(how, f"{victim}.{how}()")
    assert run(
        SETUP + f"waiting = [gopoll.go(tried, lambda: {WAITS[what]}) for _ in range(3)]\n"
        "gopoll.gosched(); gopoll.gosched()\n"
        f"number = {victim}.fileno()\n"
        f"kept = {act}\n"
        f"if {how != 'detach'}:\n"
        "    try: os.fstat(number)\n"
        "    except OSError: print('gone')\n"
        "elif kept == number: os.close(kept); print('gone')\n"
        "from gopoll.monkey._sock_state import states\n"
        "print({g.result(5) for g in waiting}, tried(lambda: " + WAITS[what] + "))\n"
        f"{victim}.detach()\n" + TEARDOWN
    ) == ["gone", "{'OSError'} OSError"]


def test_the_error_is_ebadf_in_the_words_of_the_kernel():
    assert run(
        "a, b = tcp()\n"
        "def read():\n"
        "    try: a.recv(1)\n"
        "    except OSError as exc: return repr(exc), exc.__context__ is None\n"
        "g = gopoll.go(read); gopoll.gosched(); a.close(); b.close()\n"
        "print(g.result(5)[0])\n"
    ) == ["OSError(9, 'Bad file descriptor')"]


def test_the_peer_hears_of_a_close_that_found_readers():
    assert run(
        "a, b = tcp()\n"
        "g = gopoll.go(tried, a.recv, 10); gopoll.gosched()\n"
        "a.close(); print(b.recv(10)); b.close(); print(g.result(5))\n"
    ) == ["b''", "OSError"]


def test_shutdown_is_the_end_of_the_stream_not_an_error():
    assert run(
        "a, b = tcp()\n"
        "g = gopoll.go(tried, a.recv, 10); gopoll.gosched()\n"
        "a.shutdown(socket.SHUT_RDWR); print(g.result(5), b.recv(10), a.fileno() >= 0)\n"
        "a.close(); b.close()\n"
    ) == ["b'' b'' True"]


def test_a_closed_number_is_free_at_once_and_its_new_owner_unharmed():
    assert run(
        "a, b = tcp()\n"
        "for _ in range(50):\n"
        "    number = a.fileno()\n"
        "    waiting = gopoll.go(tried, a.recv, 10); gopoll.gosched()\n"
        "    a.close()\n"
        "    c, d = socket.socketpair()\n"
        "    assert number in (c.fileno(), d.fileno())\n"
        "    mine = c if c.fileno() == number else d\n"
        "    other = d if mine is c else c\n"
        "    g = gopoll.go(mine.recv, 10); gopoll.gosched()\n"
        "    other.send(b'mine'); assert g.result(5) == b'mine'\n"
        "    assert waiting.result(5) == 'OSError'\n"
        "    b.close(); a, b = mine, other\n"
        "print('fine'); a.close(); b.close()\n"
    ) == ["fine"]


def test_a_thousand_resets_at_once():
    poller = os.environ.get("GOPOLL_POLLER", "")
    # So many as select(2) can watch. The stand-in for a kqueue loses events past 256 at once, and
    # takes the error for its own.
    count = {"select": 300, "kqueue": 100}.get(poller, 1000)
    reset = "{b''}" if poller == "kqueue" else "{'ConnectionResetError'}"
    assert run(
        "import struct\n"
        f"count = {count}\n"
        "try:\n"
        "    import resource\n"
        "    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))\n"
        "except (ImportError, ValueError, OSError): pass\n"
        "pairs = [tcp() for _ in range(count)]\n"
        "waiting = [gopoll.go(tried, b.recv, 10) for _, b in pairs]\n"
        "wait_idle()\n"
        "for a, _ in pairs:\n"
        "    a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n"
        "    a.close()\n"
        "print({g.result(20) for g in waiting})\n"
        "print({tried(b.recv, 1) for _, b in pairs}, {tried(b.sendall, b'1') for _, b in pairs})\n"
        "for _, b in pairs: b.close()\n",
        timeout=50,
    ) == [reset, "{b''} {'BrokenPipeError'}"]


def test_detach_and_another_object_for_the_number():
    assert run(
        "a, b = tcp()\n"
        "a.send(b'1'); print(b.recv(5))\n"
        "c = socket.socket(fileno=b.detach())\n"
        "g = gopoll.go(c.recv, 5); gopoll.gosched(); a.send(b'2'); print(g.result(5))\n"
        "d = socket.fromfd(c.fileno(), c.family, c.type)\n"
        "g = gopoll.go(d.recv, 5); gopoll.gosched(); c.close(); a.send(b'3'); print(g.result(5))\n"
        "e = d.dup(); d.close()\n"
        "g = gopoll.go(e.recv, 5); gopoll.gosched(); a.send(b'4'); print(g.result(5))\n"
        "e.close(); print(a.recv(5)); a.close()\n"
    ) == ["b'1'", "b'2'", "b'3'", "b'4'", "b''"]


def test_two_objects_with_one_number():
    assert run(
        "a, b = tcp()\n"
        "twin = socket.socket(fileno=b.fileno())\n"
        "one, two = gopoll.go(b.recv, 5), gopoll.go(twin.recv, 5); gopoll.gosched()\n"
        "a.send(b'1'); print(one.result(5)); a.send(b'2'); print(two.result(5))\n"
        "b.detach()\n"
        "two = gopoll.go(twin.recv, 5); gopoll.gosched(); a.send(b'3'); print(two.result(5))\n"
        "other = socket.socket(fileno=twin.fileno())\n"
        "two = gopoll.go(tried, twin.recv, 5); gopoll.gosched(); other.close()\n"
        "print(two.result(5))\n"
        "print(tried(other.close), tried(twin.close), a.recv(5)); a.close()\n"
    ) == ["b'1'", "b'2'", "b'3'", "OSError", "None OSError b''"]


def test_dup2_over_a_registered_number():
    assert run(
        "a, b = tcp(); c, d = tcp()\n"
        "g = gopoll.go(tried, b.recv, 5); gopoll.gosched()\n"
        "os.dup2(d.fileno(), b.fileno()); print(g.result(5), a.recv(5))\n"
        "for word in (b'1', b'2'):\n"
        "    g = gopoll.go(tried, b.recv, 5); gopoll.gosched(); c.send(word); print(g.result(5))\n"
        "for s in (a, b, c, d): s.close()\n"
    ) == ["OSError b''", "b'1'", "b'2'"]


def test_a_number_closed_behind_the_back_is_not_touched_again():
    assert run(
        "a, b = tcp()\n"
        "a.send(b'1'); b.recv(5)\n"
        "number = b.fileno()\n"
        "os.close(number); c, d = socket.socketpair(); assert number in (c.fileno(), d.fileno())\n"
        "print(tried(b.recv, 5), tried(b.sendall, b'x'), tried(b.close))\n"
        "later(c.send, b'ours'); print(d.recv(10)); later(d.send, b'ours'); print(c.recv(10))\n"
        "for s in (a, c, d): s.close()\n"
    ) == ["OSError OSError OSError", "b'ours'", "b'ours'"]


def test_a_number_closed_by_somebody_unknown_is_found_out():
    assert run(
        "from gopoll._original import os_close\n"
        "a, b = tcp()\n"
        "g = gopoll.go(tried, b.recv, 5); gopoll.gosched()\n"
        "os_close(b.fileno())\n"
        "c, d = socket.socketpair()\n"
        "one, two = gopoll.go(c.recv, 5), gopoll.go(d.recv, 5); gopoll.gosched()\n"
        "print(g.result(5), tried(b.recv, 5))\n"
        "c.send(b'x'); d.send(b'y'); print(one.result(5), two.result(5))\n"
        "b.detach()\n"
        "for s in (a, c, d): s.close()\n"
    ) == ["OSError OSError", "b'y' b'x'"]


def test_a_forgotten_socket_warns_once_and_its_number_is_free():
    done = run_script(
        "import gopoll, os, socket, warnings\n"
        "from gopoll import monkey; monkey.patch_socket()\n"
        "warnings.simplefilter('always')\n"
        "a, b = socket.socketpair()\n"
        "g = gopoll.go(a.recv, 5); gopoll.gosched(); b.send(b'x'); g.result(5); del g\n"
        "number = a.fileno()\n"
        "del a  # here\n"
        "c, d = socket.socketpair(); print(number in (c.fileno(), d.fileno()))\n"
        "g = gopoll.go(c.recv, 5), gopoll.go(d.recv, 5); gopoll.gosched()\n"
        "c.send(b'1'); d.send(b'2'); print(g[0].result(5), g[1].result(5), b.recv(5))\n"
        "from gopoll.monkey._sock_state import states\n"
        "b.close(); loop = [c]; loop.append(loop); del c, g, loop\n"
        "import gc; gc.collect(); print(d.recv(5), [s.ref() is d for s in states.values()])\n"
        "d.close()\n"
    )
    assert done.stdout.splitlines() == ["True", "b'2' b'1' b''", "b'' [True]"]
    assert done.stderr.count("ResourceWarning: unclosed <socket.socket") == 2
    assert re.search(r"<string>:[78]: ResourceWarning", done.stderr)  # "here"


def test_sockets_left_at_the_end_of_the_program_make_no_noise():
    done = run_script(
        "import gopoll, socket\n"
        "from gopoll import monkey; monkey.patch_socket()\n"
        "keep = a, b = socket.socketpair()\n"
        "b.send(b'x'); a.recv(5)\n"
        "gopoll.go(a.recv, 5); gopoll.gosched()\n"
    )
    lines = [line for line in done.stderr.splitlines() if "ResourceWarning" not in line]
    assert (done.returncode, lines) == (0, [])


def test_forking_while_sockets_are_registered():
    assert run(
        "a, b = tcp(); c, d = tcp()\n"
        "def warm(one, two):\n"
        "    g = gopoll.go(two.recv, 5); gopoll.gosched(); one.send(b'w'); g.result(5)\n"
        "for pair in ((a, b), (b, a), (c, d), (d, c)): warm(*pair)\n"
        "parked = gopoll.go(tried, b.recv, 10); gopoll.gosched()\n"
        "r, w = os.pipe()\n"
        "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    for _ in range(2): warm(c, d)\n"
        "    g = gopoll.go(tried, d.recv, 5); gopoll.gosched(); d.close()\n"
        "    os.write(w, str(g.result(5)).encode())\n"
        "    for s in (a, b, c): s.close()\n"
        "    a, b = tcp(); warm(a, b); warm(b, a); a.close(); b.close()\n"
        "    os.write(w, b' fine'); os._exit(0)\n"
        "os.close(w); os.waitpid(pid, 0); print(os.read(r, 100)); os.close(r)\n"
        "a.send(b'parent'); print(parked.result(5))\n"
        "for pair in ((a, b), (b, a), (c, d), (d, c)): warm(*pair)\n"
        "g = gopoll.go(tried, d.recv, 5); gopoll.gosched(); d.close()\n"
        "print(g.result(5), c.recv(5))\n"
        "for s in (a, b, c): s.close()\n"
    ) == ["b'OSError fine'", "b'parent'", "OSError b''"]


THREADS = """
from gopoll._original import allocate_lock, start_new_thread
def thread(fn, *args):
    '''Start an OS thread; return what waits for its result.'''
    done, result = allocate_lock(), []
    done.acquire()
    def work():
        result.append(tried(fn, *args)); done.release()
    start_new_thread(work, ())
    def wait():
        while not done.acquire(False): gopoll.sleep(0.001)
        return result[0]
    return wait
def until_parked(sock, n):
    '''Wait until n goroutines, or threads, are in or for the socket.'''
    from gopoll.monkey._sock_state import states
    from gopoll.runtime.sched import schedulers
    def waiting():
        gs = [g for s in tuple(schedulers.values()) for g in tuple(s.goroutines)]
        return sum(g.waiter is not None and g.reason in ('IO wait', 'fd wait') for g in gs)
    while waiting() < n: gopoll.sleep(0.001)
"""


def test_goroutines_of_several_threads_share_a_socket():
    assert run(
        THREADS + "a, b = tcp()\n"
        "readers = [thread(b.recv, 1) for _ in range(4)] + [gopoll.go(b.recv, 1).result]\n"
        "until_parked(b, 5)\n"
        "for letter in b'abcde': a.send(bytes([letter])); gopoll.sleep(0.001)\n"
        "print(sorted(wait() for wait in readers))\n"
        "writers = [thread(b.sendall, bytes([i]) * 2_000_000) for i in range(3)]\n"
        "got = b''\n"
        "while len(got) < 6_000_000: got += a.recv(1 << 20)\n"
        "import itertools\n"
        "print(sorted((k, len(list(g))) for k, g in itertools.groupby(got)))\n"
        "print([wait() for wait in writers]); a.close(); b.close()\n"
    ) == [
        "[b'a', b'b', b'c', b'd', b'e']",
        "[(0, 2000000), (1, 2000000), (2, 2000000)]",
        "[None, None, None]",
    ]


def test_closing_wakes_those_of_other_threads():
    assert run(
        THREADS + "a, b = tcp()\n"
        "readers = [thread(b.recv, 1) for _ in range(3)]; until_parked(b, 3)\n"
        "number = b.fileno(); b.close()\n"
        "try: os.fstat(number)\n"
        "except OSError: print('gone')\n"
        "print([wait() for wait in readers], a.recv(1)); a.close()\n"
    ) == ["gone", "['OSError', 'OSError', 'OSError'] b''"]


def test_a_thread_that_does_something_else_does_not_delay_a_close():
    assert run(
        THREADS + "a, b = tcp()\n"
        "busy = allocate_lock(); busy.acquire()\n"
        "reader = thread(lambda: (b.recv(1), busy.acquire())[0])\n"
        "until_parked(b, 1); a.send(b'x')\n"
        "from gopoll.runtime.sched import schedulers, this\n"
        "def parked(): return any(g.waiter for s in schedulers.values() if s is not this.sched\n"
        "                         for g in s.goroutines)\n"
        "while parked(): gopoll.sleep(0.001)\n"
        "b.close(); print(a.recv(1)); busy.release(); print(reader()); a.close()\n"
    ) == ["b''", "b'x'"]


@pytest.mark.parametrize("way", ["b.recv(1)", "b.recvfrom(1)", "(b.settimeout(20), b.recv(1))"])
def test_who_comes_while_it_is_being_closed_does_not_wait_for_ever(way):
    # Another thread is inside of a call with the number, so it is not closed yet.
    assert run(
        "a, b = tcp()\n"
        "g = gopoll.go(b.recv, 1); gopoll.gosched(); a.send(b'x'); g.result(5)\n"
        "from gopoll.monkey._sock_state import adopt\n"
        "from gopoll.runtime.sched import this\n"
        "fd = adopt(b).fd; fd.users += 1\n"
        "def late():\n"
        "    this.sched.operations = 0\n"
        f"    return {way}\n"
        "g = gopoll.go(tried, late); gopoll.gosched()\n"
        "b.close(); print(g.done, fd.closed, g.result(5))\n"
        "fd.users -= 1; fd.user_left(); print(fd.closed, a.recv(1)); a.close()\n"
    ) == ["False False OSError", "True b''"]


@pytest.mark.parametrize("adopted", [False, True])
@pytest.mark.parametrize("seen", ["the old file", "the new file"])
@pytest.mark.parametrize("how", ["b.close()", "socket.close(b.detach())"])
def test_a_number_that_another_thread_closes_at_the_first_call(how, seen, adopted):
    # In between the number becomes that of `c`, or of `d`.
    assert run(
        "a, b = tcp(); c = d = None\n"
        "from gopoll.monkey import _sock_state\n"
        "fstat = _sock_state.os_fstat\n"
        "def meanwhile(number):\n"
        "    global c, d\n"
        "    _sock_state.os_fstat = fstat\n"
        "    old = fstat(number)\n"
        f"    {how}\n"
        "    c, d = socket.socketpair(); assert number in (c.fileno(), d.fileno())\n"
        "    for s in (c, d): s.send(b'not yours')\n"
        f"    if {adopted}: c.recv(3); d.recv(3)\n"
        f"    return old if {seen == 'the old file'} else fstat(number)\n"
        "_sock_state.os_fstat = meanwhile\n"
        "print(tried(b.recv, 20), b.fileno())\n"
        "print(c.recv(20)[-5:], d.recv(20)[-5:])\n"
        "g = gopoll.go(c.recv, 5), gopoll.go(d.recv, 5); gopoll.gosched()\n"
        "c.send(b'1'); d.send(b'2'); print(g[0].result(5), g[1].result(5))\n"
        "for s in (a, b, c, d): s.close()\n"
        "print(len(_sock_state.states), len(_sock_state.by_number))\n"
    ) == ["OSError -1", "b'yours' b'yours'", "b'2' b'1'", "0 0"]


@pytest.mark.parametrize("end", ["a.close()", "a.detach()", "os.close(number)"])
def test_a_patched_socket_that_there_was_no_room_to_close_is_still_there(end):
    code = """
    import os, socket, sys, threading
    from gopoll import monkey
    monkey.patch_all()

    def at(n, fn):
        return at(n - 1, fn) if n else fn()

    def reads(sock, ends):
        try:
            sock.recv(1)
        except OSError:
            ends.append(True)

    sys.setrecursionlimit(400)
    outcomes = set()
    for depth in range(300, 400):
        a, b = socket.socketpair()
        number, ends = a.fileno(), []
        reader = threading.Thread(target=reads, args=(a, ends), daemon=True)
        reader.start()
        try:
            at(depth, lambda: {end})
            outcomes.add("done")
        except RecursionError:
            outcomes.add("no room")
            assert a.fileno() == number, depth
            {end}
        reader.join(9)
        assert ends == [True], depth
        if "{end}" == "a.detach()":
            os.close(number)
        elif "{end}" == "os.close(number)":
            a.detach()
        b.close()
    print(sorted(outcomes))
    """
    done = run_script(code.replace("{end}", end))
    assert (done.stderr, done.stdout) == ("", "['done', 'no room']\n")
