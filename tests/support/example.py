"""The examples as their users run them: each a process of its own, spoken to from outside."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.script import ROOT

__all__ = ["EXAMPLES", "Example", "run_example", "started"]

EXAMPLES = ROOT / "examples"
_KQUEUE = (
    "import runpy, sys; from tests.support import libkqueue; libkqueue.install();"
    "del sys.argv[0]; sys.path[0] = ''; runpy.run_path(sys.argv[0], run_name='__main__')"
)
_PATIENCE = 30.0


class Example:
    """A running example; its warnings go to stderr, which must stay empty."""

    def __init__(self, name: str, *args: str) -> None:
        self.name = name
        before = signal.getsignal(signal.SIGINT)
        # What is ignored here would be ignored there, and Ctrl-C is what these programs end by.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self.process = subprocess.Popen(
                [*_command(EXAMPLES / name), *args],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        finally:
            signal.signal(signal.SIGINT, before)

    def address(self) -> tuple[str, int]:
        """Return where it listens, which its first line tells."""
        line = self.process.stdout.readline()
        found = re.search(r"Listening on (\S+):(\d+)", line)
        assert found, f"{line!r}, and on stderr: {self.process.stderr.read() if not line else ''}"
        return found[1], int(found[2])

    def end(self) -> tuple[int, str]:
        """Wait for its end; return its status and the rest of its output."""
        out, err = self.process.communicate(timeout=_PATIENCE)
        assert not err, err
        return self.process.returncode, out

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C; otherwise as `end`."""
        self.process.send_signal(signal.SIGINT)
        return self.end()


@contextmanager
def started(name: str, *args: str) -> Iterator[Example]:
    """Start an example; see to it that it has ended when the block has."""
    example = Example(name, *args)
    try:
        yield example
    finally:
        if example.process.poll() is None:
            example.process.kill()
        example.process.wait()
        example.process.stdout.close()
        example.process.stderr.close()


def run_example(name: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run an example that ends by itself."""
    return subprocess.run(
        [*_command(EXAMPLES / name), *args],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
    )


def _command(path: Path) -> list[str]:
    python = [sys.executable, "-X", "dev"]
    if os.environ.get("GOPOLL_POLLER") == "kqueue":
        return [*python, "-c", _KQUEUE, str(path)]
    return [*python, str(path)]
