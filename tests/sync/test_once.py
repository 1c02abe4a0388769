"""Doing something one time."""

import gc
import traceback
import weakref

import pytest

import gopoll
from gopoll import Chan, go, testing
from gopoll.sync import Once, once_func, once_value
from tests.support.parking import end, in_thread, outcome, parked
from tests.sync.support import Boom

# -- Once ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_ten_goroutines_one_call(seed):
    """TestOnce: and nobody returns before it has been."""
    once, calls, seen = Once(), [], []

    def initialise():
        gopoll.gosched()
        calls.append(1)

    def body():
        once.do(initialise)
        seen.append(len(calls))

    with testing.seeded(seed):
        goroutines = [go(body) for _ in range(10)]
        for g in goroutines:
            g.result(20)
    assert calls == [1]
    assert seen == [1] * 10


def test_a_function_that_raises_has_had_its_time():
    """TestOncePanic."""
    once = Once()

    def fail():
        raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        once.do(fail)
    once.do(lambda: pytest.fail("Once.do called it twice"))
    assert once.done


def test_arguments_are_passed_on():
    got = []
    Once().do(lambda *args: got.append(args), 1, 2, 3)
    assert got == [(1, 2, 3)]


def test_others_wait_for_the_one_who_does_it():
    once, gate = Once(), Chan()
    first = parked(once.do, gate.recv)
    assert "running" in repr(once)
    second = parked(once.do, gate.recv)
    assert second.state == "sync.Once.Do"
    third = parked(in_thread, once.do, gate.recv)
    gate.send(1)
    for g in (first, second, third):
        g.result()
    assert gate.try_recv() == (None, False)
    assert "done" in repr(once)


def test_a_waiter_may_be_interrupted():
    once, gate = Once(), Chan()
    first, second, third = (parked(once.do, gate.recv) for _ in range(3))
    end(second)
    assert not third.done
    gate.send(1)
    first.result()
    third.result()
    assert once.done


def test_a_function_that_would_wait_for_itself():
    """In Go: a deadlock."""
    once, other = Once(), Once()

    with pytest.raises(RuntimeError, match="it would wait for itself"):
        once.do(lambda: once.do(print))
    assert once.done
    once = Once()
    with pytest.raises(RuntimeError, match="it would wait for itself"):
        once.do(lambda: other.do(lambda: once.do(print)))
    assert other.done


def test_what_cannot_be_called():
    once = Once()
    with pytest.raises(TypeError, match="needs something to call"):
        once.do(7)
    assert not once.done


# -- once_func, once_value -----------------------------------------------------------------------


def test_once_func():
    """TestOnceFunc."""
    calls = []

    @once_func
    def initialise():
        """Do it."""
        calls.append(1)

    for _ in range(3):
        assert initialise() is None
    assert calls == [1]
    assert (initialise.__name__, initialise.__doc__) == ("initialise", "Do it.")


def test_once_value():
    """TestOnceValue, TestOnceValues."""
    calls = []

    @once_value
    def load():
        calls.append(1)
        return {"loaded": len(calls)}

    assert load() == {"loaded": 1}
    assert load() is load()
    assert calls == [1]


@pytest.mark.parametrize("make", [once_func, once_value])
def test_what_it_raised_is_raised_each_time(make):
    """TestOnceFuncPanic, TestOnceValuePanic, TestOnceFuncPanicTraceback."""
    calls = []

    def fail():
        calls.append(1)
        raise ValueError("x")

    f = make(fail)
    came = [outcome(f) for _ in range(3)]
    assert [str(exc) for exc in came] == ["x"] * 3
    assert calls == [1]
    lengths = set()
    for _ in range(3):
        with pytest.raises(ValueError, match="x") as caught:
            f()
        frames = traceback.extract_tb(caught.value.__traceback__)
        assert frames[-1].name == "fail"
        lengths.add(len(frames))
    assert len(lengths) == 1, "the traceback grows with each call"


@pytest.mark.parametrize("make", [once_func, once_value])
def test_all_who_waited_get_what_it_raised(make):
    gate = Chan()

    def fail():
        gate.recv()
        raise ValueError("x")

    f = make(fail)
    goroutines = [parked(outcome, f) for _ in range(3)]
    gate.send(1)
    assert [str(g.result()) for g in goroutines] == ["x"] * 3


def test_goexit_in_the_function():
    """TestOnceFuncGoexit: it is not called twice; nobody else is ended by it."""
    calls = []

    def leave():
        calls.append(1)
        gopoll.goexit()

    f = once_value(leave)
    first = go(f)
    first.join()
    assert first.result() is None
    with pytest.raises(RuntimeError, match=r"the one call of .*leave was ended by GoExit"):
        f()
    assert calls == [1]


def test_the_timeout_of_one_is_not_the_timeout_of_all():
    with testing.fake_clock() as clock:
        forever = once_value(Chan().recv)

        def impatient():
            with gopoll.timeout(1):
                forever()

        g, other = parked(outcome, impatient), parked(outcome, forever)
        clock.advance(1)
        assert isinstance(g.result(), TimeoutError)
        assert "ended by ScopeEnd" in str(other.result())


def test_an_interrupt_comes_out_of_the_call_that_it_hit():
    f = once_value(lambda: (_ for _ in ()).throw(Boom))
    assert isinstance(outcome(f), Boom)
    assert isinstance(outcome(f), RuntimeError)


@pytest.mark.parametrize("make", [once_func, once_value])
def test_the_function_is_forgotten_after_its_call(make):
    """TestOnceXGC."""

    def function():
        return None

    watch = weakref.ref(function)
    f = make(function)
    del function
    gc.collect()
    assert watch() is not None
    f()
    gc.collect()
    assert watch() is None
    f()


def test_what_cannot_be_called_once():
    for make in (once_func, once_value):
        with pytest.raises(TypeError, match="to call once"):
            make(7)
