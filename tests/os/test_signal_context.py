"""Contexts that end with a signal: Go's scenarios, from os/signal/signal_test.go."""

import textwrap

import pytest

from tests.support.program import must_succeed

pytestmark = pytest.mark.network

CONTEXTS = """
from gopoll import context
from gopoll.os.signal import ignored, notify, notify_context, reset, stop

def send(*signums):
    for signum in signums:
        os.kill(os.getpid(), signum)

def wait_done(ctx):
    with gopoll.timeout(20):
        ctx.done().recv()
    assert type(ctx.err()) is context.Canceled
"""


def must_run(code: str, *args: str, says: str) -> None:
    must_succeed(CONTEXTS + textwrap.dedent(code), *args, says=says)


@pytest.mark.parametrize("many", [1, 10])
def test_a_signal_ends_the_context(many: int):
    """TestNotifyContextNotifications; and no second one does what it did before."""
    code = """
    ctx, end = notify_context(context.background(), signal.SIGINT)
    assert repr(ctx) == 'signal.NotifyContext(context.Background, [interrupt])'
    assert ctx.err() is None and context.cause(ctx) is None
    shots = [go(send, signal.SIGINT) for _ in range(int(sys.argv[1]))]
    wait_done(ctx)
    for g in shots:
        g.join()
    print(context.cause(ctx))
    end()
    assert str(context.cause(ctx)) == 'interrupt signal received'
    """
    must_run(code, str(many), says="interrupt signal received")


def test_stop_ends_the_context_and_the_signal_is_as_before():
    """TestNotifyContextStop."""
    code = """
    ctx, end = notify_context(context.background(), signal.SIGHUP)
    assert repr(ctx) == 'signal.NotifyContext(context.Background, [hangup])'
    assert not ignored(signal.SIGHUP)
    end()
    wait_done(ctx)
    end()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    print(context.cause(ctx))
    """
    must_run(code, says="context canceled")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("why", [None, "no longer wanted"])
def test_the_end_of_the_parent_ends_the_context(when: str, why: str | None):
    """TestNotifyContextCancelParent, TestNotifyContextPrematureCancelParent."""
    code = """
    when, why = sys.argv[1:]
    parent, cancel = context.with_cancel_cause(context.background())
    def end_parent():
        cancel(ValueError(why) if why else None)
    if when == 'before':
        end_parent()
    ctx, end = notify_context(parent, signal.SIGINT)
    assert repr(ctx) == 'signal.NotifyContext(context.Background.WithCancel, [interrupt])'
    if when == 'after':
        end_parent()
    wait_done(ctx)
    send(signal.SIGINT)  # until stop() this does nothing else
    print(context.cause(ctx))
    end()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    """
    must_run(code, when, why or "", says=why or "context canceled")


def test_many_stop_at_once():
    """TestNotifyContextSimultaneousStop."""
    code = """
    ctx, end = notify_context(context.background(), signal.SIGINT)
    threads = [threading.Thread(target=end) for _ in range(5)]
    goroutines = [go(end) for _ in range(10)]
    for thread in threads:
        thread.start()
    for g in goroutines:
        g.join()
    wait_done(ctx)
    while any(thread.is_alive() for thread in threads):
        gopoll.gosched()
    before = signal.getsignal(signal.SIGINT)
    assert before.__module__ != 'gopoll.os._handlers'
    print('ok')
    """
    must_run(code, says="ok")


def test_the_name_of_a_context_names_its_signals():
    """TestNotifyContextStringer."""
    code = """
    parent, cancel = context.with_cancel(context.background())
    ctx, end = notify_context(parent, signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    print(context.with_value(ctx, 'who', 'me'))
    end()
    cancel()
    """
    name = "signal.NotifyContext(context.Background.WithCancel, [hangup interrupt terminated])"
    must_run(code, says=f"{name}.WithValue(who, me)")


def test_it_has_the_values_and_the_deadline_of_its_parent():
    code = """
    parent = context.with_value(context.background(), 'who', 'me')
    with context.with_timeout(parent, 1000) as timed:
        with notify_context(timed, signal.SIGUSR1) as ctx:
            child = context.with_cancel(ctx).ctx
            assert child.value('who') == 'me'
            assert child.deadline() == timed.deadline() is not None
            send(signal.SIGUSR1)
            wait_done(child)
            assert str(context.cause(child)) == 'user defined signal 1 signal received'
            assert timed.err() is None
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    print('ok')
    """
    must_run(code, says="ok")


@pytest.mark.parametrize("where", ["asleep", "computing", "inside"])
def test_a_wait_that_depends_on_it_ends(where: str):
    """Whatever the main thread does when the signal lands; and that wait is no deadlock."""
    code = """
    where = sys.argv[1]
    from gopoll.runtime.scope import until
    def wait(ctx):
        try:
            with until(ctx):
                Chan().recv()
        except context.Canceled:
            return str(context.cause(ctx))
    def main():
        ctx, end = notify_context(context.background(), signal.SIGTERM)
        waits = [go(wait, ctx) for _ in range(3)]
        gopoll.gosched()
        if where == 'asleep':
            ring(signal.SIGTERM)
        elif where == 'computing':
            send(signal.SIGTERM)
        else:
            gopoll.wait_read(Rings(signal.SIGTERM))
        ended = {g.result(20) for g in waits}
        end()
        return ended
    print(*gopoll.run(main))
    """
    must_run(code, where, says="terminated signal received")


def test_bad_arguments_leave_nothing_behind():
    code = """
    def refused(error, *args):
        try:
            notify_context(*args)
        except error as exc:
            return str(exc)
    parent, cancel = context.with_cancel(context.background())
    assert 'expected a context' in refused(TypeError, None, signal.SIGINT)
    assert refused(ValueError, parent, signal.SIGKILL) == 'SIGKILL cannot be caught'
    assert 'a signal is a number' in refused(TypeError, parent, 'SIGINT')
    assert not parent._dependents
    print('ok')
    """
    must_run(code, says="ok")
