"""The contract of a poller, for each kind that this machine has."""

import os
import resource
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from gopoll.runtime.poller import available_pollers
from gopoll.runtime.poller.base import HANGUP, READ, READ_WRITE, WRITE, Events, Poller
from gopoll.runtime.poller.epoll import Epoll, EpollLevel
from gopoll.runtime.poller.kqueue import Kqueue
from gopoll.runtime.poller.poll import Poll
from gopoll.runtime.poller.select import Select
from tests.support.script import run_script

_LONG = 30.0  # a wait that is meant to end early


class Stub:
    """A target that does nothing but be told apart."""

    def __init__(self, name: str = "stub") -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name

    def deliver(self, modes: int) -> None:
        raise AssertionError(modes)

    def evict(self) -> None:
        raise AssertionError


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        a = socket.create_connection(server.getsockname())
        b, _ = server.accept()
    with a, b:
        for end in (a, b):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield a, b


def harvest(poller: Poller, timeout: float = 0) -> dict[str, int]:
    """What one poll reports, by the name of the target; some pollers report each mode apart."""
    return by_name(poller.poll(timeout))


def by_name(events: Events) -> dict[str, int]:
    modes: dict[str, int] = {}
    for target, mode in events:
        modes[repr(target)] = modes.get(repr(target), 0) | mode
    return modes


def watch(poller: Poller, fd: int, target: Stub, modes: int = READ_WRITE) -> None:
    """As the netpoller does it: register, and arm where that alone reports nothing."""
    assert poller.register(fd, target) is None
    if not poller.edge:
        poller.arm(fd, target, modes)


def arrived(end: socket.socket) -> None:
    """Return once what was sent to `end` has arrived."""
    assert select.select([end], [], [], _LONG)[0]


def test_readiness_that_is_present_is_reported(poller: Poller, ends):
    a, b = ends
    b.send(b"x")
    arrived(a)
    watch(poller, a.fileno(), Stub())
    assert harvest(poller, _LONG) == {"stub": READ_WRITE}
    assert poller.find(a.fileno()) is not None
    assert [repr(target) for target in poller.targets()] == ["stub"]


def test_registering_alone_reports_nothing_where_each_wait_arms(poller: Poller, ends):
    a, b = ends
    b.send(b"x")
    arrived(a)
    poller.register(a.fileno(), Stub())
    assert bool(harvest(poller)) is poller.edge


def test_an_edge_is_reported_once_and_the_next_one_again(poller: Poller, ends):
    a, b = ends
    if not poller.edge:
        pytest.skip("level-triggered")
    watch(poller, a.fileno(), Stub())
    assert harvest(poller) == {"stub": WRITE}
    assert harvest(poller) == {}
    for _ in range(3):  # without anybody reading meanwhile
        b.send(b"x")
        assert harvest(poller, _LONG).get("stub", 0) & READ
        assert harvest(poller) == {}
    assert a.recv(10) == b"xxx"


def test_armed_once_reported_once_then_forgotten(poller: Poller, ends):
    a, b = ends
    b.send(b"x")
    target = Stub()
    assert poller.arm(a.fileno(), target, READ)
    assert harvest(poller, _LONG) == {"stub": READ}
    assert harvest(poller) == {}  # though the byte is still there
    assert poller.arm(a.fileno(), target, READ)
    assert harvest(poller, _LONG) == {"stub": READ}


def test_arming_replaces_what_was_armed(poller: Poller, ends):
    a, b = ends
    target = Stub()
    poller.arm(a.fileno(), target, WRITE)
    poller.arm(a.fileno(), target, READ)
    assert harvest(poller) == {}
    b.send(b"x")
    assert harvest(poller, _LONG) == {"stub": READ}


@pytest.mark.parametrize("ended", [False, True])
def test_disarmed_means_silent(poller: Poller, ends, ended: bool):
    """Also about the end of the stream, which poll(2) reports to an empty mask."""
    a, b = ends
    target = Stub()
    poller.arm(a.fileno(), target, READ_WRITE)
    poller.arm(a.fileno(), target, 0)
    if ended:
        a.shutdown(socket.SHUT_WR)
        b.close()
        arrived(a)
    assert harvest(poller) == {}
    assert poller.find(a.fileno()) is None


