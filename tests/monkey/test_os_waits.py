"""``os`` under the patch: pipes, terminals, children. Overlap is shown by the order of events."""

import os

import pytest

from tests.support.script import run_script

pytestmark = pytest.mark.network

PATCHED = """
from gopoll.monkey import registry
for room in ("time", "select", "selectors", "os", "io", "subprocess"): registry.enter(room, room)
import gopoll, os, sys
"""


def run(code, *args, **env):
    done = run_script(PATCHED + code, *args, **env)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


def test_reading_an_empty_pipe_lets_the_others_run():
    assert run(
        "r, w = os.pipe()\n"
        "g = gopoll.go(os.read, r, 10)\n"
        "gopoll.gosched()\n"
        "os.write(w, b'now')\n"
        "print(g.result(5))\n"
    ) == ["b'now'"]


def test_readv_and_writev_wait_as_well():
    assert run(
        "r, w = os.pipe()\n"
        "data = bytearray(300_000)\n"
        "g = gopoll.go(os.writev, w, [data[:1], data[1:]])\n"
        "got, buffer = 0, bytearray(5000)\n"
        "while got < len(data): got += os.readv(r, [buffer])\n"
        "print(g.result(5))\n"
    ) == ["300000"]


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="no eventfd here")
def test_reading_an_eventfd_waits():
    assert run(
        "fd = os.eventfd(0)\n"
        "g = gopoll.go(os.eventfd_read, fd)\n"
        "gopoll.gosched()\n"
        "os.eventfd_write(fd, 3)\n"
        "print(g.result(5))\n"
    ) == ["3"]


def test_a_long_write_goes_out_whole_and_the_pipe_stays_blocking():
    assert run(
        "r, w = os.pipe()\n"
        "data = os.urandom(1_000_000)\n"
        "g = gopoll.go(os.write, w, data)\n"
        "gopoll.gosched()\n"
        "print(g.done, os.get_blocking(w))\n"
        "got = b''\n"
        "while len(got) < len(data): got += os.read(r, 65536)\n"
        "print(g.result(5), got == data)\n"
    ) == ["False True", "1000000 True"]


def test_a_long_write_in_pieces_where_the_kernel_has_no_better_way():
    assert run(
        "from gopoll.monkey import _pipes\n"
        "_pipes._NOWAIT = 0\n"
        "r, w = os.pipe()\n"
        "data = os.urandom(300_000)\n"
        "g = gopoll.go(os.write, w, memoryview(data))\n"
        "got = b''\n"
        "while len(got) < len(data): got += os.read(r, 65536)\n"
        "print(g.result(5), got == data)\n"
    ) == ["300000 True"]


def test_a_long_write_whose_reader_goes_tells_how_much_went_out():
    assert run(
        "r, w = os.pipe()\n"
        "g = gopoll.go(os.write, w, bytes(300_000))\n"
        "gopoll.gosched()\n"
        "os.close(r)\n"
        "print(g.result(5))\n"
        "try: os.write(w, b'x')\n"
        "except BrokenPipeError: print('broken')\n"
    ) == ["65536", "broken"]


def test_a_non_blocking_pipe_does_not_wait():
    assert run(
        "r, w = os.pipe()\n"
        "os.set_blocking(r, False); os.set_blocking(w, False)\n"
        "try: os.read(r, 1)\n"
        "except BlockingIOError: print('empty')\n"
        "print(os.write(w, bytes(100_000)))\n"
        "try: os.write(w, b'x')\n"
        "except BlockingIOError: print('full')\n"
    ) == ["empty", "65536", "full"]


def test_what_is_wrong_is_told_as_ever():
    assert run(
        "r, w = os.pipe()\n"
        "for call in (lambda: os.read('x', 1), lambda: os.read(-1, 1), lambda: os.read(w, 1),\n"
        "             lambda: os.read(r, -1), lambda: os.write(w, 'text'), lambda: os.close(999),\n"
        "             lambda: os.read(2**40, 1)):\n"
        "    try: print(call())\n"
        "    except Exception as exc: print(type(exc).__name__)\n"
        "print(os.read(r, 0), os.write(w, b''))\n"
    ) == [
        *["TypeError", "OSError", "OSError", "OSError", "TypeError", "OSError", "OverflowError"],
        "b'' 0",
    ]


