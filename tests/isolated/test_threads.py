"""Goroutines and OS threads: everything may be used from any of them, and threads end cleanly."""

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

import gopoll
from gopoll import Chan, default, go, net, select, testing
from gopoll.runtime.sched import schedulers, this
from tests.support.pairs import pair
from tests.support.parking import end, in_thread, outcome, parked
from tests.support.program import must_succeed
from tests.support.threads import SOON, at_once, running

pytestmark = pytest.mark.network


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
        sums.send(sum(g.result(SOON) for g in consumers))
        for g in producers:  # or they would end with the thread
            g.join(SOON)

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
        go(wait, "read", connections[0].read)
        go(wait, "shared", shared.recv)
        go(wait, "select", lambda: select(shared.recv))
        testing.wait_idle()
        go(wait, "never", lambda: None)  # has no chance to run

    shared = Chan[int]()
    with pair("tcp") as connections:
        in_thread(thread)
        expected = ["read", "recv", "select", "shared", "sleep"]
        assert sorted(ended) == [(name, True) for name in expected]
        assert len(schedulers) == before
        assert not shared.try_send(1)
        reader = parked(connections[0].read)  # the thread's end left the reader's lock free
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
    must_succeed(code, says="done")


def test_close_in_another_thread_wakes_whoever_is_parked():
    with pair("tcp") as (conn, peer), net.listen("tcp", "127.0.0.1:0") as listener:
        waits = [conn.read, conn.read, listener.accept]
        goroutines = [parked(outcome, wait) for wait in waits]
        number = conn.fileno()
        at_once(conn.close)
        at_once(listener.close)
        for g in goroutines:
            assert isinstance(g.result(SOON), net.ClosedError)
        assert peer.read() == b""
        with pytest.raises(OSError):
            os.fstat(number)


def test_a_deadline_set_in_another_thread_ends_the_wait():
    with pair("tcp") as (conn, _):
        reader = parked(outcome, conn.read)
        at_once(conn.set_read_deadline, 0.0)
        assert isinstance(reader.result(SOON), TimeoutError)
        at_once(conn.set_read_deadline, None)
        reader = parked(outcome, conn.read)
        at_once(conn.close)
        assert isinstance(reader.result(SOON), net.ClosedError)


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
                g.join(SOON)

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
        lambda: outcomes.send(("value", g.result(SOON))),
        lambda: outcomes.send(("error", repr(outcome(h.result, SOON)))),
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
    must_succeed(code, says="done")


def test_a_thread_that_takes_its_time_to_come_to_life():
    """As on a busy machine: until it runs, only the kernel knows of it."""
    code = """
    import _thread
    from gopoll.runtime import outside
    real, looks = outside.thread_count, []
    def late():
        looks.append(1)
        return real() if len(looks) > 6 else 0
    outside.thread_count = late
    def thread():
        while len(looks) <= 6:
            os.sched_yield()
        ch.send(7)
    ch = Chan()
    _thread.start_new_thread(thread, ())
    print(ch.recv())
    """
    must_succeed(code, says="7")


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
    must_succeed(code, says="all goroutines are asleep - deadlock!")


def test_a_thread_that_ended_leaves_nothing_behind():
    must_succeed(
        """
        import gc, greenlet
        from gopoll.runtime.sched import Scheduler, schedulers

        def work():
            for _ in range(3):
                go(int)
            go(int).join()

        for _ in range(5):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        while len(schedulers) > 1:
            os.sched_yield()
        def left():
            gc.collect()
            alive = [o for o in gc.get_objects() if isinstance(o, (Scheduler, greenlet.greenlet))]
            return [o for o in alive if o not in (sched, sched.g0, sched.main.greenlet)]
        while left():  # greenlet buries its own of a thread a moment after that has ended
            os.sched_yield()
        print("nothing")
        """,
        says="nothing",
    )
