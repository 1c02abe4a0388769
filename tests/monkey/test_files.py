"""Files over pipes and terminals under the patch, and the standard streams."""

import subprocess
import sys

import pytest

from tests.support.plain import plain_env
from tests.support.script import ROOT, run_script

pytestmark = pytest.mark.network

PATCHED = """
from gopoll.monkey import registry
for room in ("time", "select", "selectors", "os", "io"): registry.enter(room, room)
import gopoll, io, os, re, sys
"""


def run(code, *args, **env):
    done = run_script(PATCHED + code, *args, **env)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


def test_reading_lets_the_others_run_in_every_layer():
    assert run(
        "for mode, buffering in (('rb', 0), ('rb', -1), ('r', -1)):\n"
        "    r, w = os.pipe()\n"
        "    with open(r, mode, buffering) as file, open(w, 'wb') as out:\n"
        "        g = gopoll.go(file.readline)\n"
        "        gopoll.gosched()\n"
        "        out.write(b'line\\n'); out.flush()\n"
        "        print(g.result(5))\n"
    ) == [r"b'line\n'", r"b'line\n'", "line", ""]


def test_all_that_comes_is_read_to_the_end():
    assert run(
        "r, w = os.pipe()\n"
        "data = os.urandom(500_000)\n"
        "def write():\n"
        "    with open(w, 'wb', 0) as file: return file.write(data)\n"
        "g = gopoll.go(write)\n"
        "with open(r, 'rb', 0) as file: print(file.read() == data, g.result(5))\n"
    ) == ["True 500000"]


def test_goroutines_queue_for_a_buffer_as_threads_do():
    assert run(
        "r, w = os.pipe()\n"
        "with open(r, 'rb') as file, open(w, 'wb') as out:\n"
        "    readers = [gopoll.go(file.readline) for _ in range(3)]\n"
        "    gopoll.gosched()\n"
        "    out.write(b'1\\n2\\n3\\n'); out.flush()\n"
        "    print([g.result(5) for g in readers])\n"
        "    writers = [gopoll.go(out.write, bytes([n]) * 40_000) for n in range(5)]\n"
        "    gopoll.gosched()\n"
        "    got = b''\n"
        "    while len(got) < 180_000: got += file.read1(65536)\n"
        "    for g in writers: g.result(5)\n"
        "    flush = gopoll.go(out.flush)\n"
        "    while len(got) < 200_000: got += file.read1(65536)\n"
        "    print(sorted(got) == sorted(bytes(range(5)) * 40_000))\n"
    ) == [r"[b'1\n', b'2\n', b'3\n']", "True"]


def test_a_handler_that_enters_again_is_told_so():
    assert run(
        "import signal\n"
        "r, w = os.pipe()\n"
        "with open(r, 'rb') as file, open(w, 'wb') as out:\n"
        "    said = []\n"
        "    def handler(*_):\n"
        "        try: file.read(1)\n"
        "        except RuntimeError as exc: said.append(str(exc)[:14])\n"
        "        os.write(w, b'x')\n"
        "    signal.signal(signal.SIGALRM, handler)\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.02)\n"
        "    print(file.read(1), said)\n"
    ) == ["b'x' ['reentrant call']"]


def test_they_look_like_what_they_stand_for():
    assert run(
        "def looks(r, w):\n"
        "    found = []\n"
        "    for fd, mode in ((r, 'r'), (r, 'rb'), (w, 'w'), (w, 'wb'), (w, 'ab'), (w, 'a')):\n"
        "        for buffering in (-1, 0, 1, 100):\n"
        "            for closefd in (True, False):\n"
        "                try: file = open(os.dup(fd) if closefd else fd, mode,\n"
        "                                 1 if buffering == 1 and 'b' not in mode else\n"
        "                                 buffering if buffering != 1 else -1, closefd=closefd)\n"
        "                except Exception as exc: found.append(repr(exc)); continue\n"
        "                with file:\n"
        "                    name = file.name\n"
        "                    found.append(re.sub(f'name={name}\\\\b', 'N', repr(file)))\n"
        "                    found.append((file.mode, type(file).__name__, file.readable(),\n"
        "                                  file.writable(), file.seekable(), file.isatty(),\n"
        "                                  getattr(file, 'encoding', 0),\n"
        "                                  getattr(file, 'line_buffering', 0),\n"
        "                                  type(file).__module__,\n"
        "                                  [isinstance(file, c) for c in (io.FileIO,\n"
        "                                   io.BufferedReader, io.BufferedWriter)]))\n"
        "    return found\n"
        "ends = os.pipe()\n"
        "terminal = (os.openpty()[1],) * 2\n"
        "green = looks(*ends) + looks(*terminal)\n"
        "registry.leave('io')\n"
        "real = looks(*ends) + looks(*terminal)\n"
        "for a, b in zip(green, real):\n"
        "    if a != b: print(a, b)\n"
        "print(len(green) == len(real) > 100)\n"
    ) == ["True"]


