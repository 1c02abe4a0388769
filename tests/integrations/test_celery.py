"""Celery in its pool of threads, by the tasks of the example, with a broker in memory."""

import pytest

from tests.support.script import ROOT, run_script

pytest.importorskip("celery")
pytestmark = pytest.mark.timeout(120)

PROGRAM = """
from gopoll import monkey
monkey.patch_all()
import os, sys
sys.path.insert(0, sys.argv[1])
import celery_tasks
from celery.contrib.testing.worker import start_worker

app, fetch = celery_tasks.app, celery_tasks.fetch
app.conf.update(broker_url="memory://", result_backend="cache+memory://")
lock, inside, most = __import__("threading").Lock(), 0, 0

@app.task
def overlap(n):
    global inside, most
    with lock:
        inside += 1
        most = max(most, inside)
    result = fetch(n)
    with lock:
        inside -= 1
    return result

with start_worker(app, pool="threads", concurrency=50, perform_ping_check=False):
    results = [overlap.delay(n) for n in range(50)]
    assert [result.get(timeout=60) for result in results] == [n * n for n in range(50)]
    assert most > 25, most
    if os.path.isdir("/proc/self/task"):
        assert celery_tasks.threads.delay().get(timeout=60) == 1
print("done")
"""


def test_fifty_tasks_wait_together():
    done = run_script(PROGRAM, str(ROOT / "examples" / "integrations"), timeout=90)
    assert (done.stdout.splitlines()[-1:], done.returncode) == (["done"], 0), done.stderr
    assert "Traceback" not in done.stderr
