"""Pipes as files with deadlines and safe close; Go's os pipe and timeout scenarios."""

import errno
import gc
import io
import os
import socket
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest

import gopoll
from gopoll import go, net, testing
from gopoll.os import file
from gopoll.os.file import File
from tests.support.pairs import PAST, attempt, fill, is_open, open_descriptors
from tests.support.parking import in_thread, parked
from tests.support.script import ROOT, run_script

pytestmark = pytest.mark.network

LINES = [b"line %d\n" % n for n in range(3)]


@pytest.fixture
def clock():
    with testing.fake_clock(0.0) as one:
        yield one


@pytest.fixture
def ends():
    """Both ends of a pipe, closed afterwards if they are not by then."""
    reader, writer = file.pipe()
    yield reader, writer
    for end in (reader, writer):
        if not end.closed:
            end.close()


@pytest.fixture
def regular():
    with tempfile.TemporaryFile() as one:
        os.write(one.fileno(), b"content")
        os.lseek(one.fileno(), 0, os.SEEK_SET)
        with File(os.dup(one.fileno()), "regular") as opened:
            yield opened


def read_all(reader) -> bytes:
    return b"".join(iter(reader.read, b""))


def test_a_pipe(ends):
    reader, writer = ends
    reading = parked(reader.read)
    assert writer.write(b"hello") == 5
    assert reading.result() == b"hello"
    writer.write(bytearray(b"and more"))
    assert reader.read(3) == b"and"
    buffer = bytearray(3)
    assert reader.read_into(buffer) == 3
    assert bytes(buffer) == b" mo"
    assert reader.read(0) == b""
    assert reader.read() == b"re"
    writer.close()
    assert (reader.read(), reader.read_into(buffer)) == (b"", 0)


def test_more_than_a_pipe_holds(ends):
    reader, writer = ends
    data = os.urandom(1 << 20)
    reading = go(read_all, reader)
    assert writer.write(data) == len(data)
    writer.close()
    assert reading.result() == data


def test_whole_writes_do_not_interleave(ends):
    reader, writer = ends
    writers = [go(writer.write, bytes([n]) * 200_000) for n in range(5)]
    reading = go(read_all, reader)
    for g in writers:
        g.result()
    writer.close()
    got = reading.result()
    assert [got[i] for i in range(0, 1_000_000, 200_000)] == list(dict.fromkeys(got))


def test_the_end_of_a_pipe(ends):
    """Go: TestPipeEOF."""
    reader, writer = ends
    lines = reader.makefile("rb")

    def talk():
        for line in LINES:
            writer.write(line)
            testing.wait_idle()
        writer.close()

    talking = go(talk)
    assert [lines.readline() for _ in LINES] == LINES
    assert lines.readline() == b""
    talking.result()


def test_a_pipe_that_nobody_reads(ends):
    """Go: TestEPIPE: an error at each write, and no signal."""
    reader, writer = ends
    reader.close()
    for _ in range(20):
        with pytest.raises(BrokenPipeError):
            writer.write(b"hi")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_standard_stream_that_nobody_reads(stream):
    """Go: TestStdPipe, as far as Python goes: an exception where Go's programs end."""
    reader, writer = os.pipe()
    os.close(reader)
    code = f"""
    import os
    from gopoll.os import file
    with file.{stream}() as stream:
        try:
            stream.write(b"x")
        except BrokenPipeError:
            os._exit(7)
    """
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(line[4:] for line in code.splitlines())],
        cwd=ROOT,
        env={**os.environ, "GOPOLL_POLLER": ""},
        **{stream: writer},
    )
    os.close(writer)
    assert done.returncode == 7


def test_closed_while_somebody_reads(ends):
    """Go: TestClosedPipeRaceRead, TestCloseWithBlockingRead."""
    reader, _ = ends
    reading = [parked(attempt, reader.read), parked(attempt, reader.read)]
    number = reader.fileno()
    reader.close()
    assert not is_open(number)
    for g in reading:
        assert repr(g.result()) == "ClosedError(9, 'use of closed file')"


def test_closed_while_somebody_writes(ends):
    """Go: TestClosedPipeRaceWrite."""
    _, writer = ends
    writing = parked(attempt, writer.write, bytes(1 << 20))
    writer.close()
    error = writing.result()
    assert str(error) == "[Errno 9] use of closed file"
    assert 0 < error.written < 1 << 20


