"""Server CPU per HTTP request: gopoll beside gevent, in http.server and in gunicorn with Flask.

    python tests/bench/web.py [--rounds 60] [--connections 20] [NAME ...]

The servers of a kind run at the same time and are driven in turn, in short rounds and random order,
so that a busy machine slows all of them alike. What counts is the CPU time of the process that
serves, by the account of Linux's scheduler, for each request. The tenth percentile is the one to
compare: a disturbed round only ever costs more. What is not installed is left out.
"""

import argparse
import importlib.util
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HTTP_SERVER = """
from {library} import monkey
monkey.patch_all()
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 128

Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
APPS = {
    "wsgi": """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
""",
    "flask": """
from flask import Flask
app = Flask(__name__)

@app.get("/")
def hello():
    return "hello"
""",
}
WORKERS = {"gopoll": "gopoll.integrations.gunicorn.Worker", "gevent": "gevent"}
NAMES = ["http.server", *APPS]


def command(name: str, library: str, port: int, home: Path) -> list[str]:
    if name == "http.server":
        return [sys.executable, "-c", HTTP_SERVER.format(library=library), str(port)]
    (home / "bench_app.py").write_text(APPS[name])
    return [
        *(sys.executable, "-m", "gunicorn", "-k", WORKERS[library], "--keep-alive", "60"),
        *("-b", f"127.0.0.1:{port}", "--chdir", str(home), "bench_app:app"),
    ]


class Server:
    """One server, with the connections that drive it."""

    def __init__(self, name: str, library: str, connections: int, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        self.process = subprocess.Popen(
            command(name, library, port, home),
            env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.socks = [self.connect(port) for _ in range(connections)]
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self.pid = int(children[0]) if children else pid
        self.costs: list[float] = []

    def connect(self, port: int) -> socket.socket:
        for _ in range(600):
            try:
                sock = socket.create_connection(("127.0.0.1", port), 30)
                sock.sendall(REQUEST)
                while b"hello" not in sock.recv(4096):
                    pass
            except OSError:
                time.sleep(0.05)
            else:
                return sock
        raise SystemExit(f"{self.process.args} does not answer")

    def cpu(self) -> float:
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1000

    def drive(self, times: int = 5) -> None:
        before = self.cpu()
        for _ in range(times):
            for sock in self.socks:
                sock.sendall(REQUEST)
            for sock in self.socks:
                data = b""
                while b"hello" not in data:
                    data += sock.recv(4096)
        self.costs.append((self.cpu() - before) / (times * len(self.socks)))

    def end(self) -> None:
        for sock in self.socks:
            sock.close()
        self.process.terminate()
        self.process.wait()


def measure(name: str, libraries: list[str], rounds: int, connections: int, home: Path) -> None:
    servers = {library: Server(name, library, connections, home) for library in libraries}
    for _ in range(rounds):
        for server in random.sample(list(servers.values()), len(servers)):
            server.drive()
    for library, server in servers.items():
        costs = sorted(server.costs)
        tenth, middle = costs[len(costs) // 10], costs[len(costs) // 2]
        print(f"{name:12} {library:8} {tenth:7.0f} {middle:7.0f}   {1e6 / tenth:6.0f} requests/s")
        server.end()


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the CPU time of HTTP requests.")
    parser.add_argument("--rounds", type=int, default=60, help="(%(default)s)")
    parser.add_argument("--connections", type=int, default=20, help="(%(default)s)")
    parser.add_argument("names", nargs="*", default=NAMES, help=f"{', '.join(NAMES)}")
    options = parser.parse_args()
    there = {name for name in ("gevent", "gunicorn", "flask") if importlib.util.find_spec(name)}
    libraries = ["gopoll", "gevent"] if "gevent" in there else ["gopoll"]
    print(f"{'us of CPU per request':21} {'10 %':>7} {'median':>7}   per CPU second")
    with tempfile.TemporaryDirectory() as home:
        for name in options.names:
            if name == "http.server" or {"gunicorn", name} - {"wsgi"} <= there:
                measure(name, libraries, options.rounds, options.connections, Path(home))


if __name__ == "__main__":
    main()