def test_close_wakes_the_reader_and_frees_the_number_at_once():
    assert run(
        "r, w = os.pipe()\n"
        "def read():\n"
        "    try: return os.read(r, 1)\n"
        "    except OSError as exc: return exc.errno\n"
        "g = gopoll.go(read)\n"
        "gopoll.gosched()\n"
        "os.close(r)\n"
        "new = os.open(os.devnull, os.O_RDONLY)\n"
        "print(new == r, g.result(5))\n"
        "try: os.write(w, b'x')\n"
        "except BrokenPipeError: print('broken')\n"
    ) == ["True 9", "broken"]


def test_close_wakes_a_reader_in_another_thread():
    assert run(
        "import _thread\n"
        "from gopoll._original import start_new_thread\n"
        "r, w = os.pipe(); back, said = os.pipe()\n"
        "def read():\n"
        "    os.write(said, b'!')\n"
        "    try: os.read(r, 1)\n"
        "    except OSError as exc: os.write(said, str(exc.errno).encode())\n"
        "start_new_thread(read, ())\n"
        "os.read(back, 1)\n"
        "from gopoll.runtime.sched import schedulers, this\n"
        "def waits(): return any(s is not this.sched and s.poller and s.poller.find(r)\n"
        "                        for s in tuple(schedulers.values()))\n"
        "while not waits(): gopoll.sleep(0.001)\n"
        "os.close(r)\n"
        "print(os.read(back, 9))\n"
    ) == ["b'9'"]


def test_reads_on_a_terminal_wait_for_a_line():
    assert run(
        "master, slave = os.openpty()\n"
        "g = gopoll.go(os.read, slave, 100)\n"
        "os.write(master, b'li')\n"
        "gopoll.gosched()\n"
        "os.write(master, b'ne\\n')\n"
        "print(g.result(5))\n"
    ) == [r"b'line\n'"]


def test_opening_a_fifo_waits_for_the_other_end(tmp_path):
    assert run(
        "path = sys.argv[1]\n"
        "os.mkfifo(path)\n"
        "g = gopoll.go(os.open, path, os.O_RDONLY)\n"
        "gopoll.gosched()\n"
        "w = os.open(path, os.O_WRONLY)\n"
        "os.write(w, b'met')\n"
        "print(os.read(g.result(5), 10))\n",
        str(tmp_path / "fifo"),
    ) == ["b'met'"]


CHILD = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forks in a process with worker threads
def child(code, *, stops=False):
    '''A child that ends with `code` once its pipe is closed, or stops itself first.'''
    import signal
    r, w = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(w)
        if stops: os.kill(os.getpid(), signal.SIGSTOP)
        os.read(r, 1)
        os._exit(code)
    os.close(r)
    return pid, w
