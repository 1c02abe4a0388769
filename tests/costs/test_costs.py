"""What an operation costs is as it is recorded; and the guard that says so can fail."""

import sys

import pytest

from tests.costs.count import (
    OPERATIONS,
    count_bytecodes,
    count_instructions,
    count_system_calls,
    why_no_valgrind,
)
from tests.costs.record import RERECORD, differences, key, known, other_greenlet
from tests.support.strace import why_no_strace

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="recorded on Linux"),
]

# Code for the program to run before: each makes a call of the public interface a little dearer.
ONE_CALL = """
from gopoll.net.conn import SocketConn
def read(self, n=65536, *, read=SocketConn.read):
    return read(self, n)
SocketConn.read = read
"""
ONE_SYSTEM_CALL = """
import os
from gopoll.net.conn import SocketConn
def read(self, n=65536, *, read=SocketConn.read):
    os.getppid()
    return read(self, n)
SocketConn.read = read
"""
ONE_EXCEPTION = """
from gopoll import Chan
def send(self, value, *, send=Chan.send):
    try:
        [].pop()
    except IndexError:
        pass
    send(self, value)
Chan.send = send
"""


def recorded(kind):
    found = known(kind)
    if found is None:
        pytest.skip(f"nothing is recorded for {key(kind)}: python -m tests.costs --record")
    return found


def need(why_not):
    if reason := why_not():
        pytest.skip(reason)


def told(lines):
    return "\n".join([*lines, RERECORD])


def test_bytecodes_are_as_recorded():
    lines = differences("bytecodes", count_bytecodes(), recorded("bytecodes"))
    assert not lines, told(lines)


def test_instructions_are_as_recorded():
    was = recorded("instructions")
    need(why_no_valgrind)
    lines = differences("instructions", count_instructions(), was)
    if lines and (other := other_greenlet()):
        pytest.skip(told([other, *lines]))
    assert not lines, told(lines)


@pytest.mark.strace
def test_system_calls_are_as_recorded():
    need(why_no_strace)
    counted = count_system_calls()
    lines = differences("system calls", counted, recorded("system calls"))
    assert not lines, told(lines)
    # Whatever is recorded: one receive and one send for an echo, and neither for what stays inside.
    # A connection receives its end, too; only it has to do with the set of the kernel.
    for name, calls in counted.items():
        received, sent, changed = (
            (2, 1, 2) if name == "connection" else (1, 1, 0) if "echo" in name else (0, 0, 0)
        )
        assert calls.get("recvfrom", 0) == received * OPERATIONS, name
        assert calls.get("sendto", 0) == sent * OPERATIONS, name
        assert calls.get("epoll_ctl", 0) == changed * OPERATIONS, name


def test_a_call_that_was_added_is_noticed():
    counted = count_bytecodes("echo", before=ONE_CALL)
    (line,) = differences("bytecodes", counted, recorded("bytecodes"))
    assert line.startswith("echo: ")


def test_an_exception_that_was_added_is_noticed_in_instructions():
    was = recorded("instructions")
    need(why_no_valgrind)
    (line,) = differences("instructions", count_instructions("buffered", before=ONE_EXCEPTION), was)
    assert line.startswith("buffered: ")


@pytest.mark.strace
def test_a_system_call_that_was_added_is_noticed():
    need(why_no_strace)
    counted = count_system_calls("echo", before=ONE_SYSTEM_CALL)
    assert counted["echo"]["getppid"] == OPERATIONS
    (line,) = differences("system calls", counted, recorded("system calls"))
    assert f"getppid {OPERATIONS}" in line


@pytest.mark.parametrize("kind", ["bytecodes", "instructions"])
@pytest.mark.parametrize("change", [-0.2, 0.2])
def test_dearer_and_cheaper_are_both_told(kind, change):
    assert not differences(kind, {"switch": 150.5}, {"switch": 150.0})
    (line,) = differences(kind, {"switch": 150.0 * (1 + change)}, {"switch": 150.0})
    assert line == f"switch: {150 * (1 + change):.1f} {kind}, not 150.0: {100 * change:+.1f} %"


def test_a_scenario_that_is_not_recorded_is_told():
    assert differences("bytecodes", {"new": 1.0}, {}) == ["new: not recorded"]
