"""Groups: structured concurrency, the first error, limits, and what interrupts the waiting."""

import threading
from contextlib import suppress

import pytest

import gopoll
from gopoll import Chan, go
from gopoll.context import (
    Canceled,
    DeadlineExceeded,
    background,
    cause,
    with_cancel,
    with_cancel_cause,
    with_timeout,
)
from gopoll.errgroup import Group
from gopoll.errors import GoExit
from gopoll.runtime.scope import until
from gopoll.testing import fake_clock, wait_idle
from tests.support.parking import in_thread, outcome
from tests.support.program import must_succeed
from tests.support.threads import SOON, running

DOOM = ValueError("doomed")


def fail(exc):
    raise exc


def nothing():
    pass


def until_done(ctx):
    """Wait for the end of `ctx` and raise its error, as everything does that takes one."""
    with until(ctx):
        Chan().recv()


def notes(exc):
    return getattr(exc, "__notes__", [])


# -- as in Go ------------------------------------------------------------------------------------


@pytest.mark.parametrize("errors", [[], [None], [1], [1, None], [1, None, 2]])
def test_zero_group(errors):
    """TestZeroGroup: waited for again and again, a group goes on raising its first error."""
    raised = [None if error is None else ValueError(error) for error in errors]
    first = None
    g = Group()
    for error in raised:
        g.go(nothing) if error is None else g.go(fail, error)
        first = first or error
        assert outcome(g.wait) is first


WITH_CONTEXT = {"none": [], "ok": [None], "doom": [DOOM], "doom and ok": [DOOM, None]}


@pytest.mark.parametrize("errors", WITH_CONTEXT.values(), ids=WITH_CONTEXT)
@pytest.mark.parametrize("start", [Group.go, Group.try_go])
def test_with_context(errors, start):
    """TestWithContext, TestCancelCause: waiting ends the context, with the error as its cause."""
    g = Group(background())
    for error in errors:
        start(g, nothing) if error is None else start(g, fail, error)
    want = errors[0] if errors else None
    assert outcome(g.wait) is want
    assert g.ctx.done().closed
    assert type(g.ctx.err()) is Canceled
    assert cause(g.ctx) is want if want else type(cause(g.ctx)) is Canceled


def test_try_go():
    """TestTryGo."""
    g, chan = Group(limit=42), Chan()

    def fn():
        chan.send(None)

    def drain(n):
        for _ in range(n):
            chan.recv()

    for _ in range(42):
        assert g.try_go(fn) is not None
    assert g.try_go(fn) is None
    go(drain, 42)
    g.wait()
    assert g.try_go(fn) is not None
    go(drain, 1)
    g.wait()
    g.set_limit(1)
    assert g.try_go(fn) is not None
    assert g.try_go(fn) is None
    go(drain, 1)
    g.wait()
    g.set_limit(0)
    assert not any(g.try_go(fn) for _ in range(1024))
    g.wait()


def test_go_limit():
    """TestGoLimit."""
    active = most = count = 0

    def fn():
        nonlocal active, most, count
        active, count = active + 1, count + 1
        most = max(most, active)
        gopoll.gosched()
        active -= 1

    with Group(limit=10) as g:
        for _ in range(1025):
            g.go(fn)
    assert count == 1025
    assert most <= 10


def test_go_waits_for_room():
    with Group(limit=10) as g:
        gates = [Chan() for _ in range(11)]
        for gate in gates[:10]:
            g.go(gate.recv)
        late = go(g.go, gates[10].recv)
        wait_idle()
        assert not late.done
        gates[3].close()
        wait_idle()
        assert late.done
        for gate in gates:
            if not gate.closed:
                gate.close()


def test_no_limit():
    for limit in (None, -1):
        with Group(limit=3) as g:
            g.set_limit(limit)
            gate = Chan()
            for _ in range(100):
                assert g.try_go(gate.recv) is not None
            wait_idle()
            gate.close()


def test_the_limit_stays_while_goroutines_are_at_work():
    with Group() as g:
        gate = Chan()
        g.go(gate.recv)
        for limit in (1, 0, None, -1):
            with pytest.raises(RuntimeError, match="1 goroutines are at work"):
                g.set_limit(limit)
        gate.close()


