"""Children: forked, started, pooled; from any thread, and without a handler for SIGCHLD."""

import sys

import pytest

from tests.support.scars import cases, check

FORK = {
    # A name is looked up before the fork, and again in the child: its worker threads are new.
    "gevent-154": """
        import os, socket
        from gopoll import offload
        server = socket.create_server(("127.0.0.1", 0))
        def connect(): socket.create_connection(("localhost", server.getsockname()[1])).close()
        connect()
        if (pid := os.fork()) == 0:
            connect(); offload(len, "abc")
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        server.close()
        print("fine")
    """,
    # Many forks in a row, while worker threads are idle.
    "gevent-389": """
        import os
        from gopoll import offload
        for n in range(20):
            offload(len, "abc")
            if (pid := os.fork()) == 0: os._exit(0)
            assert os.waitpid(pid, 0) == (pid, 0)
        print("fine")
    """,
    # A worker thread that used goroutines itself does not exist in the child.
    "gevent-1631": """
        import os, gopoll
        def busy():
            gopoll.go(gopoll.gosched).join()
        gopoll.offload(busy)
        if (pid := os.fork()) == 0:
            gopoll.offload(busy)
            os._exit(0)
        assert os.waitpid(pid, 0) == (pid, 0)
        print("fine")
    """,
    # A lock that somebody waits for is obtained, and its owner forks at once; logging makes its
    # locks anew in the child.
    "gevent-1895": """
        import logging, os, threading
        handler = logging.StreamHandler()
        logging.getLogger().addHandler(handler)
        def fork():
            with handler.lock:
                if os.fork() == 0:
                    logging.getLogger().debug("hello")
                    os._exit(0)
                os.wait()
        handler.acquire()
        threads = [threading.Thread(target=fork) for _ in range(3)]
        for thread in threads: thread.start()
        import gopoll; gopoll.testing.wait_idle()
        handler.release()
        for thread in threads: thread.join()
        print("fine")
    """,
    # A hook that runs in the child uses worker threads.
    "gevent-2023": """
        import os, subprocess
        from gopoll import offload
        seen = []
        os.register_at_fork(after_in_child=lambda: seen.append(offload(len, "abc")))
        if (pid := os.fork()) == 0: os._exit(seen[0])
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
        assert subprocess.Popen(["true"], close_fds=False).wait() == 0
        print("fine")
    """,
    # In the child the threads of the parent are gone, and threading knows it.
    "gevent-2058": """
        import os, threading, time
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        if (pid := os.fork()) == 0:
            ok = threading.enumerate() == [threading.current_thread()] == [threading.main_thread()]
            os._exit(0 if ok else 1)
        assert os.waitpid(pid, 0) == (pid, 0)
        print("fine")
    """,
    # Nothing of the parent runs in a child, not even if its first hook yields: before exec or not.
    "gevent-2200": """
        import gopoll, os, subprocess
        r, w = os.pipe()
        os.register_at_fork(after_in_child=gopoll.gosched)
        stop = []
        def worker():
            while not stop:
                os.write(w, b"%d\\n" % os.getpid()); gopoll.sleep(0.001)
        workers = [gopoll.go(worker) for _ in range(4)]
        gopoll.sleep(0.01)
        for _ in range(10):
            if (pid := os.fork()) == 0: os._exit(0)
            os.waitpid(pid, 0)
            subprocess.run(["true"], preexec_fn=gopoll.gosched)
        stop.append(True)
        for one in workers: one.join()
        os.close(w)
        assert {int(line) for line in os.fdopen(r, "rb")} == {os.getpid()}
        print("fine")
    """,
}


@cases(FORK)
def test_forking(program):
    check(program, PYTHONWARNINGS="ignore")


CHILDREN = {
    # The program's own handler for SIGCHLD runs, and its children are its own to wait for.
    "gevent-380": """
        import os, signal, subprocess
        seen = []
        signal.signal(signal.SIGCHLD, lambda signum, frame: seen.append(signum))
        pid = os.fork()
        if pid == 0: os._exit(3)
        child = subprocess.Popen(["false"])
        assert child.wait() == 1
        assert os.waitpid(pid, 0) == (pid, 3 << 8)
        assert seen and set(seen) == {signal.SIGCHLD}
        print("fine")
    """,
    # Whoever waits for any child gets it, although somebody else waits for one of them.
    "gevent-622": """
        import os, subprocess, threading
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        ended = []
        thread = threading.Thread(target=lambda: ended.append(child.wait()))
        thread.start()
        pids = set()
        for n in range(3):
            pid = os.fork()
            if pid == 0: os._exit(n)
            pids.add(pid)
        for _ in range(3): pids.remove(os.wait()[0])
        child.stdin.close()
        thread.join()
        assert ended == [0] and not pids
        print("fine")
    """,
    # SIGCHLD is back to its default in a child, which starts children of its own.
    "gevent-857": """
        import os, signal, subprocess
        signal.signal(signal.SIGCHLD, lambda *args: None)
        subprocess.run(["true"], check=True)
        if (pid := os.fork()) == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os._exit(subprocess.run(["false"]).returncode)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
        print("fine")
    """,
    # A child is started and waited for in an OS thread.
    "gevent-688": """
        import subprocess
        from gopoll import native
        found = []
        def work(): found.append(subprocess.run(["echo", "hi"], capture_output=True).stdout)
        thread = native.Thread(target=work)
        thread.start(); thread.join()
        assert found == [b"hi\\n"]
        print("fine")
    """,
    # The same from an executor's thread, while asyncio runs elsewhere.
    "gevent-1966": """
        import asyncio, subprocess
        async def main():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(None, subprocess.check_output, ["echo", "hi"])
        assert asyncio.run(main()) == b"hi\\n"
        print("fine")
    """,
}


@cases(CHILDREN)
def test_children(program):
    check(program, PYTHONWARNINGS="ignore::DeprecationWarning")


POOLS = {
    "gevent-936": """
        from concurrent.futures import ProcessPoolExecutor
        with ProcessPoolExecutor(2) as pool: assert list(pool.map(abs, [-1, -2])) == [1, 2]
        print("fine")
    """,
    "gevent-1876": """
        import ctypes, multiprocessing, time
        counter = multiprocessing.Value(ctypes.c_int, 0)
        def begin():
            with counter.get_lock(): counter.value += 1
        with multiprocessing.Pool(4, initializer=begin) as pool:
            assert pool.map(abs, range(-9, 0)) == list(range(9, 0, -1))
            while counter.value < 4: time.sleep(0.001)
        print("fine")
    """,
    # A thread waits for an event of multiprocessing; the others go on, and so does the program.
    "gevent-2017": """
        import multiprocessing, threading
        event, queue = multiprocessing.Event(), multiprocessing.Queue()
        thread = threading.Thread(target=event.wait)
        thread.start()
        child = multiprocessing.Process(target=queue.put, args=("from the child",))
        child.start()
        assert queue.get() == "from the child"
        child.join()
        event.set()
        thread.join()
        print("fine")
    """,
}


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="pools do not fork by default any more")
@cases(POOLS)
def test_pools_of_processes(program):
    check(program, PYTHONWARNINGS="ignore::DeprecationWarning")
