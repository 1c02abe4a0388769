"""Servers that run as long as the tests of this folder, each started at its first use.

These tests run when they are asked for, by ``-m servers``: they need libraries and servers that
not every machine has, and take a while.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.servers.backends import BACKENDS
from tests.support.script import ROOT

PROGRAMS = Path(__file__).parent / "programs"
_START = (
    "import sys; {patch}; import runpy; del sys.argv[0]; sys.path[0] = {home!r};"
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)
_PATCHES = {
    "threads": "pass",
    "goroutines": "from gopoll import monkey; monkey.patch_all()",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "servers" not in config.getoption("markexpr"):
        for item in items:
            if "servers" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="runs when asked for: -m servers"))


@pytest.fixture(scope="session")
def backend() -> Iterator[Any]:
    """Start a server by its name; returns where it is."""
    started: dict[str, Any] = {}
    with ExitStack() as stack:

        def start(name: str) -> Any:
            if name not in started:
                home = Path(tempfile.mkdtemp(prefix=f"gopoll-{name}-"))
                home.chmod(0o755)
                stack.callback(shutil.rmtree, home, ignore_errors=True)
                started[name] = stack.enter_context(BACKENDS[name](home))
            return started[name]

        yield start


@pytest.fixture
def run_client():
    """Run a client program, on "threads" or "goroutines"; its end and its silence are asserted."""

    def run(name: str, kind: str, where: Any, **env: str) -> None:
        start = _START.format(patch=_PATCHES[kind], home=str(PROGRAMS))
        done = subprocess.run(
            [sys.executable, "-c", start, str(PROGRAMS / f"{name}.py"), json.dumps(where)],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PYTHONWARNINGS": "always::ResourceWarning",
                "CROWD_THREADS": "1" if kind == "goroutines" else "",
                **env,
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert not done.stderr, done.stderr
        assert done.returncode == 0, done.returncode
        assert done.stdout == "done\n"

    return run
