"""A port scanner: it dials many ports at once, and lists those that are open.

    python examples/port_scanner.py 127.0.0.1
    python examples/port_scanner.py localhost --ports 1-65535 --at-once 500

Scan only hosts that are yours.
"""

import argparse
from contextlib import suppress

import gopoll
from gopoll import Chan, go, net


def knock(host: str, port: int, timeout: float) -> str:
    try:
        net.dial("tcp", net.join_host_port(host, port), timeout=timeout).close()
    except (ConnectionRefusedError, TimeoutError):
        return ""
    except OSError as error:
        return str(error)
    return "open"


def scan(host: str, timeout: float, ports: Chan[int], answers: Chan[tuple[int, str]]) -> None:
    for port in ports:
        answers.send((port, knock(host, port, timeout)))


def port_range(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description="List the open TCP ports of a host.")
    parser.add_argument("host")
    parser.add_argument("--ports", type=port_range, default="1-1024", help="(%(default)s)")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds (%(default)s)")
    parser.add_argument("--at-once", type=int, default=100, help="(%(default)s)")
    options = parser.parse_args()

    host = net.lookup_host(options.host)[0]
    ports, answers = Chan[int](cap=len(options.ports)), Chan[tuple[int, str]]()
    for port in options.ports:
        ports.send(port)
    ports.close()
    for _ in range(options.at_once):
        go(scan, host, options.timeout, ports, answers)
    for _ in options.ports:
        port, state = answers.recv()
        if state:
            print(f"{port}: {state}", flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        gopoll.run(main)