def test_closed_by_another_thread(ends):
    reader, _ = ends
    reading = parked(attempt, reader.read)
    in_thread(reader.close)
    assert isinstance(reading.result(), net.ClosedError)


def test_everything_after_close_says_so(ends, regular):
    for one in (*ends, regular):
        one.close()
        assert one.closed
        assert one.fileno() == -1
        for call in (
            one.read,
            lambda one=one: one.read(0),
            lambda one=one: one.read_into(bytearray(1)),
            lambda one=one: one.read_into(bytearray()),
            lambda one=one: one.write(b"x"),
            lambda one=one: one.seek(0),
            lambda one=one: one.set_deadline(None),
            one.close,
        ):
            with pytest.raises(net.ClosedError, match="use of closed file") as caught:
                call()
            assert caught.value.errno == errno.EBADF


def test_the_wrong_direction(ends):
    reader, writer = ends
    with pytest.raises(OSError, match="Bad file descriptor"):
        reader.write(b"x")
    with pytest.raises(OSError, match="Bad file descriptor"):
        writer.read()


def test_bad_input(ends):
    reader, writer = ends
    for call, error in (
        (lambda: reader.read(-1), ValueError),
        (lambda: reader.read_into(b"bytes"), TypeError),
        (lambda: reader.read_into("text"), TypeError),
        (lambda: writer.write("text"), TypeError),
        (lambda: reader.set_deadline("soon"), TypeError),
        (lambda: reader.seek(0), OSError),
        (lambda: reader.makefile("q"), ValueError),
    ):
        with pytest.raises(error):
            call()
    writer.write(b"unharmed")
    assert reader.read() == b"unharmed"


# -- deadlines ---------------------------------------------------------------------------------


def test_read_deadlines(ends, clock):
    """Go: TestReadTimeout, TestReadTimeoutFluctuation: one that has passed wins over data."""
    reader, writer = ends
    writer.write(b"READ TIMEOUT TEST")
    reader.set_read_deadline(PAST)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            reader.read(1)
    reader.set_read_deadline(5.0)
    assert reader.read() == b"READ TIMEOUT TEST"
    reading = parked(attempt, reader.read)
    clock.advance(4.9)
    testing.wait_idle()
    assert not reading.done
    clock.advance(0.1)
    assert isinstance(reading.result(), TimeoutError)


def test_write_deadlines(ends, clock):
    """Go: TestWriteTimeout, TestWriteTimeoutFluctuation."""
    _, writer = ends
    writer.set_write_deadline(PAST)
    with pytest.raises(TimeoutError) as caught:
        writer.write(b"WRITE TIMEOUT TEST")
    assert caught.value.written == 0
    writer.set_write_deadline(5.0)
    assert writer.write(b"WRITE TIMEOUT TEST") == 18
    writing = parked(fill, writer)
    clock.advance(5.0)
    assert isinstance(writing.result(), TimeoutError)


@pytest.mark.parametrize("way", ["read", "write"])
def test_a_deadline_that_was_removed(ends, way):
    """Go: TestReadTimeoutMustNotReturn, TestWriteTimeoutMustNotReturn."""
    reader, writer = ends
    mine, other = (reader, writer) if way == "read" else (writer, reader)
    mine.set_deadline(PAST)
    (mine.set_read_deadline if way == "read" else mine.set_write_deadline)(None)
    waiting = parked(attempt, reader.read) if way == "read" else parked(fill, writer)
    other.close()
    outcome = waiting.result()
    assert outcome == b"" if way == "read" else isinstance(outcome, BrokenPipeError)


@pytest.mark.parametrize("seconds", [1e-9, 1e-7, 1e-6, 2.5e-5, 5e-4, 5e-3])
def test_various_deadlines(ends, seconds):
    """Go: TestVariousDeadlines: against somebody who writes without end."""
    reader, writer = ends
    writing = go(fill, writer)
    reader.set_deadline(gopoll.time.now() + seconds)
    with pytest.raises(TimeoutError):
        read_all(reader)
    reader.close()
    assert isinstance(writing.result(), BrokenPipeError)


