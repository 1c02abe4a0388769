"""Contexts as users meet them: roots, cancel, deadlines, values, causes, blocks, bad input."""

import enum
from contextlib import ExitStack
from math import inf, nan

import pytest

import gopoll
from gopoll import context, time
from gopoll.context import (
    Canceled,
    DeadlineExceeded,
    background,
    cause,
    todo,
    with_cancel,
    with_cancel_cause,
    with_deadline,
    with_deadline_cause,
    with_timeout,
    with_timeout_cause,
    with_value,
    without_cancel,
)
from gopoll.testing import fake_clock, wait_idle
from tests.support.contexts import Wrapped, is_done

HOUR = 3600.0


# -- roots ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("root", "name"), [(background, "context.Background"), (todo, "context.TODO")]
)
def test_roots(root, name):
    """TestBackground, TestTODO."""
    ctx = root()
    assert ctx is root()
    assert not is_done(ctx)
    assert ctx.done() is gopoll.nil_chan
    assert (ctx.err(), ctx.deadline(), ctx.value("key"), cause(ctx)) == (None, None, None, None)
    assert str(ctx) == repr(ctx) == name


# -- cancel --------------------------------------------------------------------------------------


def test_with_cancel():
    """TestWithCancel."""
    first, cancel = with_cancel(background())
    assert str(first) == "context.Background.WithCancel"
    wrapped = Wrapped(first)
    second, cancel_second = with_cancel(wrapped)
    for ctx in (first, wrapped, second):
        assert not is_done(ctx)
        assert ctx.done() is ctx.done()
    cancel()
    for ctx in (first, wrapped, second):
        assert is_done(ctx)
        assert type(ctx.err()) is Canceled
        assert str(ctx.err()) == "context canceled"
    cancel()  # twice is as good as once
    cancel_second()
    assert type(second.err()) is Canceled


def test_who_waits_for_done_is_woken():
    ctx, cancel = with_cancel(background())
    waiters = [gopoll.go(ctx.done().recv_ok) for _ in range(3)]
    wait_idle()
    assert not any(g.done for g in waiters)
    cancel()
    assert [g.result(10) for g in waiters] == [(None, False)] * 3


def test_done_asked_for_before_and_after():
    """The channel is the same whenever somebody asks; nobody who does not ask pays for one."""
    before, cancel = with_cancel(background())
    chan = before.done()
    cancel()
    assert chan is before.done()
    assert chan.recv_ok() == (None, False)
    after, cancel = with_cancel(background())
    cancel()
    assert after.done() is after.done()
    assert after.done().recv_ok() == (None, False)


def test_a_new_error_each_time():
    """One instance, raised again and again, would gather tracebacks for as long as it lives."""
    ctx, cancel = with_cancel(background())
    cancel()
    depths = []
    for _ in range(3):
        try:
            raise ctx.err()
        except Canceled as exc:
            tb, depth = exc.__traceback__, 0
            while tb is not None:
                tb, depth = tb.tb_next, depth + 1
            depths.append(depth)
    assert depths == [1, 1, 1]
    assert ctx.err() is not ctx.err()


def test_the_errors_are_what_python_expects():
    """TestDeadlineExceededSupportsTimeout, TestDeadlineExceededIsNetError."""
    assert issubclass(DeadlineExceeded, TimeoutError)
    assert issubclass(Canceled, Exception)
    assert not issubclass(Canceled, OSError)
    assert str(DeadlineExceeded()) == "context deadline exceeded"
    assert DeadlineExceeded().errno is None


# -- deadlines -----------------------------------------------------------------------------------


def expires(clock, ctx, after):
    """Let the time pass and see that `ctx` ends in that instant and no earlier."""
    clock.advance(after - 0.001)
    assert not is_done(ctx)
    clock.advance(0.001)
    assert is_done(ctx)
    assert type(ctx.err()) is DeadlineExceeded
    assert len(clock) == 0


@pytest.mark.parametrize("wrap", [lambda ctx: ctx, Wrapped])
def test_deadline(wrap):
    """TestDeadline."""
    with fake_clock(1000) as clock:
        ctx, _ = with_deadline(background(), time.now() + 5)
        assert str(ctx) == "context.Background.WithDeadline(1005.000 [5.000s])"
        assert wrap(ctx).deadline() == 1005
        expires(clock, wrap(ctx), 5)
        ctx, _ = with_deadline(background(), time.now() + 5)
        outer, cancel = with_deadline(wrap(ctx), time.now() + HOUR)
        assert outer.deadline() == time.now() + 5  # the parent's is earlier
        expires(clock, outer, 5)
        cancel()
        for past in (0, -1e-9):
            ctx, _ = with_deadline(background(), time.now() + past)
            assert is_done(ctx)
            assert type(ctx.err()) is DeadlineExceeded
        assert len(clock) == 0


