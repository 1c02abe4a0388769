"""Contexts across OS threads, in handlers and finalizers, and as what ends other waits."""

import signal
import threading

import pytest

import gopoll
from gopoll import Chan, go, net, sync
from gopoll.context import (
    Canceled,
    Context,
    DeadlineExceeded,
    after_func,
    background,
    cause,
    with_cancel,
    with_cancel_cause,
    with_deadline,
    with_timeout,
)
from gopoll.runtime.sched import this
from gopoll.runtime.scope import until
from gopoll.testing import fake_clock, wait_idle
from tests.support.parking import in_thread, outcome
from tests.support.program import must_succeed
from tests.support.threads import SOON, at_once, running, when_asleep

HOUR = 3600.0


# -- threads -------------------------------------------------------------------------------------


def wait_for(n, ctx):
    """Wait for the end of `ctx` in one of four ways; return its error."""
    match n % 4:
        case 0:
            ctx.done().recv()
        case 1:
            with pytest.raises(Canceled), until(ctx):
                Chan().recv()
        case 2:
            called = Chan()
            after_func(ctx, called.close)
            called.recv()
        case 3:
            with with_timeout(ctx, HOUR) as own:
                own.done().recv()
    return type(ctx.err())


def cancel_from_four_threads():
    """Return what a hundred and sixty were told, by four who cancelled."""
    root, cancel_root = with_cancel_cause(background())
    children = [with_cancel(root) for _ in range(4)]
    ready, told = threading.Barrier(4), []

    def body(number):
        mine = [go(wait_for, n, children[n // 10].ctx) for n in range(40)]
        wait_idle()
        ready.wait(SOON)
        children[number].cancel()
        cancel_root(ValueError(number))
        told.extend(g.result(SOON) for g in mine)

    with running(*(lambda n=n: body(n) for n in range(4))):
        pass
    assert isinstance(cause(root), ValueError)
    assert not root._dependents
    assert not any(child.ctx._dependents for child in children)
    return told


def test_cancel_from_four_threads_at_once():
    """Forty goroutines in each of four threads wait in four ways; each is told, by whomever."""
    for _ in range(20):
        assert cancel_from_four_threads() == [Canceled] * 160


def test_a_child_of_a_parent_that_is_just_being_cancelled():
    """TestWithCancelSimultaneouslyCanceledParent."""
    for _ in range(200):
        parent, cancel = with_cancel_cause(background())
        why = ValueError("because!")
        with running(lambda cancel=cancel, why=why: cancel(why)):
            child, _ = with_cancel(parent)
            child.done().recv()
            assert type(child.err()) is Canceled
            assert cause(child) is why
        assert not parent._dependents


def test_cause_race():
    """TestCauseRace."""
    for _ in range(50):
        ctx, cancel = with_cancel_cause(background())
        why = ValueError("why")
        with running(lambda cancel=cancel, why=why: cancel(why)):
            while (found := cause(ctx)) is None:
                gopoll.gosched()
            assert found is why


def test_err_and_done_agree():
    """TestContextErrDoneRace: whoever sees the one sees the other."""
    for _ in range(200):
        ctx, cancel = with_cancel(background())
        done = ctx.done()
        with running(cancel):
            while ctx.err() is None and not done.closed:
                gopoll.gosched()
            assert done.closed
            assert ctx.err() is not None


def test_done_is_made_once():
    """By however many threads at once."""
    for _ in range(100):
        ctx, cancel = with_cancel(background())
        start, made = threading.Barrier(4), []

        def body(ctx=ctx, start=start, made=made):
            start.wait(SOON)
            made.append(ctx.done())

        with running(body, body, body, lambda start=start, cancel=cancel: (start.wait(), cancel())):
            pass
        assert len({id(chan) for chan in [*made, ctx.done()]}) == 1
        assert ctx.done().closed


def test_another_thread_ends_a_wait():
    """While everything here sleeps."""
    ctx, cancel = with_cancel(background())
    with running(when_asleep(cancel)):
        assert ctx.done().recv_ok() == (None, False)


def test_another_thread_cancels_a_deadline():
    """The timer belongs to the thread that made it, which disarms it."""
    with fake_clock() as clock:
        ctx, cancel = with_timeout(background(), 5)
        at_once(cancel)
        assert type(ctx.err()) is Canceled
        assert len(clock) == 1  # not the other one: a timeline knows one thread only
        wait_idle()
        assert len(clock) == 0


def test_a_deadline_ends_waits_of_another_thread():
    with fake_clock() as clock:
        ctx, cancel = with_timeout(background(), 5)
        waits = threading.Event()
        came = []

        def body():
            with until(ctx):
                go(waits.set)
                Chan().recv()

        with running(lambda: came.append(outcome(body))):
            gopoll.offload(waits.wait, SOON)
            clock.advance(5)
        assert [type(each) for each in came] == [DeadlineExceeded]
        cancel()


def test_after_func_runs_in_the_thread_that_asked_for_it():
    ctx, cancel = with_cancel(background())
    idents = Chan(cap=1)
    after_func(ctx, lambda: idents.send(threading.get_ident()))
    at_once(cancel)
    assert idents.recv() == threading.get_ident()


def test_after_func_of_a_thread_that_has_ended():
    """Then it runs where the context ends: it may be there to clean up."""
    ctx, cancel = with_cancel(background())
    called = Chan()
    in_thread(after_func, ctx, called.close)
    cancel()
    assert called.recv_ok() == (None, False)


def test_stop_and_cancel_race_for_an_after_func():
    """One of them wins, and stop() knows which."""
    for _ in range(100):
        ctx, cancel = with_cancel(background())
        called = []
        stop = after_func(ctx, called.append, True)
        start = threading.Barrier(2)
        stopped = []
        with running(
            lambda start=start, cancel=cancel: (start.wait(SOON), cancel()),
            lambda start=start, stop=stop, stopped=stopped: (
                start.wait(SOON),
                stopped.append(stop()),
            ),
        ):
            pass
        wait_idle()
        assert len(called) + sum(stopped) == 1


# -- handlers and finalizers ---------------------------------------------------------------------


def test_a_handler_cancels_in_the_middle_of_anything():
    """At each of its steps a handler strikes that cancels; afterwards all is as it should be."""
    must_succeed(
        """
        from gopoll.context import Canceled, background, with_cancel, with_timeout
        from gopoll.testing import fake_clock

        def life(root, alive):
            'What is interrupted: a context lives, is waited for, and ends.'
            child, cancel_child = with_timeout(root, 60)
            grandchild, cancel_grandchild = with_cancel(child)
            done = grandchild.done()
            alive.append((grandchild, done))
            call_off = child.on_done(lambda: None)
            call_off()
            cancel_child()
            assert done.closed, 'done() is open'
            assert type(grandchild.err()) is Canceled

        def strike_at(step):
            'Cancel everything at the given line of gopoll; False if there are not as many.'
            root, cancel = with_cancel(background())
            seen, alive = [], []
            left = [step]
            def trace(frame, event, arg):
                if frame.f_globals.get('__name__') in ('gopoll._context', 'gopoll.context',
                                                       'gopoll.runtime.timers', 'gopoll.chan'):
                    if event == 'line':
                        left[0] -= 1
                        if left[0] == 0:
                            sys.settrace(None)
                            signal.raise_signal(signal.SIGUSR1)
                    return trace
            def handler(*_):
                seen.append(1)
                for ctx, done in alive:  # whoever sees the error finds the channel closed
                    assert ctx.err() is None or done.closed or done.busy
                cancel()
                extra, cancel_extra = with_timeout(root, 5)
                assert type(extra.err()) is Canceled
            signal.signal(signal.SIGUSR1, handler)
            sys.settrace(trace)
            try:
                life(root, alive)
            finally:
                sys.settrace(None)
            cancel()
            testing.wait_idle()
            assert type(root.err()) is Canceled
            assert root.done().closed
            assert not root._dependents, root._dependents
            return bool(seen)

        def main():
            with fake_clock() as clock:
                step = 1
                while strike_at(step):
                    assert len(clock) == 0, (step, len(clock))
                    step += 1
            print(step > 80 and 'struck everywhere')
        gopoll.run(main)
        """,
        says="struck everywhere",
    )


def test_a_handler_ends_the_sleep_of_the_scheduler():
    """It cancels what main waits for, and makes a deadline that must not be slept through."""
    ctx, cancel = with_cancel(background())
    made = []

    def handler(*_):
        made.append(with_timeout(background(), 0.001))
        cancel()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        ident = threading.get_ident()
        with running(when_asleep(signal.pthread_kill, ident, signal.SIGUSR1)):
            ctx.done().recv()
        made[0].ctx.done().recv()
        assert type(made[0].ctx.err()) is DeadlineExceeded
    finally:
        signal.signal(signal.SIGUSR1, before)
        made[0].cancel()


def test_a_deadline_made_by_a_handler_while_all_sleep():
    """Also where signals do not end the sleep, since the program hears them by itself."""
    must_succeed(
        """
        from gopoll.context import after_func, background, with_timeout
        _, number = os.pipe()
        os.set_blocking(number, False)
        signal.set_wakeup_fd(number)
        chan = Chan()
        def handler(*_):
            ctx, cancel = with_timeout(background(), 0.001)
            after_func(ctx, chan.close)
        def main():
            signal.signal(signal.SIGUSR1, handler)
            ring(signal.SIGUSR1)
            chan.recv()
            print('in time')
        gopoll.run(main)
        """,
        says="in time",
    )


def test_a_finalizer_cancels():
    class Owner:
        def __init__(self, parent):
            self.ctx, self.cancel = with_cancel(parent)

        def __del__(self):
            self.cancel()

    with fake_clock() as clock:
        root, cancel = with_timeout(background(), HOUR)
        owner = Owner(root)
        chan = owner.ctx.done()
        del owner
        assert chan.closed
        assert not root._dependents
        cancel()
        assert len(clock) == 0


# -- what a context ends -------------------------------------------------------------------------


def waits():
    """Every way to wait for ever."""
    reader, writer = net.pipe()
    mutex = sync.Mutex()
    mutex.lock()
    wg = sync.WaitGroup()
    wg.add(1)
    parked = go(Chan().recv)
    yield Chan().recv
    yield lambda: Chan().send(1)
    yield lambda: gopoll.select(Chan().recv, Chan().recv)
    yield gopoll.nil_chan.recv
    yield lambda: gopoll.sleep(HOUR)
    yield reader.read
    yield mutex.lock
    yield wg.wait
    yield parked.join
    reader.close()
    writer.close()
    this.sched.interrupt(parked, gopoll.errors.GoExit())


def test_until_ends_every_wait():
    for call in waits():
        ctx, cancel = with_cancel(background())

        def body(ctx=ctx, call=call):
            with until(ctx):
                call()

        g = go(outcome, body)
        wait_idle()
        assert not g.done
        cancel()
        assert type(g.result(SOON)) is Canceled
        assert not ctx._dependents


def test_until_a_context_that_is_done():
    ctx, cancel = with_cancel(background())
    cancel()
    with pytest.raises(Canceled), until(ctx):
        pytest.fail("entered")


def test_what_was_handed_over_is_kept():
    """The value and the end come in one instant: the value is received, the next wait ends."""
    ctx, cancel = with_cancel(background())
    chan, got = Chan(), []

    def body():
        with until(ctx):
            got.append(chan.recv())
            got.append(chan.recv())

    g = go(outcome, body)
    wait_idle()
    chan.send("value")
    cancel()
    assert type(g.result(SOON)) is Canceled
    assert got == ["value"]


def test_a_block_that_was_left_is_not_ended():
    ctx, cancel = with_cancel(background())
    with until(ctx):
        cancel()
    Chan(cap=1).send(1)
    gopoll.sleep(0.0001)
    assert not ctx._dependents


@pytest.mark.parametrize(
    ("scope", "own", "expected"),
    [(3, 5, TimeoutError), (5, 3, DeadlineExceeded), (9, None, Canceled)],
)
@pytest.mark.parametrize("ctx_outside", [True, False])
def test_contexts_and_timeouts_nest(scope, own, expected, ctx_outside):
    """Each raises for itself, whichever is outside."""
    with fake_clock() as clock:
        ctx, cancel = with_timeout(background(), own)
        limit = gopoll.timeout(scope)

        def body():
            first, second = (until(ctx), limit) if ctx_outside else (limit, until(ctx))
            with first, second:
                Chan().recv()

        g = go(outcome, body)
        clock.advance(2)
        assert not g.done
        if own is None:
            cancel()
        clock.advance(HOUR)
        assert type(g.result()) is expected
        assert limit.expired == (expected is TimeoutError)
        cancel()


def test_nested_contexts_raise_for_the_one_that_ended():
    """An inner block is not told of the outer one's end as its own."""
    outer, cancel_outer = with_cancel(background())
    inner, cancel_inner = with_timeout(background(), HOUR)
    seen = []

    def body():
        with until(outer):
            try:
                with until(inner):
                    Chan().recv()
            except DeadlineExceeded:
                seen.append("inner")

    g = go(outcome, body)
    wait_idle()
    cancel_outer()
    assert type(g.result(SOON)) is Canceled
    assert seen == []
    cancel_inner()


def test_a_stranger_ends_waits_too():
    class Mine(Context):
        def __init__(self):
            self.chan = Chan()

        def done(self):
            return self.chan

        def err(self):
            return Canceled("mine") if self.chan.closed else None

    ctx = Mine()

    def body():
        with until(ctx):
            Chan().recv()

    g = go(outcome, body)
    wait_idle()
    ctx.chan.close()
    assert str(g.result(SOON)) == "mine"


def test_a_deadlock_names_who_waits_for_a_context():
    must_succeed(
        """
        from gopoll.context import background, with_cancel
        def main():
            ctx, cancel = with_cancel(background())
            try:
                ctx.done().recv()
            except gopoll.Deadlock as exc:
                print('chan receive' in str(exc))
        gopoll.run(main)
        """,
        says="True",
    )


def test_a_deadline_is_no_deadlock_and_is_slept_for():
    must_succeed(
        """
        from gopoll.context import background, with_deadline
        def main():
            ctx, _ = with_deadline(background(), gopoll.time.now() + 0.01)
            ctx.done().recv()
            print(ctx.err())
        gopoll.run(main)
        """,
        says="context deadline exceeded",
    )


def test_in_a_bubble_an_hour_is_nothing():
    with gopoll.testing.bubble() as bubble:
        ctx, cancel = with_deadline(background(), gopoll.time.now() + HOUR)
        ctx.done().recv()
        assert bubble.elapsed == HOUR
        cancel()
