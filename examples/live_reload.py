"""Serve web pages that reload themselves when a file in their directory changes.

    python examples/live_reload.py site

Ctrl-C ends it.
"""

import argparse
from contextlib import suppress
from mimetypes import guess_type
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gopoll import Chan, go, net, run
from gopoll.os.watch import Watcher

HEAD = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
SCRIPT = b"<script>new EventSource('/changes').onmessage = () => location.reload()</script>\n"
pages = set[Chan[None]]()  # those that are open: each waits for a line from /changes


def tell_pages(watcher: Watcher) -> None:
    for _ in watcher.events:
        for page in pages:
            page.try_send(None)  # one that has been told, and has not reloaded yet, knows


def handle(conn: net.Conn, root: Path) -> None:
    path = unquote(urlsplit(b"".join(conn.read().split()[1:2]).decode()).path)
    file = (root / (path.lstrip("/") or "index.html")).resolve()
    if path == "/changes":
        pages.add(page := Chan[None](1))
        with suppress(OSError):
            conn.write(HEAD % (b"200 OK", b"text/event-stream"))
            for _ in page:
                conn.write(b"data: reload\n\n")
        pages.remove(page)
    elif file.is_relative_to(root) and file.is_file():
        kind = (guess_type(file)[0] or "application/octet-stream").encode()
        conn.write(HEAD % (b"200 OK", kind) + file.read_bytes() + SCRIPT * (kind == b"text/html"))
    else:
        conn.write(HEAD % (b"404 Not Found", b"text/html") + SCRIPT)


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve pages that reload themselves.")
    parser.add_argument("root", type=lambda path: Path(path).resolve())
    parser.add_argument("--address", default="127.0.0.1:8000", help="(%(default)s)")
    options = parser.parse_args()
    with Watcher() as watcher, net.listen("tcp", options.address) as listener:
        watcher.add(options.root, recursive=True)
        go(tell_pages, watcher)
        print(f"Listening on {listener.addr}", flush=True)
        net.serve(listener, lambda conn: handle(conn, options.root))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        run(main)
