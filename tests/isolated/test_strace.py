"""How many system calls an echo costs; unlike times, these do not depend on the machine's mood."""

import re
from collections import Counter

import pytest

from tests.support.strace import count_calls, traced_echo, why_no_strace

pytestmark = [pytest.mark.strace, pytest.mark.network, pytest.mark.timeout(150)]

_CONNECTIONS, _MESSAGES = 100, 50
_SERVER = """
import sys
from gopoll import net, run

def echo(conn):
    while data := conn.read():
        conn.write(data)

def main():
    with net.listen('tcp', '127.0.0.1:0') as listener:
        print(listener.addr.port, flush=True)
        gone = []
        def handler(conn):
            echo(conn)
            gone.append(1)
            if len(gone) == int(sys.argv[1]):
                listener.close()
        net.serve(listener, handler)

run(main)
"""


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The log of an edge-triggered server, one line for each system call."""
    if reason := why_no_strace():
        pytest.skip(reason)
    log = tmp_path_factory.mktemp("strace") / "log"
    return traced_echo(_SERVER, log, _CONNECTIONS, _MESSAGES)


def _traffic(calls: list[str]) -> list[str]:
    """What lies between the first message and the last."""
    sent = [i for i, line in enumerate(calls) if re.search(r" sendto\(", line)]
    return calls[sent[0] : sent[-1] + 1]


def test_one_receive_and_one_send_for_each_message(calls: list[str]):
    counts = count_calls(calls)
    assert counts["sendto"] == _CONNECTIONS * _MESSAGES
    # For each connection one more that finds nothing yet, and one that finds the end.
    assert counts["recvfrom"] <= _CONNECTIONS * (_MESSAGES + 2)


def test_one_wait_for_ten_messages_at_most(calls: list[str]):
    waits = count_calls(_traffic(calls))["epoll_wait"] + count_calls(_traffic(calls))["epoll_pwait"]
    assert 0 < waits <= _CONNECTIONS * _MESSAGES / 10


def test_registered_once_from_the_first_wait_to_the_close(calls: list[str]):
    control = Counter(re.findall(r"EPOLL_CTL_(\w+)", "\n".join(calls)))
    assert control["MOD"] == 0
    assert control["ADD"] == _CONNECTIONS + 2  # the listener and the waker
    assert control["DEL"] == _CONNECTIONS + 1
    in_traffic = [line for line in _traffic(calls) if "EPOLL_CTL" in line]
    assert len([line for line in in_traffic if "DEL" in line]) == 0


def test_nothing_else_is_called_for_a_message(calls: list[str]):
    allowed = {"sendto", "recvfrom", "epoll_wait", "epoll_pwait"}
    # Connections are accepted, and memory is asked for, while the first messages are answered.
    late = _traffic(calls)[len(_traffic(calls)) // 2 :]
    others = {name: n for name, n in count_calls(late).items() if name not in allowed}
    assert sum(others.values()) <= len(late) / 100, others
