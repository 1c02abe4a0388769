"""Listening: which families an address means, Unix paths, and the options that are really set.

The scenarios of Go's net/listen_test.go and unixsock_test.go.
"""

import errno
import os
import socket
import struct
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from gopoll import net
from tests.support.pairs import pair

pytestmark = pytest.mark.network


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux has it, others do not")


def reaches(address, listener):
    """Whether a client that dials `address` is accepted by `listener`."""
    try:
        conn = net.dial("tcp", address)
    except OSError:
        return False
    with conn, listener.accept() as accepted:
        conn.write(b"x")
        return accepted.read() == b"x"


@needs_ipv6
@pytest.mark.parametrize("network", ["tcp", "tcp4", "tcp6"])
def test_an_empty_host_listens_on_every_interface_of_the_families_asked_for(network):
    """TestDualStackTCPListener, TestWildWildcard."""
    with net.listen(network, ":0") as listener:
        port = listener.addr.port
        assert port
        assert listener.addr.host == ("0.0.0.0" if network == "tcp4" else "::")
        assert reaches(f"127.0.0.1:{port}", listener) == (network != "tcp6")
        assert reaches(f"[::1]:{port}", listener) == (network != "tcp4")


@needs_ipv6
def test_the_peer_of_a_dual_stack_listener_has_a_plain_ipv4_address():
    with net.listen("tcp", ":0") as listener:
        port = listener.addr.port
        with net.dial("tcp", f"127.0.0.1:{port}") as conn, listener.accept() as accepted:
            assert accepted.remote_addr == conn.local_addr
            assert str(accepted.local_addr) == f"127.0.0.1:{port}"


@needs_ipv6
def test_an_address_of_one_family_leaves_the_other_free():
    """TestDualStackTCPListener, the rows with one address."""
    with net.listen("tcp", "[::1]:0") as six:
        port = six.addr.port
        assert str(six.addr) == f"[::1]:{port}"
        with net.listen("tcp", f"127.0.0.1:{port}") as four:
            assert reaches(f"127.0.0.1:{port}", four)
            assert reaches(f"[::1]:{port}", six)
        with pytest.raises(OSError) as caught:
            net.listen("tcp", f"[::1]:{port}")
        assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize(
    ("network", "address"), [("tcp6", "127.0.0.1:0"), ("tcp4", "[::1]:0"), ("udp4", "[::1]:0")]
)
def test_an_address_of_the_wrong_family(network, address):
    listen = net.listen if network.startswith("tcp") else net.listen_packet
    with pytest.raises(net.AddrError, match="no suitable address"):
        listen(network, address)


def test_a_name_to_listen_on():
    with net.listen("tcp", "localhost:0") as listener:
        assert listener.addr.host == "127.0.0.1"
        assert reaches(str(listener.addr), listener)


def test_an_address_in_use():
    with net.listen("tcp", "127.0.0.1:0") as listener:
        address = str(listener.addr)
        with pytest.raises(OSError, match=r"127\.0\.0\.1:") as caught:
            net.listen("tcp", address)
        assert caught.value.errno == errno.EADDRINUSE
        assert reaches(address, listener)


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="no SO_REUSEPORT here")
def test_listeners_that_share_a_port():
    with net.listen("tcp", "127.0.0.1:0", reuse_port=True) as first:
        with net.listen("tcp", str(first.addr), reuse_port=True) as second:
            assert second.addr == first.addr
        with pytest.raises(OSError):
            net.listen("tcp", str(first.addr))


@contextmanager
def option_of(owner):
    """Ask a copy of the descriptor: what the kernel says, not what gopoll believes."""
    with socket.socket(fileno=os.dup(owner.fileno())) as sock:
        yield sock.getsockopt