def test_deadlines_that_change_while_both_sides_work(ends):
    """Go: TestReadWriteDeadlineRace, TestRacyRead, TestRacyWrite: timeouts, and nothing else.

    A buffer is its owner's again as soon as the read into it has ended.
    """
    reader, writer = ends
    unexpected = []

    def repeat(call):
        for _ in range(100):
            result = attempt(call)
            if isinstance(result, Exception) and not isinstance(result, TimeoutError):
                unexpected.append(result)

    def move():
        for _ in range(100):
            soon = gopoll.time.now() + 2e-6
            reader.set_read_deadline(soon)
            writer.set_write_deadline(soon)
            gopoll.gosched()

    def into():
        buffer = bytearray(1024)
        try:
            got = reader.read_into(buffer)
            assert set(buffer[:got]) <= {7}
        finally:
            buffer[:] = bytes(1024)

    working = [go(repeat, into) for _ in range(10)]
    working += [go(repeat, lambda: writer.write(b"\7" * 1024)) for _ in range(10)]
    moving = [go(move) for _ in range(3)]
    for g in moving:
        g.result()
    reader.set_deadline(PAST)
    writer.set_deadline(PAST)
    for g in working:
        g.result()
    assert not unexpected


def test_what_cannot_be_waited_for_has_no_deadline(regular):
    """Go: TestNonpollableDeadline."""
    for setter in (regular.set_deadline, regular.set_read_deadline, regular.set_write_deadline):
        with pytest.raises(io.UnsupportedOperation, match="does not support deadlines"):
            setter(PAST)
    assert regular.read() == b"content"


# -- life --------------------------------------------------------------------------------------


def test_whoever_forgets_to_close_is_told():
    reader, writer = file.pipe()
    numbers = reader.fileno(), writer.fileno()
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        del reader, writer
        gc.collect()
    assert sorted(str(w.message) for w in complaints) == [
        f"unclosed <File '|0' {numbers[0]}>",
        f"unclosed <File '|1' {numbers[1]}>",
    ]
    assert not any(map(is_open, numbers))


def test_blocks_and_names(tmp_path: Path):
    with File.open(tmp_path / "x", "w") as one:
        assert repr(one) == f"<File {str(tmp_path / 'x')!r} {one.fileno()}>"
    assert one.closed
    assert repr(one).endswith(" closed>")
    with File(os.open(os.devnull, os.O_RDONLY)) as null:
        assert null.name == f"<fd {null.fileno()}>"
        assert null.read() == b""


def test_what_is_refused_stays_with_its_owner():
    before = open_descriptors()
    for bad in (-1, "0", 1 << 20, None, 1.5):
        with pytest.raises((TypeError, ValueError, OSError)):
            File(bad)
    gc.collect()
    assert open_descriptors() == before


def test_a_socket_keeps_its_mode():
    left, right = socket.socketpair()
    with right:
        with File(left.detach()) as one:
            assert os.get_blocking(one.fileno())
            reading = parked(one.read)
            right.sendall(b"over a socket")
            assert reading.result() == b"over a socket"
            assert one.write(b"back") == 4
            writing = parked(fill, one)
            one.set_write_deadline(PAST)
            assert isinstance(writing.result(), TimeoutError)
        assert right.recv(4) == b"back"


def test_a_socket_in_a_program_whose_sockets_have_a_timeout():
    """It is for those that the program makes, and would stop the whole thread here."""
    left, right = socket.socketpair()
    number = left.detach()
    socket.setdefaulttimeout(0.01)
    try:
        with right, File(number) as f:
            assert os.get_blocking(number)
            reading = parked(f.read)
            right.send(b"there")
            assert reading.result() == b"there"
    finally:
        socket.setdefaulttimeout(None)


def test_on_a_descriptor_that_is_non_blocking_already():
    """Go: TestReadNonblockingFd: it waits."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with File(reader) as one, File(writer) as other:
        reading = parked(one.read)
        other.write(b"x")
        assert reading.result() == b"x"


def test_many_files_in_one_select_of_goroutines():
    pipes = [file.pipe() for _ in range(50)]
    reading = [parked(reader.read) for reader, _ in pipes]
    for n, (_, writer) in enumerate(pipes):
        writer.write(b"%d" % n)
    assert [g.result() for g in reading] == [b"%d" % n for n in range(50)]
    for ends in pipes:
        for one in ends:
            one.close()


def test_a_wait_for_a_file_is_no_deadlock():
    done = run_script(
        """
        import os, threading, gopoll
        from gopoll.os import file
        def main():
            reader, writer = file.pipe()
            with reader, writer:
                try:
                    with gopoll.timeout(0.05):
                        reader.read()
                except TimeoutError:
                    print("waited")
        gopoll.run(main)
        """
    )
    assert (done.stdout, done.stderr) == ("waited\n", "")