def test_goexit_is_no_error():
    """As in Go: it ends the goroutine, gives back its place, and says nothing."""
    with Group(limit=1) as g:
        g.go(gopoll.goexit)
        assert g.go(str, 1).result(SOON) == "1"
        assert g.ctx.err() is None
    assert g.try_go is not None


def test_after_an_error_functions_are_still_run():
    ran = []
    g = Group()
    g.go(fail, DOOM)
    wait_idle()
    g.go(lambda: ran.append(type(g.ctx.err())))
    assert outcome(g.wait) is DOOM
    assert ran == [Canceled]


# -- the block -----------------------------------------------------------------------------------


def test_leaving_waits_for_all():
    ended = []

    def fn(n):
        for _ in range(n):
            gopoll.gosched()
        ended.append(n)

    with Group() as g:
        for n in range(10):
            g.go(fn, n)
        assert ended == []
    assert sorted(ended) == list(range(10))
    assert type(g.ctx.err()) is Canceled


def test_results():
    with Group() as g:
        plain = g.go(max, 1, 2)
        words = g.go(sorted, "bca", reverse=True)
        many = g.go(max, 1, 2, 3)
    assert (plain.result(), words.result(), many.result()) == (2, ["c", "b", "a"], 3)
    assert isinstance(plain, gopoll.Goroutine)
    assert plain.name == "max"


def test_the_result_of_one_that_failed():
    with pytest.raises(ValueError, match="doomed"), Group() as g:
        failed = g.go(fail, ValueError("doomed"))
    with pytest.raises(ValueError, match="doomed"):
        failed.result()
    with pytest.raises(ValueError, match="mine"), Group() as g:
        g.go(fail, ValueError("mine")).result()  # raised in the body, and once only
    assert g.ctx.err()


def test_the_first_error_ends_the_others():
    """Nobody is reported: the panics of this test would fail it."""
    doom = ValueError("doomed")
    with pytest.raises(ValueError, match="doomed") as caught, Group() as g:
        waiting = [g.go(until_done, g.ctx) for _ in range(5)]
        wait_idle()
        g.go(fail, doom)
    assert caught.value is doom
    assert cause(g.ctx) is doom
    assert {type(outcome(each.result)) for each in waiting} == {Canceled}
    assert notes(doom) == []  # the others only echo it


def test_later_errors_are_notes():
    doom = ValueError("first")

    def clean_up(n):
        g.ctx.done().recv()
        msg = f"number {n}"
        raise KeyError(msg)

    with pytest.raises(ValueError, match="first") as caught, Group() as g:
        late = [g.go(clean_up, n) for n in range(2)]
        g.go(fail, doom)
    assert sorted(notes(caught.value)) == sorted(
        f"also goroutine {each.id} {each.name!r}: KeyError: 'number {n}'"
        for n, each in enumerate(late)
    )


def test_notes_are_bounded():
    with pytest.raises(ValueError, match="0") as caught, Group() as g:
        for _ in range(1000):
            g.go(fail, ValueError("0"))
    assert len(notes(caught.value)) == 21
    assert notes(caught.value)[-1] == "and 979 errors more"


def test_an_error_of_the_body():
    doom = ValueError("body")

    def clean_up():
        g.ctx.done().recv()
        seen.append(cause(g.ctx))
        raise KeyError("late")

    seen = []
    with pytest.raises(ValueError, match="body") as caught, Group() as g:
        g.go(clean_up)
        g.go(until_done, g.ctx)
        raise doom
    assert caught.value is doom
    assert seen == [doom]
    assert notes(doom) == ["also KeyError: 'late'"]


def test_a_body_that_echoes_the_error_of_a_goroutine():
    """The body waits for g.ctx and raises what that says: the reason is the goroutine's error."""
    doom = ValueError("doomed")
    with pytest.raises(ValueError, match="doomed") as caught, Group() as g:
        g.go(fail, doom)
        until_done(g.ctx)
    assert caught.value is doom
    assert caught.value.__suppress_context__


def test_the_end_of_the_parent_is_the_error_of_those_whom_it_stops():
    parent, cancel = with_cancel_cause(background())
    with pytest.raises(Canceled), Group(parent) as g:
        for _ in range(3):
            g.go(until_done, g.ctx)
        wait_idle()
        cancel(DOOM)
        assert cause(g.ctx) is DOOM
    with Group(parent):  # nobody minds: no error
        pass
    assert not parent._dependents


