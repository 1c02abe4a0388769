"""The supervisor restarts what ends, pauses in between, and leaves nobody behind."""

import os
import re
import signal

import pytest

from tests.support.example import run_example, started

pytestmark = pytest.mark.network

STUBBORN = "sh -c 'trap \"\" TERM; echo ready; exec sleep 1000'"


def lines(example, wanted):
    """Read lines until one has what is wanted; return them all."""
    seen = []
    while not seen or wanted not in seen[-1]:
        line = example.process.stdout.readline()
        assert line, seen
        seen.append(line.rstrip("\n"))
    return seen


def must_end_by(example, signum):
    example.process.send_signal(signum)
    status, output = example.end()
    assert status == 0
    assert output.endswith("All have ended.\n")
    return output


def started_as(line):
    return int(re.search(r"started as (\d+)$", line)[1])


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_all_of_them(signum):
    with started("supervisor.py", "sleep 1000", "sleep 2000") as example:
        pids = [started_as(example.process.stdout.readline()) for _ in range(2)]
        output = must_end_by(example, signum)
        assert {f"sleep {n}000: ended with -15" for n in (1, 2)} <= set(output.splitlines())
        assert all(map(is_gone, pids))


def test_it_restarts_what_ends():
    with started("supervisor.py", "--pause", "0", "--longest", "0", "sh -c 'exit 7'") as example:
        seen = [example.process.stdout.readline() for _ in range(12)]
        assert len({started_as(line) for line in seen[0::2]}) == 6
        assert {line.rpartition(": ")[2] for line in seen[1::2]} == {"ended with 7\n"}
        must_end_by(example, signal.SIGTERM)


def test_who_does_not_end_in_time_is_killed():
    with started("supervisor.py", "--grace", "0.05", STUBBORN) as example:
        seen = "".join(example.process.stdout.readline() for _ in range(2))
        assert "ready\n" in seen  # who comes first is open
        pid = int(re.search(r"started as (\d+)", seen)[1])
        output = must_end_by(example, signal.SIGTERM)
        assert f"{STUBBORN}: ended with -9\n" in output
        assert is_gone(pid)


def test_a_program_that_is_not_there_does_not_disturb_the_others():
    with started("supervisor.py", "--pause", "60", "/no/such", "'", "sleep 1000") as example:
        seen = "\n".join(lines(example, "started as"))
        assert "/no/such: [Errno 2] No such file or directory" in seen
        assert "': No closing quotation" in seen
        assert "sleep 1000: ended with -15" in must_end_by(example, signal.SIGTERM)


def test_a_pause_ends_with_the_signal():
    with started("supervisor.py", "--pause", "1000", "--longest", "1000", "true") as example:
        lines(example, "ended with 0")
        must_end_by(example, signal.SIGTERM)


def test_it_wants_a_command():
    assert run_example("supervisor.py").returncode == 2
