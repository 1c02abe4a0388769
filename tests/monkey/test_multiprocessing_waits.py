"""``multiprocessing`` under the patch: semaphores park, and everything built on pipes works."""

import subprocess
import sys

import pytest

from tests.support.plain import plain_env
from tests.support.script import ROOT, run_script

pytestmark = pytest.mark.network

PATCHED = """
from gopoll.monkey import registry
for room in ("time", "select", "selectors", "os", "io", "subprocess", "multiprocessing"):
    registry.enter(room, room)
import gopoll, multiprocessing, os, sys, time
from gopoll.testing import wait_idle
fork = multiprocessing.get_context("fork")
"""


def run(code, *args, **env):
    done = run_script(PATCHED + code, *args, **env)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


def test_a_semaphore_that_another_process_has_lets_the_others_run():
    assert run(
        "lock = fork.Lock()\n"
        "r, w = os.pipe()\n"
        "def child():\n"
        "    lock.acquire()\n"
        "    os.write(said, b'!')\n"
        "    os.read(r, 1)\n"
        "    lock.release()\n"
        "back, said = os.pipe()\n"
        "p = fork.Process(target=child); p.start()\n"
        "os.read(back, 1)\n"
        "print(lock.acquire(False), lock.acquire(timeout=0.01))\n"
        "gopoll.go(os.write, w, b'!')\n"
        "print(lock.acquire())\n"
        "p.join()\n"
        "print(p.exitcode)\n"
    ) == ["False False", "True", "0"]


def test_a_recursive_lock_belongs_to_a_goroutine():
    assert run(
        "lock = fork.RLock()\n"
        "def other(): return lock.acquire(False), lock.acquire(timeout=0.01)\n"
        "with lock:\n"
        "    print(lock.acquire(), gopoll.go(other).result(5))\n"
        "    lock.release()\n"
        "    try: gopoll.go(lock.release).result(5)\n"
        "    except AssertionError as exc: print(exc)\n"
        "    print(gopoll.go(other).result(5))\n"
        "print(gopoll.go(other).result(5))\n"
    ) == [
        "True (False, False)",
        "attempt to release recursive lock not owned by thread",
        "(False, False)",
        "(True, True)",
    ]


def test_a_condition_between_goroutines():
    assert run(
        "condition = fork.Condition()\n"
        "ready = False\n"
        "def wait():\n"
        "    with condition: return condition.wait_for(lambda: ready, 20)\n"
        "g = gopoll.go(wait)\n"
        "gopoll.gosched()\n"
        "with condition:\n"
        "    ready = True\n"
        "    condition.notify_all()\n"
        "print(g.result(20))\n"
    ) == ["True"]


def test_connections_that_were_imported_before_the_patch():
    done = run_script(
        "import multiprocessing.connection\n" + PATCHED + "a, b = multiprocessing.Pipe()\n"
        "g = gopoll.go(a.recv)\n"
        "gopoll.gosched()\n"
        "b.send('object')\n"
        "print(g.result(5))\n"
        "big = gopoll.go(a.send, bytes(1_000_000))\n"
        "gopoll.gosched()\n"
        "print(len(b.recv()), big.result(5), a.poll(0.01))\n"
        "registry.leave('multiprocessing')\n"
        "registry.leave('os')\n"
        "print(multiprocessing.connection.Connection._recv.__defaults__ == (os.read,))\n"
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["object", "1000000 None False", "True"]


def test_processes_queues_and_joins():
    assert run(
        "def child(queue, n): queue.put((n, os.getpid()))\n"
        "queue = fork.SimpleQueue()\n"
        "all = [fork.Process(target=child, args=(queue, n)) for n in range(4)]\n"
        "for p in all: p.start()\n"
        "got = dict(queue.get() for _ in all)\n"
        "waits = [gopoll.go(p.join) for p in all]\n"
        "for g in waits: g.result(10)\n"
        "print([got[n] == p.pid and p.exitcode == 0 for n, p in enumerate(all)])\n"
    ) == ["[True, True, True, True]"]


def test_pools_of_processes():
    assert run(
        "import concurrent.futures\n"
        "with fork.Pool(2) as pool: print(pool.map(abs, range(-5, 0)))\n"
        "with concurrent.futures.ProcessPoolExecutor(2, mp_context=fork) as pool:\n"
        "    print(list(pool.map(abs, range(-3, 0))), pool.submit(time.sleep, 0).result(20))\n"
    ) == ["[5, 4, 3, 2, 1]", "[3, 2, 1] None"]


def test_other_ways_to_start_and_a_manager(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "if __name__ == '__main__':\n"
        "    exec(open(sys.argv[1]).read())\n"
        "    for way in ('spawn', 'forkserver'):\n"
        "        context = multiprocessing.get_context(way)\n"
        "        queue = context.SimpleQueue()\n"
        "        p = context.Process(target=queue.put, args=(way,)); p.start()\n"
        "        print(queue.get()); p.join()\n"
        "    with fork.Manager() as manager:\n"
        "        shared = manager.dict(); shared['x'] = 1; print(shared)\n"
    )
    (tmp_path / "patch.py").write_text(PATCHED)
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path / "patch.py")],
        cwd=ROOT,
        env=plain_env(),
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["spawn", "forkserver", "{'x': 1}"]