def test_groups_nest():
    doom = ValueError("inner")
    ended = []

    def inner():
        with Group(outer.ctx) as g:
            g.go(until_done, g.ctx)
            g.go(fail, doom)

    def other():
        outer.ctx.done().recv()
        ended.append(cause(outer.ctx))

    with pytest.raises(ValueError, match="inner"), Group() as outer:
        outer.go(other)
        outer.go(inner)
    assert ended == [doom]


def test_members_start_members():
    seen = []

    def grow(depth):
        seen.append(depth)
        if depth < 5:
            g.go(grow, depth + 1)
            g.go(grow, depth + 1)

    with Group() as g:
        g.go(grow, 0)
    assert len(seen) == 2**6 - 1


@pytest.mark.parametrize("limit", [None, 0, 1])
def test_a_group_is_left_once(limit):
    with Group(limit=limit) as g:
        pass
    for start in (g.go, g.try_go):
        with pytest.raises(RuntimeError, match="has been left"):
            start(pytest.fail)
    with pytest.raises(RuntimeError, match="used already"), g:
        pass


def test_who_waits_for_room_is_waited_for_or_refused():
    """By chance: the end of the block and the room for one more come in one instant."""
    ran = []
    with suppress(KeyError), Group(limit=1) as g:
        gate = Chan()
        g.go(gate.recv)
        late = go(outcome, g.go, ran.append, "late")
        wait_idle()
        gate.close()
        raise KeyError
    ran_in_time = list(ran)
    refused = isinstance(late.result(SOON), RuntimeError)
    assert ran == ran_in_time == ([] if refused else ["late"])


def test_nobody_waits_for_itself():
    with Group() as g:
        error = g.go(outcome, g.wait).result(SOON)
    assert isinstance(error, RuntimeError)
    assert "its own group" in str(error)


# -- interruptions -------------------------------------------------------------------------------


def test_a_timeout_in_the_body():
    with fake_clock() as clock:
        ended = []

        def member(ctx):
            with suppress(Canceled):
                until_done(ctx)
            gopoll.sleep(1)  # to clean up
            ended.append(cause(ctx))

        def body():
            with gopoll.timeout(5), Group() as g:
                g.go(member, g.ctx)
                Chan().recv()

        g = go(outcome, body)
        clock.advance(5)
        assert not g.done  # it waits for the member all the same
        clock.advance(1)
        assert type(g.result()) is TimeoutError
        assert [type(each) for each in ended] == [Canceled]


def test_a_timeout_while_it_waits_for_the_rest():
    with fake_clock() as clock:
        ended = []

        def member(ctx):
            ctx.done().recv()
            ended.append(gopoll.time.now())

        def body():
            with gopoll.timeout(5), Group() as g:
                g.go(member, g.ctx)

        start = gopoll.time.now()
        g = go(outcome, body)
        clock.advance(3600)
        assert type(g.result()) is TimeoutError
        assert ended == [start + 5]


def test_a_timeout_of_the_parent_context():
    with fake_clock() as clock, with_timeout(background(), 5) as ctx:

        def body():
            with Group(ctx) as g:
                g.go(until_done, g.ctx)
                g.go(until_done, g.ctx)

        g = go(outcome, body)
        clock.advance(5)
        error = g.result()
        assert type(error) is DeadlineExceeded
        assert notes(error) == []


def test_two_timeouts_strike_while_it_waits():
    """The inner one is raised; the outer one is not lost, but waits for its turn."""
    with fake_clock() as clock:
        seen = []

        def stubborn():
            gopoll.sleep(100)

        def body():
            with gopoll.timeout(10):
                try:
                    with gopoll.timeout(5), Group() as g:
                        g.go(stubborn)
                except TimeoutError as exc:
                    seen.append(str(exc))
                gopoll.sleep(1)
                seen.append("never")

        g = go(outcome, body)
        clock.advance(1000)
        assert str(g.result()) == "timed out after 10 seconds"
        assert seen == ["timed out after 5 seconds"]


