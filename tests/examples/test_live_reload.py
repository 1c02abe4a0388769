"""The live-reload server, with plain sockets for a browser."""

import socket

import pytest

from tests.support.example import started

pytestmark = pytest.mark.network


def ask(address, target):
    sock = socket.create_connection(address)
    sock.settimeout(20)
    sock.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target.encode())
    return sock


def get(address, target):
    with ask(address, target) as sock, sock.makefile("rb") as file:
        head, _, body = file.read().partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.fixture
def site(tmp_path):
    root = tmp_path / "site"
    (root / "css").mkdir(parents=True)
    (root / "index.html").write_text("<h1>hello</h1>")
    (root / "css/a b.css").write_text("h1 {}")
    (tmp_path / "secret").write_text("secret")
    return root


def test_pages(site):
    with started("live_reload.py", str(site), "--address", "127.0.0.1:0") as server:
        address = server.address()
        status, body = get(address, "/")
        assert (status, body[:14]) == (200, b"<h1>hello</h1>")
        assert b"EventSource('/changes')" in body
        assert get(address, "/index.html?x=1") == (200, body)
        assert get(address, "/css/a%20b.css") == (200, b"h1 {}")
        for target in ("/none", "/../secret", "/%2e%2e/secret", "//etc/passwd", "/css"):
            assert get(address, target)[0] == 404, target
        assert server.interrupt() == (0, "")


def test_all_pages_are_told_of_changes(site):
    with started("live_reload.py", str(site), "--address", "127.0.0.1:0") as server:
        address = server.address()
        socks = [ask(address, "/changes") for _ in range(3)]
        files = [sock.makefile("rb") for sock in socks]
        for file in files:
            while file.readline() != b"\r\n":
                pass
        (site / "new/sub").mkdir(parents=True)
        for deed in (
            lambda: (site / "index.html").write_text("<h1>hello again</h1>"),
            lambda: (site / "new/sub/file.css").write_text("p {}"),
            (site / "css/a b.css").unlink,
        ):
            deed()
            for file in files:
                while file.readline() != b"data: reload\n":
                    pass
        assert b"hello again" in get(address, "/")[1]
        for closable in (*files, *socks):
            closable.close()
        assert server.interrupt() == (0, "")