def test_a_file_that_nobody_closed_is_reported_and_closed():
    done = run_script(
        PATCHED + "r, w = os.pipe()\n"
        "os.close(w)\n"
        "open(r, 'rb')\n"
        "try: os.fstat(r)\n"
        "except OSError: print('closed')\n"
    )
    assert done.stdout == "closed\n"
    assert "ResourceWarning: unclosed file <_io.BufferedReader name=" in done.stderr


def test_everything_else_is_the_original_s(tmp_path):
    assert run(
        "path = sys.argv[1]\n"
        "with open(path, 'w') as file: file.write('text')\n"
        "with open(path, 'rb') as file: print(type(file) is io.BufferedReader)\n"
        "fd = os.open(path, os.O_RDONLY)\n"
        "with open(fd) as file: print(type(file.buffer) is io.BufferedReader, file.read())\n"
        "with open(os.open(os.devnull, os.O_RDWR), 'r+b', 0) as file: print(type(file))\n"
        "try: open('/nonexistent')\n"
        "except FileNotFoundError as exc: print(exc)\n"
        "class Keeper: open = open\n"
        "with Keeper().open(path) as file: print(file.read())\n",
        str(tmp_path / "file"),
    ) == [
        "True",
        "True text",
        "<class '_io.FileIO'>",
        "[Errno 2] No such file or directory: '/nonexistent'",
        "text",
    ]


def test_opening_a_fifo_waits_for_the_other_end(tmp_path):
    assert run(
        "path = sys.argv[1]\n"
        "os.mkfifo(path)\n"
        "def read():\n"
        "    with open(path) as file: return file.name == path, file.read()\n"
        "g = gopoll.go(read)\n"
        "gopoll.gosched()\n"
        "with open(path, 'w') as file: print('met', file=file)\n"
        "print(g.result(5))\n",
        str(tmp_path / "fifo"),
    ) == [r"(True, 'met\n')"]


def program(code, feed):
    """Run a patched program and feed its standard input when it says that it waits."""
    with subprocess.Popen(
        [sys.executable, "-c", PATCHED + code],
        cwd=ROOT,
        env=plain_env(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout.readline() == "waits\n"
        child.stdin.write(feed)
        child.stdin.close()
        out = child.stdout.read()
    assert child.returncode == 0
    return out.splitlines()


def test_standard_input_lets_the_others_run():
    assert program(
        "stdin = sys.stdin\n"
        "gopoll.go(print, 'waits', flush=True)\n"
        "print(sys.stdin.readline(), end='')\n"
        "print(input())\n"
        "print([line for line in stdin], stdin is sys.__stdin__)\n",
        "one\ntwo\nthree\n",
    ) == ["one", "two", r"['three\n'] True"]


def test_standard_output_waits_for_its_reader():
    code = """
from gopoll.testing import wait_idle
a = gopoll.go(sys.stdout.write, "a" * 300_000)
b = gopoll.go(sys.stdout.write, "b" * 300_000)
wait_idle()
print(a.done, b.done, file=sys.stderr, flush=True)
a.result(); b.result()
"""
    with subprocess.Popen(
        [sys.executable, "-c", PATCHED + code],
        cwd=ROOT,
        env=plain_env(PYTHONUNBUFFERED=""),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stderr.readline() == "False False\n"
        out = child.stdout.read()
    assert child.returncode == 0
    assert out == "a" * 300_000 + "b" * 300_000
