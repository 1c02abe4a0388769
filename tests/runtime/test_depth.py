"""How deep a goroutine may call: as deep as the program, whoever started it and wherever."""

import sys

import pytest

import gopoll
from gopoll import Chan, go, gosched
from tests.support.parking import in_thread, parked
from tests.support.script import run_script


def depth():
    """How many more frames fit onto the stack of the calling goroutine."""
    try:
        return 1 + depth()
    except RecursionError:
        return 1


def below(frames, fn):
    return fn() if frames == 0 else below(frames - 1, fn)


NEARLY = sys.getrecursionlimit() - 100


def test_a_goroutine_has_nearly_the_whole_stack():
    assert go(depth).result() > NEARLY


def test_run_called_deep_gives_goroutines_the_whole_stack():
    """g0 was born at import, on shallow ground; where run() is called does not matter."""
    measured = below(500, lambda: gopoll.run(lambda: go(depth).result()))
    assert measured > NEARLY


def test_goroutines_do_not_inherit_the_depth_of_those_who_start_them():
    """A chain of births: each goroutine starts the next one from 100 frames down, and parks."""
    gate = Chan()

    def link(left):
        if left == 0:
            return depth()
        g = below(100, lambda: go(link, left - 1))
        gosched()
        return g.result()

    assert go(link, 30).result() > NEARLY
    gate.close()


def test_a_goroutine_that_parks_deep_does_not_pass_its_depth_on():
    gate = Chan()
    g = parked(below, 700, gate.recv)
    h = go(depth)
    gosched()
    assert h.result() > NEARLY
    gate.send("awake")
    assert g.result() == "awake"
    assert go(depth).result() > NEARLY  # its worker is used again


def test_a_recursion_error_ends_only_its_goroutine(panics):
    def endless():
        return endless()

    g = go(endless)
    g.join()
    assert [(who, type(exc)) for who, exc in panics] == [(g, RecursionError)]
    assert go(depth).result() > NEARLY


def test_ten_thousand_goroutines_started_by_each_other():
    """A sketch whose goroutines started each other died of RecursionError at about a thousand."""

    def link(left):
        return go(link, left - 1).result() if left else "the last one"

    assert go(link, 3000).result() == "the last one"


@pytest.mark.parametrize("first_use", [10, 500])
def test_a_thread_that_first_uses_gopoll_deep_regains_its_depth(first_use):
    """There g0 is born under the deep stack, and born again on shallower ground."""

    def body():
        def early():
            gate = Chan(1)
            g = go(gate.recv)  # parked while g0 is born again
            gosched()
            return g, gate

        g, gate = below(first_use, early)
        gosched()
        measured = go(depth).result()
        gate.send("still served")
        return measured, g.result()

    measured, value = in_thread(body)
    assert measured > NEARLY
    assert value == "still served"


def test_an_import_deep_in_the_stack():
    """The main thread's g0 is born at import, however deep that is; it is born again later."""
    done = run_script(
        """
        import sys

        def below(frames, fn):
            return fn() if frames == 0 else below(frames - 1, fn)

        def depth():
            try:
                return 1 + depth()
            except RecursionError:
                return 1

        def load():
            import gopoll
            return gopoll

        gopoll = below(500, load)
        gopoll.gosched()
        print(gopoll.go(depth).result() > sys.getrecursionlimit() - 100)
        """
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
