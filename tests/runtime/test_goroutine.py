"""One goroutine: its start, its handle, its end, and what it inherits."""

import functools
import threading

import pytest

import gopoll
from gopoll import Chan, go, goexit, gosched, num_goroutine, testing
from tests.support.parking import end, in_thread, outcome, parked


def test_a_goroutine_runs_when_its_creator_waits():
    ran = []
    g = go(ran.append, 1)
    assert ran == []
    assert (g.done, g.state) == (False, "runnable")
    g.join()
    assert ran == [1]
    assert (g.done, g.state) == (True, "dead")


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1,), {}), ((1, 2), {}), ((1, 2, 3), {}), ((), {"a": 1}), ((1, 2, 3), {"a": 4})],
)
def test_arguments_arrive(args, kwargs):
    assert go(lambda *a, **k: (a, k), *args, **kwargs).result() == (args, kwargs)


@pytest.mark.parametrize("what", [None, 3, "print"])
def test_what_cannot_be_called(what):
    """runtime/crash_test.go, TestGoNil: `go nil` fails, and here it fails where it stands."""
    before = num_goroutine()
    with pytest.raises(TypeError, match="needs something to call"):
        go(what)
    assert num_goroutine() == before


def test_wrong_arguments_fail_in_the_goroutine(panics):
    g = go(len)
    g.join()
    assert [(who, type(exc)) for who, exc in panics] == [(g, TypeError)]


def test_result_may_be_asked_any_number_of_times():
    g = go(lambda: 5)
    assert [g.result(), g.result(), g.result(0)] == [5, 5, 5]
    g.join()


def test_result_raises_what_ended_the_goroutine():
    def fail():
        raise KeyError("gone")

    g = go(fail)
    with pytest.raises(KeyError, match="gone"):
        g.result()
    with pytest.raises(KeyError, match="gone"):
        g.result()
    g.join()  # join does not mind how it ended


def test_an_exception_that_somebody_waits_for_is_not_reported(panics):
    gate = Chan()

    def fail():
        gate.recv()
        raise ValueError

    g = go(fail)
    watchers = [parked(outcome, g.result) for _ in range(3)]
    gate.close()
    assert all(isinstance(watcher.result(), ValueError) for watcher in watchers)
    assert panics == []


def test_an_exception_is_reported_if_they_only_wait_for_the_end(panics):
    gate = Chan()

    def fail():
        gate.recv()
        raise ValueError

    g = go(fail)
    joiner = parked(g.join)
    gate.send(None)
    joiner.result()
    assert [who for who, _ in panics] == [g]


def test_a_deadline_for_the_result():
    gate = Chan()
    g = parked(gate.recv)
    with testing.fake_clock() as clock:
        waiters = [parked(outcome, wait, 3) for wait in (g.join, g.result)]
        clock.advance(2.9)
        assert not any(waiter.done for waiter in waiters)
        clock.advance(0.2)
        assert [type(waiter.result()) for waiter in waiters] == [TimeoutError, TimeoutError]
        assert len(clock) == 0
    gate.send("still there")
    assert g.result() == "still there"


def test_a_deadline_that_is_not_reached_leaves_no_timer():
    with testing.fake_clock() as clock:
        g = go(lambda: 1)
        assert g.result(100) == 1
        assert len(clock) == 0


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_deadline_of_no_time_still_lets_others_run(timeout):
    g = parked((gate := Chan()).recv)
    with pytest.raises(TimeoutError):
        g.join(timeout)
    gate.close()
    g.join(30)


def test_nobody_can_wait_for_oneself():
    g = go(lambda: gopoll.current().join())
    with pytest.raises(RuntimeError, match="wait for its own end"):
        g.result()
    with pytest.raises(RuntimeError, match="wait for its own end"):
        gopoll.current().result()


# -- goexit --------------------------------------------------------------------------------------


def test_goexit_unwinds_and_ends_only_its_goroutine(panics):
    """runtime/crash_test.go, TestGoexitDefer: what was deferred runs."""
    ran = []

    def deep():
        try:
            goexit()
        except Exception:
            ran.append("except Exception must not see it")
        finally:
            ran.append("inner")

    def body():
        try:
            deep()
            ran.append("after goexit")
        finally:
            ran.append("outer")

    g = go(body)
    assert g.result() is None
    assert g.done
    assert ran == ["inner", "outer"]
    assert panics == []


def test_goexit_while_an_exception_is_handled(panics):
    """runtime/crash_test.go, TestRecoverBeforePanicAfterGoexit, the part that has a Python form."""

    def body():
        try:
            raise ValueError("handled")
        except ValueError:
            goexit()

    go(body).join()
    assert panics == []


