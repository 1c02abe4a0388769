"""File objects over connections: every mode, several goroutines on one file, closing."""

import io

import pytest

import gopoll
from gopoll import net
from gopoll.testing import wait_idle
from tests.support.pairs import NETWORKS, attempt, echo, pair

pytestmark = pytest.mark.network

everything = pytest.mark.parametrize("network", NETWORKS)


@pytest.mark.parametrize("buffering", [-1, 0, 1, 7, 1 << 20])
@pytest.mark.parametrize("mode", ["rb", "wb", "rwb"])
@everything
def test_bytes(network, mode, buffering):
    lines = b"first\nsecond\n\nlast, without an end"
    with pair(network) as (a, b):
        file = a.makefile(mode, buffering)
        assert file.readable() == ("r" in mode)
        assert file.writable() == ("w" in mode)
        if "w" in mode:
            reading = gopoll.go(b.read_exactly, len(lines))
            file.writelines(lines.splitlines(keepends=True))
            file.flush()
            assert reading.result(10) == lines
        else:
            with pytest.raises(io.UnsupportedOperation, match="not writable"):
                file.write(b"x")
        if "r" in mode:
            writing = gopoll.go(lambda: (b.write(lines), b.close()))
            assert file.readline() == b"first\n"
            assert file.read(3) == b"sec"
            assert file.readline(2) == b"on"
            assert list(file) == [b"d\n", b"\n", b"last, without an end"]
            assert file.read() == file.readline() == b""
            writing.result(10)
        else:
            with pytest.raises(io.UnsupportedOperation, match="not readable"):
                file.read()
        file.close()
        assert file.closed
        assert not a.closed


@pytest.mark.parametrize("buffering", [-1, 1, 7])
@pytest.mark.parametrize("mode", ["r", "w", "rw"])
@everything
def test_text(network, mode, buffering):
    lines = "grüße\nπ\r\nlast"
    data = lines.encode()
    with pair(network) as (a, b):
        file = a.makefile(mode, buffering, encoding="utf-8", newline="")
        if "w" in mode:
            reading = gopoll.go(b.read_exactly, len(data))
            assert file.write(lines) == len(lines)
            file.flush()
            assert reading.result(10) == data
        if "r" in mode:
            writing = gopoll.go(lambda: (b.write(data), b.close()))
            assert file.readline() == "grüße\n"
            assert file.read(1) == "π"
            assert file.read() == "\r\nlast"
            writing.result(10)
        file.close()


def test_text_takes_encoding_errors_and_newlines():
    with pair("unix") as (a, b):
        file = a.makefile("rw", encoding="ascii", errors="replace", newline="\r\n")
        b.write(b"\xff\r\n")
        assert file.readline() == "\ufffd\r\n"
        file.write("x\n")
        file.flush()
        assert b.read() == b"x\r\n"
        file.close()


def test_line_buffered_text_goes_out_with_each_line():
    with pair("tcp") as (a, b):
        file = a.makefile("w", 1, encoding="utf-8")
        file.write("half")
        file.write(" a line\n")
        assert b.read() == b"half a line\n"
        file.close()


def test_unbuffered_bytes_go_out_at_once_and_buffered_ones_do_not():
    with pair("tcp") as (a, b):
        a.makefile("wb", 0).write(b"now")
        assert b.read() == b"now"
        file = a.makefile("wb")
        file.write(b"later")
        reading = gopoll.go(b.read)
        wait_idle()
        assert not reading.done
        file.flush()
        assert reading.result(10) == b"later"


@pytest.mark.parametrize("mode", ["", "b", "x", "r+", "rr", "a", "rwbx"])
def test_modes_that_do_not_exist(mode):
    with pair("pipe") as (a, _), pytest.raises(ValueError, match="mode"):
        a.makefile(mode)


def test_text_cannot_be_unbuffered():
    with pair("pipe") as (a, _), pytest.raises(ValueError, match="unbuffered"):
        a.makefile("r", 0)