def test_an_error_of_the_body_gives_way_to_a_timeout():
    with fake_clock() as clock:

        def body():
            with gopoll.timeout(5), Group() as g:
                g.go(gopoll.sleep, 10)
                raise ValueError("body")

        g = go(outcome, body)
        clock.advance(100)
        error = g.result()
        assert type(error) is TimeoutError
        assert isinstance(error.__cause__.__context__, ValueError)


def test_goexit_in_the_body():
    ended = []

    def member(ctx):
        ctx.done().recv()
        ended.append(True)

    def body():
        with Group() as g:
            g.go(member, g.ctx)
            gopoll.goexit()

    go(body).join(SOON)
    assert ended == [True]


def test_exit_in_a_goroutine_means_the_program():
    """More than an error that came first."""
    with pytest.raises(SystemExit) as caught, Group() as g:
        g.go(fail, ValueError("first"))
        g.go(fail, SystemExit(3))
        g.go(fail, ValueError("last"))
    assert caught.value.code == 3
    assert len(notes(caught.value)) == 2
    with pytest.raises(SystemExit), Group() as g:
        g.go(fail, SystemExit(4))
        wait_idle()
        raise ValueError("body")


def test_ctrl_c_in_the_body():
    must_succeed(
        """
        from gopoll.errgroup import Group
        ended = []
        def member(ctx):
            ctx.done().recv()
            gopoll.sleep(0.001)
            ended.append(True)
        def main():
            try:
                with Group() as g:
                    g.go(member, g.ctx)
                    ring()
                    Chan().recv()
            except KeyboardInterrupt:
                print('interrupted', ended)
        gopoll.run(main)
        """,
        says="interrupted [True]",
    )


def test_ctrl_c_while_it_waits_for_the_rest():
    must_succeed(
        """
        from gopoll.errgroup import Group
        ended = []
        def member(ctx):
            ctx.done().recv()
            ended.append(True)
        def main():
            try:
                with Group() as g:
                    g.go(member, g.ctx)
                    ring()
            except KeyboardInterrupt:
                print('interrupted', ended)
        gopoll.run(main)
        """,
        says="interrupted [True]",
    )


def test_a_second_ctrl_c_while_it_waits_for_the_rest():
    """The rest is waited for all the same; the second is raised at the next wait."""
    must_succeed(
        """
        from gopoll.errgroup import Group
        from gopoll.runtime import sched as runtime
        gate, seen, strikes = Chan(), [], []
        interrupt = runtime.Scheduler.interrupt
        def counting(self, g, exc):
            interrupt(self, g, exc)
            strikes.append(exc)
            if len(strikes) == 2:
                gate.close()
        runtime.Scheduler.interrupt = counting
        def member(ctx):
            ctx.done().recv()
            ring()
            gate.recv()
            seen.append('ended')
        def main():
            try:
                with Group() as g:
                    g.go(member, g.ctx)
                    ring()
            except KeyboardInterrupt:
                seen.append('first')
            try:
                gopoll.sleep(10)
            except KeyboardInterrupt:
                seen.append('second')
            print(*seen)
        gopoll.run(main)
        """,
        says="ended first second",
    )


def test_members_that_sleep_for_ever_are_a_deadlock():
    """Once the end of the context has not woken them."""
    must_succeed(
        """
        from gopoll.errgroup import Group
        def obedient(ctx):
            ctx.done().recv()
            print('obeyed')
        def main():
            try:
                with Group() as g:
                    g.go(obedient, g.ctx)
                    g.go(Chan().recv)
            except gopoll.Deadlock as exc:
                print('errgroup.Group.Wait' in str(exc))
        gopoll.run(main)
        """,
        says="True",
    )


def test_when_the_program_ends_groups_end():
    must_succeed(
        """
        from gopoll.errgroup import Group
        def member():
            try:
                Chan().recv()
            finally:
                print('member')
        def owner():
            try:
                with Group() as g:
                    g.go(member)
            finally:
                print('owner')
        def main():
            go(owner)
            testing.wait_idle()
        gopoll.run(main)
        """,
        says="owner",
    )


# -- threads and forks ---------------------------------------------------------------------------


