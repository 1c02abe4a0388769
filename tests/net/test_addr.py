"""Addresses: splitting, joining, ports, and what the kernel's addresses look like."""

import socket

import pytest

from gopoll import net
from gopoll.net.addr import from_sockaddr, literal_family, parse_port, unix_sockaddr

GOOD = [
    ("127.0.0.1:80", "127.0.0.1", "80"),
    ("localhost:http", "localhost", "http"),
    ("[::1]:80", "::1", "80"),
    ("[fe80::1%lo0]:80", "fe80::1%lo0", "80"),
    ("[localhost]:80", "localhost", "80"),
    (":80", "", "80"),
    ("[]:80", "", "80"),
    ("host:", "host", ""),
    (":", "", ""),
    ("[::1]:", "::1", ""),
]


@pytest.mark.parametrize(("address", "host", "port"), GOOD)
def test_split(address, host, port):
    """TestSplitHostPort."""
    assert net.split_host_port(address) == (host, port)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("", "missing port"),
        ("127.0.0.1", "missing port"),
        ("[::1]", "missing port"),
        ("[::1", "missing ']'"),
        ("[::1:80", "missing ']'"),
        ("[::1]80", "after ']'"),
        ("[::1]]:80", "after ']'"),
        ("[[::1]:80", "unexpected bracket"),
        ("::1:80", "too many colons"),
        ("127.0.0.1:80:90", "too many colons"),
        ("[::1]:80:90", "too many colons"),
        ("::1]:80", "too many colons"),
        ("host]:80", "unexpected bracket"),
        ("ho[st:80", "unexpected bracket"),
        ("host:8[0", "unexpected bracket"),
        ("[host]:8]0", "unexpected bracket"),
    ],
)
def test_split_what_cannot_be_split(address, reason):
    with pytest.raises(net.AddrError, match=reason) as caught:
        net.split_host_port(address)
    assert repr(address) in str(caught.value)


@pytest.mark.parametrize("address", [None, 80, b"127.0.0.1:80", ("127.0.0.1", 80)])
def test_split_what_is_no_string(address):
    with pytest.raises(TypeError, match="string"):
        net.split_host_port(address)


@pytest.mark.parametrize(
    ("host", "port", "address"),
    [
        ("127.0.0.1", 80, "127.0.0.1:80"),
        ("localhost", "http", "localhost:http"),
        ("::1", 80, "[::1]:80"),
        ("fe80::1%lo0", "80", "[fe80::1%lo0]:80"),
        ("", 0, ":0"),
    ],
)
def test_join(host, port, address):
    """TestJoinHostPort; and splitting gives back what was joined."""
    assert net.join_host_port(host, port) == address
    assert net.split_host_port(address) == (host, str(port))


@pytest.mark.parametrize(
    ("network", "port", "number"),
    [
        ("tcp", "80", 80),
        ("tcp4", "0", 0),
        ("udp", "65535", 65535),
        ("tcp", "", 0),
        ("tcp", "007", 7),
    ],
)
def test_ports(network, port, number):
    assert parse_port(network, port) == number


def test_ports_that_are_names_of_services():
    try:
        http = socket.getservbyname("http", "tcp")
    except OSError:
        pytest.skip("this machine knows no services")
    assert parse_port("tcp6", "http") == http


@pytest.mark.parametrize("port", ["65536", "99999999999999999999"])
def test_ports_out_of_range(port):
    with pytest.raises(net.AddrError, match="out of range"):
        parse_port("tcp", port)


@pytest.mark.parametrize(
    "port", ["-1", "+80", " 80", "8 0", "80.0", "0x50", "no-such-service", "٣"]
)
def test_ports_that_are_none(port):
    with pytest.raises(net.AddrError, match="unknown port"):
        parse_port("tcp", port)


@pytest.mark.parametrize(
    ("host", "family"),
    [
        ("127.0.0.1", socket.AF_INET),
        ("::1", socket.AF_INET6),
        ("::ffff:127.0.0.1", socket.AF_INET6),
        ("fe80::1%lo0", socket.AF_INET6),
        ("localhost", None),
        ("127.1", None),
        ("127.0.0.1 ", None),
        ("127.0.0.256", None),
        ("", None),
        ("a\0b", None),
        ("ü", None),
    ],
)
def test_numeric_hosts(host, family):
    assert literal_family(host) == family


@pytest.mark.parametrize(
    ("sockaddr", "text"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 80, 0, 0), "[::1]:80"),
        (("::ffff:10.1.2.3", 80, 0, 0), "10.1.2.3:80"),
        (("::ffff:1:2", 80, 0, 0), "[::ffff:1:2]:80"),
        (("fe80::1", 80, 0, 999_999), "[fe80::1%999999]:80"),
        (("fe80::1%lo", 80, 0, 1), "[fe80::1%lo]:80"),
    ],
)
def test_what_the_kernel_calls_an_internet_address(sockaddr, text):
    address = from_sockaddr("tcp4", sockaddr)
    assert str(address) == text
    assert address.network == "tcp"
    assert net.split_host_port(str(address)) == (address.host, str(address.port))


@pytest.mark.parametrize(
    ("sockaddr", "path"),
    [
        ("/tmp/s", "/tmp/s"),
        ("", ""),
        (None, ""),
        pytest.param(b"\0name", "@name", id="bytes"),
        ("\0name", "@name"),
        (b"/tmp/\xff", "/tmp/\udcff"),
    ],
)
def test_what_the_kernel_calls_a_unix_address(sockaddr, path):
    address = from_sockaddr("unix", sockaddr)
    assert address == net.UnixAddr("unix", path)
    assert str(address) == path


def test_unix_paths():
    assert unix_sockaddr("/tmp/s") == "/tmp/s"
    assert unix_sockaddr("@name") == "\0name"
    for path in ("", "a\0b", "@a\0b"):
        with pytest.raises(net.AddrError):
            unix_sockaddr(path)
    with pytest.raises(TypeError, match="string"):
        unix_sockaddr(b"/tmp/s")


def test_addresses_are_values():
    address = net.InetAddr("tcp", "::1", 80)
    assert address == net.InetAddr("tcp", "::1", 80)
    assert len({address, net.InetAddr("tcp", "::1", 80), net.InetAddr("udp", "::1", 80)}) == 2
    with pytest.raises(AttributeError):
        address.port = 81


def test_lookup_of_a_numeric_host_asks_nobody():
    """TestLookupNullByte, and literals as they are."""
    assert net.lookup_host("127.0.0.1") == ["127.0.0.1"]
    assert net.lookup_host("::1") == ["::1"]


@pytest.mark.network
def test_lookup_of_a_name():
    found = net.lookup_host("localhost")
    assert set(found) <= {"127.0.0.1", "::1"}
    assert found
    assert len(found) == len(set(found))


@pytest.mark.network
@pytest.mark.parametrize("name", ["", "a\0b", "x" * 300, "a..b", ".", "-\udcff-"])
def test_lookup_of_what_is_no_name(name):
    with pytest.raises((socket.gaierror, net.AddrError, ValueError)):
        net.lookup_host(name)


@pytest.mark.parametrize("name", [None, 1, b"localhost"])
def test_lookup_of_what_is_no_string(name):
    with pytest.raises(TypeError, match="string"):
        net.lookup_host(name)
