"""FIFOs, terminals, devices, regular files and the standard streams; and what is left of them.

Nobody who shares an open file may find it non-blocking: neither while gopoll uses it, where the
system can open it anew, nor after.
"""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import pytest

import gopoll
from gopoll import go, testing
from gopoll.os import _descriptor, file
from gopoll.os.file import File
from tests.support.pairs import attempt, is_open, open_descriptors, wait_until
from tests.support.parking import parked
from tests.support.script import ROOT

pytestmark = pytest.mark.network

ON_LINUX = sys.platform == "linux"


@pytest.fixture(params=["anew", "shared"])
def sharing(request, monkeypatch):
    """Whether the system lets us open a pipe or terminal anew."""
    if request.param == "shared":
        monkeypatch.setattr(_descriptor, "_opened_anew", lambda number: None)
    elif not ON_LINUX:
        pytest.skip("only Linux opens every pipe anew")
    return request.param


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@contextmanager
def terminal():
    """Both sides of a pseudo-terminal: as a terminal emulator has it, and as its programs do."""
    master, slave = os.openpty()
    yield master, slave
    for number in (master, slave):
        if is_open(number):
            os.close(number)


# -- terminals -----------------------------------------------------------------------------------


def test_a_terminal(sharing):
    with terminal() as (master, slave), File(slave) as tty:
        reading = parked(tty.read)
        os.write(master, b"first\nsecond\n")
        assert reading.result() == b"first\n"
        assert tty.read() == b"second\n"  # which no new edge tells
        tty.write(b"out")
        echoed = b""
        while not echoed.endswith(b"out"):
            echoed += os.read(master, 100)


def test_closing_a_terminal_that_somebody_reads(sharing):
    """Go: TestTTYClose."""
    with terminal() as (_, slave):
        tty = File(slave)
        reading = parked(attempt, tty.read)
        tty.close()
        assert "closed file" in str(reading.result())


def test_who_shares_a_terminal_does_not_find_it_non_blocking(sharing):
    with terminal() as (_, slave):
        shell = os.dup(slave)
        tty = File(slave)
        reading = parked(attempt, tty.read)
        assert os.get_blocking(shell) is (sharing == "anew")
        tty.close()
        assert os.get_blocking(shell)
        reading.join()
        os.close(shell)


def test_the_side_of_the_emulator_is_that_very_side():
    """Opened anew it would be another terminal."""
    with terminal() as (master, slave):
        shared = os.dup(master)
        with File(master) as emulator:
            os.write(slave, b"prompt")
            assert emulator.read() == b"prompt"
        assert os.get_blocking(shared)
        os.close(shared)


def test_the_end_of_a_terminal_is_the_kernels_error():
    with terminal() as (master, slave), File(master) as emulator:
        reading = parked(attempt, emulator.read)
        os.close(slave)
        error = reading.result()
        assert error == b"" or error.errno == errno.EIO


# -- pipes of others -----------------------------------------------------------------------------


def test_who_shares_a_pipe_does_not_find_it_non_blocking(sharing):
    reader, writer = os.pipe()
    theirs = os.dup(reader), os.dup(writer)
    with File(reader) as mine, File(writer) as other:
        reading = parked(mine.read)
        other.write(b"x")
        assert reading.result() == b"x"
        assert [os.get_blocking(fd) for fd in theirs] == [sharing == "anew"] * 2
        assert not os.get_inheritable(mine.fileno())
    for fd in theirs:
        assert os.get_blocking(fd)
        os.close(fd)


def test_two_files_share_a_terminal(monkeypatch):
    """Closing one does not make the other blocking, which would stop the whole thread."""
    monkeypatch.setattr(_descriptor, "_opened_anew", lambda number: None)
    with terminal() as (master, slave), os.fdopen(os.dup(slave), "rb", buffering=0) as shell:
        one, other = File(os.dup(slave)), File(os.dup(slave))
        one.close()
        assert not os.get_blocking(shell.fileno())
        reading = parked(other.read)
        os.write(master, b"typed\n")
        assert reading.result() == b"typed\n"
        other.close()
        assert os.get_blocking(shell.fileno())


def test_two_files_that_do_not_share(monkeypatch):
    """What only looks the same, as all nameless files do, has a mode of its own."""
    monkeypatch.setattr(_descriptor, "_opened_anew", lambda number: None)
    with terminal() as (one, _), terminal() as (other, _), File(os.dup(other)):
        File(os.dup(one)).close()
        assert os.get_blocking(one)


def test_one_that_was_non_blocking_stays_so():
    reader, writer = os.pipe()
    theirs = os.dup(reader)
    os.set_blocking(reader, False)
    File(reader).close()
    assert not os.get_blocking(theirs)
    for fd in (theirs, writer):
        os.close(fd)


