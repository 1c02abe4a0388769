"""Calls that block leave the scheduler's thread."""

import contextvars
import gc
import threading
import weakref

import pytest

import gopoll
from gopoll import Chan, go, offload, testing
from gopoll.runtime import offload as room
from tests.support.parking import end, outcome, parked


def blocked(fn, *args):
    """Start a goroutine and see that a worker has its call."""
    g = go(offload, fn, *args)
    while g.state != "offload":
        gopoll.gosched()
    return g


def test_it_returns_what_the_call_returns():
    assert offload(lambda *args, **kwargs: (args, kwargs), 1, 2, a=3) == ((1, 2), {"a": 3})


def test_it_runs_in_another_thread():
    assert offload(threading.get_ident) != threading.get_ident()


def test_it_raises_what_the_call_raises():
    def fail():
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside") as caught:
        offload(fail)
    assert [frame.name for frame in caught.traceback][-1] == "fail"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_even_exceptions_that_end_programs_come_back(error):
    def fail():
        raise error

    with pytest.raises(error):
        offload(fail)
    assert offload(lambda: "the worker lives") == "the worker lives"


@pytest.mark.parametrize("what", [None, 1])
def test_what_cannot_be_called(what):
    with pytest.raises(TypeError, match="needs something to call"):
        offload(what)


def test_only_the_caller_waits():
    """The others go on while the call blocks; without that this test would never end."""
    gate = threading.Semaphore(0)
    g = go(offload, gate.acquire)
    ran = []
    go(ran.append, 1)
    while not ran:
        gopoll.gosched()
    assert not g.done
    assert g.state == "offload"
    gate.release()
    assert g.result() is True


def test_it_sees_the_context_of_its_caller():
    var = contextvars.ContextVar("var", default="unset")
    var.set("caller")

    def body():
        seen = var.get()
        var.set("worker")
        return seen

    assert offload(body) == "caller"
    assert var.get() == "caller"


def test_hundreds_of_calls_at_once():
    """More than there are worker threads: all are served, and all at their own caller."""
    many = 3 * room._MOST
    barrier = threading.Semaphore(0)

    def body(i):
        barrier.acquire()
        return i * i

    goroutines = [blocked(body, i) for i in range(many)]
    assert room._pool.size == room._MOST
    for _ in range(many):
        barrier.release()
    assert [g.result() for g in goroutines] == [i * i for i in range(many)]
    assert not room._pool.queue


def test_a_worker_is_used_again():
    offload(int)
    size = room._pool.size
    for _ in range(20):
        offload(int)
    assert room._pool.size <= size + 1  # at most one was not back yet


def test_an_interrupted_wait_drops_the_outcome():
    gate, returned = threading.Semaphore(0), threading.Semaphore(0)

    def body():
        gate.acquire()
        returned.release()
        return "dropped"

    g = go(outcome, offload, body)
    while g.state != "offload":
        gopoll.gosched()
    external = g.sched.external
    end(g)
    assert g.sched.external == external - 1
    assert type(g.result()).__name__ == "GoExit"
    gate.release()
    assert offload(returned.acquire)  # the call went on to its end


def test_nothing_of_a_call_is_kept():
    class Thing:
        pass

    thing = Thing()
    ref = weakref.ref(thing)
    assert offload(lambda _: None, thing) is None
    assert offload(lambda: [1]) == [1]  # whatever the first worker still held goes now
    del thing
    gc.collect()
    assert ref() is None


def test_many_goroutines_call_many_times():
    def body():
        return [offload(lambda i=i: i) for i in range(10)]

    goroutines = [go(body) for _ in range(5)]
    assert [g.result() for g in goroutines] == [list(range(10))] * 5


def test_a_channel_can_be_served_while_a_call_blocks():
    gate = threading.Semaphore(0)
    g = blocked(gate.acquire)
    ch = Chan()
    receiver = parked(ch.recv)
    ch.send("meanwhile")
    assert receiver.result() == "meanwhile"
    gate.release()
    g.result()


def test_a_thread_that_outlives_the_interpreter_says_nothing(monkeypatch, panics):
    """From 3.12 on no thread can be started by then, and those that go on are frozen soon."""

    class Nobody(list):
        def __bool__(self):
            return False  # whoever comes back from a call of before

    def refused(fn, args):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    def thread():
        g = go(offload, int)
        testing.wait_idle()
        waits.append(g.state)
        end(g)

    waits = []
    monkeypatch.setattr(room._pool, "idle", Nobody())
    monkeypatch.setattr(room, "_MOST", room._pool.size + 2)
    monkeypatch.setattr(room, "start_new_thread", refused)
    other = threading.Thread(target=thread)
    other.start()
    other.join()
    assert waits == ["offload"]
    assert panics == []
    with pytest.raises(RuntimeError, match="shutdown"):  # who is still asked for wants to know
        offload(int)
