"""Job control: who reads from its terminal is stopped by Ctrl-Z and goes on by ``fg``."""

import os
import shutil
import sys
from pathlib import Path

import pytest

import gopoll
from gopoll.os.file import File
from gopoll.os.process import Process
from tests.support.script import ROOT

pytestmark = pytest.mark.network

BASH = shutil.which("bash")
CTRL_D, CTRL_Z = b"\x04", b"\x1a"
PROMPT = b"what now? "

# A session leader has to take the terminal; then it is a shell with job control.
SHELL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], ["bash", "--norc", "--noprofile", "-i"])
"""

# It reads in one goroutine and hears in another that it was continued: a shell does that only once
# it has given the terminal back. So whoever types after that types for this program.
PROGRAM = """
import os, signal
if os.environ.get("GOPOLL_POLLER") == "kqueue":
    from tests.support import libkqueue
    libkqueue.install()
import gopoll
from gopoll.os import file
from gopoll.os.signal import notify

again = gopoll.Chan(1)
notify(again, signal.SIGCONT)

def greet():
    for number, _ in enumerate(again, 1):
        out.write(b"back-%d\\n" % number)

with file.stdin() as source, file.stdout() as out:
    gopoll.go(greet)
    out.write(b"reading\\n")
    while line := source.read():
        out.write(b"got-" + line)
    out.write(b"at-the-end\\n")
"""


def must_see(terminal: File, text: bytes) -> None:
    """Read what comes to the screen until there is `text`."""
    seen = b""
    while text not in seen:
        more = terminal.read(1)
        assert more, f"the terminal ended without {text!r}, after {seen!r}"
        seen += more


def must_answer(terminal: File, typed: bytes, *texts: bytes) -> None:
    """Type, and see these texts, one after the other."""
    terminal.write(typed)
    for text in texts:
        must_see(terminal, text)


@pytest.mark.skipif(BASH is None, reason="job control needs a shell that has it: no bash here")
def test_stopped_and_continued_while_it_reads(tmp_path: Path):
    """Go: TestTerminalSignal. Nothing is lost, and the shell never finds its terminal changed."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PS1": PROMPT.decode(),
        "TERM": "dumb",
        "HISTFILE": "/dev/null",
    }
    master, slave = os.openpty()
    with os.fdopen(slave, "rb", buffering=0), gopoll.timeout(60), File(master, "tty") as terminal:
        shell = Process(
            [sys.executable, "-c", SHELL, str(BASH)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        with shell:
            must_see(terminal, PROMPT)
            must_answer(terminal, f"{sys.executable} {program}\n".encode(), b"\nreading")
            must_answer(terminal, b"one\n", b"got-one")
            for times in (b"1", b"2"):
                must_answer(terminal, CTRL_Z, b"Stopped", PROMPT)
                assert os.get_blocking(slave)
                must_answer(terminal, b"echo shell-$((7 * 6))\n", b"shell-42", PROMPT)
                must_answer(terminal, b"fg\n", b"back-" + times)
                must_answer(terminal, b"two\n", b"got-two")
                must_answer(terminal, b"three\nfour\n", b"got-three", b"got-four")
            assert os.get_blocking(slave)
            must_answer(terminal, CTRL_D, b"at-the-end", PROMPT)
            terminal.write(b"exit 3\n")
        assert shell.returncode == 3
