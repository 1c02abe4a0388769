"""Celery in its pool of threads, which are goroutines: a thousand tasks that wait cost one thread.

    python -m gopoll -m celery --workdir examples/integrations -A celery_tasks \
        worker --pool threads --concurrency 1000

The broker is a redis, whose address is in the environment (BROKER). It needs celery[redis].
"""

import os
import time
from pathlib import Path

from celery import Celery

broker = os.environ.get("BROKER", "redis://127.0.0.1:6379/0")
app = Celery("celery_tasks", broker=broker, backend=broker)
app.conf.broker_connection_retry_on_startup = True


@app.task
def fetch(n: int) -> int:
    time.sleep(0.2)  # a page, a query, ...
    return n * n


@app.task
def threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())