@pytest.mark.parametrize("wrap", [lambda ctx: ctx, Wrapped])
def test_timeout(wrap):
    """TestTimeout."""
    with fake_clock() as clock:
        ctx, _ = with_timeout(background(), 5)
        assert str(ctx).startswith("context.Background.WithDeadline(")
        expires(clock, wrap(ctx), 5)
        ctx, _ = with_timeout(background(), 5)
        outer, _ = with_timeout(wrap(ctx), HOUR)
        expires(clock, outer, 5)
        inner, cancel = with_timeout(background(), HOUR)
        outer, _ = with_timeout(wrap(inner), 5)
        clock.advance(5)
        assert type(outer.err()) is DeadlineExceeded
        assert not is_done(inner)
        cancel()
        assert is_done(with_timeout(background(), 0).ctx)
        assert is_done(with_timeout(background(), -1).ctx)


@pytest.mark.parametrize("wrap", [lambda ctx: ctx, Wrapped])
def test_canceled_timeout(wrap):
    """TestCanceledTimeout: and its timer is gone."""
    with fake_clock() as clock:
        outer, cancel_outer = with_timeout(background(), 1)
        ctx, cancel = with_timeout(wrap(outer), 0.5)
        assert len(clock) == 2
        cancel()
        assert len(clock) == 1
        assert is_done(ctx)
        assert type(ctx.err()) is Canceled
        cancel_outer()
        assert len(clock) == 0
        clock.advance(HOUR)
        assert type(ctx.err()) is Canceled  # once and for all


def test_an_end_from_above_disarms_the_timers_below():
    with fake_clock() as clock:
        root, cancel = with_cancel(background())
        leaves = [with_timeout(root, n + 1).ctx for n in range(100)]
        assert len(clock) == 100
        cancel()
        assert len(clock) == 0
        assert {type(leaf.err()) for leaf in leaves} == {Canceled}


@pytest.mark.parametrize("never", [None, inf])
def test_no_deadline_at_all(never):
    with fake_clock() as clock:
        for derive in (with_timeout, with_deadline):
            ctx, cancel = derive(background(), never)
            assert ctx.deadline() == never
            assert len(clock) == 0
            clock.advance(1e9)
            assert not is_done(ctx)
            cancel()
            assert is_done(ctx)


def test_the_real_clock():
    ctx, cancel = with_timeout(background(), 0.001)
    assert ctx.done().recv_ok() == (None, False)
    assert type(ctx.err()) is DeadlineExceeded
    cancel()


# -- values --------------------------------------------------------------------------------------


class Key1(enum.IntEnum):
    A = 1


class Key2(enum.IntEnum):
    A = 1  # equal to Key1.A, and of another type
    B = 3


def test_values():
    """TestValues."""
    keys = (Key1.A, Key2.A, Key2.B)

    def values(ctx):
        return [ctx.value(key) for key in keys]

    root = background()
    assert values(root) == [None, None, None]
    one = with_value(root, Key1.A, "c1k1")
    assert values(one) == ["c1k1", None, None]
    two = with_value(one, Key2.A, "c2k2")
    assert values(two) == ["c1k1", "c2k2", None]
    three = with_value(two, Key2.B, "c3k3")
    assert values(three) == ["c1k1", "c2k2", "c3k3"]
    four = with_value(three, Key1.A, None)
    assert values(four) == [None, "c2k2", "c3k3"]
    assert values(Wrapped(root)) == [None, None, None]
    assert values(Wrapped(one)) == ["c1k1", None, None]
    assert values(with_value(Wrapped(one), Key2.A, "o2k2")) == ["c1k1", "o2k2", None]
    assert values(Wrapped(four)) == [None, "c2k2", "c3k3"]
    assert values(with_value(Wrapped(four), Key2.B, None)) == [None, "c2k2", None]
    assert one.value(1) is None  # another type again


def test_a_value_is_not_shown():
    """A name holds text as it is, and of anything else the type: it may be long, or a secret."""
    ctx = with_value(background(), Key1.A, "shown")
    assert str(ctx) == f"context.Background.WithValue({__name__}.Key1, shown)"
    ctx = with_value(with_value(background(), "user", b"secret"), "nobody", None)
    assert str(ctx) == "context.Background.WithValue(user, bytes).WithValue(nobody, None)"


