"""WaitGroup: everybody waits until all is done, and one round ends before the next begins."""

import pytest

import gopoll
from gopoll import Chan, default, go, select, testing
from gopoll.sync import WaitGroup
from tests.support.parking import end, in_thread, outcome, parked
from tests.support.program import must_succeed
from tests.support.threads import at_once


@pytest.mark.parametrize("seed", range(3))
def test_two_groups_as_barriers(seed):
    """TestWaitGroup: the same two, eight times over."""
    one, two, n = WaitGroup(), WaitGroup(), 16
    with testing.seeded(seed):
        for _ in range(8):
            one.add(n)
            two.add(n)
            exited = Chan(n)

            def body(exited=exited):
                one.done()
                two.wait()
                exited.send(True)

            for _ in range(n):
                go(body)
            one.wait()
            for _ in range(n):
                assert select(exited.recv, default) == (1, None), "released too soon"
                two.done()
            for _ in range(n):
                assert exited.recv()
    assert "of 0" in repr(one)


@pytest.mark.parametrize("seed", range(5))
def test_no_wait_ends_too_early(seed):
    """TestWaitGroupRace."""
    with testing.seeded(seed):
        for _ in range(100):
            wg, n = WaitGroup(), []

            def body(wg=wg, n=n):
                n.append(1)
                wg.done()

            for _ in range(2):
                wg.add(1)
                go(body)
            wg.wait()
            assert len(n) == 2


def test_a_negative_counter():
    """TestWaitGroupMisuse: what was refused has not happened."""
    wg = WaitGroup()
    wg.add()
    wg.done()
    with pytest.raises(RuntimeError, match=r"^sync: negative WaitGroup counter$"):
        wg.done()
    wg.wait()
    wg.add(2)
    with pytest.raises(RuntimeError, match="negative WaitGroup counter"):
        wg.add(-3)
    wg.add(-1)
    g = parked(wg.wait)
    assert g.state == "sync.WaitGroup.Wait"
    wg.done()
    g.result()


@pytest.mark.parametrize("delta", ["1", 1.5, None])
def test_what_cannot_be_counted(delta):
    with pytest.raises(TypeError, match="integers"):
        WaitGroup().add(delta)


REUSED = "^sync: WaitGroup is reused before previous Wait has returned$"


def test_reuse_before_everybody_has_returned():
    """TestWaitGroupMisuse2 and 3: found each time, in the one who adds too early."""
    wg = WaitGroup()
    wg.add(1)
    waiting = [parked(wg.wait) for _ in range(2)]
    wg.done()
    with pytest.raises(RuntimeError, match=REUSED):
        wg.add(1)
    with pytest.raises(RuntimeError, match=REUSED):
        wg.go(print)
    for g in waiting:
        g.result()
    wg.add(1)
    wg.done()
    wg.wait()


def test_the_first_to_return_reuses_it_too_early():
    """TestWaitGroupMisuse3."""
    wg = WaitGroup()

    def wait_and_reuse():
        wg.wait()
        return outcome(wg.add, 1)

    wg.add(1)
    waiting = [parked(wait_and_reuse) for _ in range(2)]
    wg.done()
    came = [g.result() for g in waiting]
    assert [type(each) for each in came] == [RuntimeError, type(None)]
    wg.done()


def test_an_interrupted_waiter_counts_as_returned():
    wg = WaitGroup()
    wg.add(1)
    g = parked(wg.wait)
    end(g)
    wg.done()
    wg.add(1)
    wg.done()
    wg.wait()
    assert "of 0" in repr(wg)


def test_goroutines_of_the_group():
    """WaitGroup.Go: counted until they have ended."""
    wg, gate, ended = WaitGroup(), Chan(), []

    def work(n, *, times):
        gate.recv()
        ended.append(n)
        return n * times

    goroutines = [wg.go(work, n, times=10) for n in range(4)]
    assert goroutines[0].name.endswith("work")
    waiting = parked(wg.wait)
    for n in range(4):
        assert not waiting.done
        gate.send(None)
        testing.wait_idle()
        assert len(ended) == n + 1
    waiting.result()
    assert [g.result() for g in goroutines] == [0, 10, 20, 30]


def test_a_goroutine_of_the_group_was_created_where_the_program_says():
    wg = WaitGroup()
    g = wg.go(gopoll.gosched)
    assert g.site[0] is test_a_goroutine_of_the_group_was_created_where_the_program_says.__code__
    wg.wait()


def test_however_a_goroutine_of_the_group_ends_it_is_done(panics):
    wg = WaitGroup()

    def fail():
        raise ValueError("wrong")

    failed, left = wg.go(fail), wg.go(gopoll.goexit)
    wg.wait()
    assert failed.done
    assert left.done
    assert [(g, str(exc)) for g, exc in panics] == [(failed, "wrong")]
    with pytest.raises(TypeError, match="needs something to call"):
        wg.go(7)
    wg.wait()


def test_a_timeout_ends_the_wait():
    with testing.fake_clock() as clock:
        wg = WaitGroup()
        wg.add(1)

        def wait():
            with gopoll.timeout(5):
                wg.wait()

        g = parked(outcome, wait)
        clock.advance(5)
        assert isinstance(g.result(), TimeoutError)
        wg.done()
        wg.wait()
        assert "of 0" in repr(wg)


def test_threads_are_done_for_goroutines_that_wait():
    wg = WaitGroup()
    wg.add(2)
    g = parked(wg.wait)
    at_once(wg.done)
    testing.wait_idle()
    assert not g.done
    in_thread(wg.done)
    g.result()
    assert "of 0" in repr(wg)


def test_a_goroutine_that_never_ran_since_its_thread_ended_is_done():
    wg, ran = WaitGroup(), []
    in_thread(lambda: wg.go(ran.append, 1))
    wg.wait()
    assert ran == []


def test_goroutines_that_never_ran_at_the_end_of_the_program():
    code = """
    from gopoll.sync import WaitGroup
    wg = WaitGroup()
    goroutines = [wg.go(print, n) for n in range(3)]
    print('end')
    """
    must_succeed(code, says="end")
