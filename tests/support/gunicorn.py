"""gunicorn with gopoll's worker, as its users run it: a process of its own, spoken to by HTTP."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.script import ROOT

__all__ = ["APP", "Gunicorn", "gunicorn", "read_to_end"]

_PATIENCE = 60.0

APP = """
import json, os, threading, time
from gopoll import monkey

imported_in = os.getpid()
patched = monkey.is_patched("socket") and time.sleep is not monkey.original("time", "sleep")
lock = threading.Lock()
now = most = 0

def answer(start_response, **what):
    body = json.dumps(what).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

def app(environ, start_response):
    global now, most
    path = environ["PATH_INFO"]
    if path == "/slow":
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.2)
        with lock:
            now -= 1
    elif path == "/body":
        return answer(start_response, body=environ["wsgi.input"].read().decode(), pid=os.getpid())
    elif path == "/exit":
        raise SystemExit(7)
    elif path == "/file":
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    elif path == "/stream":
        start_response("200 OK", [])
        return iter([b"one", b"", b"two"])
    tasks = "/proc/self/task"
    return answer(
        start_response, pid=os.getpid(), parent=os.getppid(), most=most, patched=patched,
        imported_in=imported_in, threads=len(os.listdir(tasks)) if os.path.exists(tasks) else 1,
        scheme=environ["wsgi.url_scheme"], multithread=environ["wsgi.multithread"],
    )
"""


class Gunicorn:
    """A running gunicorn."""

    def __init__(self, home: Path, process: "subprocess.Popen[bytes]") -> None:
        self.home = home
        self.process = process
        self.until(lambda: "Listening at" in self.log)
        self.ports = [int(port) for port in re.findall(r"https?://[\d.]+:(\d+)", self.log)]

    @property
    def log(self) -> str:
        return (self.home / "log").read_text("utf-8")

    def until(self, true: Callable[[], object]) -> None:
        """Wait for it; the log tells why it does not come true."""
        give_up = time.monotonic() + _PATIENCE
        while not true():
            assert time.monotonic() < give_up, self.log
            assert self.process.poll() is None, self.log
            time.sleep(0.01)

    def connect(self, index: int = 0) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.ports[index], timeout=_PATIENCE)

    def get(self, path: str, index: int = 0) -> str:
        """The body of what is there; it must be there."""
        connection = self.connect(index)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read().decode()
            assert response.status == 200, (response.status, body, self.log)
            return body
        finally:
            connection.close()

    def begin(self, length: int = 1, path: str = "/body", keep: str = "close") -> socket.socket:
        """Send a request, but not its body yet: it lasts until that comes."""
        sock = socket.create_connection(("127.0.0.1", self.ports[0]), _PATIENCE)
        head = (
            f"POST {path} HTTP/1.1",
            "Host: x",
            f"Content-Length: {length}",
            f"Connection: {keep}",
        )
        sock.sendall("\r\n".join([*head, "", ""]).encode())
        return sock

    def kill(self, signum: int = signal.SIGTERM, pid: int | None = None) -> None:
        os.kill(pid or self.process.pid, signum)

    def wait(self) -> int:
        """Wait for its end."""
        try:
            return self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(self.log) from None


@contextmanager
def gunicorn(home: Path, code: str, *options: str, **env: Any) -> Iterator[Gunicorn]:
    """Run the application `code` of ``app.py`` in `home`; everything has ended when the block has.

    It must not have logged an error, unless the test has seen to it that this is no surprise.
    """
    (home / "app.py").write_text(textwrap.dedent(code), "utf-8")
    command = [
        *(sys.executable, "-m", "gunicorn", "-k", "gopoll.integrations.gunicorn.Worker"),
        *(["-b", "127.0.0.1:0"] if "-b" not in options else []),
        *options,
        "app:app",
    ]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=home,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home), **env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Gunicorn(home, process)
        if process.poll() is None:
            process.terminate()
            process.wait(_PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def read_to_end(sock: socket.socket) -> bytes:
    """All that comes until the other side closes or is gone; it closes, too."""
    got = b""
    with sock, suppress(ConnectionResetError):
        while data := sock.recv(65536):
            got += data
    return got
