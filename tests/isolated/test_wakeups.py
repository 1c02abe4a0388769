"""No wake-up from another thread is lost, whatever the interleaving.

The interleavings are forced: another thread does its whole part at a chosen point of the runtime.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

import gopoll
from gopoll import Chan, testing
from gopoll.runtime import turn
from gopoll.runtime.poller import waker
from gopoll.runtime.sched import Scheduler, this
from tests.support.pairs import is_open
from tests.support.parking import in_thread, outcome, parked
from tests.support.threads import SOON, at_once, running, when_asleep

pytestmark = pytest.mark.network


def stops(
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    before: Callable[[], object] = lambda: None,
    after: Callable[[], object] = lambda: None,
) -> list[str]:
    """Do something before and after the next call of ``owner.name`` made by this thread."""
    original, here, done = getattr(owner, name), threading.get_ident(), []

    def hooked(*args: Any) -> Any:
        if done or threading.get_ident() != here:
            return original(*args)
        done.append(name)
        before()
        result = original(*args)
        after()
        return result

    monkeypatch.setattr(owner, name, hooked)
    return done


@pytest.mark.parametrize("polls", [True, False])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("look", ["first", "last"])
def test_a_wake_up_on_the_way_to_sleep(
    monkeypatch: pytest.MonkeyPatch, look: str, when: str, polls: bool
):
    """Before and after the first look at the inbox and the last one, which decides."""

    class Watched(deque[Any]):
        def __len__(self) -> int:
            if sys._getframe(1).f_code.co_name != place or hit:
                return super().__len__()
            hit.append(look)
            if when == "before":
                at_once(ch.send, 2)
            n = super().__len__()
            if when == "after":
                at_once(ch.send, 2)
            return n

    def thread() -> Any:
        if polls:
            this.sched.need_poller()
        testing.wait_idle()
        this.sched.inbox = Watched()
        return ch.recv()

    place, hit = {"first": "begin", "last": "_sleep"}[look], []
    ch = Chan[int]()
    assert in_thread(thread) == 2
    assert hit


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (waker, "os_read"),  # while it drains the waker: read, but not yet cleared
        (waker.Waker, "deliver"),  # drained, but the inbox not yet looked at
        (turn, "_harvest"),
    ],
)
def test_a_wake_up_on_the_way_back_from_sleep(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, when: str
):
    first, second = Chan[int](1), Chan[int]()
    receiver = parked(second.recv)
    hit = stops(monkeypatch, owner, name, **{when: lambda: at_once(second.send, 2)})
    with running(when_asleep(first.send, 1)):
        assert first.recv() == 1
        assert hit
        assert receiver.result(SOON) == 2


def test_two_producers_one_of_which_relies_on_the_others_ring(monkeypatch: pytest.MonkeyPatch):
    """The first stops between the flag and the write; the second finds the flag set."""
    original, here = waker.os_write, threading.get_ident()
    stopped: list[int] = []
    a, b = Chan[int](), Chan[int]()

    def slow(fd: int, data: bytes) -> int:
        if threading.get_ident() != here and not stopped:
            stopped.append(fd)
            at_once(b.send, 2)
        return original(fd, data)

    monkeypatch.setattr(waker, "os_write", slow)
    receivers = parked(a.recv), parked(b.recv)
    with running(when_asleep(a.send, 1)):
        assert [g.result(SOON) for g in receivers] == [1, 2]
    assert stopped


def test_a_producer_that_rings_long_after_its_item_was_taken(monkeypatch: pytest.MonkeyPatch):
    """Between append and ring the item is taken, and the scheduler sleeps again: no harm."""
    original, here, stopped = Scheduler.ring, threading.get_ident(), []
    ch, go_on, taken = Chan[int](), threading.Event(), threading.Event()

    def slow(sched: Scheduler) -> None:
        if threading.get_ident() != here and not stopped:
            stopped.append(1)
            go_on.set()
            assert taken.wait(SOON)
        original(sched)

    monkeypatch.setattr(Scheduler, "ring", slow)
    receiver = parked(ch.recv)
    with running(when_asleep(ch.send, 1)):
        gopoll.offload(go_on.wait, SOON)
        assert receiver.result(SOON) == 1
        taken.set()
    assert stopped
    g = parked(ch.recv)
    at_once(ch.send, 2)
    assert g.result(SOON) == 2


def test_a_ring_that_comes_while_the_thread_ends(monkeypatch: pytest.MonkeyPatch):
    """Its number is not given back before, or the byte would arrive in somebody else's file."""
    original = waker.os_write
    stopped: list[int] = []
    at_the_write, ended = threading.Event(), threading.Event()
    ch, scheds = Chan[int](), Chan[Scheduler](1)

    def slow(fd: int, data: bytes) -> int:
        if threading.current_thread() is ringer:
            stopped.append(fd)
            at_the_write.set()
            assert ended.wait(SOON)
        return original(fd, data)

    def thread() -> None:
        this.sched.need_poller()
        scheds.send(this.sched)
        assert ch.recv() == 1

    def ring() -> None:
        sched = scheds.recv()
        assert sched is not None
        while not sched.sleeping:
            os.sched_yield()
        ch.send(1)

    def wake_otherwise() -> None:
        assert at_the_write.wait(SOON)
        with suppress(OSError):  # it may have looked once more before it fell asleep
            original(stopped[0], b"\0")

    monkeypatch.setattr(waker, "os_write", slow)
    outcomes: list[Any] = []
    ringer = threading.Thread(target=lambda: outcomes.append(outcome(ring)))
    ringer.start()
    with running(wake_otherwise):
        in_thread(thread)
    assert is_open(stopped[0])
    ended.set()
    gopoll.offload(ringer.join)
    assert outcomes == [None]
    assert not is_open(stopped[0])
