"""Every way to patch: before, twice, partly, in a thread, in a child, and to take it back."""

import pytest

from tests.support.script import run_script


def run(code, *args, says=None, **env):
    done = run_script(code, *args, **env)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


# What a program for threads does; it ends at once if threads are goroutines in one OS thread.
PROGRAM = """
def program():
    import os, queue, socket, threading, time
    jobs, done = queue.Queue(), []
    def worker():
        while (job := jobs.get()) is not None:
            a, b = socket.socketpair()
            with a, b:
                threading.Timer(0.01, a.sendall, [b"%d" % job]).start()
                done.append(int(b.recv(10)))
    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads: thread.start()
    for job in range(16): jobs.put(job)
    for thread in threads: jobs.put(None)
    for thread in threads: thread.join()
    return sorted(done) == list(range(16))
def os_threads():
    from gopoll import _original
    return _original.thread_count()
"""


def test_before_everything_else():
    code = """
from gopoll import monkey
monkey.patch_all()
from time import sleep
import gopoll
gopoll.go(print, "another")
sleep(0.01)
print(program(), os_threads())
"""
    assert run(PROGRAM + code) == ["another", "True 0"]


def test_after_everything_else():
    code = """
import asyncio, concurrent.futures, http.server, logging.handlers, queue, socket, socketserver, ssl
import subprocess, tempfile, threading, time, multiprocessing.pool, urllib.request, xmlrpc.server
print(program())
from gopoll import monkey
monkey.patch_all()
print(program(), os_threads())
with concurrent.futures.ThreadPoolExecutor(3) as pool:
    print(list(pool.map(abs, [-1, -2])), os_threads())
print(subprocess.run(["echo", "a child"], capture_output=True, text=True).stdout, end="")
"""
    assert run(PROGRAM + code) == ["True", "True 0", "[1, 2] 0", "a child"]


def test_twice_is_once():
    code = """
import io, time
from gopoll import monkey
monkey.patch_all()
def state():
    return time.sleep, dict(monkey.registry.saved), monkey.report(io.StringIO())[:2]
first = state()
monkey.patch_all()
monkey.patch_time()
monkey.patch_all(ssl=True)
print(state() == first)
monkey.restore()
monkey.restore()
print(time.sleep is first[1]["time:sleep"], monkey.patched(), program())
"""
    assert run(PROGRAM + code) == ["True", "True [] True"]


def test_partly():
    code = """
import io, sys
from gopoll import monkey
monkey.patch_all(threading=False, queue=False, ssl=False)
print(monkey.is_patched("socket"), monkey.is_patched("ssl"), monkey.is_patched("threading"))
import ssl, threading
print(threading.Thread(target=print).run.__module__, os_threads())
print(program())
print([room.name for room in monkey.report(io.StringIO()).rooms if room.state == "left out"])
"""
    assert run(PROGRAM + code) == [
        "True False False",
        "threading 0",
        "True",
        "['thread', 'queue', 'ssl']",
    ]


def test_one_module():
    code = """
from gopoll import monkey
monkey.patch_socket()
monkey.patch_threading()
print(monkey.patched(), monkey.is_patched("_thread"))
try: monkey.patch_nothing
except AttributeError as error: print(error)
"""
    assert run(code) == [
        "['thread', 'socket'] True",
        "module 'gopoll.monkey' has no attribute 'patch_nothing'",
    ]


def test_a_wrong_name_is_an_error_that_says_the_right_ones():
    code = """
from gopoll import monkey
try: monkey.patch_all(sockets=True, sll=False)
except TypeError as error: print(error)
try: monkey.is_patched("sockets")
except ValueError as error: print(error)
print(monkey.patched())
"""
    names = (
        "time, thread, queue, signal, select, selectors, os, io, socket, ssl, subprocess, "
        "multiprocessing, asyncio, bdb, pdb"
    )
    assert run(code) == [
        f"no module to patch: sll, sockets; there are {names}",
        f"no module to patch: sockets; there are {names}",
        "[]",
    ]


def test_in_a_thread():
    """The thread's own scheduler is not the main one; both work, and so does what they share."""
    code = """
import threading, queue
results = queue.Queue()
def patch():
    from gopoll import monkey
    monkey.patch_all()
    results.put(program())
thread = threading.Thread(target=patch)
thread.start()
thread.join()
print(results.get(), program(), os_threads())
"""
    assert run(PROGRAM + code) == ["True True 0"]