def test_goroutines_of_four_threads_in_one_group():
    """Each thread starts forty, and waits for room beside the others."""
    active = most = 0
    ended = []

    def member(n):
        nonlocal active, most
        active += 1
        most = max(most, active)
        gopoll.gosched()
        active -= 1
        ended.append(n)

    def body():
        for each in [g.go(member, n) for n in range(40)]:
            each.join(SOON)

    with Group(limit=6) as g, running(*[body] * 4):
        pass
    assert sorted(ended) == sorted([*range(40)] * 4)
    assert most <= 6
    assert not g._members


def test_a_group_waits_for_goroutines_of_other_threads():
    gates, ended = [Chan(), Chan()], []

    def member(gate):
        gate.recv()
        ended.append(True)

    def body():
        mine = [g.go(member, gate) for gate in gates]
        started.wait(SOON)
        for each in mine:
            each.join(SOON)

    g, started = Group(), threading.Barrier(5)
    with running(*[body] * 4):
        gopoll.offload(started.wait, SOON)
        for gate in gates:
            go(gate.close)
        g.wait()
        assert ended == [True] * 8


def test_errors_of_four_threads_at_once():
    for _ in range(20):
        errors = [ValueError(n) for n in range(4)]
        barrier = threading.Barrier(4)
        g = Group()

        def body(n, g=g, barrier=barrier, errors=errors):
            barrier.wait(SOON)
            g.go(fail, errors[n]).join(SOON)

        with running(*(lambda n=n, body=body: body(n) for n in range(4))):
            pass
        first = outcome(g.wait)
        assert first in errors
        assert cause(g.ctx) is first
        assert len(notes(first)) == 3


def test_another_thread_waits_for_the_group():
    g, gate = Group(), Chan()
    g.go(gate.recv)
    with running(g.wait):
        gopoll.gosched()
        gate.close()
    in_thread(g.wait)
    assert g.ctx.err() is not None


def test_in_a_forked_child_nobody_waits_for_those_of_the_parent():
    must_succeed(
        """
        from gopoll.errgroup import Group
        def main():
            gate = Chan()
            with Group() as g:
                g.go(gate.recv)
                testing.wait_idle()
                pid = os.fork()
                if not pid:
                    g.go(print, 'child')
                else:
                    _, status = os.waitpid(pid, 0)
                    gate.close()
            if not pid:
                os._exit(7)
            print(os.waitstatus_to_exitcode(status))
        import warnings
        warnings.simplefilter('ignore', DeprecationWarning)
        gopoll.run(main)
        """,
        says="7",
    )


def test_a_member_that_forks_is_main_in_the_child():
    """Its error is that of the child, since nobody waits for it there."""
    must_succeed(
        """
        from gopoll.errgroup import Group
        def member():
            pid = os.fork()
            if not pid:
                raise SystemExit(9)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        def main():
            with Group() as g:
                forked = g.go(member)
            print(forked.result())
        import warnings
        warnings.simplefilter('ignore', DeprecationWarning)
        gopoll.run(main)
        """,
        says="9",
    )


# -- bad input -----------------------------------------------------------------------------------


def test_bad_input():
    for limit in ("1", 1.5, []):
        with pytest.raises(TypeError, match="limit"):
            Group(limit=limit)
    for ctx in ("ctx", 1, with_cancel(background())):
        with pytest.raises(TypeError, match="expected a context"):
            Group(ctx)
    with Group(limit=0) as g:
        for start in (g.go, g.try_go):
            with pytest.raises(TypeError, match="something to call"):
                start(None)


def test_waiting_for_room_can_be_interrupted():
    with fake_clock() as clock:
        g = Group(limit=0)

        def body():
            with gopoll.timeout(5):
                g.go(pytest.fail)

        waiting = go(outcome, body)
        clock.advance(5)
        assert type(waiting.result()) is TimeoutError
        g.set_limit(1)
        assert g.go(int).result() == 0
        g.wait()


def test_a_name():
    with Group() as g:
        gate = Chan()
        g.go(gate.recv)
        assert repr(g) == "<Group of 1 goroutines>"
        gate.close()
    assert repr(g) == "<Group of 0 goroutines closed>"
    assert not isinstance(GoExit(), Exception)


def test_in_a_bubble_the_wait_is_durable():
    with gopoll.testing.bubble() as bubble:
        with Group() as g:
            g.go(gopoll.sleep, 3600)
        assert bubble.elapsed == 3600
