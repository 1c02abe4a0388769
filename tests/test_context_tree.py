"""The tree of contexts: ends spread down and leave nothing behind; strangers in it; merging."""

import contextvars
import gc
import itertools
import random
import weakref

import pytest

import gopoll
from gopoll import Chan, go, nil_chan
from gopoll.context import (
    Canceled,
    Context,
    DeadlineExceeded,
    after_func,
    background,
    cause,
    merge,
    todo,
    with_cancel,
    with_cancel_cause,
    with_timeout,
    with_timeout_cause,
    with_value,
    without_cancel,
)
from gopoll.testing import fake_clock, wait_idle
from tests.support.contexts import Wrapped, is_done

HOUR = 3600.0


def hanging_in(ctx):
    return list(ctx._dependents)


class Foreign(Wrapped):
    """One with a channel of its own, which the tree cannot know how to follow."""

    def __init__(self, inner=None):
        super().__init__(background() if inner is None else inner)
        self.chan = Chan()
        self.error = None

    def done(self):
        return self.chan

    def err(self):
        return self.error

    def cancel(self, error=None):
        self.error = error or Canceled()
        self.chan.close()


# -- downwards -----------------------------------------------------------------------------------


def test_parent_finishes_child():
    """TestParentFinishesChild."""
    with fake_clock() as clock:
        parent, cancel = with_cancel(background())
        cancel_child, _ = with_cancel(parent)
        value_child = with_value(parent, "key", "value")
        timer_child, _ = with_timeout(value_child, 10_000 * HOUR)
        family = [parent, cancel_child, value_child, timer_child]
        assert not any(map(is_done, family))
        assert hanging_in(parent) == [cancel_child, timer_child]
        cancel()
        assert hanging_in(parent) == []
        assert all(map(is_done, family))
        assert {type(ctx.err()) for ctx in family} == {Canceled}
        assert len(clock) == 0
        late = with_value(parent, "key", "value")
        assert is_done(late)


def test_child_finishes_first():
    """TestChildFinishesFirst."""
    cancelable, stop = with_cancel(background())
    for parent in (background(), cancelable):
        child, cancel = with_cancel(parent)
        assert not is_done(child)
        if parent is cancelable:
            assert hanging_in(parent) == [child]
        cancel()
        if parent is cancelable:
            assert hanging_in(parent) == []
        assert is_done(child)
        assert not is_done(parent)
    stop()


def test_cancel_removes():
    """TestCancelRemoves."""
    for derive in (
        lambda ctx: with_cancel(ctx).cancel,
        lambda ctx: with_timeout(ctx, HOUR).cancel,
        lambda ctx: merge(ctx, background()).cancel,
        lambda ctx: merge(ctx, ctx).cancel,
        lambda ctx: after_func(ctx, print),
        lambda ctx: ctx.on_done(print),
    ):
        ctx, stop = with_cancel(background())
        assert hanging_in(ctx) == []
        undo = derive(ctx)
        assert len(hanging_in(ctx)) == 1
        undo()
        assert hanging_in(ctx) == []
        stop()


def test_a_deadline_removes():
    with fake_clock() as clock:
        ctx, cancel = with_cancel(background())
        child, _ = with_timeout(ctx, 5)
        clock.advance(5)
        assert is_done(child)
        assert hanging_in(ctx) == []
        cancel()


def test_a_done_parent_makes_done_children():
    """TestWithCancelCanceledParent."""
    why = ValueError("because!")
    parent, cancel = with_cancel_cause(background())
    cancel(why)
    with fake_clock() as clock:
        for child in (
            with_cancel(parent).ctx,
            with_timeout(parent, HOUR).ctx,
            with_timeout(parent, 0).ctx,  # the parent was first
            with_cancel(Wrapped(parent)).ctx,
            merge(background(), parent).ctx,
        ):
            assert is_done(child)
            assert type(child.err()) is Canceled
            assert cause(child) is why
        assert len(clock) == 0
    assert hanging_in(parent) == []


