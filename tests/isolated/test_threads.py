"""Goroutines and OS threads: no wake-up is lost, whatever the interleaving; threads end cleanly.

The interleavings are forced: another thread does its whole part at a chosen point of the runtime.
"""

import gc
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import gopoll
from gopoll import Chan, default, go, net, select, testing
from gopoll.runtime import outside, turn
from gopoll.runtime.poller import waker
from gopoll.runtime.sched import Scheduler, schedulers, this
from tests.support.pairs import pair
from tests.support.parking import end, in_thread, outcome, parked
from tests.support.program import succeed

pytestmark = pytest.mark.network

_SOON = 20.0  # seconds: nothing here takes long, unless a wake-up is lost


@contextmanager
def running(*fns: Callable[[], object]) -> Iterator[list[threading.Thread]]:
    """Threads that run `fns`; they have ended afterwards."""
    threads = [threading.Thread(target=fn, daemon=True) for fn in fns]
    for thread in threads:
        thread.start()
    yield threads
    for thread in threads:
        gopoll.offload(thread.join, _SOON)
        assert not thread.is_alive()


def at_once(fn: Callable[..., object], *args: Any) -> None:
    """Let another thread call `fn`, from beginning to end, here and now."""
    thread = threading.Thread(target=fn, args=args)
    thread.start()
    thread.join(_SOON)
    assert not thread.is_alive(), "the other thread has to wait"


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


def when_asleep(fn: Callable[..., object], *args: Any) -> Callable[[], object]:
    """A part for another thread: call `fn` once the scheduler of this one sleeps."""
    sleeper = this.sched

    def part() -> None:
        while not sleeper.sleeping:
            os.sched_yield()
        fn(*args)

    return part


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
        assert receiver.result(_SOON) == 2


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
        assert [g.result(_SOON) for g in receivers] == [1, 2]
    assert stopped


def test_a_producer_that_rings_long_after_its_item_was_taken(monkeypatch: pytest.MonkeyPatch):
    """Between append and ring the item is taken, and the scheduler sleeps again: no harm."""
    original, here, stopped = Scheduler.ring, threading.get_ident(), []
    ch, go_on, taken = Chan[int](), threading.Event(), threading.Event()

    def slow(sched: Scheduler) -> None:
        if threading.get_ident() != here and not stopped:
            stopped.append(1)
            go_on.set()
            assert taken.wait(_SOON)
        original(sched)

    monkeypatch.setattr(Scheduler, "ring", slow)
    receiver = parked(ch.recv)
    with running(when_asleep(ch.send, 1)):
        gopoll.offload(go_on.wait, _SOON)
        assert receiver.result(_SOON) == 1
        taken.set()
    assert stopped
    g = parked(ch.recv)
    at_once(ch.send, 2)
    assert g.result(_SOON) == 2


@pytest.mark.parametrize("polls", [True, False])
def test_messages_between_threads_that_keep_falling_asleep(polls: bool):
    """Each message finds the other side asleep, in the poller or in a nap without one."""
    there, back = Chan[int](), Chan[int]()

    def other() -> None:
        if polls:
            this.sched.need_poller()
        for value in there:
            back.send(value + 1)
        assert (this.sched.poller is not None) is polls

    with running(other):
        for i in range(3000):
            there.send(i)
            assert back.recv() == i + 1
        there.close()


