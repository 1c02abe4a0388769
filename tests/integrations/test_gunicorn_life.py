"""gunicorn's worker: how it is ended, renewed, watched, and left alone."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.support.gunicorn import APP, gunicorn, read_to_end

pytest.importorskip("gunicorn")
pytestmark = pytest.mark.timeout(120)

HELD = """
import os, time

def app(environ, start_response):
    if environ["PATH_INFO"] == "/hold":
        print("held", flush=True)
        try:
            time.sleep(600)
        finally:
            print("let go", flush=True)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return Path("/proc/self").is_dir()


def test_sigterm_lets_requests_finish(tmp_path):
    with gunicorn(tmp_path, APP, "--keep-alive", "60") as server:
        idle = server.connect()
        idle.request("GET", "/")
        assert idle.getresponse().read()
        busy = server.begin(length=2, keep="keep-alive")
        busy.sendall(b"1")
        server.kill()
        server.until(lambda: "Handling signal: term" in server.log)
        late = idle.sock
        assert late.recv(1) == b""  # after the short time in which a request might have come
        idle.close()
        busy.sendall(b"2")
        answer = read_to_end(busy)
        assert b'"body": "12"' in answer
        assert server.wait() == 0
    assert "graceful timeout" not in server.log


def test_what_takes_too_long_is_ended_with_its_finally_blocks(tmp_path):
    with gunicorn(tmp_path, HELD, "--graceful-timeout", "1") as server:
        sock = server.begin(length=0, path="/hold")
        server.until(lambda: "held" in server.log)
        worker = json.loads(server.get("/"))
        server.kill(pid=worker)  # not the master, which would not wait any longer itself
        server.until(lambda: gone(worker))
        read_to_end(sock)
        assert "graceful timeout" in server.log
        assert "let go" in server.log
        assert "Traceback" not in server.log


@pytest.mark.parametrize("signum", [signal.SIGQUIT, signal.SIGINT])
def test_sigquit_and_sigint_do_not_wait(tmp_path, signum):
    with gunicorn(tmp_path, HELD, "--graceful-timeout", "600") as server:
        sock = server.begin(length=0, path="/hold")
        server.until(lambda: "held" in server.log)
        server.kill(signum)
        assert server.wait() == 0
        read_to_end(sock)
    assert "Traceback" not in server.log


def test_sighup_brings_new_code_and_old_requests_finish(tmp_path):
    with gunicorn(tmp_path, APP) as server:
        before = json.loads(server.get("/"))["pid"]
        busy = server.begin()
        (tmp_path / "app.py").write_text(APP.replace("pid=", "new=1, pid="), "utf-8")
        server.kill(signal.SIGHUP)
        server.until(lambda: "new" in json.loads(server.get("/")))
        busy.sendall(b"1")
        answer = json.loads(read_to_end(busy).partition(b"\r\n\r\n")[2])
        assert answer["pid"] == before
        assert "new" not in answer
        server.until(lambda: gone(before))


def test_a_request_may_compute_for_as_long_as_it_wants(tmp_path):
    (tmp_path / "conf.py").write_text(
        "def post_worker_init(worker):\n    import app\n    app.worker = worker\n"
    )
    app = """
    def app(environ, start_response):
        for _ in range(3):  # heartbeats, without which the worker would be killed
            before = worker.tmp.last_update()
            while worker.tmp.last_update() == before:
                pass
        start_response("200 OK", [])
        return [b"computed"]
    """
    with gunicorn(tmp_path, app, "-c", "conf.py") as server:
        assert server.get("/") == "computed"


def test_a_worker_that_blocks_is_found_out(tmp_path):
    app = """
    import os
    from gopoll import monkey

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/block":
            monkey.original("time", "sleep")(600)
        start_response("200 OK", [])
        return [str(os.getpid()).encode()]
    """
    with gunicorn(tmp_path, app, "--timeout", "2") as server:
        first = server.get("/")
        sock = server.begin(length=0, path="/block")
        read_to_end(sock)
        server.until(lambda: "WORKER TIMEOUT" in server.log)
        assert server.get("/") != first


def test_a_worker_does_not_survive_its_master(tmp_path):
    with gunicorn(tmp_path, HELD) as server:
        worker = int(server.get("/"))
        server.kill(signal.SIGKILL)
        server.wait()
        while not gone(worker):
            pass
    assert "Parent changed" in server.log


def test_sigusr1_opens_the_log_anew(tmp_path):
    with gunicorn(tmp_path, APP, "--access-logfile", "access.log") as server:
        server.get("/one")
        access = tmp_path / "access.log"
        server.until(lambda: "/one" in access.read_text())
        access.rename(tmp_path / "old.log")
        server.kill(signal.SIGUSR1)
        server.until(access.exists)

        def arrived():
            server.get("/two")
            return "/two" in access.read_text()

        server.until(arrived)
        assert "/one" not in access.read_text()
