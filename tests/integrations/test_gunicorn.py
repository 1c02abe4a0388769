"""gunicorn's worker: what a client sees of a server on goroutines."""

import http.client
import json
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.gunicorn import APP, gunicorn, read_to_end
from tests.support.script import ROOT

pytest.importorskip("gunicorn")
pytestmark = pytest.mark.timeout(120)


def test_fifty_requests_in_one_thread(tmp_path):
    with gunicorn(tmp_path, APP, "--access-logfile", "-") as server:
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda _: json.loads(server.get("/slow")), range(50)))
        assert max(answer["most"] for answer in answers) > 25
        assert {answer["threads"] for answer in answers} == {1}
        assert all(answer["patched"] and answer["multithread"] for answer in answers)
        assert all(answer["imported_in"] == answer["pid"] for answer in answers)
        server.kill()
        assert server.wait() == 0
        assert server.log.count('"GET /slow HTTP/1.1" 200') == 50
    assert "rror" not in server.log
    assert "Traceback" not in server.log


def test_preloaded_applications_are_patched_as_well(tmp_path):
    with gunicorn(tmp_path, APP, "--preload", "--workers", "2") as server:
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: json.loads(server.get("/slow")), range(20)))
        assert {answer["imported_in"] for answer in answers} == {server.process.pid}
        assert all(answer["patched"] for answer in answers)
        assert {answer["threads"] for answer in answers} == {1}
        server.kill()
        assert server.wait() == 0


def test_connections_are_kept_alive_for_a_while(tmp_path):
    with gunicorn(tmp_path, APP, "--keep-alive", "1") as server:
        connection = server.connect()
        for _ in range(3):
            connection.request("GET", "/")
            response = connection.getresponse()
            assert response.read()
            assert response.getheader("Connection") == "keep-alive"
        assert connection.sock.recv(1) == b""  # a second later
        connection.close()


def test_without_keep_alive_each_request_has_its_connection(tmp_path):
    with gunicorn(tmp_path, APP, "--keep-alive", "0") as server:
        connection = server.connect()
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.read()
        assert response.getheader("Connection") == "close"
        connection.close()


def test_a_hook_before_the_first_request_may_change_a_setting(tmp_path):
    config = tmp_path / "config.py"
    config.write_text("def post_worker_init(worker):\n    worker.cfg.set('keepalive', 0)\n")
    with gunicorn(tmp_path, APP, "--keep-alive", "60", "-c", str(config)) as server:
        connection = server.connect()
        connection.request("GET", "/")
        assert connection.getresponse().getheader("Connection") == "close"
        connection.close()


def test_worker_connections_bounds_what_is_served_at_once(tmp_path):
    with gunicorn(tmp_path, APP, "--worker-connections", "2") as server:
        first, second = server.begin(), server.begin()
        third = server.begin(length=0)
        third.settimeout(0.3)
        with pytest.raises(TimeoutError):
            third.recv(1)
        third.settimeout(60)
        first.sendall(b"1")
        assert b'"body": "1"' in read_to_end(first)
        assert b'"body": ""' in read_to_end(third)
        second.sendall(b"2")
        assert b'"body": "2"' in read_to_end(second)


def test_max_requests_renews_the_worker(tmp_path):
    options = ("--max-requests", "3", "--max-requests-jitter", "0")
    with gunicorn(tmp_path, APP, *options) as server:
        connection = server.connect()
        pids, headers = [], []
        for _ in range(3):
            connection.request("GET", "/")
            response = connection.getresponse()
            pids.append(json.loads(response.read())["pid"])
            headers.append(response.getheader("Connection"))
        connection.close()
        assert headers == ["keep-alive", "keep-alive", "close"]
        assert len(set(pids)) == 1
        assert json.loads(server.get("/"))["pid"] not in pids
        assert "Autorestarting" in server.log


def test_several_listeners(tmp_path):
    path = tmp_path / "socket"
    options = ("-b", "127.0.0.1:0", "-b", "127.0.0.1:0", "-b", f"unix:{path}")
    with gunicorn(tmp_path, APP, *options) as server:
        assert json.loads(server.get("/", 0)) == json.loads(server.get("/", 1))
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b'"patched": true' in read_to_end(sock)
        server.kill()
        assert server.wait() == 0
        assert not path.exists()


def test_tls(tmp_path):
    pem = str(ROOT / "tests" / "support" / "localhost.pem")
    context = ssl.create_default_context(cafile=pem)
    context.check_hostname = False
    with gunicorn(tmp_path, APP, "--certfile", pem, "--keyfile", pem) as server:
        silent = socket.create_connection(("127.0.0.1", server.ports[0]))
        stranger = socket.create_connection(("127.0.0.1", server.ports[0]))
        stranger.sendall(b"GET / HTTP/1.0\r\n\r\n")
        connection = http.client.HTTPSConnection(
            "127.0.0.1", server.ports[0], timeout=60, context=context
        )
        for _ in range(2):
            connection.request("GET", "/")
            assert json.loads(connection.getresponse().read())["scheme"] == "https"
        connection.close()
        read_to_end(stranger)
        silent.close()
    assert "Traceback" not in server.log


def test_bodies_of_all_kinds(tmp_path):
    with gunicorn(tmp_path, APP) as server:
        assert server.get("/file") == (tmp_path / "app.py").read_text("utf-8")
        assert server.get("/stream") == "onetwo"
        connection = server.connect()
        connection.request("POST", "/body", iter([b"x" * 70_000, b"y"]), encode_chunked=True)
        assert json.loads(connection.getresponse().read())["body"] == "x" * 70_000 + "y"
        connection.close()


def test_an_application_that_exits_ends_its_request_only(tmp_path):
    with gunicorn(tmp_path, APP) as server:
        pid = json.loads(server.get("/"))["pid"]
        connection = server.connect()
        connection.request("GET", "/exit")
        response = connection.getresponse()
        assert response.status == 500
        response.close()
        connection.close()
        assert json.loads(server.get("/"))["pid"] == pid


def test_flask(tmp_path):
    pytest.importorskip("flask")
    app = """
    import threading
    from flask import Flask, g, request

    app = Flask(__name__)
    all_are_here = threading.Barrier(20)

    @app.get("/<name>")
    def greet(name):
        g.name = name
        all_are_here.wait(30)
        return {"name": request.view_args["name"], "g": g.name,
                "ident": threading.get_ident()}
    """
    with gunicorn(tmp_path, app) as server, ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: json.loads(server.get(f"/{n}")), range(20)))
        assert [answer["name"] for answer in answers] == [str(n) for n in range(20)]
        assert [answer["g"] for answer in answers] == [str(n) for n in range(20)]
        assert threading.get_ident() not in {answer["ident"] for answer in answers}


def test_the_example_with_flask(tmp_path):
    pytest.importorskip("flask")
    code = (ROOT / "examples" / "integrations" / "flask_app.py").read_text("utf-8")
    with gunicorn(tmp_path, code) as server, ThreadPoolExecutor(20) as pool:
        assert sorted(
            json.loads(body)["visits"] for body in pool.map(server.get, ["/"] * 20)
        ) == list(range(1, 21))
        assert json.loads(server.get("/slow")) == {"slept": "well"}
        assert server.get("/ticks") == "".join(f"data: tick {n}\n\n" for n in range(3))
