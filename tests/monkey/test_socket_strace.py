"""How many system calls an echo costs under the patch, in a program written for threads."""

import re
from collections import Counter

import pytest

from tests.support.strace import count_calls, traced_echo, why_no_strace

pytestmark = [pytest.mark.strace, pytest.mark.network]

_CONNECTIONS, _MESSAGES = 50, 40
_SERVER = """
import sys
import gopoll
from gopoll import monkey
monkey.patch_select(); monkey.patch_socket()
import socket
left = int(sys.argv[1])
def echo(sock):
    global left
    with sock:
        while data := sock.recv(65536):
            sock.sendall(data)
    left -= 1
    if not left: listener.close()
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    try: sock, _ = listener.accept()
    except OSError: break
    gopoll.go(echo, sock)
"""


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The log of a server, one line for each system call."""
    if reason := why_no_strace():
        pytest.skip(reason)
    log = tmp_path_factory.mktemp("strace") / "log"
    return traced_echo(_SERVER, log, _CONNECTIONS, _MESSAGES)


def test_one_receive_and_one_send_for_each_message(calls: list[str]):
    counts = count_calls(calls)
    assert counts["sendto"] == _CONNECTIONS * _MESSAGES
    # For each connection one more that finds nothing yet, and one that finds the end.
    assert counts["recvfrom"] <= _CONNECTIONS * (_MESSAGES + 2)


def test_registered_once_from_the_first_wait_to_the_close(calls: list[str]):
    control = Counter(re.findall(r"EPOLL_CTL_(\w+)", "\n".join(calls)))
    assert control["MOD"] == 0
    assert control["ADD"] == _CONNECTIONS + 2  # the listener and the waker
    assert control["DEL"] == _CONNECTIONS + 1


def test_nothing_else_is_called_for_a_message(calls: list[str]):
    sent = [i for i, line in enumerate(calls) if re.search(r" sendto\(", line)]
    late = calls[sent[len(sent) // 2] : sent[-1]]
    allowed = {"sendto", "recvfrom", "epoll_wait", "epoll_pwait"}
    others = {name: n for name, n in count_calls(late).items() if name not in allowed}
    assert sum(others.values()) <= len(late) / 100, others
