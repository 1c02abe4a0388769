"""An echo server: what a client sends comes back.

    python examples/echo_server.py        starts it; then, in another terminal,
    nc 127.0.0.1 7000                     talks to it

Ctrl-C ends it.
"""

import argparse
from contextlib import suppress

import gopoll
from gopoll import net


def echo(conn: net.Conn) -> None:
    """Look after one connection; `net.serve` closes it in the end."""
    while data := conn.read():
        conn.write(data)


def main() -> None:
    parser = argparse.ArgumentParser(description="Send back whatever comes.")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    parser.add_argument("--port", type=int, default=7000, help="0: any free one (%(default)s)")
    options = parser.parse_args()
    with net.listen("tcp", net.join_host_port(options.host, options.port)) as listener:
        print(f"Listening on {listener.addr}", flush=True)
        net.serve(listener, echo)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        gopoll.run(main)
