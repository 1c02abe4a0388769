"""The chat server with five thousand clients, a good part of which does not behave."""

import json
import os
import resource
import subprocess
import sys

import pytest

from gopoll.net import join_host_port
from tests.scale import crowd
from tests.support.example import started
from tests.support.script import ROOT
from tests.support.talker import Talker

CLIENTS = crowd.ROOMS * crowd.PEOPLE
FILES = 3 * CLIENTS // 2

pytestmark = [
    pytest.mark.scale,
    pytest.mark.skipif(
        os.environ.get("GOPOLL_POLLER") == "select",
        reason="descriptor numbers past what select() can hold",
    ),
    pytest.mark.skipif(
        resource.getrlimit(resource.RLIMIT_NOFILE)[1] < FILES,
        reason="the hard limit of open files is too low",
    ),
]


@pytest.mark.timeout(180)
def test_five_thousand_clients_hear_everything_in_order():
    with (
        started("chat_server.py", "--port", "0", "--max-clients", str(CLIENTS)) as server,
        subprocess.Popen(
            [sys.executable, crowd.__file__, join_host_port(*(address := server.address()))],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as people,
    ):
        try:
            assert people.stdout.readline() == "here\n"
            with Talker(address) as one_too_many:  # so the five thousand are connected all at once
                one_too_many.expect("* Sorry, the server is full. Try again later.")
            people.stdin.write("go\n")
            people.stdin.flush()
            assert people.stdout.readline() == "heard\n"
            assert server.interrupt() == (0, "\nGoodbye.\n")
            summary = json.loads(people.communicate()[0])
        finally:
            people.kill()
    listening = CLIENTS - 500 - 100 - 50
    kinds = {"breaking": 500, "endless": 100, "mute": 50, "listening": listening}
    assert summary["kinds"] == kinds
    loud, quiet = crowd.LOUD_ROOMS, crowd.ROOMS - crowd.LOUD_ROOMS
    in_loud = crowd.PEOPLE - crowd.BREAKING - crowd.ENDLESS - crowd.MUTE
    in_quiet = crowd.PEOPLE - crowd.BREAKING - crowd.ENDLESS
    assert summary["lines"] == crowd.SPEAKERS * (
        loud * (in_loud - 1) * crowd.LOUD_LINES + quiet * (in_quiet - 1) * crowd.LINES
    )
    assert summary["left"] == {
        "connection lost).": listening * crowd.BREAKING,
        "line longer than 1000 bytes).": listening * crowd.ENDLESS,
        "did not keep up).": loud * in_loud * crowd.MUTE,
    }
    assert summary["last"] == {"* The server is shutting down. Goodbye!": listening}