def run_with(code: str, **streams) -> subprocess.Popen:
    """Start a program whose standard streams are those."""
    prelude = "import os, signal, sys, gopoll\nfrom gopoll.os import file, _descriptor\n"
    return subprocess.Popen(
        [sys.executable, "-c", prelude + textwrap.dedent(code)],
        cwd=ROOT,
        env={**os.environ, "GOPOLL_POLLER": ""},
        **streams,
    )


SHARED = "_descriptor._opened_anew = lambda number: None\n"
READ = "stdin = file.stdin()\nstdin.read()\n"


@pytest.mark.parametrize("anew", [True, False])
@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("stdin.close()", 0),
        ("pass", 0),
        ("sys.exit(3)", 3),
        ("1 / 0", 1),
        ("raise KeyboardInterrupt", -signal.SIGINT),
        ("gopoll.go(lambda: 1 / 0); gopoll.gosched()", 0),
    ],
)
def test_a_terminal_after_the_program(ending, status, anew):
    """However it ends, as long as Python still runs; and before, if it can be opened anew."""
    with terminal() as (master, slave):
        code = f"import warnings; warnings.simplefilter('ignore')\n{READ}{ending}\n"
        program = run_with(
            (code if anew else SHARED + code), stdin=slave, stderr=subprocess.DEVNULL
        )
        os.write(master, b"line\n")
        assert gopoll.offload(program.wait) == status
        assert os.get_blocking(slave)


@pytest.mark.skipif(not ON_LINUX, reason="only Linux opens every terminal anew")
def test_a_terminal_after_a_program_that_was_killed():
    with terminal() as (master, slave):
        code = READ + "os.kill(os.getpid(), signal.SIGKILL)"
        program = run_with(code, stdin=slave)
        os.write(master, b"line\n")
        assert gopoll.offload(program.wait) == -signal.SIGKILL
        assert os.get_blocking(slave)


def test_a_forked_child_leaves_the_mode_to_its_parent():
    with terminal() as (_, slave):
        code = f"""
        import warnings; warnings.simplefilter('ignore')
        {SHARED}
        stdin = file.stdin()
        if os.fork() == 0:
            sys.exit()
        os.wait()
        sys.exit(os.get_blocking(0))
        """
        program = run_with(code, stdin=slave)
        assert gopoll.offload(program.wait) == 0
        assert os.get_blocking(slave)


# -- standard streams ----------------------------------------------------------------------------