def test_the_end_of_the_stream_wakes_both_directions_and_says_so(poller: Poller, ends):
    a, b = ends
    watch(poller, a.fileno(), Stub())
    harvest(poller)
    b.send(b"last")
    a.shutdown(socket.SHUT_WR)
    arrived(b)
    b.close()
    seen = 0
    while not (seen & READ and seen & HANGUP) and (seen & READ == 0 or poller.name != "select"):
        if not poller.edge:
            poller.arm(a.fileno(), poller.find(a.fileno()) or Stub(), READ_WRITE)
        seen |= harvest(poller, _LONG).get("stub", 0)
    assert seen & READ_WRITE == READ_WRITE
    assert seen & HANGUP or poller.name == "select"  # which cannot tell


def test_a_full_socket_is_reported_once_it_has_room(poller: Poller, ends):
    a, b = ends
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    watch(poller, a.fileno(), Stub(), WRITE)
    harvest(poller)
    sent = 0
    with pytest.raises(BlockingIOError):
        while True:
            sent += a.send(b"x" * 65536)
    if not poller.edge:
        poller.arm(a.fileno(), poller.find(a.fileno()) or Stub(), WRITE)
    assert harvest(poller) == {}
    while sent:
        arrived(b)
        sent -= len(b.recv(1 << 20))
    assert harvest(poller, _LONG) == {"stub": WRITE}


def test_a_number_that_registers_again_evicts_its_owner(poller: Poller, ends):
    a, b = ends
    old, new = Stub("old"), Stub("new")
    number = a.fileno()
    watch(poller, number, old)
    harvest(poller)
    os.dup2(b.fileno(), number)  # closed behind our back, and another's by now
    assert poller.register(number, new) is old
    if not poller.edge:
        poller.arm(number, new, WRITE)
    assert list(harvest(poller, _LONG)) == ["new"]
    poller.unregister(number, old)  # it is not its owner any more
    assert poller.find(number) is new
    poller.unregister(number, new)
    assert poller.targets() == []


def test_unregistered_in_time_a_copy_that_lives_on_is_not_reported(poller: Poller, ends):
    """A child may hold the descriptor for ever; its events belong to nobody here."""
    a, b = ends
    target = Stub()
    copy = os.dup(a.fileno())
    number = a.fileno()
    watch(poller, number, target, READ)
    harvest(poller)
    poller.unregister(number, target)
    a.close()
    c, d = socket.socketpair()
    with c, d:
        number = c.fileno()
        watch(poller, number, Stub("stranger"), READ)
        harvest(poller)
        b.send(b"to the old owner")
        assert select.select([copy], [], [], _LONG)[0]
        assert harvest(poller) == {}
    os.close(copy)


def test_closed_behind_our_back(poller: Poller, ends):
    a, b = ends
    target, other = Stub("gone"), Stub("other")
    number = a.fileno()
    watch(poller, number, target)
    watch(poller, b.fileno(), other)
    harvest(poller)
    if not poller.edge:
        poller.arm(number, target, READ_WRITE)
    a.close()
    seen = harvest(poller)  # no exception, whatever it reports
    assert set(seen) <= {"gone", "other"}
    poller.unregister(number, target)
    poller.unregister(number, target)
    assert poller.find(number) is None
    if not poller.edge:
        poller.arm(b.fileno(), other, READ)
    if not seen.get("other", 0) & READ:
        seen = harvest(poller, _LONG)
    assert seen.get("other", 0) & READ  # the end of the stream


def test_a_descriptor_that_never_existed(poller: Poller):
    number = os.open(os.devnull, os.O_RDONLY)
    os.close(number)
    target = Stub()
    try:
        poller.arm(number, target, READ)
        harvest(poller)
    except OSError:
        pass
    poller.unregister(number, target)
    assert harvest(poller) == {}


