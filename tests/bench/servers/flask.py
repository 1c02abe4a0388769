"""gunicorn with one worker, of the class that it is told, and a small Flask application.

The worker is a child of the process that this becomes.
"""

import os
import socket
import sys

WORKERS = {
    "gopoll": ["gopoll.integrations.gunicorn.Worker"],
    "gevent": ["gevent"],
    "eventlet": ["eventlet"],
    "threads": ["gthread", "--threads", "100"],
}


def make():
    from flask import Flask

    app = Flask("hello")
    app.get("/")(lambda: "hello")
    return app


if __name__ == "__main__":
    sock = socket.create_server(("127.0.0.1", 0), backlog=2048)
    sock.set_inheritable(True)
    print(sock.getsockname()[1], flush=True)
    where = ("-b", f"fd://{sock.fileno()}", "--keep-alive", "600", "--log-level", "error")
    app = "tests.bench.servers.flask:make()"
    command = [sys.executable, "-m", "gunicorn", "-k", *WORKERS[sys.argv[1]], *where, app]
    os.execv(sys.executable, command)
