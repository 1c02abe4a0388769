"""wait_idle() in a bubble: when all the others of the bubble wait durably."""

import pytest

import gopoll
from gopoll import Chan, go, gosched, testing, time
from tests.support.parking import outcome


def test_wait_idle_of_several():
    """Go: TestWait has one; here any number may wait for all others."""
    seen = []
    with testing.bubble() as b:
        go(lambda: [gosched() for _ in range(20)] and seen.append("busy"))
        for n in range(3):
            go(lambda n=n: (testing.wait_idle(), seen.append(n)))
        testing.wait_idle()
        testing.wait_idle()
        assert seen[0] == "busy"
        assert sorted(seen[1:]) == [0, 1, 2]
        assert b.elapsed == 0


def test_wait_idle_alone():
    """Go: TestSimpleWait, TestGoroutineWait."""
    with testing.bubble():
        testing.wait_idle()
        g = go(gosched)
        testing.wait_idle()
        assert g.done


@pytest.mark.parametrize("rounds", range(3))
def test_wait_idle_after_a_chain(rounds):
    """Go: TestWait, TestMallocs; each starts the next and hands the count on."""
    finished = []
    with testing.bubble():
        ch = Chan()

        def link():
            count = ch.recv()
            if count == 0:
                finished.append(rounds)
            else:
                go(link)
                ch.send(count - 1)

        go(link)
        ch.send(100)
        testing.wait_idle()
        assert finished == [rounds]


def test_wait_idle_orders_what_was_done():
    """Go: TestHappensBefore; what others did before they ended or waited is there afterwards."""
    steps = []
    with testing.bubble():
        go(steps.append, 1)
        testing.wait_idle()
        steps.append(2)
        ch = Chan()
        go(lambda: (steps.append(3), ch.recv()))
        testing.wait_idle()
        steps.append(4)
        ch.close()
        time.after_func(0, steps.append, 5)
        testing.wait_idle()
        steps.append(6)
        gate = Chan()
        time.after_func(0, lambda: (steps.append(7), gate.recv()))
        testing.wait_idle()
        steps.append(8)
        gate.close()
        go(lambda: go(steps.append, 9))
    assert steps == list(range(1, 10))


def test_wait_idle_does_not_wait_for_time():
    with testing.bubble() as b:
        sleepers = [go(gopoll.sleep, n) for n in range(1, 4)]
        testing.wait_idle()
        assert b.elapsed == 0
        gopoll.sleep(2)
        testing.wait_idle()
        assert [g.done for g in sleepers] == [True, True, False]
        gopoll.sleep(1)


def test_an_interrupted_wait_idle_leaves_nothing_behind():
    with testing.bubble() as b:
        g = go(lambda: outcome(testing.wait_idle))
        with pytest.raises(TimeoutError), gopoll.timeout(0):
            testing.wait_idle()
        testing.wait_idle()
        g.join()
        gopoll.sleep(1)
    assert b.elapsed == 1


def test_idleness_outside_is_another_matter():
    """Who waits outside for idleness waits for the bubble's goroutines, too."""
    seen = []

    def live():
        with testing.bubble() as b:
            for _ in range(100):
                gopoll.sleep(1)
            seen.append(b.elapsed)

    g = go(live)
    testing.wait_idle()
    assert seen == [100]
    assert g.done