def test_a_regular_file_is_always_ready(poller: Poller, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with path.open("rb") as file:
        assert not poller.arm(file.fileno(), Stub(), READ) or harvest(poller, _LONG) == {
            "stub": READ
        }


def test_many_at_once_come_in_as_many_harvests_as_it_takes(poller: Poller):
    count = 100 if poller.name == "kqueue" else 300  # libkqueue loses edges past 256
    pairs = [socket.socketpair() for _ in range(count)]
    try:
        for i, (a, b) in enumerate(pairs):
            watch(poller, a.fileno(), Stub(str(i)), READ)
            b.send(b"x")
        seen: set[str] = set()
        while events := harvest(poller):
            seen |= {name for name, modes in events.items() if modes & READ}
        assert len(seen) == count
    finally:
        for a, b in pairs:
            a.close()
            b.close()


@pytest.mark.parametrize("timeout", [0.0001, 0.0015, 0.01])
def test_a_timeout_is_never_cut_short(poller: Poller, ends, timeout: float):
    """Or a timer that is due in 0.4 ms would keep the scheduler spinning until then."""
    watch(poller, ends[0].fileno(), Stub(), READ)
    harvest(poller)
    for _ in range(5):
        begin = time.monotonic()
        assert harvest(poller, timeout) == {}
        assert time.monotonic() - begin >= timeout


def test_a_timeout_longer_than_the_kernel_can_count(poller: Poller, ends):
    poller.arm(ends[0].fileno(), Stub(), WRITE)
    assert by_name(poller.poll(1e15)) == {"stub": WRITE}


def test_a_signal_ends_a_poll_only_if_its_handler_raises(poller: Poller):
    class Raised(Exception):  # noqa: N818 - it is no error
        pass

    rang = []

    def handler(signum, frame):
        rang.append(signum)
        if len(rang) == 3:
            raise Raised

    def ring() -> None:
        for n in range(3):
            signal.pthread_kill(here, signal.SIGUSR1)
            while len(rang) == n:
                os.sched_yield()

    here = threading.get_ident()
    previous = signal.signal(signal.SIGUSR1, handler)
    thread = threading.Thread(target=ring)
    try:
        with pytest.raises(Raised):
            thread.start()
            poller.poll(_LONG)
    finally:
        signal.signal(signal.SIGUSR1, previous)
        thread.join()
    assert len(rang) == 3


def test_closing_touches_nothing_that_is_watched(ends):
    for kind in (Epoll, EpollLevel, Poll, Select):
        if kind.available():
            one = kind()
            watch(one, ends[0].fileno(), Stub())
            one.close()
    assert ends[0].send(b"x") == 1


def test_an_unknown_poller_is_refused_with_a_list_of_those_that_exist():
    code = "import gopoll; gopoll.wait_read(0)"
    done = run_script(code, GOPOLL_POLLER="wepoll")
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert message.startswith("ValueError: GOPOLL_POLLER='wepoll': no such poller here; there are ")
    assert {"epoll", "poll", "select"} & set(message.partition("there are ")[2].split(", "))


def test_the_list_names_what_can_be_had():
    names = available_pollers()
    assert names == [
        kind.name for kind in (Epoll, Kqueue, EpollLevel, Poll, Select) if kind.available()
    ]
    for name in names:
        done = run_script(
            "import gopoll.net as n; from gopoll.runtime.sched import this\n"
            "print(this.sched.need_poller().name)",
            GOPOLL_POLLER=name,
        )
        assert (done.stdout, done.stderr) == (f"{name}\n", "")


@pytest.mark.parametrize("way", ["register", "arm"])
def test_select_refuses_a_number_that_it_cannot_hold(way: str):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1500:
        pytest.skip(f"descriptors end at {hard} here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1500), hard))
    number = os.dup2(0, 1400)
    try:
        one = Select()
        with pytest.raises(OSError, match=r"1400 is past .* select\(2\).* GOPOLL_POLLER"):
            one.register(number, Stub()) if way == "register" else one.arm(number, Stub(), READ)
        assert one.targets() == []
    finally:
        os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