def test_a_value_lives_and_dies_with_its_parent():
    parent, cancel = with_timeout(background(), HOUR)
    ctx = with_value(parent, "key", "value")
    assert ctx.done() is parent.done()
    assert ctx.deadline() == parent.deadline()
    cancel()
    assert is_done(ctx)


def test_without_cancel():
    """TestWithoutCancel."""
    parent, cancel = with_timeout(with_value(background(), "key", "value"), HOUR)
    ctx = without_cancel(parent)
    child, cancel_child = with_cancel(ctx)
    cancel()
    assert str(without_cancel(background())) == "context.Background.WithoutCancel"
    assert ctx.deadline() is None
    assert ctx.done() is gopoll.nil_chan
    assert ctx.err() is None
    assert ctx.value("key") == "value"
    assert not is_done(child)
    cancel_child()


# -- causes --------------------------------------------------------------------------------------

PARENT, CHILD = ValueError("parent"), ValueError("child")
TOO_SLOW, EARLY = TimeoutError("too slow"), ValueError("finished early")


def both(first, second, *, parent_first):
    """Cancel a parent and a child, in this order; return the child."""
    ctx, cancel_parent = with_cancel_cause(background())
    ctx, cancel_child = with_cancel_cause(ctx)
    for parent, why in ((True, first), (False, second))[:: 1 if parent_first else -1]:
        (cancel_parent if parent else cancel_child)(why)
    return ctx


def canceled(derived, *why):
    derived.cancel(*why)
    return derived.ctx


def stacked(seconds):
    ctx, cancel = with_cancel_cause(background())
    ctx, _ = with_timeout_cause(ctx, seconds, TOO_SLOW)
    cancel(EARLY)
    return ctx


CAUSES = {
    "Background": (background, None, None),
    "TODO": (todo, None, None),
    "WithCancel": (lambda: canceled(with_cancel(background())), Canceled, Canceled),
    "WithCancelCause": (
        lambda: canceled(with_cancel_cause(background()), PARENT),
        Canceled,
        PARENT,
    ),
    "WithCancelCause nil": (
        lambda: canceled(with_cancel_cause(background()), None),
        Canceled,
        Canceled,
    ),
    "parent before child": (lambda: both(PARENT, CHILD, parent_first=True), Canceled, PARENT),
    "parent after child": (lambda: both(PARENT, CHILD, parent_first=False), Canceled, CHILD),
    "parent before nil": (lambda: both(PARENT, None, parent_first=True), Canceled, PARENT),
    "parent after nil": (lambda: both(PARENT, None, parent_first=False), Canceled, Canceled),
    "child after nil": (lambda: both(None, CHILD, parent_first=True), Canceled, Canceled),
    "child before nil": (lambda: both(None, CHILD, parent_first=False), Canceled, CHILD),
    "WithTimeout": (
        lambda: canceled(with_timeout(background(), 0)),
        DeadlineExceeded,
        DeadlineExceeded,
    ),
    "WithTimeout canceled": (
        lambda: canceled(with_timeout(background(), HOUR)),
        Canceled,
        Canceled,
    ),
    "WithTimeoutCause": (
        lambda: canceled(with_timeout_cause(background(), 0, TOO_SLOW)),
        DeadlineExceeded,
        TOO_SLOW,
    ),
    "WithTimeoutCause canceled": (
        lambda: canceled(with_timeout_cause(background(), HOUR, TOO_SLOW)),
        Canceled,
        Canceled,
    ),
    "WithTimeoutCause stacked": (lambda: stacked(0), DeadlineExceeded, TOO_SLOW),
    "WithTimeoutCause stacked canceled": (lambda: stacked(HOUR), Canceled, EARLY),
    "WithoutCancel": (lambda: without_cancel(background()), None, None),
    "WithoutCancel canceled": (
        lambda: without_cancel(canceled(with_cancel_cause(background()), EARLY)),
        None,
        None,
    ),
    "WithoutCancel timeout": (
        lambda: without_cancel(canceled(with_timeout_cause(background(), 0, TOO_SLOW))),
        None,
        None,
    ),
    "WithValue": (
        lambda: with_value(canceled(with_cancel_cause(background()), EARLY), "k", 1),
        Canceled,
        EARLY,
    ),
}


