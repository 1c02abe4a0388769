"""What holds for every test: it ends with the goroutines, descriptors and threads it began with.

Warnings are errors (see ``pyproject.toml``), and so are reports of unhandled exceptions in
goroutines, unless a test takes them over with the `panics` fixture. ``GOPOLL_POLLER`` chooses the
poller of the whole run; ``GOPOLL_TEST_SEED``, or ``--gopoll-seed``, a scheduling order.
"""

import gc
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import libkqueue

if os.environ.get("GOPOLL_POLLER") == "kqueue":
    libkqueue.install()  # before gopoll looks for the names in the select module

import gopoll

# A shell lets what it runs in the background ignore these, nohup the first; the programs that tests
# start would inherit it.
for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["pytester", "gopoll.integrations.pytest_plugin"]


def pytest_collection_finish() -> None:
    """Let the collections before each test pass over the tests: most of what there is."""
    gc.collect()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    if seed := os.environ.get("GOPOLL_TEST_SEED"):
        config.option.gopoll_seed = int(seed)


@pytest.fixture(autouse=True)
def _no_panics(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test on any unexpected panic."""
    unexpected: list[Any] = []
    previous = gopoll.set_panic(lambda g, exc: unexpected.append((g, exc)))
    request.node.panics = unexpected
    yield
    gopoll.set_panic(previous)
    if "panics" not in request.fixturenames:
        assert not unexpected, f"unhandled exceptions in goroutines: {unexpected}"


@pytest.fixture(autouse=True)
def _clean(_no_panics: None, gopoll_no_leaks: None, request: pytest.FixtureRequest) -> None:
    """Fail the test on anything it leaves behind; it runs in the order of the seed, if one is set.

    Goroutines on their way out are given the chance to end while panics are still watched.
    """
    if request.config.getoption("--gopoll-seed") is not None:
        request.getfixturevalue("gopoll_seeded")


@pytest.fixture
def panics(request: pytest.FixtureRequest) -> list[tuple[gopoll.Goroutine[Any], BaseException]]:
    """The unhandled exceptions of the test's goroutines, with the goroutine, as they come."""
    found: list[tuple[gopoll.Goroutine[Any], BaseException]] = request.node.panics
    return found
