"""What every connection must do, whatever carries it: the scenarios of x/net's nettest.TestConn."""

import random
from contextlib import suppress

import pytest

import gopoll
from gopoll import net, time
from gopoll.testing import fake_clock, wait_idle
from tests.support.pairs import NETWORKS, PAST, attempt, echo, fill, pair, roundtrip

pytestmark = [pytest.mark.network, pytest.mark.parametrize("network", NETWORKS)]


def copy_in(conn, data):
    for start in range(0, len(data), 1024):
        conn.write(data[start : start + 1024])
    conn.close()


def copy_out(conn):
    received = bytearray()
    while data := conn.read(1024):
        received += data
    return bytes(received)


def flood(conn):
    with suppress(OSError):
        while True:
            conn.write(bytes(1024))


def resync(conn):
    """Find the end of what is still on its way back from an `echo`."""
    conn.set_deadline(None)
    mark = gopoll.go(conn.write, b"\xff")
    while not conn.read(1024).endswith(b"\xff"):
        pass
    mark.join()


def test_a_megabyte_arrives_whole_and_then_the_end(network):
    """BasicIO."""
    sent = random.Random(0).randbytes(1 << 20)
    with pair(network) as (a, b):
        writing = gopoll.go(copy_in, a, sent)
        assert copy_out(b) == sent
        assert b.read() == b""
        writing.result(10)


def test_both_ends_take_turns(network):
    """PingPong."""

    def play(conn):
        seen = []
        with suppress(EOFError), conn:
            while True:
                number = int.from_bytes(conn.read_exactly(8), "little")
                seen.append(number)
                if number >= 1000:
                    return seen
                conn.write((number + 1).to_bytes(8, "little"))
        return seen

    with pair(network) as (a, b):
        players = [gopoll.go(play, a), gopoll.go(play, b)]
        a.write(bytes(8))
        odd, even = (player.result(30) for player in players)
    assert odd == list(range(1, 1000, 2))
    assert even == list(range(0, 1001, 2))


def test_reads_that_race_with_deadlines_lose_and_double_nothing(network):
    """RacyRead: ten readers, one stream, and a deadline that comes and goes."""
    stream = random.Random(1).randbytes(1 << 20)
    dice = random.Random(2)
    pieces = []

    def read(conn):
        buffer = bytearray(1024)
        for _ in range(40):
            try:
                n = conn.read_into(buffer)
            except TimeoutError:
                conn.set_read_deadline(None)
            else:
                pieces.append(bytes(buffer[:n]))
            buffer[:] = bytes(1024)  # whatever was cancelled must not write here any more

    def meddle(conn):
        while not all(reader.done for reader in readers):
            conn.set_read_deadline(dice.choice((PAST, None, time.now() + 1e-4)))
            for _ in range(dice.randrange(4)):
                gopoll.gosched()

    with pair(network) as (a, b):
        writing = gopoll.go(attempt, copy_in, b, stream)
        readers = [gopoll.go(read, a) for _ in range(10)]
        meddle(a)
        for reader in readers:
            reader.result(10)
        a.close()
        writing.join(10)
    places = sorted((stream.find(piece), len(piece)) for piece in pieces)
    assert pieces
    end = 0
    for start, length in places:
        assert start == end
        end += length


def test_writes_that_race_with_deadlines_say_how_much_went_out(network):
    """RacyWrite: ten writers; what each says it wrote is what arrives, and nothing interleaves."""
    dice = random.Random(3)
    log = []

    def write(conn, number):
        for index in range(40):
            block = bytes((number, index)) * 512
            try:
                written = conn.write(block)
            except TimeoutError as exc:
                written = exc.written
                conn.set_write_deadline(None)
            log.append(block[:written])

    with pair(network) as (a, b):
        reading = gopoll.go(copy_out, b)
        writers = [gopoll.go(write, a, number) for number in range(10)]
        while not all(writer.done for writer in writers):
            a.set_write_deadline(dice.choice((PAST, None, time.now() + 1e-4)))
            for _ in range(dice.randrange(4)):
                gopoll.gosched()
        for writer in writers:
            writer.result(10)
        a.close()
        received = reading.result(10)
    assert received == b"".join(log)
    assert received