@everything
def test_several_goroutines_read_lines_from_one_file(network):
    """Each line comes out once and whole; the standard library's own buffer would raise."""
    lines = [b"line %d\n" % number for number in range(200)]
    with pair(network) as (a, b):
        file = a.makefile("rb", 64)

        def collect():
            return list(iter(file.readline, b""))

        readers = [gopoll.go(collect) for _ in range(5)]
        wait_idle()
        for line in lines:
            b.write(line[:3])
            b.write(line[3:])
        b.close()
        received = [line for g in readers for line in g.result(10)]
        assert sorted(received) == sorted(lines)


@everything
def test_several_goroutines_write_one_file(network):
    with pair(network) as (a, b):
        file = a.makefile("wb", 100)

        def write(number):
            for _ in range(50):
                file.write(b"%d" % number * 30 + b"\n")
            file.flush()

        reading = gopoll.go(lambda: b.read_exactly(5 * 50 * 31))
        writers = [gopoll.go(write, number) for number in range(5)]
        for g in writers:
            g.result(10)
        received = reading.result(10).splitlines()
        assert sorted(received) == sorted([b"%d" % n * 30 for n in range(5) for _ in range(50)])


@everything
def test_one_reads_while_another_writes_the_same_file(network):
    with pair(network) as (a, b):
        echoing = gopoll.go(echo, b)
        file = a.makefile("rwb")
        reading = gopoll.go(file.readline)
        wait_idle()
        file.write(b"there and back\n")
        file.flush()
        assert reading.result(10) == b"there and back\n"
        file.close()
        a.close()
        echoing.join(10)


@everything
def test_closing_flushes_and_leaves_the_connection_open(network):
    with pair(network) as (a, b):
        reading = gopoll.go(b.read)
        with a.makefile("wb") as file:
            file.write(b"kept back")
        assert reading.result(10) == b"kept back"
        for call in (lambda: file.write(b"x"), file.read, file.readline, lambda: file.read1(1)):
            with pytest.raises(ValueError, match="closed file"):
                call()
        file.close()
        file.flush()
        writing = gopoll.go(a.write, b"open")
        assert b.read() == b"open"
        assert writing.result(10) == 4


def test_what_was_not_flushed_when_the_connection_was_closed():
    """The file can be closed all the same; whoever drops it hears nothing more of it."""
    with pair("tcp") as (a, b):
        file = a.makefile("wb")
        file.write(b"lost")
        a.close()
        with pytest.raises(net.ClosedError):
            file.flush()
        attempt(file.close)
        assert file.closed
        del file
        assert b.read() == b""


@everything
def test_closing_the_connection_wakes_who_reads_its_file(network):
    with pair(network) as (a, _):
        file = a.makefile("rb")
        reading = gopoll.go(attempt, file.readline)
        wait_idle()
        a.close()
        assert isinstance(reading.result(10), net.ClosedError)
        file.close()


@everything
def test_a_timeout_does_not_spoil_the_file(network):
    with pair(network) as (a, b):
        file = a.makefile("rb")
        a.set_read_deadline(0.0)
        with pytest.raises(TimeoutError):
            file.readline()
        a.set_read_deadline(None)
        writing = gopoll.go(b.write, b"in time\n")
        assert file.readline() == b"in time\n"
        assert writing.result(10) == 8


def test_readinto_peek_and_read1():
    with pair("tcp") as (a, b):
        file = a.makefile("rb")
        b.write(b"0123456789")
        assert file.peek(1)[:1] == b"0"
        assert file.read1(3) == b"012"
        buffer = bytearray(4)
        assert file.readinto(buffer) == 4
        assert buffer == b"3456"
        assert file.read1() == b"789"
        assert file.fileno() == a.fileno()


def test_a_pipe_has_no_descriptor():
    with pair("pipe") as (a, _), pytest.raises(OSError):
        a.makefile("rb").fileno()
