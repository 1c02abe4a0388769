"""Thousands of signals, while goroutines use what is patched: none tears, loses or tells twice."""

import pytest

from tests.support.script import run_script

pytestmark = pytest.mark.network

STORM = """
from gopoll import monkey
monkey.patch_all()
import gopoll, os, select, signal, socket, subprocess, sys, threading, time

class Raised(Exception): pass
kind, count, raised = sys.argv[1], 0, 0

def handler(*_):
    global count, raised
    count += 1
    if kind == "raises" and count % 5 == 0:
        raised += 1
        raise Raised(raised)
    if kind == "waits" and count % 7 == 0: time.sleep(0.0001)
    if kind == "locks" and count % 3 == 0:
        with lock: pass

lock = threading.RLock()
signal.signal(signal.SIGUSR1, handler)
signal.signal(signal.SIGUSR2, handler)
stop, wrong = False, []

def through_a_pipe():
    r, w = os.pipe()
    def writes():
        sent = 0
        while not stop:
            os.write(w, bytes(100))
            sent += 100
        os.close(w)
        return sent
    g, got = gopoll.go(writes), 0
    while data := os.read(r, 4096): got += len(data)
    os.close(r)
    if g.result(5) != got: wrong.append("pipe")

def through_a_socket():
    a, b = socket.socketpair()
    with a, b:
        n = 0
        while not stop:
            a.sendall(b"%8d" % n)
            select.select([b], [], [])
            if int(b.recv(8)) != n: wrong.append("socket")
            n += 1

def through_a_channel():
    ch = gopoll.Chan()
    def sends():
        n = 0
        while not stop:
            ch.send(n)
            n += 1
        ch.close()
    gopoll.go(sends)
    for n, got in enumerate(ch):
        if got != n: wrong.append("channel")

def under_a_lock():
    while not stop:
        with lock: time.sleep(0.0001)

threads = [
    threading.Thread(target=f)
    for f in (through_a_pipe, through_a_socket, through_a_channel, under_a_lock, under_a_lock)
]
for thread in threads: thread.start()

fed = gopoll.Chan()
def feeds():
    n = 0
    while not stop:
        fed.send(n)
        n += 1
    fed.close()
gopoll.go(feeds)

child = subprocess.Popen([sys.executable, "-S", "-c", f'''
import os, signal, time
for n in range({sys.argv[2]}):
    os.kill({os.getpid()}, signal.SIGUSR1 if n % 2 else signal.SIGUSR2)
    time.sleep(0.0001)
'''])

def alive():
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

caught = []
def sheltered(layers, function):
    '''Call it again until nothing is raised; what comes out of one layer the next one catches.'''
    while True:
        try: return sheltered(layers - 1, function) if layers else function()
        except Raised as exc: caught.append(exc)

turn, last = 0, -1
def main():
    global turn, last
    while alive():
        turn += 1
        if turn % 5 == 0: time.sleep(0.0002)
        elif turn % 5 == 1:
            got = fed.recv()
            if got != last + 1: wrong.append("main")
            last = got
        elif turn % 5 == 2: sum(range(1000))
        elif turn % 5 == 3: gopoll.gosched()
        else:
            with lock: pass
    for _ in range(10): time.sleep(0.01)

sheltered(9, main)
seen = set()
for exc in caught:
    while exc is not None:  # one may be raised while another is handled
        if isinstance(exc, Raised): seen.add(exc.args[0])
        exc = exc.__context__

stop = True
fed.try_recv()
for thread in threads: thread.join(10)
print(child.wait(), wrong, count > 100, raised == len(seen))
"""


@pytest.mark.parametrize("kind", ["returns", "raises", "waits", "locks"])
def test_a_storm_of_signals(kind):
    done = run_script(STORM, kind, "3000", timeout=60)
    assert done.stderr == ""
    assert done.stdout == "0 [] True True\n"