def test_by_two_threads_at_once():
    code = """
import sys, threading
sys.setswitchinterval(1e-6)
from gopoll import monkey
barrier, errors = threading.Barrier(4), []
def patch():
    try:
        barrier.wait()
        monkey.patch_all()
    except BaseException as error: errors.append(error)
threads = [threading.Thread(target=patch) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
import time
print(errors, monkey.original("time", "sleep") is not time.sleep, program())
monkey.restore()
print(monkey.original("time", "sleep") is time.sleep)
"""
    assert run(PROGRAM + code) == ["[] True True", "True"]


def test_in_a_forked_child():
    code = """
import os, sys, time
from gopoll import monkey
sys.stdout.flush()
if os.fork() == 0:
    monkey.patch_all()
    print("child", program(), os_threads(), flush=True)
    os._exit(0)
os.wait()
print("parent", monkey.patched(), program())
"""
    assert run(PROGRAM + code) == ["child True 0", "parent [] True"]


def test_a_forked_child_of_a_patched_program():
    code = """
import os, sys
from gopoll import monkey
monkey.patch_all()
program()
import threading, time
threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
sys.stdout.flush()
if os.fork() == 0:
    print("child", threading.active_count(), program(), os_threads(), flush=True)
    os._exit(0)
os.wait()
print("parent", threading.active_count(), program())
"""
    assert run(PROGRAM + code) == ["child 1 True 0", "parent 2 True"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_in_what_multiprocessing_starts(tmp_path, method):
    """Not by importing the program, whose patch does not happen again there."""
    (tmp_path / "app.py").write_text(
        PROGRAM
        + f"""
def work(x):
    from gopoll import monkey
    import time
    from time import sleep
    return x, monkey.patched() == wanted, program(), os_threads()
wanted = ["time", "thread", "queue", "select", "selectors", "os", "io"]
wanted += ["socket", "multiprocessing"]
if __name__ == "__main__":
    import multiprocessing
    from gopoll import monkey
    monkey.patch_all(**{{name: name in wanted for name in monkey.MODULES}})
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        print(pool.map(work, range(3), 1))
"""
    )
    done = run_script(
        f"import runpy; runpy.run_path({str(tmp_path / 'app.py')!r}, None, '__main__')"
    )
    assert (done.returncode, done.stderr) == (0, "")
    # A pool has a thread that handles results; in a forked child there is none.
    assert done.stdout == "[(0, True, True, 0), (1, True, True, 0), (2, True, True, 0)]\n"


def test_a_module_is_patched_as_it_is_imported():
    code = """
import sys
from gopoll import monkey
monkey.patch_all()
print("ssl" in sys.modules, monkey.is_patched("ssl"), "gopoll.monkey.ssl" in sys.modules)
from ssl import SSLSocket
print(SSLSocket.read is not monkey.original("ssl", "SSLSocket.read"))
print(type(sys.modules["ssl"].__loader__).__name__, sys.modules["ssl"].__spec__.loader.name)
"""
    assert run(code) == ["False True False", "True", "SourceFileLoader ssl"]


def test_a_module_whose_import_fails_is_patched_the_next_time(tmp_path):
    code = """
import sys
from gopoll import monkey
monkey.patch_all()
sys.modules["_ssl"] = None
try: import ssl
except ImportError: print("not yet")
del sys.modules["_ssl"]
import ssl
print(ssl.SSLSocket.read is not monkey.original("ssl", "SSLSocket.read"))
"""
    assert run(code) == ["not yet", "True"]


def test_nothing_is_left_half_patched():
    """If one module cannot be patched, it stays as it was, and whoever wanted it learns why."""
    code = """
import sys, selectors
from gopoll import monkey
before = selectors.SelectSelector._select
sys.modules["gopoll.monkey.selectors"] = type(sys)("gopoll.monkey.selectors")
class Room(monkey.registry.Room):
    pass
def fail(): raise OSError("no way")
sys.modules["gopoll.monkey.selectors"].ROOM = monkey.registry.Room(
    "selectors", {"selectors:SelectSelector._select": print}, on_patch=fail)
try: monkey.patch_selectors()
except OSError as error: print(error)
print(monkey.patched(), selectors.SelectSelector._select is before)
"""
    assert run(code) == ["no way", "[] True"]


@pytest.mark.parametrize(
    ("module", "mark"),
    [("gevent.monkey", "saved = {'socket': {}}"), ("eventlet.patcher", "already_patched = ['os']")],
)
def test_beside_another_patch(module, mark):
    code = f"""
import sys, types
other = sys.modules[{module!r}] = types.ModuleType({module!r})
exec({mark!r}, other.__dict__)
from gopoll import monkey
try: monkey.patch_all()
except RuntimeError as error: print(error)
print(monkey.patched())
"""
    said, patched = run(code)
    assert said.startswith(f"{module.partition('.')[0]} has patched this process")
    assert patched == "[]"
