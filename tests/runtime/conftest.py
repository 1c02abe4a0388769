"""A poller of each kind."""

import select
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from gopoll.runtime.poller.base import Poller
from gopoll.runtime.poller.epoll import Epoll, EpollLevel
from gopoll.runtime.poller.kqueue import Kqueue
from gopoll.runtime.poller.poll import Poll
from gopoll.runtime.poller.select import Select
from tests.support import libkqueue

_KINDS: tuple[type[Poller], ...] = (Epoll, EpollLevel, Kqueue, Poll, Select)

if libkqueue.find() is not None:
    libkqueue.kqueue().close()  # opens what the library keeps open


@contextmanager
def _kqueue_offered() -> Iterator[None]:
    is_here = hasattr(select, "kqueue")
    if not libkqueue.install():
        pytest.skip("no kqueue here, and libkqueue was not found")
    yield
    if not is_here:
        libkqueue.uninstall()


@pytest.fixture(params=_KINDS, ids=lambda kind: kind.name)
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    """One after the other, whatever GOPOLL_POLLER says; skipped where the system has none."""
    with _kqueue_offered() if request.param is Kqueue else nullcontext():
        if not request.param.available():
            pytest.skip(f"this system has no {request.param.name}")
        one = request.param()
        yield one
        one.close()
