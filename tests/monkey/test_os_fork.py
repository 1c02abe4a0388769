"""Forks under the patch: the child keeps the goroutine that forked, as a process keeps a thread."""

import os
import signal

import pytest

from tests.support.script import run_script

pytestmark = pytest.mark.network

PATCHED = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forks in a process with threads
from gopoll import monkey
monkey.patch_all()
import atexit, os, signal, sys, threading, time
me = os.getpid()
def say(*what): os.write(1, (" ".join(map(str, what)) + "\\n").encode())
def code_of(pid): return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
def in_thread(fn):
    thread = threading.Thread(target=fn, name="forker")
    thread.start()
    thread.join()
"""


def run(code, *args, silent=True):
    done = run_script(PATCHED + code, *args)
    if silent:
        assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


def test_the_thread_that_forks_is_the_childs_main_thread():
    assert run(
        "other = threading.Thread(target=time.sleep, args=(0.1,)); other.start()\n"
        "def fork():\n"
        "    pid = os.fork()\n"
        "    if pid: return say(code_of(pid))\n"
        "    main = threading.main_thread()\n"
        "    say(main.name, main is threading.current_thread(), threading.enumerate() == [main])\n"
        "    say(main.ident == threading.get_ident(), other.is_alive())\n"
        "    signal.signal(signal.SIGUSR1, lambda *_: say('handled'))\n"
        "    os.kill(os.getpid(), signal.SIGUSR1)\n"
        "    fresh = threading.Thread(target=say, args=('a new thread',))\n"
        "    fresh.start(); fresh.join()\n"
        "in_thread(fork)\n"
    ) == ["forker True True", "True False", "handled", "a new thread", "0"]


def test_a_goroutine_that_is_no_thread_forks():
    """``threading`` makes a main thread for it, and asks it for its ident."""
    assert run(
        "import gopoll\n"
        "def fork():\n"
        "    pid = os.fork()\n"
        "    if pid: return say(code_of(pid))\n"
        "    main = threading.main_thread()\n"
        "    say(main.name, main is threading.current_thread(), threading.enumerate() == [main])\n"
        "    say(main.ident == threading.get_ident(), main.is_alive())\n"
        "gopoll.go(fork).join()\n"
        "say(threading.enumerate() == [threading.main_thread()])\n"
    ) == ["MainThread True True", "True True", "0", "True"]


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("return", 0),
        ("sys.exit(3)", 0),
        ("raise ValueError", 0),
        ("os._exit(4)", 4),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9),
    ],
)
def test_how_a_child_of_a_thread_ends(end, code):
    assert run(
        "atexit.register(lambda: say('at exit of', 'us' if me == os.getpid() else 'the child'))\n"
        "def fork():\n"
        "    pid = os.fork()\n"
        f"    if not pid: {end}\n"
        "    say(code_of(pid))\n"
        "in_thread(fork)\n",
        silent="ValueError" not in end,
    ) == [f"{code}", "at exit of us"]


@pytest.mark.parametrize(
    ("end", "code"), [("pass", 0), ("sys.exit(3)", 3), ("raise ValueError", 1), ("os._exit(4)", 4)]
)
def test_how_a_child_of_main_ends(end, code):
    said = run(
        "atexit.register(lambda: say('at exit of', 'us' if me == os.getpid() else 'the child'))\n"
        "pid = os.fork()\n"
        f"if not pid: {end}\n"
        "else: say(code_of(pid))\n",
        silent="ValueError" not in end,
    )
    at_exit = ["at exit of the child"] if code != 4 else []
    assert said == [*at_exit, f"{code}", "at exit of us"]


def test_hooks_run_in_pythons_order_and_may_use_what_is_patched():
    said = run(
        "lock = threading.Lock()\n"
        "def hook(name):\n"
        "    with lock: say('parent' if me == os.getpid() else 'child', name)\n"
        "for n in '12':\n"
        "    os.register_at_fork(before=lambda n=n: hook('before ' + n),\n"
        "        after_in_parent=lambda n=n: hook('after ' + n),\n"
        "        after_in_child=lambda n=n: hook('after ' + n))\n"
        "pid = os.fork()\n"
        "if pid: say('parent', code_of(pid))\n"
        "else: os._exit(0)\n"
    )
    parent = [line for line in said if line.startswith("parent")]
    assert parent == [
        f"parent {what}" for what in ("before 2", "before 1", "after 1", "after 2", 0)
    ]
    assert [line for line in said if line not in parent] == ["child after 1", "child after 2"]


def test_locks_that_others_hold_stay_locked_as_with_threads():
    assert run(
        "lock, mine = threading.Lock(), threading.RLock()\n"
        "def hold():\n"
        "    with lock: time.sleep(0.2)\n"
        "other = threading.Thread(target=hold); other.start()\n"
        "with mine:\n"
        "    pid = os.fork()\n"
        "    if not pid:\n"
        "        say(lock.acquire(timeout=0.01), mine.acquire(False))\n"
        "        os._exit(0)\n"
        "    say(code_of(pid))\n"
        "other.join()\n"
        "say(lock.acquire(False))\n"
    ) == ["False True", "0", "True"]


def test_twenty_threads_fork():
    assert run(
        "codes = []\n"
        "def fork(n):\n"
        "    for _ in range(3):\n"
        "        pid = os.fork()\n"
        "        if not pid:\n"
        "            time.sleep(0.001); threading.Event().wait(0.001)\n"
        "            os._exit(n)\n"
        "        codes.append(code_of(pid) == n)\n"
        "threads = [threading.Thread(target=fork, args=(n,)) for n in range(20)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "say(len(codes), all(codes))\n"
    ) == ["60 True"]


def test_a_forked_terminal():
    assert run(
        "def fork():\n"
        "    pid, fd = os.forkpty()\n"
        "    if not pid:\n"
        "        os.write(1, input().upper().encode())\n"
        "        os._exit(5)\n"
        "    os.write(fd, b'typed\\n')\n"
        "    said = b''\n"
        "    while b'TYPED' not in said: said += os.read(fd, 100)\n"
        "    say(said.split(), code_of(pid))\n"
        "in_thread(fork)\n"
    ) == ["[b'typed', b'TYPED'] 5"]


@pytest.mark.parametrize(
    "wait",
    [
        "time.sleep(0.05)",
        "threading.Event().wait(0.05)",
        "import select; select.select([os.pipe()[0]], [], [], 0.05)",
        "os.read(r, 1)",
    ],
)
def test_a_handler_that_interrupts_main_forks(wait):
    assert sorted(
        run(
            "r, w = os.pipe(); os.write(w, b'') \n"
            "def handler(*_):\n"
            "    global pid\n"
            "    pid = os.fork()\n"
            "    if not pid: time.sleep(0.01); say('child handled')\n"
            "    else: code.append(code_of(pid))\n"
            "    os.write(w, b'x')\n"
            "code = []\n"
            "signal.signal(signal.SIGUSR1, handler)\n"
            "threading.Thread(target=os.kill, args=(me, signal.SIGUSR1)).start()\n"
            f"{wait}\n"
            "say('child goes on' if not pid else f'parent goes on {code}')\n"
            "os._exit(6 if not pid else 0)\n"
        )
    ) == ["child goes on", "child handled", "parent goes on [6]"]


@pytest.mark.skipif(not hasattr(os, "posix_spawn"), reason="no posix_spawn here")
def test_a_handler_for_children_and_subprocess_share_them():
    assert run(
        "import subprocess\n"
        "reaped = []\n"
        "def handler(*_):\n"
        "    for pid in tuple(mine):\n"
        "        if os.waitpid(pid, os.WNOHANG)[0]: mine.remove(pid); reaped.append(pid)\n"
        "mine = []\n"
        "signal.signal(signal.SIGCHLD, handler)\n"
        "def runs(n):\n"
        "    for _ in range(5):\n"
        "        code = f'import sys; sys.exit({n} + len(sys.stdin.read()))'\n"
        "        done = subprocess.run([sys.executable, '-S', '-c', code], input=b'123')\n"
        "        codes.append(done.returncode == n + 3)\n"
        "codes = []\n"
        "threads = [threading.Thread(target=runs, args=(n,)) for n in range(5)]\n"
        "for thread in threads: thread.start()\n"
        "for _ in range(5): mine.append(os.posix_spawn('/bin/sh', ['sh', '-c', 'exit'], {}))\n"
        "for thread in threads: thread.join()\n"
        "while mine: time.sleep(0.001)\n"
        "say(len(reaped), len(codes), all(codes))\n"
    ) == ["5 25 True"]


def test_a_child_hears_signals_of_its_own():
    assert run(
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
        "r, w = os.pipe()\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    os.write(w, b'!')\n"
        "    threading.Event().wait()\n"
        "os.read(r, 1)\n"
        "os.kill(pid, signal.SIGTERM)\n"
        "say(code_of(pid))\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    try: os.write(w, b'!'); time.sleep(9)\n"
        "    except KeyboardInterrupt: os._exit(8)\n"
        "os.read(r, 1)\n"
        f"os.kill(pid, {int(signal.SIGINT)})\n"
        "say(code_of(pid))\n"
    ) == ["9", "8"]