def test_four_threads_of_forty_goroutines_hammer_one_channel():
    ch, sums = Chan[int](3), Chan[int](4)
    per_goroutine, threads, goroutines = 25, 4, 40

    def produce(start: int) -> None:
        for i in range(start, start + per_goroutine):
            ch.send(i)

    def consume(n: int) -> int:
        return sum(ch.recv() or 0 for _ in range(n))

    def thread(index: int) -> None:
        consumers = [go(consume, per_goroutine) for _ in range(goroutines // 2)]
        first = index * goroutines * per_goroutine
        producers = [go(produce, first + i * per_goroutine) for i in range(goroutines // 2)]
        sums.send(sum(g.result(_SOON) for g in consumers))
        for g in producers:  # or they would end with the thread
            g.join(_SOON)

    starts = [i * goroutines * per_goroutine for i in range(threads)]
    sent = sum(sum(range(s, s + goroutines // 2 * per_goroutine)) for s in starts)
    with running(*(lambda i=i: thread(i) for i in range(threads))):  # type: ignore[misc]
        assert sum(sums.recv() or 0 for _ in range(threads)) == sent
    assert select(ch.recv, default) == (1, None)


def test_selects_of_many_threads_deliver_each_value_once():
    a, b = Chan[int](), Chan[int]()
    got, over = Chan[int](1000), Chan[None]()

    def consume() -> None:
        while True:
            index, value = select(a.recv, b.recv, over.recv)
            if index == 2:
                return
            got.send(value)

    def produce(values: range) -> None:
        for value in values:
            select((a.send, value), (b.send, value))

    makers = [lambda r=range(i * 100, i * 100 + 100): produce(r) for i in range(5)]  # type: ignore[misc]
    with running(consume, consume, consume, *makers):
        values = sorted(got.recv() or 0 for _ in range(500))
        over.close()
    assert values == list(range(500))


def test_a_thread_without_goroutines_needs_no_poller():
    ch, answer = Chan[int](), Chan[Any]()

    def thread() -> None:
        value = ch.recv()
        answer.send((value, this.sched.poller, len(this.sched.goroutines)))

    with running(thread):
        ch.send(5)
        assert answer.recv() == (5, None, 1)


def test_a_thread_ends_with_goroutines_parked():
    """They end as by goexit(), in their own thread; descriptors and the scheduler go with it."""
    ended: list[tuple[str, bool]] = []
    before = len(schedulers)

    def wait(name: str, fn: Callable[[], object]) -> None:
        try:
            fn()
        finally:
            ended.append((name, threading.get_ident() == mine[0]))

    mine: list[int] = []

    def thread() -> None:
        mine.append(threading.get_ident())
        go(wait, "recv", Chan().recv)
        go(wait, "sleep", lambda: gopoll.sleep(1000))
        go(wait, "read", lambda: conn.read())
        go(wait, "shared", shared.recv)
        go(wait, "select", lambda: select(shared.recv))
        testing.wait_idle()
        go(wait, "never", lambda: None)  # has no chance to run

    shared = Chan[int]()
    with pair("tcp") as (conn, _):
        in_thread(thread)
        expected = ["read", "recv", "select", "shared", "sleep"]
        assert sorted(ended) == [(name, True) for name in expected]
        assert len(schedulers) == before
        assert not shared.try_send(1)
        reader = parked(conn.read)  # the thread's end left the reader's lock free
        end(reader)


def test_a_thread_ends_with_a_goroutine_that_refuses():
    code = """
    import sys
    def stubborn():
        while True:
            try:
                ch.recv()
            except BaseException:
                pass
    def thread():
        go(stubborn)
        gopoll.gosched()
    ch = Chan()
    t = threading.Thread(target=thread)
    sys.stderr = sys.stdout
    t.start()
    t.join()
    sys.stderr = sys.__stderr__
    assert not ch.try_send(1)  # it is gone for all that
    print('done')
    """
    succeed(code, says="done")


def test_close_in_another_thread_wakes_whoever_is_parked():
    with pair("tcp") as (conn, peer), net.listen("tcp", "127.0.0.1:0") as listener:
        waits = [conn.read, conn.read, listener.accept]
        goroutines = [parked(outcome, wait) for wait in waits]
        number = conn.fileno()
        at_once(conn.close)
        at_once(listener.close)
        for g in goroutines:
            assert isinstance(g.result(_SOON), net.ClosedError)
        assert peer.read() == b""
        with pytest.raises(OSError):
            os.fstat(number)


def test_a_deadline_set_in_another_thread_ends_the_wait():
    with pair("tcp") as (conn, _):
        reader = parked(outcome, conn.read)
        at_once(conn.set_read_deadline, 0.0)
        assert isinstance(reader.result(_SOON), TimeoutError)
        at_once(conn.set_read_deadline, None)
        reader = parked(outcome, conn.read)
        at_once(conn.close)
        assert isinstance(reader.result(_SOON), net.ClosedError)


def test_one_connection_read_by_goroutines_of_several_threads():
    """Each thread registers the descriptor with its own poller; every byte arrives once."""
    total, got = 3000, Chan[bytes](3000)

    def reader() -> None:
        while data := conn.read(1):
            got.send(data)
        done.send(None)

    done = Chan[None](6)
    with pair("tcp") as (conn, peer):

        def thread() -> None:
            for g in [go(reader), go(reader)]:
                g.join(_SOON)

        with running(thread, thread, thread):
            for i in range(total):
                peer.write(bytes([i % 251]))
            peer.close_write()
            for _ in range(6):
                done.recv()
    assert sorted(got.recv() or b"" for _ in range(total)) == sorted(
        bytes([i % 251]) for i in range(total)
    )


def test_join_and_result_from_another_thread(panics: list[Any]):
    ch = Chan[int]()

    def fail() -> None:
        ch.recv()
        raise KeyError("watched")

    g, h = parked(ch.recv), parked(fail)
    outcomes = Chan[Any](3)
    with running(
        lambda: outcomes.send(("value", g.result(_SOON))),
        lambda: outcomes.send(("error", repr(outcome(h.result, _SOON)))),
        lambda: outcomes.send(("timeout", repr(outcome(g.join, 0.001)))),
    ):
        assert outcomes.recv() == ("timeout", "TimeoutError('timed out (goroutine join)')")
        while g.joiners is None or h.joiners is None or h.joiners.first is None:
            gopoll.gosched()
        ch.send(1)
        ch.send(2)
        assert sorted([outcomes.recv(), outcomes.recv()]) == [
            ("error", "KeyError('watched')"),
            ("value", 1),
        ]
    assert not panics
    assert in_thread(g.result) == 1


def test_finalizers_and_workers_leave_no_thread_behind():
    before = threading.active_count()
    assert [gopoll.offload(threading.get_ident) for _ in range(3)] != []
    gc.collect()
    assert threading.active_count() <= before + outside.own_threads[0]


def test_a_thread_that_was_just_started_may_still_wake_main():
    """It is not among the living yet when every goroutine sleeps; that is no deadlock."""
    code = """
    import _thread
    for i in range(20):
        ch = Chan()
        _thread.start_new_thread(ch.send, (i,))
        assert ch.recv() == i
    print('done')
    """
    succeed(code, says="done")


def test_the_last_hope_dies_and_that_is_a_deadlock():
    code = """
    ch, over = Chan(), threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    def main():
        go(over.set)
        ch.recv()
    try:
        gopoll.run(main)
    except gopoll.Deadlock as exc:
        print(str(exc).splitlines()[0])
    """
    succeed(code, says="all goroutines are asleep - deadlock!")
