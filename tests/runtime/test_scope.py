"""``timeout()``: whose expiry it is, what it ends, and what it refuses."""

import gc
import traceback
import weakref
from math import inf, nan

import pytest

import gopoll
from gopoll import Chan, go, testing
from gopoll.errors import ScopeEnd
from gopoll.runtime.scope import Scope
from tests.support.parking import in_thread, outcome, parked


@pytest.fixture
def clock():
    with testing.fake_clock(0.0) as one:
        yield one


# -- nested ------------------------------------------------------------------------------------


def nested(outer, inner, then_wait):
    """Wait in two scopes; tell who took what for its own."""
    seen = []
    ch = Chan()
    try:
        with outer:
            try:
                with inner:
                    ch.recv()
            except TimeoutError:
                seen.append("inner")
            if then_wait:
                ch.recv()
    except TimeoutError:
        seen.append("outer")
    return seen


@pytest.mark.parametrize(
    ("outer", "inner", "seen"),
    [
        (10, 5, ["inner", "outer"]),
        (5, 10, ["outer"]),
        (5, 5, ["outer"]),  # set first, fires first
        (10, 0, ["inner", "outer"]),
        (0, 10, ["outer"]),
        (None, 5, ["inner"]),
        (5, None, ["outer"]),
    ],
)
def test_each_scope_takes_its_own_end(clock, outer, inner, seen):
    outer, inner = gopoll.timeout(outer), gopoll.timeout(inner)
    g = go(nested, outer, inner, "outer" in seen)
    clock.advance(20)
    assert g.result() == seen
    assert outer.expired is ("outer" in seen)
    assert g.pending is None
    assert len(clock) == 0


def test_inner_and_outer_end_in_one_look_at_the_clock():
    """Both have passed by then; the one due first comes first, the other at the next wait."""
    outer, inner = gopoll.timeout(1e-4), gopoll.timeout(1e-6)

    def both():
        try:
            with outer:
                try:
                    with inner:
                        limit = gopoll.time.now() + 1e-4
                        while gopoll.time.now() <= limit:
                            pass
                        Chan().recv()
                except TimeoutError:
                    assert inner.expired
                    assert outer.expired
                    with pytest.raises(ScopeEnd) as caught:
                        Chan().recv()
                    assert caught.value.scope is outer
                    raise caught.value from None
        except TimeoutError as exc:
            return exc

    assert "0.0001 seconds" in str(go(both).result())


def test_an_outer_scope_leaves_the_inner_one_alone_if_it_is_left_first(clock):
    def one_after_the_other():
        with gopoll.timeout(10):
            with gopoll.timeout(5):
                pass
            gopoll.sleep(7)
        gopoll.sleep(7)
        return gopoll.time.now()

    g = parked(one_after_the_other)
    clock.advance(20)
    assert g.result() == 14


# -- one by one --------------------------------------------------------------------------------


def test_one_wait_is_ended_and_no_later_one(clock):
    """So `finally` blocks may still say goodbye, and wait while they do."""
    said = []

    def limited():
        with gopoll.timeout(5):
            try:
                Chan().recv()
            finally:
                gopoll.sleep(3)
                said.append(gopoll.time.now())

    g = parked(outcome, limited)
    clock.advance(10)
    assert isinstance(g.result(), TimeoutError)
    assert said == [8]


def test_who_catches_everything_has_it(clock):
    def limited():
        with gopoll.timeout(5) as scope, pytest.raises(ScopeEnd) as caught:
            Chan().recv()
        return scope.expired and caught.value.scope is scope

    g = parked(limited)
    clock.advance(5)
    assert g.result() is True


@pytest.mark.parametrize("seconds", [0, -1, -inf])
def test_no_time_at_all_ends_the_first_wait(seconds):
    ch = Chan(1)
    with pytest.raises(TimeoutError, match="timed out after"), gopoll.timeout(seconds) as scope:
        assert scope.expired
        ch.send("needs no waiting")
        ch.recv()
        ch.recv()
    with gopoll.timeout(seconds) as scope:
        assert gopoll.current().pending is not None
    assert gopoll.current().pending is None


def test_none_is_no_limit(clock):
    ch = Chan()

    def limited():
        with gopoll.timeout(None) as scope:
            return ch.recv(), scope.expired

    g = parked(limited)
    clock.advance(1e9)
    ch.send(1)
    assert g.result() == (1, False)


def test_what_is_no_number():
    with pytest.raises(ValueError, match="nan"):
        gopoll.timeout(nan)
    for wrong in ("5", b"5", [5], 1j):
        with pytest.raises(TypeError, match="number of seconds"):
            gopoll.timeout(wrong)


def test_a_scope_is_for_one_block():
    scope = gopoll.timeout(5)
    with pytest.raises(RuntimeError, match="not open"):
        scope.__exit__(None, None, None)
    with scope:
        with pytest.raises(RuntimeError, match="used already"), scope:
            pass
        assert "open" in repr(scope)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="used already"), scope:
            pass
    with pytest.raises(RuntimeError, match="not open"):
        scope.__exit__(None, None, None)
    assert not scope.expired


def test_shooting_what_is_not_open_does_nothing():
    scope = Scope()
    scope.shoot()
    g = scope.open()
    scope.close(None)
    scope.shoot()
    assert (scope.shot, g.pending) == (False, None)


def test_a_scope_is_shot_once():
    scope = Scope()
    g = scope.open()
    scope.shoot()
    scope.shoot()
    assert len(g.pending) == 1
    scope.close(None)
    assert g.pending is None


def test_another_error_passes():
    with pytest.raises(ZeroDivisionError), gopoll.timeout(5) as scope:
        _ = 1 / 0
    assert not scope.expired


def test_the_traceback_shows_where_it_waited():
    def find_needle(haystack):
        return haystack.recv()

    with pytest.raises(TimeoutError) as caught, gopoll.timeout(0):
        find_needle(Chan())
    text = "".join(traceback.format_exception(caught.value))
    assert "in find_needle" in text
    assert "return haystack.recv()" in text
    assert text.rstrip().endswith("TimeoutError: timed out after 0 seconds")


@pytest.mark.parametrize("seconds", [0, 5])
def test_an_expiry_leaves_no_cycle(clock, seconds):
    """What the body had is gone without a collection."""

    class Marker:
        pass

    gone = []

    def limited():
        marker = Marker()
        gone.append(weakref.ref(marker))
        with gopoll.timeout(seconds) as scope:
            gone.append(weakref.ref(Chan()))
            Chan().recv()
        return scope

    def body():
        try:
            limited()
        except TimeoutError:
            return "expired"

    gc.collect()
    gc.disable()
    try:
        g = go(body)
        clock.advance(5)
        assert g.result() == "expired"
        assert [ref() for ref in gone] == [None, None]
    finally:
        gc.enable()


def test_in_another_thread():
    def elsewhere():
        with gopoll.timeout(3600) as outer:
            inner = outcome(nested_wait, 0)
        return str(inner), outer.expired

    assert in_thread(elsewhere) == ("timed out after 0 seconds", False)
    with pytest.raises(TimeoutError, match=r"after 0\.0001 seconds"):
        in_thread(nested_wait, 1e-4)


def nested_wait(seconds):
    with gopoll.timeout(seconds):
        Chan().recv()
