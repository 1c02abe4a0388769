"""``select`` and ``selectors`` under the patch: they park, and answer as the kernel does."""

import pytest

from tests.support.script import run_script

pytestmark = pytest.mark.network

PATCHED = """
from gopoll.monkey import registry
for room in ("time", "select", "selectors", "os", "io"): registry.enter(room, room)
import gopoll, os, select, selectors, socket, sys, time
def later(fn, *args):
    '''Call it once everybody else waits.'''
    from gopoll.testing import wait_idle
    gopoll.go(lambda: (wait_idle(), fn(*args)))
r, w = os.pipe()
"""

WAYS = {
    "select": "lambda: select.select([r], [], [])",
    "poll": "(p := select.poll(), p.register(r, select.POLLIN))[0].poll",
    "epoll": "(p := select.epoll(), p.register(r, select.EPOLLIN))[0].poll",
    "default": "(p := selectors.DefaultSelector(), p.register(r, selectors.EVENT_READ))[0].select",
    "poll selector": "(p := selectors.PollSelector(), p.register(r, 1))[0].select",
    "select selector": "(p := selectors.SelectSelector(), p.register(r, 1))[0].select",
}


def run(code, *args, **env):
    done = run_script(PATCHED + code, *args, **env)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


@pytest.mark.parametrize("way", WAYS)
def test_waiting_lets_the_others_run(way):
    assert run(
        f"ask = {WAYS[way]}\n"
        "later(os.write, w, b'x')\n"
        "print(len(ask()) > 0)\n"
        "os.read(r, 1)\n"
        "later(os.write, w, b'y')\n"
        "print(len(ask()) > 0)\n"
    ) == ["True", "True"]


@pytest.mark.parametrize("way", WAYS)
def test_a_timeout_passes_while_others_run(way):
    ask = WAYS[way]
    call = "ask(20)" if way == "poll" else "ask(0.02)"
    if way == "select":
        ask, call = "select.select", "ask([r], [], [], 0.02)"
    assert run(
        f"ask = {ask}\n"
        "turns = 0\n"
        "def count():\n"
        "    global turns\n"
        "    while True: gopoll.sleep(0.001); turns += 1\n"
        "gopoll.go(count)\n"
        "start = time.monotonic()\n"
        f"print(not any({call}), time.monotonic() - start >= 0.02, turns > 0)\n"
    ) == ["True True True"]


def test_many_descriptors_in_both_directions():
    assert run(
        "pipes = [os.pipe() for _ in range(50)]\n"
        "data = bytes(65536)\n"
        "for _, end in pipes: os.write(end, data)\n"
        "full = [end for _, end in pipes[:25]]\n"
        "empty = []\n"
        "for end, _ in pipes[25:]: os.read(end, 65536); empty.append(end)\n"
        "later(os.write, pipes[30][1], b'x')\n"
        "print(select.select(empty, full, full) == ([pipes[30][0]], [], []))\n"
        "os.read(pipes[30][0], 1)\n"
        "later(os.read, pipes[3][0], 65536)\n"
        "print(select.select(empty, full, full) == ([], [pipes[3][1]], []))\n"
    ) == ["True", "True"]


def test_what_the_kernel_alone_can_tell():
    assert run(
        "p = select.poll()\n"
        "p.register(r, select.POLLIN); p.register(999, 0)\n"
        "print(p.poll() == [(999, select.POLLNVAL)])\n"
        "p.unregister(999)\n"
        "later(os.close, w)\n"
        "print(p.poll() == [(r, select.POLLHUP)])\n"
        "file = os.open(sys.executable, os.O_RDONLY)\n"
        "print(select.select([file], [file], []) == ([file], [file], []))\n"
        "os.close(file)\n"
        "try: select.select([file], [], [])\n"
        "except OSError as exc: print(exc.errno)\n"
    ) == ["True", "True", "True", "9"]


def test_urgent_data_is_exceptional():
    assert run(
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "a = socket.create_connection(listener.getsockname()); b, _ = listener.accept()\n"
        "later(a.send, b'!', socket.MSG_OOB)\n"
        "print(select.select([], [], [b])[2] == [b])\n"
        "later(a.send, b'x')\n"
        "print(select.select([b], [], [])[0] == [b])\n"
        "for s in (listener, a, b): s.close()\n"
    ) == ["True", "True"]


