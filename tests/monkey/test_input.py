"""``input()`` on a terminal: it parks until something is typed."""

import os
import subprocess
import sys

import pytest

from tests.support.plain import plain_env
from tests.support.script import ROOT

pytestmark = pytest.mark.network

CODE = """
import os
os.close(os.open(os.ttyname(0), os.O_RDWR))  # the leader of a session gets a terminal
from gopoll.monkey import registry
for room in ("time", "signal", "select", "selectors", "os", "io"): registry.enter(room, room)
import gopoll, sys
{first}
from gopoll.testing import wait_idle
def others():
    wait_idle()
    print("idle", file=sys.stderr, flush=True)
gopoll.go(others)
try: print("got", repr(input("say: ")))
except KeyboardInterrupt: print("interrupted")
except EOFError: print("end")
"""


def talk(first, typed):
    master, slave = os.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-c", CODE.format(first=first)],
            cwd=ROOT,
            env=plain_env(TERM="dumb"),
            stdin=slave,
            stdout=slave,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as child:
            assert child.stderr.readline() == b"idle\n"
            os.write(master, typed)
            assert child.stderr.read() == b""
        os.close(slave)
        said = b""
        try:
            while data := os.read(master, 4096):
                said += data
        except OSError:  # the last one has hung up
            pass
    finally:
        os.close(master)
    return said.decode().replace("\r", "\n").split("\n")


@pytest.mark.parametrize("first", ["", "import readline"])
def test_a_line_is_typed_while_others_run(first):
    said = talk(first, b"hello\n")
    assert said[0].startswith("say: ")
    assert "got 'hello'" in said


@pytest.mark.parametrize("first", ["", "import readline"])
def test_control_c_ends_it(first):
    assert "interrupted" in "\n".join(talk(first, b"\x03"))


def test_control_d_is_the_end():
    assert "end" in "\n".join(talk("", b"\x04"))


def test_what_is_typed_is_edited():
    assert "got 'help'" in talk("import readline", b"helm\x7fp\n")


@pytest.mark.parametrize("first", ["", "import readline"])
def test_control_c_ends_it_in_the_middle_of_a_line(first):
    assert "interrupted" in "\n".join(talk(first, b"hel\x03"))