def test_a_read_deadline_leaves_writes_alone(network):
    """ReadTimeout."""
    with pair(network) as (a, b):
        reading = gopoll.go(attempt, copy_out, b)
        a.set_read_deadline(PAST)
        with pytest.raises(TimeoutError):
            a.read(1024)
        assert a.write(bytes(1024)) == 1024
        a.close()
        assert reading.result(10) == bytes(1024)


def test_a_write_deadline_leaves_reads_alone(network):
    """WriteTimeout."""
    with pair(network) as (a, b):
        flooding = gopoll.go(flood, b)
        a.set_write_deadline(PAST)
        with pytest.raises(TimeoutError) as caught:
            a.write(bytes(1024))
        assert caught.value.written == 0
        assert a.read(1024)
        a.close()
        flooding.result(10)


def test_a_deadline_in_the_past_ends_calls_at_once_and_can_be_lifted(network):
    """PastTimeout."""
    with pair(network) as (a, b):
        echoing = gopoll.go(echo, b)
        roundtrip(a)
        a.set_deadline(PAST)
        for _ in range(2):  # it is sticky
            with pytest.raises(TimeoutError) as caught:
                a.write(bytes(1024))
            assert caught.value.written == 0
            with pytest.raises(TimeoutError):
                a.read(1024)
            with pytest.raises(TimeoutError):
                a.read_into(bytearray(10))
        roundtrip(a)
        a.close()
        assert echoing.result(10) == 2 * len(b"Hello, world!")


def test_a_deadline_in_the_past_wakes_who_waits(network):
    """PresentTimeout."""
    with pair(network) as (a, _):
        reading = gopoll.go(attempt, a.read, 1024)
        writing = gopoll.go(fill, a)
        wait_idle()
        assert not reading.done
        assert not writing.done
        a.set_read_deadline(PAST)
        assert isinstance(reading.result(10), TimeoutError)
        wait_idle()
        assert not writing.done
        a.set_write_deadline(PAST)
        assert isinstance(writing.result(10), TimeoutError)


def test_a_deadline_in_the_future_ends_both_directions_then_and_not_before(network):
    """FutureTimeout."""
    with fake_clock() as clock, pair(network) as (a, b):
        a.set_deadline(time.now() + 0.1)
        reading = gopoll.go(attempt, a.read, 1024)
        writing = gopoll.go(fill, a)
        clock.advance(0.099)
        assert not reading.done
        assert not writing.done
        clock.advance(0.002)
        assert isinstance(reading.result(), TimeoutError)
        assert isinstance(writing.result(), TimeoutError)
        echoing = gopoll.go(echo, b)
        resync(a)
        roundtrip(a)
        a.close()
        echoing.join()


def test_closing_ends_calls_in_progress(network):
    """CloseTimeout."""

    def keep_reading(conn):
        try:
            while conn.read(1024):
                pass
        except OSError as exc:
            return exc

    with pair(network) as (a, b):
        echoing = gopoll.go(echo, b)
        a.set_deadline(time.now() + 1000)
        reading = gopoll.go(keep_reading, a)
        writing = gopoll.go(fill, a)
        for _ in range(50):
            gopoll.gosched()
        assert not reading.done
        assert not writing.done
        a.close()
        assert isinstance(reading.result(10), net.ClosedError)
        assert isinstance(writing.result(10), net.ClosedError)
        b.close()
        echoing.join(10)


def test_all_methods_at_once(network):
    """ConcurrentMethods: the outcomes may be nonsense, but the connection survives them."""
    with fake_clock() as clock, pair(network) as (a, b):
        echoing = gopoll.go(echo, b)
        outcomes = []
        for _ in range(100):
            outcomes += [
                gopoll.go(attempt, a.read, 1024),
                gopoll.go(attempt, a.write, bytes(1024)),
                gopoll.go(a.set_deadline, time.now() + 0.01),
                gopoll.go(a.set_read_deadline, PAST),
                gopoll.go(a.set_write_deadline, PAST),
                gopoll.go(lambda: str(a.local_addr)),
                gopoll.go(lambda: str(a.remote_addr)),
            ]
        clock.advance(0.02)
        failures = [g.result() for g in outcomes if isinstance(g.result(), Exception)]
        assert all(type(exc) is TimeoutError for exc in failures)
        resync(a)
        roundtrip(a)
        a.close()
        echoing.join()
