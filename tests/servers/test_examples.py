"""The examples that need a server."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.script import ROOT

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

EXAMPLES = ROOT / "examples" / "integrations"


def test_psycopg2_queries(backend):
    pytest.importorskip("psycopg2")
    where = backend("postgres")
    dsn = "host={host} port={port} user={user} dbname={database}".format(**where)
    command = [sys.executable, "-m", "gopoll", str(EXAMPLES / "psycopg2_queries.py"), dsn]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("2470\n", "", 0)


ASK = """
import celery_tasks
results = [celery_tasks.fetch.delay(n) for n in range(50)]
assert [result.get(timeout=60) for result in results] == [n * n for n in range(50)]
print(celery_tasks.threads.delay().get(timeout=60))
"""


def test_celery_tasks(backend, tmp_path):
    pytest.importorskip("celery")
    where = backend("redis")
    env = {**os.environ, "BROKER": "redis://{host}:{port}/1".format(**where)}
    command = [
        *(sys.executable, "-m", "gopoll", "-m", "celery", "--workdir", str(EXAMPLES)),
        *("-A", "celery_tasks", "worker", "--pool", "threads", "--concurrency", "60"),
        *("--loglevel", "INFO"),
    ]
    log = tmp_path / "log"
    with log.open("wb") as out:
        worker = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out)
    try:
        give_up = time.monotonic() + 60
        while b" ready." not in log.read_bytes():
            assert worker.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < give_up, log.read_text("utf-8")
            time.sleep(0.02)
        done = subprocess.run(
            [sys.executable, "-c", ASK],
            cwd=EXAMPLES,
            env=env,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert (done.stderr, done.returncode) == ("", 0), log.read_text("utf-8")
        if sys.platform == "linux":
            assert done.stdout == "1\n"
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
        assert "Traceback" not in log.read_text("utf-8")
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()
