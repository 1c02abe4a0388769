"""The waker: it ends the poll, is written once, and loses no wake-up, with each kind of poller."""

import os
import threading
from collections.abc import Iterator

import pytest

from gopoll.runtime.poller import waker
from gopoll.runtime.poller.base import READ, Poller
from gopoll.runtime.poller.waker import Waker

_LONG = 30.0  # a wait that is meant to end early


class Bell:
    """A waker with what belongs to it."""

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        self.waker = Waker(poller)

    def rings(self, timeout: float = 0) -> bool:
        """Poll and drain, as the scheduler does it."""
        events = self.poller.poll(timeout)
        for target, modes in events:
            target.deliver(modes)
        return any(modes & READ for _, modes in events)


@pytest.fixture
def bell(poller: Poller) -> Iterator[Bell]:
    one = Bell(poller)
    one.rings()  # an edge-triggered poller first says that it could be written to
    yield one
    poller.unregister(one.waker._read_fd, one.waker)
    one.waker.close()


def test_a_waker_ends_the_present_poll_and_the_next(bell: Bell):
    assert not bell.rings()
    for _ in range(3):
        bell.waker.wake()
        assert bell.rings(_LONG)
        assert not bell.rings()
        thread = threading.Thread(target=bell.waker.wake)
        thread.start()
        assert bell.rings(_LONG)
        thread.join()


def test_a_waker_is_written_once_for_many_wakes(bell: Bell, monkeypatch: pytest.MonkeyPatch):
    writes = []
    monkeypatch.setattr(waker, "os_write", lambda fd, data: writes.append(os.write(fd, data)))
    for _ in range(100):
        bell.waker.wake()
    assert len(writes) == 1
    assert bell.rings(_LONG)
    bell.waker.wake()
    assert len(writes) == 2
    assert bell.rings(_LONG)


def test_a_wake_while_the_waker_is_drained_is_seen_by_the_look_that_follows(
    bell: Bell, monkeypatch: pytest.MonkeyPatch
):
    """Cleared before it was read, the flag would stay up with nothing to read: deaf for ever."""

    def wake_then_read(fd: int, n: int) -> bytes:
        bell.waker.wake()
        data = os.read(fd, n)
        bell.waker.wake()
        return data

    monkeypatch.setattr(waker, "os_read", wake_then_read)
    bell.waker.wake()
    assert bell.rings(_LONG)
    monkeypatch.undo()
    bell.waker.wake()
    assert bell.rings(_LONG)
    assert not bell.rings()


def test_a_pipe_full_of_signals_is_emptied_at_once(bell: Bell):
    with pytest.raises(BlockingIOError):
        while True:
            os.write(bell.waker._write_fd, b"x" * 4096)
    bell.waker.wake()
    assert bell.rings(_LONG)
    assert not bell.rings()
    bell.waker.wake()
    assert bell.rings(_LONG)


def test_a_waker_whose_number_was_taken_says_so(bell: Bell):
    with pytest.raises(RuntimeError, match="closed by somebody else"):
        bell.waker.evict()


def test_a_ring_after_the_close_touches_no_descriptor(
    poller: Poller, monkeypatch: pytest.MonkeyPatch
):
    """The number may be somebody else's by then."""
    one = Bell(poller)
    one.rings()
    poller.unregister(one.waker._read_fd, one.waker)
    one.waker.close()
    writes = []
    monkeypatch.setattr(waker, "os_write", lambda fd, data: writes.append(fd))
    one.waker.wake()
    assert writes == []
