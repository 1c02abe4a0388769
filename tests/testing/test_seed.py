"""seeded(): one order for each seed, and the same one each time."""

import pytest

import gopoll
from gopoll import Chan, go, gosched, select, testing
from gopoll.runtime.sched import this


def order(seed):
    ran = []

    def body(who):
        for _ in range(3):
            ran.append(who)
            gosched()

    with testing.seeded(seed):
        goroutines = [go(body, who) for who in range(6)]
        for g in goroutines:
            g.join()
    return ran


def choices(seed):
    a, b, c = Chan(), Chan(), Chan()
    for ch in (a, b, c):
        ch.close()
    with testing.seeded(seed):
        return [select(a.recv, b.recv, c.recv)[0] for _ in range(30)]


@pytest.mark.parametrize("what", [order, choices])
def test_a_seed_gives_the_same_each_time(what):
    before = what(1), what(2)
    gate = Chan()
    crowd = [go(gate.recv) for _ in range(600)]  # no free worker now, and many afterwards
    testing.wait_idle()
    assert (what(1), what(2)) == before
    gate.close()
    for g in crowd:
        g.join()
    assert (what(1), what(2)) == before


@pytest.mark.parametrize("what", [order, choices])
def test_seeds_differ(what):
    assert len({tuple(what(seed)) for seed in range(10)}) > 5


def test_every_order_is_possible():
    """Each of three goroutines is the first one sometimes."""
    firsts = set()
    for seed in range(30):
        ran = []
        with testing.seeded(seed):
            for who in range(3):
                go(ran.append, who)
            testing.wait_idle()
        firsts.add(ran[0])
        assert sorted(ran) == [0, 1, 2]
    assert firsts == {0, 1, 2}


def test_the_ordinary_order_comes_back():
    before = this.sched.shuffle, this.sched.dice
    with pytest.raises(KeyError), testing.seeded(1):
        raise KeyError
    assert (this.sched.shuffle, this.sched.dice) == before


def test_seeds_nest():
    with testing.seeded(1) as outer, testing.seeded(2) as inner:
        assert this.sched.dice is inner
        assert outer is not inner
        assert outer.random() == __import__("random").Random(1).random()


def test_nobody_is_starved_under_a_seed():
    stop = []

    def spin():
        while not stop:
            gosched()

    with testing.seeded(3):
        goroutines = [go(spin) for _ in range(5)]
        gopoll.sleep(0.001)
        stop.append(True)
        for g in goroutines:
            g.join()
    assert all(g.done for g in goroutines)
