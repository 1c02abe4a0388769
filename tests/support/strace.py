"""System calls of a program, counted by strace; unlike times, these do not depend on anything."""

import re
import shutil
import socket
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

from tests.support.plain import plain_env
from tests.support.script import ROOT

__all__ = ["STRACE", "count_calls", "traced_echo", "why_no_strace"]

STRACE = ("strace", "-f", "-qq", "-o")  # and a file, and a command


def why_no_strace() -> str | None:
    """Say why system calls cannot be counted here, if so."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed"
    probe = subprocess.run([strace, "-o", "/dev/null", "true"], capture_output=True, text=True)
    return f"ptrace is not permitted: {probe.stderr.strip()}" if probe.returncode else None


def traced_echo(server: str, log: Path, connections: int, messages: int) -> list[str]:
    """Send messages, in lock-step, to a server of that code; return its log, a call for each line.

    The server prints its port, and ends after as many connections as its argument says.
    """
    process = subprocess.Popen(
        [*STRACE, str(log), sys.executable, "-c", textwrap.dedent(server), str(connections)],
        cwd=ROOT,
        env=plain_env(GOPOLL_POLLER="epoll"),
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
        for i in range(messages):
            message = b"message %d" % i
            for client in clients:
                client.sendall(message)
            for client in clients:
                assert client.recv(100) == message
        for client in clients:
            client.close()
    assert process.returncode == 0
    return log.read_text().splitlines()


def count_calls(lines: list[str]) -> Counter[str]:
    """Count the calls in these lines of a log, by name."""
    return Counter(m[1] for line in lines if (m := re.match(r"\d+ +(\w+)\(", line)))
