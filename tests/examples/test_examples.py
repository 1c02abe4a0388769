"""The small examples, each run as its user would run it."""

import hashlib
import socket
import struct
import threading
from contextlib import ExitStack

import pytest

from tests.support.example import EXAMPLES, run_example, started

pytestmark = pytest.mark.network

RESET = struct.pack("ii", 1, 0)
NAMES = sorted(path.name for path in EXAMPLES.glob("*.py"))


def connect(address):
    sock = socket.create_connection(address)
    sock.settimeout(20)
    return sock


def read_all(sock):
    return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.mark.parametrize("name", NAMES)
def test_each_tells_how_it_is_used(name):
    done = run_example(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {name}")


@pytest.mark.parametrize("name", NAMES)
def test_each_is_short_and_says_how_to_run_it(name):
    text = (EXAMPLES / name).read_text("utf-8")
    assert f"    python examples/{name}" in text.split('"""')[1]
    assert len(text.splitlines()) < (300 if name == "chat_server.py" else 60)


def test_echo_server():
    with started("echo_server.py", "--port", "0") as server:
        address = server.address()
        with ExitStack() as stack:
            socks = [stack.enter_context(connect(address)) for _ in range(20)]
            for n, sock in enumerate(socks):
                sock.sendall(b"%d " % n * 1000)
                sock.shutdown(socket.SHUT_WR)
            for n, sock in enumerate(socks):
                assert read_all(sock) == b"%d " % n * 1000
        assert server.interrupt() == (0, "")


def test_worker_pool(tmp_path):
    paths = [tmp_path / f"file {n}" for n in range(30)]
    for n, path in enumerate(paths):
        path.write_bytes(b"%d" % n)
    done = run_example("worker_pool.py", "--workers", "3", *map(str, [*paths, tmp_path / "none"]))
    assert (done.returncode, done.stderr) == (0, "")
    expected = {f"{hashlib.sha256(p.read_bytes()).hexdigest()[:16]} {p}" for p in paths}
    assert set(done.stdout.splitlines()) == {
        *expected,
        f"No such file or directory {tmp_path / 'none'}",
    }


def test_worker_pool_takes_its_own_directory_by_default():
    done = run_example("worker_pool.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(line.split()[1] for line in done.stdout.splitlines()) == [
        str(EXAMPLES / name) for name in NAMES
    ]


def test_port_scanner():
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
        first, last = max(1, port - 100), min(65535, port + 100)
        done = run_example("port_scanner.py", "127.0.0.1", "--ports", f"{first}-{last}")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"{port}: open" in done.stdout.splitlines()
        assert len(done.stdout.splitlines()) < 100  # the others refuse
    done = run_example("port_scanner.py", "localhost", "--ports", str(port))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_port_scanner_refuses_what_is_no_port():
    done = run_example("port_scanner.py", "127.0.0.1", "--ports", "http")
    assert done.returncode == 2
    assert "--ports" in done.stderr


def test_tcp_proxy_carries_both_ways_and_both_ends():
    sent, answer = b"question " * 50_000, b"answer " * 50_000
    heard = []

    def serve_once():
        sock, _ = target.accept()
        with sock:
            heard.append(read_all(sock))  # until the client has said all: then it answers
            sock.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as target:
        host, port = target.getsockname()
        with started("tcp_proxy.py", "127.0.0.1:0", f"{host}:{port}") as proxy:
            address = proxy.address()
            for _ in range(3):
                thread = threading.Thread(target=serve_once)
                thread.start()
                with connect(address) as sock:
                    sock.sendall(sent)
                    sock.shutdown(socket.SHUT_WR)
                    assert read_all(sock) == answer
                thread.join()
            assert heard == [sent] * 3
            target.close()
            with connect(address) as sock:
                assert read_all(sock) == b""  # nobody there: the proxy hangs up
            status, output = proxy.interrupt()
            assert status == 0
            assert "Connection refused" in output


def test_tcp_proxy_passes_a_break_on():
    with socket.create_server(("127.0.0.1", 0)) as target:
        host, port = target.getsockname()
        with started("tcp_proxy.py", "127.0.0.1:0", f"{host}:{port}") as proxy:
            address = proxy.address()
            for breaks_first in ("client", "server"):
                with connect(address) as client:
                    server, _ = target.accept()
                    with server:
                        server.settimeout(20)
                        client.sendall(b"x")
                        assert server.recv(1) == b"x"
                        breaker, other = client, server
                        if breaks_first == "server":
                            breaker, other = server, client
                        breaker.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                        breaker.close()
                        assert read_all(other) == b""
            assert proxy.interrupt() == (0, "")


def test_prime_sieve():
    done = run_example("prime_sieve.py", "100")
    assert (done.returncode, done.stderr) == (0, "")
    primes = [n for n in range(2, 542) if all(n % k for k in range(2, n))]
    assert [int(line) for line in done.stdout.split()] == primes


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("echo_server.py", ["--port", "0"]),
        ("tcp_proxy.py", ["127.0.0.1:0", "127.0.0.1:1"]),
        ("prime_sieve.py", ["1000000"]),
    ],
)
def test_ctrl_c_ends_each_quietly(name, args):
    with started(name, *args) as example:
        assert example.process.stdout.readline()  # it is at work
        status, output = example.interrupt()
        assert status == 0
        assert "Traceback" not in output