def keep_alive_of(conn):
    idle = getattr(socket, "TCP_KEEPIDLE", None) or socket.TCP_KEEPALIVE
    with option_of(conn) as option:
        on = option(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        names = (idle, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        return bool(on), *(option(socket.IPPROTO_TCP, name) for name in names)


def test_the_defaults_of_a_tcp_connection():
    with pair("tcp") as ends:
        for conn in ends:
            on, idle, interval, _ = keep_alive_of(conn)
            assert (on, idle, interval) == (True, 15, 15)
            with option_of(conn) as option:
                assert option(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not os.get_inheritable(conn.fileno())
            assert not os.get_blocking(conn.fileno())


def test_options_that_are_set():
    with pair("tcp") as (conn, _):
        conn.set_no_delay(False)
        with option_of(conn) as option:
            assert not option(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        conn.set_no_delay(True)
        with option_of(conn) as option:
            assert option(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        conn.set_keep_alive(True, idle=30, interval=2.5, count=4)
        assert keep_alive_of(conn) == (True, 30, 3, 4)
        conn.set_keep_alive(False)
        assert not keep_alive_of(conn)[0]


def test_a_unix_connection_has_no_tcp_options():
    with pair("unix") as (conn, _):
        with pytest.raises(OSError):
            conn.set_no_delay(True)
        conn.write(b"x")


def test_the_options_of_listeners_and_packet_sockets():
    with net.listen("tcp", "127.0.0.1:0") as listener, option_of(listener) as option:
        assert option(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert not os.get_inheritable(listener.fileno())
    with net.listen_packet("udp", "127.0.0.1:0") as conn, option_of(conn) as option:
        assert option(socket.SOL_SOCKET, socket.SO_BROADCAST)
        assert not option(socket.SOL_SOCKET, socket.SO_REUSEADDR)


@needs_linux
@pytest.mark.parametrize("backlog", [None, 7, 0])
def test_the_backlog(backlog):
    """The kernel tells it in the place where a connection's TCP_INFO counts lost segments."""
    expected = int(Path("/proc/sys/net/core/somaxconn").read_text())
    with (
        net.listen("tcp", "127.0.0.1:0", backlog=backlog) as listener,
        option_of(listener) as option,
    ):
        told = struct.unpack_from("I", option(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 28)[0]
    assert told == (expected if backlog is None else backlog)


def test_a_unix_listener_makes_its_path_and_removes_it(tmp_path):
    """TestUnixUnlink."""
    path = tmp_path / "s"
    listener = net.listen("unix", str(path))
    assert path.is_socket()
    assert listener.addr == net.UnixAddr("unix", str(path))
    with net.dial("unix", str(listener.addr)) as a, listener.accept() as b:
        assert a.remote_addr == b.local_addr == listener.addr
        assert b.remote_addr.path == ""
        listener.close()
        assert not path.exists()
        path.write_text("somebody else's by now")
        with pytest.raises(net.ClosedError):
            listener.close()
        assert path.exists()
        a.write(b"x")
        assert b.read() == b"x"


def test_a_unix_listener_whose_path_was_removed(tmp_path):
    path = tmp_path / "s"
    with net.listen("unix", str(path)) as listener:
        path.unlink()
    assert listener.closed


@needs_linux
def test_an_abstract_name():
    name = f"@gopoll-test-{os.getpid()}"
    with net.listen("unix", name) as listener:
        assert str(listener.addr) == name
        assert not Path(name).exists()
        with net.dial("unix", str(listener.addr)) as a, listener.accept() as b:
            assert str(a.remote_addr) == name
            b.write(b"x")
            assert a.read() == b"x"
        with pytest.raises(OSError) as caught:
            net.listen("unix", name)
        assert caught.value.errno == errno.EADDRINUSE
    with net.listen("unix", name):
        pass


@pytest.mark.parametrize("call", [net.listen, net.dial, net.listen_packet])
def test_a_path_that_is_too_long(call, tmp_path):
    network = "unixgram" if call is net.listen_packet else "unix"
    with pytest.raises(OSError, match="too long"):
        call(network, str(tmp_path / ("x" * 200)))


def test_a_path_that_is_a_file(tmp_path):
    """It is not a socket, so it is neither listened on nor dialled nor removed."""
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(OSError) as caught:
        net.listen("unix", str(path))
    assert caught.value.errno == errno.EADDRINUSE
    with pytest.raises(ConnectionRefusedError):
        net.dial("unix", str(path))
    assert path.read_text() == "mine"
