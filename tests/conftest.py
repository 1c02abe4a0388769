"""What holds for every test: it ends with the goroutines, descriptors and threads it began with.

Warnings are errors (see ``pyproject.toml``), and so are reports of unhandled exceptions in
goroutines, unless a test takes them over with the `panics` fixture. ``GOPOLL_POLLER`` chooses the
poller of the whole run; ``GOPOLL_TEST_SEED`` a scheduling order.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import libkqueue

if os.environ.get("GOPOLL_POLLER") == "kqueue":
    libkqueue.install()  # before gopoll takes the names out of the select module

import gopoll
from gopoll import testing


@pytest.fixture(autouse=True)
def _clean(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test on anything it leaves behind, and on any unexpected panic."""
    unexpected: list[Any] = []
    previous = gopoll.set_panic(lambda g, exc: unexpected.append((g, exc)))
    request.node.panics = unexpected
    seed = os.environ.get("GOPOLL_TEST_SEED")
    try:
        with testing.no_leaks():
            if seed:
                with testing.seeded(int(seed)):
                    yield
            else:
                yield
    finally:
        gopoll.set_panic(previous)
    if "panics" not in request.fixturenames:
        assert not unexpected, f"unhandled exceptions in goroutines: {unexpected}"


@pytest.fixture
def panics(request: pytest.FixtureRequest) -> list[tuple[gopoll.Goroutine[Any], BaseException]]:
    """The unhandled exceptions of the test's goroutines, with the goroutine, as they come."""
    found: list[tuple[gopoll.Goroutine[Any], BaseException]] = request.node.panics
    return found
