"""Flask behind gunicorn, hit by wrk: fifty connections that want their next page at once."""

import json
import re
import shutil
import subprocess

import pytest

from tests.support.gunicorn import gunicorn

pytest.importorskip("gunicorn")
pytest.importorskip("flask")
pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

APP = """
import os, threading, time
from flask import Flask, jsonify

flask = Flask(__name__)
lock = threading.Lock()
now = most = 0

@flask.get("/")
def hello():
    return "hello, world"

@flask.get("/slow")
def slow():
    global now, most
    with lock:
        now += 1
        most = max(most, now)
    time.sleep(0.2)
    with lock:
        now -= 1
    return "slow"

@flask.get("/told")
def told():
    return jsonify(most=most, threads=len(os.listdir("/proc/self/task")))

app = flask.wsgi_app
"""


def hit(url):
    """Have wrk ask for it over fifty connections; return how many answers came."""
    done = subprocess.run(
        ["wrk", "--threads", "1", "--connections", "50", "--duration", "2s", url],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Socket errors" not in done.stdout, done.stdout
    assert "Non-2xx" not in done.stdout, done.stdout
    found = re.search(r"(\d+) requests in", done.stdout)
    assert found, done.stdout
    return int(found[1])


def test_flask_is_hit_by_wrk(tmp_path):
    if shutil.which("wrk") is None:
        pytest.skip("not installed: wrk")
    with gunicorn(tmp_path, APP, "--keep-alive", "5") as server:
        where = f"http://127.0.0.1:{server.ports[0]}"
        assert hit(f"{where}/") > 50
        assert hit(f"{where}/slow") >= 50
        told = json.loads(server.get("/told"))
        assert told == {"most": 50, "threads": 1}
        server.kill()
        assert server.wait() == 0
    assert "rror" not in server.log
    assert "Traceback" not in server.log
