"""Packets: borders, senders, sizes; the scenarios of Go's net/udpsock_test.go."""

import errno

import pytest

import gopoll
from gopoll import net
from gopoll.testing import wait_idle
from tests.net.test_listen import needs_ipv6
from tests.support.pairs import attempt, is_open, local_address

pytestmark = pytest.mark.network

both = pytest.mark.parametrize("network", ["udp", "unixgram"])


@both
def test_datagrams_keep_their_borders_and_their_senders(network):
    with (
        local_address(network) as here,
        local_address(network) as there,
        net.listen_packet(network, here) as a,
        net.listen_packet(network, there) as b,
    ):
        reading = gopoll.go(b.read_from)
        wait_idle()
        assert a.write_to(b"one", b.local_addr) == 3
        assert reading.result(10) == (b"one", a.local_addr)
        for data in (b"two", b"", b"three"):
            assert a.write_to(data, str(b.local_addr)) == len(data)
        assert [b.read_from()[0] for _ in range(3)] == [b"two", b"", b"three"]
        b.write_to(b"long", a.local_addr)
        b.write_to(b"next", a.local_addr)
        assert a.read_from(2) == (b"lo", b.local_addr)
        assert a.read_from(2)[0] == b"ne"


@both
def test_each_answer_goes_to_its_sender(network):
    with (
        local_address(network) as here,
        local_address(network) as one,
        local_address(network) as two,
        net.listen_packet(network, here) as server,
        net.listen_packet(network, one) as a,
        net.listen_packet(network, two) as b,
    ):
        for client in (a, a, b, a, b, b):
            client.write_to(b"ask", server.local_addr)
            _, sender = server.read_from()
            server.write_to(b"tell", sender)
            assert client.read_from() == (b"tell", server.local_addr)
        a.write_to(b"ask", server.local_addr)
        _, first = server.read_from()
        b.write_to(b"ask", server.local_addr)
        server.read_from()
        server.write_to(b"late", first)
        assert a.read_from() == (b"late", server.local_addr)


def test_an_empty_datagram_is_no_end():
    """TestUDPZeroBytePayload, TestUDPZeroByteBuffer."""
    with (
        net.listen_packet("udp", "127.0.0.1:0") as server,
        net.dial("udp", str(server.local_addr)) as conn,
    ):
        assert conn.write(b"") == 0
        data, sender = server.read_from()
        assert (data, sender) == (b"", conn.local_addr)
        server.write_to(b"", sender)
        assert conn.read() == b""
        server.write_to(b"after it", sender)
        assert conn.read() == b"after it"
        conn.write(b"lost")
        conn.write(b"kept")
        assert server.read_from(0)[0] == b""
        assert server.read_from()[0] == b"kept"


def test_a_dialled_packet_connection_hears_only_its_peer():
    with (
        net.listen_packet("udp", "127.0.0.1:0") as server,
        net.listen_packet("udp", "127.0.0.1:0") as stranger,
        net.dial("udp", str(server.local_addr)) as conn,
    ):
        assert conn.remote_addr == server.local_addr
        reading = gopoll.go(conn.read)
        wait_idle()
        stranger.write_to(b"noise", conn.local_addr)
        server.write_to(b"signal", conn.local_addr)
        assert reading.result(10) == b"signal"


@needs_ipv6
def test_both_families_on_one_socket():
    """TestIPv4WriteMsgUDPAddrPortTargetAddrIPVersion and kin: v4 peers look like v4 peers."""
    with (
        net.listen_packet("udp", ":0") as dual,
        net.listen_packet("udp4", "127.0.0.1:0") as four,
        net.listen_packet("udp6", "[::1]:0") as six,
    ):
        port = dual.local_addr.port
        for one, host in ((four, "127.0.0.1"), (six, "::1")):
            one.write_to(b"ask", net.join_host_port(host, port))
            assert dual.read_from() == (b"ask", one.local_addr)
            dual.write_to(b"answer", one.local_addr)
            data, sender = one.read_from()
            assert (data, sender.host, sender.port) == (b"answer", host, port)


@needs_ipv6
def test_a_socket_of_one_family_cannot_send_to_the_other():
    with net.listen_packet("udp4", "127.0.0.1:0") as four:
        with pytest.raises(net.AddrError):
            four.write_to(b"x", "[::1]:9")
        four.write_to(b"x", four.local_addr)
        assert four.read_from()[0] == b"x"


@both
def test_close_wakes_a_reader(network):
    """TestPacketConnClose."""
    with local_address(network) as here:
        conn = net.listen_packet(network, here)
        readers = [gopoll.go(attempt, conn.read_from) for _ in range(3)]
        wait_idle()
        number = conn.fileno()
        conn.close()
        assert not is_open(number)
        assert {type(g.result(10)) for g in readers} == {net.ClosedError}


def test_a_datagram_that_is_too_big():
    with net.listen_packet("udp", "127.0.0.1:0") as conn:
        with pytest.raises(OSError) as caught:
            conn.write_to(bytes(70_000), conn.local_addr)
        assert caught.value.errno == errno.EMSGSIZE
        assert conn.write_to(bytes(60_000), conn.local_addr) == 60_000
        assert len(conn.read_from()[0]) == 60_000


def test_unix_packets_of_somebody_without_a_name(tmp_path):
    path = tmp_path / "s"
    with net.listen_packet("unixgram", str(path)) as server:
        with net.dial("unixgram", str(path)) as conn:
            conn.write(b"anonymous")
            assert server.read_from() == (b"anonymous", net.UnixAddr("unixgram", ""))
        with pytest.raises(net.AddrError):
            server.write_to(b"to nobody", "")
    assert not path.exists()
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        net.dial("unixgram", str(path))


@both
def test_many_packets_to_many_readers(network):
    with local_address(network) as here, net.listen_packet(network, here) as conn:
        readers = [gopoll.go(lambda: [conn.read_from()[0] for _ in range(50)]) for _ in range(4)]
        for number in range(200):
            conn.write_to(number.to_bytes(2, "big"), conn.local_addr)
            if number % 8 == 7:
                wait_idle()
        received = [data for g in readers for data in g.result(10)]
        assert sorted(received) == [number.to_bytes(2, "big") for number in range(200)]
