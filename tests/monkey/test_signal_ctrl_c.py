"""Ctrl-C under the patch: one KeyboardInterrupt, out of whatever main waits in, and no other."""

import signal

import pytest

from tests.support.script import run_script

pytestmark = pytest.mark.network

PROGRAM = """
from gopoll import monkey
monkey.patch_all()
import gopoll, os, signal, sys, threading, time
me, children = os.getpid(), []

def press():
    gopoll.testing.wait_idle()
    os.kill(me, signal.SIGINT)

def child():
    import subprocess
    children.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
    return children[0]

def sockets():
    import socket
    pair.extend(socket.socketpair())
    return pair

pair = []
count = 0
gopoll.go(press)
try:
    {wait}
    print("nothing came")
except KeyboardInterrupt:
    count += 1
    try:
        time.sleep(0.02)
        for _ in range(10_000): pass
    except KeyboardInterrupt: count += 1
    print("caught", count)
    raise
finally:
    for process in children: process.communicate(b"x")
    for one in pair: one.close()
"""

WAITS = {
    "sleep": "time.sleep(9)",
    "pause": "signal.pause()",
    "sigwait": "signal.sigwait([signal.SIGUSR1])",
    "Thread.join": "threading.Thread(target=time.sleep, args=(9,), daemon=True).start();"
    " threading.enumerate()[-1].join()",
    "Event.wait": "threading.Event().wait()",
    "Event.wait with a timeout": "threading.Event().wait(9)",
    "Condition.wait": "cond = threading.Condition(); cond.acquire(); cond.wait()",
    "Lock.acquire": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "Lock.acquire with a timeout": "lock = threading.Lock(); lock.acquire();"
    " lock.acquire(timeout=9)",
    "Semaphore.acquire": "threading.Semaphore(0).acquire()",
    "Barrier.wait": "threading.Barrier(2).wait()",
    "Queue.get": "import queue; queue.Queue().get()",
    "SimpleQueue.get": "import queue; queue.SimpleQueue().get()",
    "recv": "sockets()[0].recv(1)",
    "accept": "import socket; pair.append(socket.create_server(('127.0.0.1', 0)));"
    " pair[0].accept()",
    "makefile": "file = sockets()[0].makefile('rb'); pair.append(file); file.readline()",
    "select": "import select; select.select([sockets()[0]], [], [])",
    "select for time": "import select; select.select([], [], [], 9)",
    "poll": "import select; poll = select.poll(); poll.register(sockets()[0]);"
    " poll.register(pair[0], 1); poll.poll()",
    "selectors": "import selectors; s = selectors.DefaultSelector(); pair.append(s);"
    " s.register(sockets()[1], 1); s.select()",
    "os.read": "os.read(os.pipe()[0], 1)",
    "os.write": "r, w = os.pipe()\n    while True: os.write(w, bytes(4096))",
    "file.read": "r, w = os.pipe(); pair.append(open(r, 'rb')); pair[0].read()",
    "Popen.wait": "child().wait()",
    "Popen.wait with a timeout": "child().wait(9)",
    "Popen.communicate": "import subprocess\n"
    "    subprocess.run([sys.executable, '-c', 'import time; time.sleep(9)'], capture_output=True)",
    "os.waitpid": "os.waitpid(child().pid, 0)",
    "os.wait": "child(); os.wait()",
    "Future.result": "import concurrent.futures as f; f.Future().result()",
    "asyncio": "import asyncio; asyncio.run(asyncio.sleep(9))",
    "native wait": "gopoll.Chan().recv()",
}


@pytest.mark.parametrize("wait", WAITS)
def test_ctrl_c_ends_the_wait_once(wait):
    done = run_script(PROGRAM.replace("{wait}", WAITS[wait]))
    assert done.stdout.splitlines() == ["caught 1"]
    assert done.returncode == -signal.SIGINT
    assert done.stderr.count("Traceback") == (2 if wait == "asyncio" else 1)
    assert done.stderr.splitlines().count("KeyboardInterrupt") == 1


@pytest.mark.parametrize("wait", ["threading.Event().wait()", "time.sleep(9)", "time.sleep(0)"])
def test_ctrl_c_that_nobody_catches_ends_the_program_as_pythons(wait):
    done = run_script(
        "from gopoll import monkey; monkey.patch_all()\n"
        "import gopoll, os, signal, threading, time\n"
        "gopoll.go(os.kill, os.getpid(), signal.SIGINT)\n"
        f"{wait}\n"
    )
    assert done.returncode == -signal.SIGINT
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"


def test_a_thread_that_computes_is_interrupted_by_main_alone():
    done = run_script(
        "from gopoll import monkey; monkey.patch_all()\n"
        "import os, signal, sys, threading\n"
        "stop = False\n"
        "def compute():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    while not stop: pass\n"
        "    print('computed')\n"
        "    end.set()\n"
        "end = threading.Event()\n"
        "thread = threading.Thread(target=compute)\n"
        "try: thread.start(); end.wait()\n"
        "except KeyboardInterrupt: print('interrupted')\n"
        "stop = True\n"
        "end.wait()\n"
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["interrupted", "computed"]


def test_interrupt_main():
    done = run_script(
        "from gopoll import monkey; monkey.patch_all()\n"
        "import _thread, threading, time\n"
        "threading.Thread(target=_thread.interrupt_main).start()\n"
        "try: time.sleep(9)\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_ctrl_c_while_a_handler_waits():
    done = run_script(
        "from gopoll import monkey; monkey.patch_all()\n"
        "import gopoll, os, signal, time\n"
        "def handler(*_):\n"
        "    gopoll.go(os.kill, os.getpid(), signal.SIGINT)\n"
        "    try: time.sleep(9)\n"
        "    finally: print('handler left')\n"
        "signal.signal(signal.SIGUSR1, handler)\n"
        "gopoll.go(os.kill, os.getpid(), signal.SIGUSR1)\n"
        "try: time.sleep(9)\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["handler left", "interrupted"]


def test_the_end_of_the_program_may_be_interrupted():
    done = run_script(
        "from gopoll import monkey; monkey.patch_all()\n"
        "import gopoll, os, signal, threading, time\n"
        "thread = threading.Thread(target=time.sleep, args=(0.2,))\n"
        "thread.start()\n"
        "gopoll.go(os.kill, os.getpid(), signal.SIGINT)\n"
    )
    assert done.stderr.splitlines()[0].startswith("Exception ignored ")
    assert done.stderr.splitlines()[-1].startswith("KeyboardInterrupt")