def test_the_standard_streams_of_a_program_in_a_pipeline():
    code = """
    with file.stdin() as stdin, file.stdout() as stdout:
        while data := stdin.read():
            stdout.write(data.upper())
        print("and print", flush=True)
    """
    program = run_with(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = gopoll.offload(program.communicate, b"shout" * 50_000)
    assert out == b"SHOUT" * 50_000 + b"and print\n"
    assert program.returncode == 0


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_closing_one_leaves_the_stream_open(name):
    before = open_descriptors()
    for _ in range(2):
        with getattr(file, name)() as one:
            assert one.name == name
            assert one.fileno() > 2
    os.fstat(("stdin", "stdout", "stderr").index(name))
    assert open_descriptors() == before


def test_a_stream_that_a_file_stands_for(tmp_path: Path):
    path = tmp_path / "input"
    path.write_bytes(b"from a file")
    code = (
        "file.stdout().write(file.stdin().read()); import warnings; warnings.simplefilter('ignore')"
    )
    with path.open("rb") as stdin:
        program = run_with(code, stdin=stdin, stdout=subprocess.PIPE)
        out, _ = gopoll.offload(program.communicate)
    assert out == b"from a file"


def test_a_program_without_a_stream():
    code = """
    try:
        file.stdin()
    except OSError as exc:
        sys.exit(exc.errno)
    """
    program = run_with(code, preexec_fn=lambda: os.close(0))
    assert gopoll.offload(program.wait) == errno.EBADF


# -- FIFOs ---------------------------------------------------------------------------------------


def test_a_fifo(fifo: Path):
    """Go: TestFifoEOF: neither side of it blocks the thread while it waits for the other."""
    opening = go(file.open_fifo, fifo, "w")
    reader = file.open_fifo(fifo)
    reading = go(lambda: list(reader.makefile("rb")))
    with opening.result() as writer:
        for n in range(3):
            writer.write(b"line %d\n" % n)
    assert reading.result() == [b"line 0\n", b"line 1\n", b"line 2\n"]
    reader.close()


@pytest.mark.skipif(not ON_LINUX, reason="elsewhere the opening waits")
def test_a_reader_who_comes_first_does_not_see_the_end(fifo: Path):
    with file.open_fifo(fifo, "r") as reader:
        reading = parked(reader.read)
        with file.open_fifo(fifo, "w") as writer:
            testing.wait_idle()
            assert not reading.done
            writer.write(b"at last")
            assert reading.result() == b"at last"
        buffer = bytearray(1)
        assert (reader.read(), reader.read_into(buffer)) == (b"", 0)
        again = file.open_fifo(fifo, "w")
        waiting = parked(reader.read)
        again.close()
        assert waiting.result() == b""


@pytest.mark.skipif(not ON_LINUX, reason="elsewhere the opening waits")
def test_a_writer_who_says_nothing(fifo: Path):
    with file.open_fifo(fifo) as reader:
        reading = parked(reader.read)
        file.open_fifo(fifo, "w").close()
        assert reading.result() == b""


def test_a_writer_waits_for_a_reader(fifo: Path):
    opening = go(file.open_fifo, fifo, "wb")
    wait_until(lambda: opening.state == "sleep")
    with file.open_fifo(fifo, "rb") as reader, opening.result() as writer:
        writer.write(b"x")
        assert reader.read() == b"x"


@pytest.mark.skipif(not ON_LINUX, reason="elsewhere a thread waits until there is a reader")
def test_a_writer_who_gives_up(fifo: Path):
    before = open_descriptors()
    for open_it in (file.open_fifo, File.open):
        with pytest.raises(TimeoutError), gopoll.timeout(0.02):
            open_it(fifo, "w")
    assert open_descriptors() == before


def test_what_is_no_fifo(tmp_path: Path, fifo: Path):
    plain = tmp_path / "plain"
    plain.touch()
    for path, mode, error in (
        (plain, "r", OSError),
        (tmp_path, "r", OSError),
        (tmp_path / "nothing", "r", FileNotFoundError),
        (fifo, "r+", ValueError),
        (fifo, "a", ValueError),
        (7.5, "r", TypeError),
    ):
        with pytest.raises(error):
            file.open_fifo(path, mode)


# -- regular files and devices -------------------------------------------------------------------


def test_a_regular_file(tmp_path: Path):
    path = tmp_path / "one"
    with File.open(path, "w+") as one:
        assert one.write(b"written in a thread") == 19
        assert one.seek(0) == 0
        assert one.read(7) == b"written"
        buffer = bytearray(3)
        assert one.read_into(buffer) == 3
        assert (bytes(buffer), one.seek(0, os.SEEK_CUR)) == (b" in", 10)
    with File.open(path, "ab") as one:
        one.write(b"!")
    with File.open(os.fsencode(path)) as one:
        assert one.makefile("r").read() == "written in a thread!"
        assert one.read() == b""
    with pytest.raises(FileExistsError):
        File.open(path, "x")


def test_a_regular_file_does_not_block_the_others(tmp_path: Path, monkeypatch):
    """Reads and writes are offloaded, one after the other."""
    ran = []
    offload = file.offload
    monkeypatch.setattr(file, "offload", lambda call: ran.append(None) or offload(call))
    with File.open(tmp_path / "one", "w+") as one:
        writing = [go(one.write, bytes([n]) * 1000) for n in range(5)]
        assert [g.result() for g in writing] == [1000] * 5
        one.seek(0)
        data = one.read(5000)
    chunks = [data[i : i + 1000] for i in range(0, 5000, 1000)]
    assert sorted(chunks) == [bytes([n]) * 1000 for n in range(5)]  # in whatever order they came
    assert len(ran) == 6


def test_closed_while_a_thread_reads(tmp_path: Path, monkeypatch):
    """The number is not given back under the thread's hands, even if the goroutine gave up."""
    path = tmp_path / "one"
    path.write_bytes(b"content")
    begin, go_on = os.pipe()
    seen = []

    def slow(number, n):
        os.read(begin, 1)
        seen.append(os.read(number, n))
        return seen[0]

    monkeypatch.setattr(file, "os_read", slow)
    one = File.open(path)
    number = one.fileno()
    with pytest.raises(TimeoutError), gopoll.timeout(0.02):
        one.read()
    one.close()
    assert fcntl.fcntl(number, fcntl.F_GETFD) >= 0  # it is still open
    os.write(go_on, b"x")
    wait_until(lambda: seen and not is_open(number))
    assert seen == [b"content"]
    for fd in (begin, go_on):
        os.close(fd)


def test_what_cannot_be_opened(tmp_path: Path):
    before = open_descriptors()
    for path, mode, error in (
        (tmp_path / "nothing", "r", FileNotFoundError),
        (tmp_path, "w", IsADirectoryError),
        (tmp_path / "a" / "b", "w", FileNotFoundError),
        (tmp_path / "x", "rw", ValueError),
        (tmp_path / "x", "rt", ValueError),
        (tmp_path / "x", "", ValueError),
        ("a\0b", "r", ValueError),
        (None, "r", TypeError),
    ):
        with pytest.raises(error):
            File.open(path, mode)
    assert open_descriptors() == before


def test_a_directory():
    with File.open("/") as directory, pytest.raises(IsADirectoryError):
        directory.read()


def test_devices():
    with File.open("/dev/zero", "r+") as zero:
        assert zero.read(5) == bytes(5)
        assert zero.write(bytes(100_000)) == 100_000
    with File.open(os.devnull, "w") as null:
        assert null.write(b"x") == 1
    with File.open("/dev/urandom") as random:
        assert len(random.read(16)) == 16
