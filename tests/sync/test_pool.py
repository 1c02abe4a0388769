"""What lies in a pool is used again, and grows old."""

import gc
import weakref

import pytest

import gopoll
from gopoll import go, testing
from gopoll.sync import Pool
from tests.support.program import must_succeed
from tests.sync.support import crowd


@pytest.fixture(autouse=True)
def _no_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_what_was_put_in_is_got_out():
    """TestPool: an empty pool makes a new one."""
    pool = Pool(lambda: "new")
    assert pool.get() == "new"
    pool.put("a")
    pool.put("b")
    assert "of 2" in repr(pool)
    assert {pool.get(), pool.get()} == {"a", "b"}
    assert pool.get() == "new"


def test_new_is_called_when_it_is_empty_only():
    """TestPoolNew."""
    made = []

    def new():
        made.append(1)
        return len(made)

    pool = Pool(new)
    assert pool.get() == 1
    assert pool.get() == 2
    pool.put(42)
    assert pool.get() == 42
    assert pool.get() == 3


def test_none_is_ignored():
    pool = Pool(lambda: "new")
    pool.put(None)
    assert pool.get() == "new"


def test_what_nobody_needed_since_the_last_collection_is_dropped_at_the_next():
    """TestPoolRelease."""

    class Thing:
        pass

    pool = Pool(Thing)
    thing = Thing()
    watch = weakref.ref(thing)
    pool.put(thing)
    del thing
    gc.collect()
    thing = pool.get()
    assert thing is watch()
    pool.put(thing)
    del thing
    gc.collect(0)
    gc.collect(1)
    assert watch() is not None
    gc.collect()
    gc.collect()
    assert watch() is None
    assert "of 0" in repr(pool)


def test_a_pool_does_not_keep_what_was_got_out():
    """TestPoolGC."""

    class Thing:
        pass

    pool = Pool(Thing)
    watches = []
    for _ in range(10):
        thing = Thing()
        watches.append(weakref.ref(thing))
        pool.put(thing)
        del thing
    for _ in range(10):
        pool.get()
    assert [watch() for watch in watches] == [None] * 10


def test_a_pool_that_is_gone_leaves_nothing_behind():
    before = len(gc.callbacks)
    pool = Pool(int)
    assert len(gc.callbacks) == before + 1
    del pool
    assert len(gc.callbacks) == before


def test_a_pool_at_the_end_of_the_program():
    must_succeed("from gopoll.sync import Pool; pool = Pool(int); pool.put(7); print(1)", says="1")


@pytest.mark.parametrize("seed", range(3))
def test_nobody_gets_what_another_one_has(seed):
    """TestPoolStress, among goroutines."""
    pool, in_use = Pool(object), set()

    def work():
        for _ in range(50):
            thing = pool.get()
            assert thing not in in_use
            in_use.add(thing)
            gopoll.gosched()
            in_use.remove(thing)
            pool.put(thing)

    with testing.seeded(seed):
        for g in [go(work) for _ in range(10)]:
            g.result(20)
    assert len({pool.get() for _ in range(10)}) == 10


def test_nobody_gets_what_another_one_has_across_threads():
    """TestPoolStress; a full collection comes in between now and then."""
    made, pool = [], Pool(lambda: made.append(1) or [0])

    def work(thread, number):
        for i in range(50):
            thing = pool.get()
            thing[0] += 1
            assert thing[0] == 1
            if i == 25 and number % 20 == 0:
                gc.collect()
            thing[0] -= 1
            pool.put(thing)

    assert crowd(work) * 50 > len(made) > 0


def test_what_cannot_make_anything():
    with pytest.raises(TypeError, match="a function that makes"):
        Pool(None)
