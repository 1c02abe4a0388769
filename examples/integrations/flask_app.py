"""Flask under gunicorn: each request is a goroutine, and slow ones keep nobody waiting.

    gunicorn -k gopoll.integrations.gunicorn.Worker --chdir examples/integrations flask_app:app

The process is patched before this file is imported, so what a view calls parks its goroutine.
"""

import threading
import time
from collections.abc import Iterator

from flask import Flask, Response

app = Flask(__name__)
lock = threading.Lock()
visits = 0


@app.get("/")
def index() -> dict[str, int]:
    global visits
    with lock:
        visits += 1
        return {"visits": visits}


@app.get("/slow")
def slow() -> dict[str, str]:
    time.sleep(0.2)  # a database, another service, ...
    return {"slept": "well"}


@app.get("/ticks")
def ticks() -> Response:
    def stream() -> Iterator[str]:
        for n in range(3):
            time.sleep(0.05)
            yield f"data: tick {n}\n\n"

    return Response(stream(), mimetype="text/event-stream")
