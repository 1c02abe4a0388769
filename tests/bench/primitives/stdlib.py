"""The standard library's words, patched by whom the last argument names: redis in a pipeline.

A server of its own, as long as there is one on this machine, listens on a Unix socket beside it;
ten threads send it a hundred commands at a time, and what counts is the CPU time of this client.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

from tests.bench.primitives import obey
from tests.bench.servers.patch import patch

THREADS, COMMANDS = 10, 100


def pipeline(path, n):
    import threading

    import redis

    pool = redis.ConnectionPool(redis.UnixDomainSocketConnection, path=path)

    def work():
        client = redis.Redis(connection_pool=pool)
        for _ in range(n // THREADS // COMMANDS):
            with client.pipeline(transaction=False) as pipe:
                for i in range(COMMANDS):
                    pipe.set(i, b"value")
                pipe.execute()

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.disconnect()


def main():
    if not shutil.which("redis-server"):
        print("skip redis-server is not installed", flush=True)
        return
    with tempfile.TemporaryDirectory() as home:
        path = os.path.join(home, "redis")  # noqa: PTH118 - before the patch, and short
        where = ("--unixsocket", path, "--port", "0", "--dir", home, "--save", "")
        server = subprocess.Popen(["redis-server", *where], stdout=subprocess.DEVNULL)
        try:
            elsewhere = os.sched_getaffinity(os.getppid()) - os.sched_getaffinity(0)
            if elsewhere:
                os.sched_setaffinity(server.pid, elsewhere)
            while not os.path.exists(path):  # noqa: PTH110
                time.sleep(0.01)
            patch(sys.argv[3])
            obey({"redis": lambda n: pipeline(path, n)})
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    main()