@pytest.mark.parametrize(("make", "error", "why"), CAUSES.values(), ids=CAUSES)
def test_cause(make, error, why):
    """TestCause."""
    ctx = make()
    assert type(ctx.err()) is (error or type(None))
    if isinstance(why, BaseException):
        assert cause(ctx) is why
    else:
        assert type(cause(ctx)) is (why or type(None))


def test_the_cause_of_a_deadline():
    with fake_clock() as clock:
        ctx, _ = with_deadline_cause(background(), time.now() + 5, TOO_SLOW)
        child, _ = with_cancel(ctx)
        assert cause(child) is None
        clock.advance(5)
        assert type(child.err()) is DeadlineExceeded
        assert cause(child) is TOO_SLOW


# -- blocks --------------------------------------------------------------------------------------


def test_a_block_cancels_when_it_is_left():
    with fake_clock() as clock:
        with with_cancel(background()) as ctx:
            assert not is_done(ctx)
        assert type(ctx.err()) is Canceled
        with with_timeout(background(), HOUR) as ctx:
            assert len(clock) == 1
        assert len(clock) == 0
        with pytest.raises(KeyError), with_cancel_cause(background()) as ctx:
            raise KeyError
        assert type(cause(ctx)) is Canceled
        with pytest.raises(DeadlineExceeded), with_timeout(background(), 0) as ctx:
            raise ctx.err()


def test_the_pair_has_names():
    derived = with_cancel(background())
    ctx, cancel = derived
    assert derived.ctx is ctx
    with derived as inside:
        assert inside is ctx
        derived.cancel()
        assert is_done(ctx)
    assert isinstance(derived, context.Derived)
    cancel()


def test_many_blocks():
    with ExitStack() as stack:
        ctx = background()
        for _ in range(5):
            ctx = stack.enter_context(with_cancel(ctx))
        assert not is_done(ctx)
    assert is_done(ctx)


# -- bad input -----------------------------------------------------------------------------------

DERIVE = {
    "with_cancel": with_cancel,
    "with_cancel_cause": with_cancel_cause,
    "with_timeout": lambda parent: with_timeout(parent, 1),
    "with_timeout_cause": lambda parent: with_timeout_cause(parent, 1, None),
    "with_deadline": lambda parent: with_deadline(parent, 1),
    "with_deadline_cause": lambda parent: with_deadline_cause(parent, 1, None),
    "with_value": lambda parent: with_value(parent, "key", 1),
    "without_cancel": without_cancel,
    "merge": context.merge,
    "merge, second": lambda parent: context.merge(background(), parent),
    "cause": cause,
    "after_func": lambda parent: context.after_func(parent, print),
}


@pytest.mark.parametrize("derive", DERIVE.values(), ids=DERIVE)
@pytest.mark.parametrize("parent", [None, "background", with_cancel])
def test_no_context(derive, parent):
    """TestInvalidDerivedFail."""
    with pytest.raises(TypeError, match=r"expected a context, such as background\(\), got"):
        derive(parent)


@pytest.mark.parametrize("derive", [with_timeout, with_deadline])
def test_no_time(derive):
    with pytest.raises(ValueError, match="nan"):
        derive(background(), nan)
    with pytest.raises(TypeError, match="number of seconds"):
        derive(background(), "5")


@pytest.mark.parametrize("derive", [with_timeout_cause, with_deadline_cause])
def test_no_time_with_a_cause(derive):
    with pytest.raises(ValueError, match="nan"):
        derive(background(), nan, None)
    with pytest.raises(TypeError, match="number of seconds"):
        derive(background(), [], None)
    with pytest.raises(TypeError, match="a cause is an exception or None"):
        derive(background(), 5, "too slow")


def test_no_cause():
    ctx, cancel = with_cancel_cause(background())
    for wrong in ("because", ValueError):
        with pytest.raises(TypeError, match="a cause is an exception or None"):
            cancel(wrong)
    assert not is_done(ctx)
    cancel()


@pytest.mark.parametrize("key", [[], {}, {1}, bytearray(b"foo"), ("a", [])])
def test_no_key(key):
    """TestWithValueChecksKey."""
    with pytest.raises(TypeError, match="must be hashable"):
        with_value(background(), key, "bar")


def test_none_is_no_key():
    """TestWithValueChecksKey."""
    with pytest.raises(TypeError, match="cannot be None"):
        with_value(background(), None, "bar")


def test_nothing_to_merge_and_nothing_to_call():
    with pytest.raises(TypeError):
        context.merge()
    with pytest.raises(TypeError, match="something to call"):
        context.after_func(background(), None)