def test_an_exception_after_goexit_is_a_panic(panics):
    """runtime/crash_test.go, TestPanicAfterGoexit."""

    def body():
        try:
            goexit()
        finally:
            raise ValueError("hello")

    g = go(body)
    g.join()
    assert [(who, str(exc)) for who, exc in panics] == [(g, "hello")]


def test_goexit_after_an_exception_takes_its_place(panics):
    """runtime/crash_test.go, TestGoexitInPanic."""
    went_on = []

    def body():
        try:
            raise ValueError("on its way")
        finally:
            goexit()
        went_on.append(1)

    g = go(body)
    assert g.result() is None
    assert panics == went_on == []


def test_an_exception_that_was_handled_after_goexit_does_not_undo_it(panics):
    """runtime/crash_test.go, TestRecoveredPanicAfterGoexit."""
    went_on = []

    def body():
        try:
            goexit()
        finally:
            try:
                raise ValueError("handled")
            except ValueError:
                pass
        went_on.append(1)

    g = go(body)
    assert g.result() is None
    assert panics == went_on == []


def test_goexit_needs_run_in_the_main_goroutine():
    with pytest.raises(RuntimeError, match=r"needs run\(main\)"):
        goexit()


# -- identity ------------------------------------------------------------------------------------


def test_ids_are_never_used_twice():
    ids = [go(int).id for _ in range(50)]
    testing.wait_idle()
    ids += [go(int).id for _ in range(50)]
    assert len(set(ids)) == 100
    assert ids == sorted(ids)


def test_current_is_the_caller():
    main = gopoll.current()
    g = go(gopoll.current)
    assert g.result() is g
    assert gopoll.current() is main
    assert main.name == "main"
    assert main.state == "running"


def test_names():
    class Tool:
        def __call__(self):
            pass

    def named():
        pass

    assert go(named).name.endswith("test_names.<locals>.named")
    assert go(Chan(1).try_recv).name == "Chan.try_recv"
    assert go(Tool()).name.endswith("Tool")
    assert go(functools.partial(named)).name == "partial"
    g = go(named)
    g.name = "mine"
    assert g.name == "mine"
    assert repr(g) == f"<Goroutine {g.id} 'mine' runnable>"


def test_the_state_is_what_it_waits_for():
    g = parked(gopoll.Chan().recv)
    assert g.state == "chan receive"
    with testing.fake_clock():
        sleeper = parked(gopoll.sleep, 1)
        joiner = parked(g.join)
        assert (sleeper.state, joiner.state) == ("sleep", "goroutine join")
        end(sleeper)
    end(g)
    joiner.result()


def test_num_goroutine_counts_the_living():
    """runtime/proc_test.go, TestNumGoroutine."""
    gate = Chan()
    before = num_goroutine()
    goroutines = [go(gate.recv) for _ in range(5)]
    assert num_goroutine() == before + 5  # also those that did not run yet
    gosched()
    assert num_goroutine() == before + 5
    gate.close()
    for g in goroutines:
        g.join()
    assert num_goroutine() == before


def test_num_goroutine_counts_every_thread():
    before = num_goroutine()
    gate, out = Chan(), Chan()

    def body():
        go(gate.recv)
        out.send(num_goroutine())
        gate.recv()

    g = go(in_thread, body)
    assert out.recv() == before + 3  # the one that waits for the thread, the thread's own, its go()
    gate.close()
    g.result()
    assert num_goroutine() == before


# -- between threads -----------------------------------------------------------------------------


def test_join_and_result_across_threads(panics):
    gate = Chan()
    ok = parked(gate.recv)
    bad = go(lambda: gate.recv() + "not a number")
    testing.wait_idle()

    def watch():
        # Both start in this thread and wait for goroutines of the main one.
        joiner = go(outcome, ok.result)
        watcher = go(outcome, bad.result)
        testing.wait_idle()  # both wait now
        asked.release()
        return joiner.result(), watcher.result()

    asked = threading.Semaphore(0)
    g = go(in_thread, watch)
    gopoll.offload(asked.acquire)
    gate.send(1)
    gate.send(1)
    value, error = g.result()
    assert {type(value), type(error)} == {int, TypeError}
    assert panics == []


def test_a_dead_goroutine_of_a_dead_thread_can_still_be_asked():
    g = in_thread(lambda: (g := go(lambda: "value"), g.join())[0])
    assert g.result() == "value"
    assert g.state == "dead"