def test_simultaneous_cancels():
    """TestSimultaneousCancels: a tree of a hundred, each cancelled by a goroutine of its own."""
    contexts = [with_cancel(background())]
    for parent, _ in contexts:
        if len(contexts) >= 100:
            break
        contexts += [with_cancel(parent) for _ in range(4)]
    random.shuffle(contexts)
    for _, cancel in contexts:
        go(cancel)
    for ctx, _ in random.sample(contexts, len(contexts)):
        ctx.done().recv()
    wait_idle()
    assert all(is_done(ctx) for ctx, _ in contexts)
    assert not any(hanging_in(ctx) for ctx, _ in contexts)


def test_interlocked_cancels():
    """TestInterlockedCancels."""
    parent, cancel_parent = with_cancel(background())
    child, cancel_child = with_cancel(parent)

    def body():
        parent.done().recv()
        cancel_child()

    g = go(body)
    wait_idle()
    cancel_parent()
    assert is_done(child)
    g.join()


@pytest.mark.parametrize("by_time", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_layers(seed, by_time):
    """TestLayersCancel, TestLayersTimeout."""
    dice = random.Random(seed)
    with fake_clock() as clock:
        ctx, values, cancels, timers = background(), [], [], 0
        while len(values) + len(cancels) < 30 or not (timers and values and cancels):
            match dice.randrange(3):
                case 0:
                    value = object()
                    ctx = with_value(ctx, value, value)
                    values.append(value)
                case 1:
                    ctx, cancel = with_cancel(ctx)
                    cancels.append(cancel)
                case 2:
                    ctx, cancel = with_timeout(ctx, 5 if by_time else HOUR)
                    cancels.append(cancel)
                    timers += 1
        assert not is_done(ctx)
        assert str(ctx).startswith("context.Background.With")
        assert all(ctx.value(value) is value for value in values)
        if by_time:
            clock.advance(5)
        else:
            dice.choice(cancels)()
        assert is_done(ctx)
        assert all(ctx.value(value) is value for value in values)
        for cancel in cancels:
            cancel()
        assert len(clock) == 0


def test_a_tree_deeper_than_the_stack():
    ctx, cancel = with_cancel(with_value(background(), "key", "value"))
    top = ctx
    for n in range(20_000):
        ctx = with_value(ctx, n, n) if n % 2 else with_cancel(ctx).ctx
    assert ctx.value("key") == "value"
    assert ctx.deadline() is None
    assert not is_done(ctx)
    assert str(ctx).count(".WithCancel") == 10_001
    cancel()
    assert is_done(ctx)
    assert type(cause(ctx)) is Canceled
    assert hanging_in(top) == []
    del ctx, top  # neither does taking it down recurse


def test_a_wide_tree():
    root, cancel = with_cancel(background())
    children = [with_cancel(root).ctx for _ in range(10_000)]
    cancel()
    assert all(child.err() for child in children)
    assert hanging_in(root) == []


def test_names():
    ctx = with_value(with_cancel(todo()).ctx, "a", "b")
    assert str(ctx) == "context.TODO.WithCancel.WithValue(a, b)"
    assert str(without_cancel(ctx)) == f"{ctx}.WithoutCancel"
    with with_cancel(Foreign()) as child:
        assert str(child) == f"{Foreign.__module__}.Foreign.WithCancel"
    assert str(with_cancel(merge(background(), ctx).ctx).ctx) == (
        f"context.Merge(context.Background, {ctx}).WithCancel"
    )


def test_garbage_needs_no_collector():
    """A context that was cancelled is in no cycle, and nothing refers to it."""
    root, cancel_root = with_cancel(background())
    gc.collect()
    gc.disable()
    try:
        for derive in (with_cancel, lambda ctx: with_timeout(ctx, HOUR), merge):
            ctx, cancel = derive(root)
            ctx.done()
            ref = weakref.ref(ctx)
            cancel()
            del ctx, cancel
            assert ref() is None
    finally:
        gc.enable()
    cancel_root()


# -- callbacks -----------------------------------------------------------------------------------


def test_on_done_is_called_by_who_cancels():
    ctx, cancel = with_cancel(background())
    order = []
    ctx.on_done(lambda: order.append("first"))
    call_off = ctx.on_done(lambda: order.append("never"))
    ctx.on_done(lambda: order.append("second"))
    assert call_off()
    assert not call_off()
    cancel()
    assert order == ["first", "second"]
    late = ctx.on_done(lambda: order.append("late"))
    assert order[-1] == "late"
    assert not late()


def test_on_done_of_what_is_never_done():
    call_off = background().on_done(pytest.fail)
    assert call_off()
    assert not call_off()


def test_a_callback_that_fails_keeps_nobody_from_being_told():
    ctx, cancel = with_cancel(background())
    told = []

    def fail():
        raise KeyError("mine")

    ctx.on_done(fail)
    ctx.on_done(lambda: told.append("callback"))
    child, _ = with_cancel(ctx)
    child.on_done(lambda: told.append("child"))
    with pytest.raises(KeyError, match="mine"):
        cancel()
    assert told == ["callback", "child"]
    assert is_done(child)
    cancel()


def test_a_callback_may_call_off_another_and_add_one():
    ctx, cancel = with_cancel(background())
    told = []

    def first():
        assert call_off()
        ctx.on_done(lambda: told.append("added"))
        assert is_done(with_cancel(ctx).ctx)

    ctx.on_done(first)
    call_off = ctx.on_done(lambda: told.append("called off"))
    cancel()
    assert told == ["added"]


def test_after_func_is_called_after_cancel():
    """TestAfterFuncCalledAfterCancel."""
    ctx, cancel = with_cancel(background())
    called = Chan()
    stop = after_func(ctx, called.close)
    wait_idle()
    assert not called.closed
    cancel()
    assert called.recv_ok() == (None, False)
    assert not stop()


def test_after_func_is_called_after_timeout():
    """TestAfterFuncCalledAfterTimeout."""
    with fake_clock() as clock:
        ctx, cancel = with_timeout(background(), 5)
        called = Chan()
        after_func(ctx, called.close)
        clock.advance(4.9)
        assert not called.closed
        clock.advance(0.1)
        assert called.closed
        cancel()


def test_after_func_is_called_immediately():
    """TestAfterFuncCalledImmediately."""
    ctx, cancel = with_cancel(background())
    cancel()
    called = Chan()
    stop = after_func(ctx, called.close)
    assert not stop()
    assert called.recv_ok() == (None, False)


def test_after_func_is_not_called_after_stop():
    """TestAfterFuncNotCalledAfterStop."""
    for ctx, cancel in (with_cancel(background()), (background(), lambda: None)):
        stop = after_func(ctx, pytest.fail)
        assert stop()
        cancel()
        wait_idle()
        assert not stop()


def test_after_func_is_called_asynchronously():
    """TestAfterFuncCalledAsynchronously: cancel() does not wait for it."""
    ctx, cancel = with_cancel(background())
    values = Chan()
    after_func(ctx, values.send, "value")
    cancel()
    assert values.recv() == "value"


def test_what_after_func_calls():
    """Arguments, the context variables and the clock of whoever asked for it, a goroutine."""
    var = contextvars.ContextVar("var", default="none")
    results = Chan(cap=1)

    def fn(*args, **kwargs):
        results.send((args, kwargs, var.get(), gopoll.time.now(), gopoll.current()))

    with fake_clock(5000):
        ctx, cancel = with_cancel(background())
        token = var.set("registered")
        after_func(ctx, fn, 1, 2, key=3)
        var.reset(token)
        go(cancel)
        args, kwargs, seen, now, g = results.recv()
    assert (args, kwargs, seen, now) == ((1, 2), {"key": 3}, "registered", 5000)
    assert g.name.endswith("fn")
    assert g is not gopoll.current()


def test_an_after_func_that_fails(panics):
    ctx, cancel = with_cancel(background())
    told = Chan()
    after_func(ctx, {}.__getitem__, "missing")
    after_func(ctx, told.close)
    cancel()
    told.recv()
    wait_idle()
    assert [type(exc) for _, exc in panics] == [KeyError]


# -- strangers -----------------------------------------------------------------------------------


def test_custom_context_goroutines():
    """TestCustomContextGoroutines: one for each child of a stranger, and none otherwise."""
    count = gopoll.num_goroutine()

    def made():
        nonlocal count
        wait_idle()
        before, count = count, gopoll.num_goroutine()
        return count - before

    for derive in (with_cancel, lambda ctx: with_timeout(ctx, HOUR)):
        _, cancel0 = derive(Foreign())
        assert made() == 1
        cancel0()
        assert made() == -1
    ctx1, cancel1 = with_cancel(background())
    ctx2 = Wrapped(ctx1)
    ctx3, cancel3 = with_cancel(ctx2)
    assert made() == 0
    _, cancel3b = with_cancel(Foreign(ctx2))
    assert made() == 1  # ctx1 does not provide done() here, and must not be used
    ctx4, cancel4 = with_timeout(ctx3, HOUR)
    ctx5, cancel5 = with_cancel(ctx4)
    cancel5()
    _, cancel6 = with_timeout(ctx5, HOUR)
    cancel6()
    assert made() == 0
    cancel1()
    _, cancel7 = with_cancel(ctx5)
    assert made() == 0
    for cancel in (cancel7, cancel4, cancel3, cancel3b):
        cancel()
    assert made() == -1


def test_custom_context_propagation():
    """TestCustomContextPropagation."""
    why = ValueError("why")
    ctx1, cancel1 = with_cancel_cause(background())
    ctx2 = Foreign(ctx1)
    ctx3, cancel3 = with_cancel(ctx2)
    cancel1(why)
    assert not is_done(ctx3)
    ctx2.cancel()
    ctx3.done().recv()
    assert type(ctx3.err()) is Canceled
    assert cause(ctx3) is why
    cancel3()


def test_custom_context_cause():
    """TestCustomContextCause."""
    stranger = Foreign()
    stranger.cancel()
    assert cause(stranger) is stranger.err()
    why = ValueError("why")
    stranger = Foreign()
    ctx, cancel = with_cancel_cause(stranger)
    cancel(why)
    assert (cause(ctx), stranger.err(), cause(stranger)) == (why, None, None)
    stranger.cancel()
    wait_idle()
    assert cause(ctx) is why
    assert cause(stranger) is stranger.err()
    stranger = Foreign()
    ctx, cancel = with_cancel(stranger)
    stranger.cancel()
    cancel()
    assert type(cause(ctx)) is Canceled


@pytest.mark.parametrize("before", [None, True, False])
def test_the_cause_of_a_custom_context(before):
    """TestCause, the last three of its table: the cause of what it wraps, if there is one."""
    why = ValueError("why")
    ctx, cancel = with_cancel_cause(background())
    stranger = Foreign(ctx)
    if before is True:
        cancel(why)
    stranger.cancel()
    if before is False:
        cancel(why)
    assert cause(stranger) is (stranger.err() if before is None else why)
    cancel()


def test_children_of_a_stranger_that_is_done_or_never_will_be():
    count = gopoll.num_goroutine()
    stranger = Foreign()
    stranger.cancel(DeadlineExceeded())
    ctx, _ = with_cancel(stranger)
    assert is_done(ctx)
    assert type(ctx.err()) is DeadlineExceeded
    ctx, cancel = with_cancel(Context())
    assert ctx.done() is not nil_chan
    assert not is_done(ctx)
    assert gopoll.num_goroutine() == count
    cancel()


def test_a_stranger_with_an_error_of_its_own():
    stranger = Foreign()
    ctx = with_value(with_cancel(with_value(stranger, "a", 1)).ctx, "b", 2)
    stranger.cancel(KeyError("mine"))
    ctx.done().recv()
    assert ctx.err() is stranger.err()
    assert cause(ctx) is stranger.err()
    assert (ctx.value("a"), ctx.value("b")) == (1, 2)


def test_values_and_deadlines_pass_through_a_stranger():
    with fake_clock(1000):
        top, cancel = with_timeout(with_value(background(), "key", "value"), 5)
        ctx, cancel_ctx = with_cancel(Foreign(top))
        assert ctx.deadline() == 1005
        assert ctx.value("key") == "value"
        cancel_ctx()
        cancel()


class WithCallbacks(Foreign):
    """A stranger that knows how to call: Go's contexts with a method AfterFunc."""

    def __init__(self):
        super().__init__()
        self.callbacks = {}
        self.numbers = itertools.count()

    def on_done(self, fn):
        number = next(self.numbers)
        self.callbacks[number] = fn
        return lambda: self.callbacks.pop(number, None) is not None

    def cancel(self, error=None):
        super().cancel(error)
        callbacks, self.callbacks = self.callbacks, {}
        for fn in callbacks.values():
            fn()


def test_a_stranger_that_calls():
    """TestCustomContextAfterFuncCancel, ...Timeout, ...AfterFunc."""
    count = gopoll.num_goroutine()
    stranger = WithCallbacks()
    called = Chan()
    ctx1, _ = with_cancel(stranger)
    ctx2, _ = with_timeout(stranger, HOUR)
    after_func(stranger, called.close)
    assert gopoll.num_goroutine() == count
    stranger.cancel()
    assert is_done(ctx1)
    assert is_done(ctx2)
    called.recv()


def test_a_stranger_that_calls_is_told_that_nobody_listens():
    """TestCustomContextAfterFuncUnregisterCancel, ...Timeout, ...AfterFunc."""
    stranger = WithCallbacks()
    undo = [
        with_cancel(stranger).cancel,
        with_timeout(stranger, HOUR).cancel,
        after_func(stranger, pytest.fail),
    ]
    assert len(stranger.callbacks) == 3
    for each in undo:
        each()
    assert not stranger.callbacks
    assert not undo[-1]()


# -- merging -------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1, 2])
def test_merge_ends_with_the_first(which):
    parents = [with_cancel_cause(background()) for _ in range(3)]
    ctx, cancel = merge(*(parent for parent, _ in parents))
    assert not is_done(ctx)
    why = ValueError(which)
    parents[which].cancel(why)
    assert is_done(ctx)
    assert cause(ctx) is why
    assert not any(hanging_in(parent) for parent, _ in parents)
    for _, cancel_parent in parents:
        cancel_parent(ValueError("late"))
    cancel()
    assert cause(ctx) is why


def test_merge_takes_over_the_error():
    with fake_clock(1000) as clock:
        one, cancel_one = with_timeout_cause(background(), 5, KeyError("slow"))
        two, cancel_two = with_timeout(background(), 6)
        ctx, cancel = merge(background(), two, one)
        assert ctx.deadline() == 1005
        clock.advance(5)
        assert type(ctx.err()) is DeadlineExceeded
        assert isinstance(cause(ctx), KeyError)
        for each in (cancel, cancel_one, cancel_two):
            each()


def test_merge_can_be_cancelled():
    one, cancel_one = with_cancel(background())
    ctx, cancel = merge(one, todo())
    assert ctx.deadline() is None
    cancel()
    assert type(ctx.err()) is Canceled
    assert hanging_in(one) == []
    assert not is_done(one)
    cancel_one()


def test_merge_looks_for_values_in_order():
    one = with_value(with_value(background(), "a", 1), "none", None)
    two = with_value(with_value(with_value(background(), "a", 2), "b", 2), "none", 2)
    ctx, cancel = merge(one, Foreign(two), with_value(background(), "c", 3))
    child = with_value(ctx, "d", 4)
    found = [child.value(key) for key in ("a", "b", "c", "d", "e")]
    assert found == [1, 2, 3, 4, None]
    assert child.value("none") is None  # the first that has one has None
    cancel()


def test_merge_with_a_stranger():
    stranger = Foreign()
    with merge(background(), stranger) as ctx:
        stranger.cancel()
        ctx.done().recv()
        assert type(ctx.err()) is Canceled