def test_a_hang_up_that_nobody_asked_for_costs_no_busy_loop():
    assert run(
        "a, b = socket.socketpair()\n"
        "a.close()\n"
        "asked = 0\n"
        "from gopoll.monkey import select as room\n"
        "real = room._select\n"
        "def counting(*args):\n"
        "    global asked\n"
        "    asked += 1\n"
        "    return real(*args)\n"
        "room._select = counting\n"
        "print(select.select([], [], [b], 0.1), asked < 5)\n"
        "b.close()\n"
    ) == ["([], [], []) True"]


def test_closing_an_epoll_wakes_who_waits_in_it():
    assert run(
        "p = select.epoll()\n"
        "def wait():\n"
        "    try: return p.poll()\n"
        "    except ValueError as exc: return exc\n"
        "g = gopoll.go(wait)\n"
        "gopoll.gosched()\n"
        "p.close()\n"
        "print(g.result(5))\n"
    ) == ["I/O operation on closed epoll object"]


def test_a_signal_handler_runs_and_the_wait_goes_on():
    assert run(
        "import signal\n"
        "seen = []\n"
        "signal.signal(signal.SIGALRM, lambda *_: (seen.append(1), os.write(w, b'x')))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.02)\n"
        "print(select.select([r], [], [])[0] == [r], seen)\n"
        "os.read(r, 1)\n"
        "class Stop(Exception): pass\n"
        "def stop(*_): raise Stop\n"
        "signal.signal(signal.SIGALRM, stop)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.02)\n"
        "try: select.select([r], [], [])\n"
        "except Stop: print('stopped')\n"
    ) == ["True [1]", "stopped"]


def test_a_poll_object_is_used_by_one_at_a_time():
    assert run(
        "p = select.poll(); p.register(r, select.POLLIN)\n"
        "g = gopoll.go(p.poll)\n"
        "gopoll.gosched()\n"
        "try: p.poll()\n"
        "except RuntimeError as exc: print(exc)\n"
        "os.write(w, b'x')\n"
        "print(g.result(5) == [(r, select.POLLIN)])\n"
    ) == ["concurrent poll() invocation", "True"]


def test_arguments_are_checked_as_ever():
    assert run(
        "def said(call, *args):\n"
        "    try: return call(*args)\n"
        "    except Exception as exc: return type(exc).__name__, str(exc)\n"
        "cases = [('x',), (-1,), (float('nan'),), (10**20,), (0,), (0.0,), (False,)]\n"
        "def ask():\n"
        "    found = []\n"
        "    for args in cases:\n"
        "        found.append(said(select.select, [], [], [], *args))\n"
        "        found.append(said(select.select, 1, [], [], *args))\n"
        "        found.append(said(select.select, ['x'], [], [], *args))\n"
        "        if args != (-1,):\n"
        "            found.append(said(select.poll().poll, *args))\n"
        "            found.append(said(select.epoll().poll, *args))\n"
        "    found.append(said(select.epoll().poll, 0, 0))\n"
        "    for args in ((-1,), ('x',), (r, 2**40), (r, -1)):\n"
        "        found.append(said(select.poll().register, *args))\n"
        "    found.append(said(select.poll().modify, r, 1))\n"
        "    found.append(said(select.poll().unregister, r))\n"
        "    return found\n"
        "green = ask()\n"
        "registry.leave('select')\n"
        "real = ask()\n"
        "for a, b in zip(green, real):\n"
        "    if a != b: print(a, b)\n"
        "print(len(green))\n"
    ) == ["40"]


def test_the_classes_stay_and_the_patch_can_be_taken_back():
    assert run(
        "e = select.epoll()\n"
        "print(type(e) is select.epoll, isinstance(selectors.DefaultSelector()._selector,"
        " select.epoll), repr(select.poll())[:20])\n"
        "registry.leave('select'); registry.leave('selectors')\n"
        "print(select.select, selectors.PollSelector._selector_cls is select.poll)\n"
        "print(e.poll(0), select.poll().poll(0))\n"
    ) == [
        "True True <select.poll object ",
        "<built-in function select> True",
        "[] []",
    ]