"""


def test_waitpid_parks_and_takes_the_status():
    assert run(
        CHILD + "pid, w = child(3)\n"
        "g = gopoll.go(os.waitpid, pid, 0)\n"
        "gopoll.gosched()\n"
        "print(g.done, os.waitpid(pid, os.WNOHANG))\n"
        "os.close(w)\n"
        "print(g.result(5) == (pid, 3 << 8))\n"
        "try: os.waitpid(pid, 0)\n"
        "except ChildProcessError: print('no child')\n"
    ) == ["False (0, 0)", "True", "no child"]


def test_waiting_for_any_child_leaves_the_others_theirs():
    assert run(
        CHILD + "a, wa = child(1)\n"
        "b, wb = child(2)\n"
        "def tried(call, *args):\n"
        "    try: return call(*args)\n"
        "    except ChildProcessError: return None\n"
        "one = gopoll.go(tried, os.waitpid, a, 0)\n"
        "any1 = gopoll.go(tried, os.wait)\n"
        "any2 = gopoll.go(tried, os.waitid, os.P_ALL, 0, os.WEXITED)\n"
        "gopoll.gosched()\n"
        "os.close(wb)\n"
        "while not (any1.done or any2.done): gopoll.sleep(0.001)\n"
        "print(one.done, any1.done + any2.done)\n"
        "os.close(wa)\n"
        "got = [g.result(5) for g in (one, any1, any2)]\n"
        "pids = [x[0] if isinstance(x, tuple) else x.si_pid for x in got if x]\n"
        "print(sorted(pids) == sorted((a, b)))\n"
    ) == ["False 1", "True"]


def test_wait3_wait4_and_groups():
    assert run(
        CHILD + "pid, w = child(4)\n"
        "g = gopoll.go(os.wait3, 0); gopoll.gosched(); os.close(w)\n"
        "print(g.result(5)[:2] == (pid, 4 << 8))\n"
        "pid, w = child(5)\n"
        "g = gopoll.go(os.wait4, pid, 0); gopoll.gosched(); os.close(w)\n"
        "print(g.result(5)[:2] == (pid, 5 << 8))\n"
        "pid, w = child(6)\n"
        "g = gopoll.go(os.waitpid, 0, 0); gopoll.gosched(); os.close(w)\n"
        "print(g.result(5) == (pid, 6 << 8))\n"
    ) == ["True", "True", "True"]


def test_a_child_that_stops_and_goes_on_is_reported():
    assert run(
        CHILD + "import signal\n"
        "pid, w = child(7, stops=True)\n"
        "_, status = os.waitpid(pid, os.WUNTRACED)\n"
        "print(os.WIFSTOPPED(status))\n"
        "g = gopoll.go(os.waitpid, pid, os.WCONTINUED); gopoll.gosched()\n"
        "os.kill(pid, signal.SIGCONT)\n"
        "print(os.WIFCONTINUED(g.result(5)[1]))\n"
        "os.close(w)\n"
        "print(os.waitid(os.P_PID, pid, os.WEXITED).si_status)\n"
    ) == ["True", "True", "7"]


def test_an_interrupted_wait_loses_no_status():
    assert run(
        CHILD + "pid, w = child(8)\n"
        "try:\n"
        "    with gopoll.timeout(0.01): os.wait()\n"
        "except TimeoutError: print('interrupted')\n"
        "os.close(w)\n"
        "print(os.wait() == (pid, 8 << 8))\n"
    ) == ["interrupted", "True"]


def test_interrupted_waits_leave_one_thread_behind():
    assert run(
        CHILD + "from gopoll._original import thread_count\n"
        "pid, w = child(9)\n"
        "for _ in range(10):\n"
        "    try:\n"
        "        with gopoll.timeout(0.001): os.wait()\n"
        "    except TimeoutError: pass\n"
        "print(thread_count() <= 1)\n"
        "os.close(w)\n"
        "print(os.wait() == (pid, 9 << 8))\n"
    ) == ["True", "True"]


def test_a_child_of_a_waiting_process_starts_afresh():
    assert run(
        CHILD + "pid, w = child(1)\n"
        "g = gopoll.go(os.waitpid, pid, os.WUNTRACED)\n"
        "gopoll.gosched()\n"
        "other = os.fork()\n"
        "if not other:\n"
        "    try: os.wait()\n"
        "    except ChildProcessError: os._exit(7)\n"
        "print(os.waitpid(other, 0) == (other, 7 << 8))\n"
        "os.close(w)\n"
        "print(g.result(5) == (pid, 1 << 8))\n"
    ) == ["True", "True"]


def test_system_and_popen_let_the_others_run(tmp_path):
    assert run(
        "path = sys.argv[1]\n"
        "os.mkfifo(path)\n"
        "a = gopoll.go(os.system, f'read x < {path}; exit $x')\n"
        "gopoll.gosched()\n"
        "with open(path, 'w') as file: file.write('5\\n')\n"
        "print(os.waitstatus_to_exitcode(a.result(5)))\n"
        "def popen():\n"
        "    with os.popen(f'cat {path}') as file: return file.read()\n"
        "a = gopoll.go(popen)\n"
        "gopoll.gosched()\n"
        "with open(path, 'w') as file: file.write('said')\n"
        "print(a.result(5))\n",
        str(tmp_path / "fifo"),
    ) == ["5", "said"]


def test_a_forked_child_keeps_only_the_goroutine_that_forked():
    assert run(
        "r, w = os.pipe()\n"
        "def other():\n"
        "    while True:\n"
        "        gopoll.gosched()\n"
        "        if os.getpid() != parent: os.write(w, b'alive')\n"
        "parent = os.getpid()\n"
        "gopoll.go(other)\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    gopoll.sleep(0.01)\n"
        "    os._exit(0)\n"
        "os.waitpid(pid, 0)\n"
        "os.close(w)\n"
        "print(os.read(r, 10))\n"
        "os._exit(sys.stdout.flush() or 0)\n"
    ) == ["b''"]


def test_the_functions_are_no_methods_and_can_be_pickled():
    assert run(
        "import pickle, copy\n"
        "class Keeper: read = os.read\n"
        "r, w = os.pipe(); os.write(w, b'x')\n"
        "print(Keeper().read(r, 1), pickle.loads(pickle.dumps(os.read)) is os.read)\n"
    ) == ["b'x' True"]
