"""A TCP proxy: every connection to it becomes one to the target.

    python examples/tcp_proxy.py 127.0.0.1:8080 example.org:80

Bytes flow both ways, and so do the ends of the two streams.
"""

import argparse
from contextlib import suppress

import gopoll
from gopoll import go, net


def pump(source: net.Conn, sink: net.Conn) -> None:
    """Copy one direction. Its end ends the other side's input and leaves the way back open."""
    try:
        while data := source.read():
            sink.write(data)
        sink.close_write()
    except OSError:  # one of the two is gone, and so the other has nobody to talk to
        for conn in (source, sink):
            with suppress(net.ClosedError):
                conn.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Pass TCP connections on.")
    parser.add_argument("listen", help="host:port to listen on; port 0: any free one")
    parser.add_argument("target", help="host:port to connect to")
    options = parser.parse_args()

    def proxy(client: net.Conn) -> None:
        try:
            server = net.dial("tcp", options.target, timeout=10)
        except OSError as error:
            print(f"{client.remote_addr}: {error}", flush=True)
            return
        with server:
            back = go(pump, server, client)
            pump(client, server)
            back.join()

    with net.listen("tcp", options.listen) as listener:
        print(f"Listening on {listener.addr}, passing on to {options.target}", flush=True)
        net.serve(listener, proxy)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        gopoll.run(main)
