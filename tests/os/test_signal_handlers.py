"""Whose handler stands there: Ctrl-C, handlers of the program, forks, bad input."""

import textwrap

import pytest

from gopoll import Chan, ChannelClosed, context, nil_chan
from gopoll.os import signal
from tests.support.program import must_succeed

pytestmark = pytest.mark.network

NAMES = """
from signal import Signals
from gopoll import context
from gopoll.os import _handlers
from gopoll.os.signal import ignore, ignored, notify, notify_context, reset, stop

def send(*signums):
    for signum in signums:
        os.kill(os.getpid(), signum)

default = signal.default_int_handler
stands = lambda signum=signal.SIGINT: signal.getsignal(signum)
"""


def must_run(code: str, *args: str, says: str, **env: str) -> None:
    must_succeed(NAMES + textwrap.dedent(code), *args, says=says, **env)


# -- Ctrl-C --------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["asleep", "main", "goroutine", "inside"])
def test_ctrl_c_is_a_value_for_those_who_ask_and_an_exception_again_after_stop(where: str):
    code = """
    def strike():
        match sys.argv[1]:
            case 'asleep':
                ring()
            case 'main':
                send(signal.SIGINT)
            case 'goroutine':
                go(send, signal.SIGINT).join()
            case 'inside':
                gopoll.wait_read(Rings())
    def main():
        ch = Chan(1)
        notify(ch, signal.SIGINT)
        strike()
        assert ch.recv() is Signals.SIGINT
        stop(ch)
        try:
            strike()
            gopoll.sleep(1000)
        except KeyboardInterrupt:
            assert ch.try_recv() == (None, False)
            return 'interrupted'
    print(gopoll.run(main))
    """
    must_run(code, where, says="interrupted")


def test_ctrl_c_goes_back_to_whom_the_moment_asks_for():
    """To gopoll while it runs goroutines, else to Python; whoever stood there at first."""
    code = """
    dispatch = []
    gopoll.run(lambda: dispatch.append(stands()))
    assert dispatch[0] is not default is stands()
    ch = Chan(1)

    notify(ch, signal.SIGINT)
    def stops():
        assert stands() is _handlers._hear
        stop(ch)
        return stands()
    assert gopoll.run(stops) is dispatch[0]
    assert stands() is default

    gopoll.run(notify, ch, signal.SIGINT)
    assert stands() is _handlers._hear
    stop(ch)
    assert stands() is default

    notify(ch, signal.SIGINT)
    go(gopoll.gosched).join()
    go(Chan().recv)
    reset(signal.SIGINT)
    assert stands() is dispatch[0]
    print('ok')
    """
    must_run(code, says="ok")


def test_a_ctrl_c_from_before_is_still_raised():
    """It came inside of gopoll, and waits until main leaves that: then `notify` comes."""
    code = """
    ch = Chan(1)
    def main():
        go(Chan().recv)
        gopoll.gosched()
        try:
            gopoll.wait_read(Rings())  # gopoll cannot raise it in there
            notify(ch, signal.SIGINT)
            while True:
                pass
        except KeyboardInterrupt:
            notify(ch, signal.SIGINT)
            assert ch.try_recv() == (None, False)  # it was an exception: it is no value
            send(signal.SIGINT)
            return ch.recv()
    print(repr(gopoll.run(main)))
    """
    must_run(code, says="<Signals.SIGINT: 2>")


# -- handlers of the program -----------------------------------------------------------------


def test_the_programs_handler_comes_back_with_the_last_stop():
    code = """
    seen = []
    mine = lambda signum, frame: seen.append(signum)
    for signum in (signal.SIGUSR1, signal.SIGINT):
        signal.signal(signum, mine)
        a, b = Chan(1), Chan(1)
        notify(a, signum)
        notify(b, signum)
        send(signum)
        assert (len(a), len(b), seen) == (1, 1, [])
        stop(a)
        assert stands(signum) is not mine
        stop(b)
        assert stands(signum) is mine
        ignore(signum)
        send(signum)
        notify(a, signum)
        assert not ignored(signum)
        stop(a)
        assert stands(signum) is mine
        ignore(signum)
        ignore(signum)
        reset(signum)
        assert stands(signum) is mine
        send(signum)
        assert seen.pop() == signum
    print(*seen, 'ok')
    """
    must_run(code, says="ok")


@pytest.mark.parametrize("other", ["handler", "default", "ignored"])
def test_a_handler_that_the_program_sets_meanwhile_stays(other: str):
    code = """
    other = {
        'handler': lambda signum, frame: None, 'default': signal.SIG_DFL, 'ignored': signal.SIG_IGN
    }[sys.argv[1]]
    first = lambda signum, frame: None
    def take_away():
        signal.signal(signal.SIGUSR1, other)
    ch = Chan(1)
    signal.signal(signal.SIGUSR1, first)
    for undo in (lambda: stop(ch), reset):
        notify(ch, signal.SIGUSR1)
        take_away()
        undo()
        assert stands(signal.SIGUSR1) == other
    notify(ch, signal.SIGUSR1)
    take_away()
    second = Chan(1)
    notify(second, signal.SIGUSR1)  # it takes the place again
    send(signal.SIGUSR1)
    assert len(second) == len(ch) == 1
    reset()
    assert stands(signal.SIGUSR1) == other  # which is what stood there
    print('ok')
    """
    must_run(code, other, says="ok")


def test_a_signal_is_blocked_while_its_default_is_put_back():
    """Python would drop it in between; so the kernel keeps it."""
    code = """
    blocked = []
    real = _handlers.set_signal
    mask = lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ())
    def set_signal(signum, handler):
        if not callable(handler):
            blocked.append(mask())
        return real(signum, handler)
    _handlers.set_signal = set_signal
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    ch = Chan(1)
    notify(ch, signal.SIGUSR1)
    stop(ch)
    assert blocked == [{signal.SIGUSR1, signal.SIGUSR2}]
    print(mask() == {signal.SIGUSR2})
    """
    must_run(code, says="True")


# -- forks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["main", "goroutine", "thread"])
def test_a_child_begins_without_channels_and_with_the_handlers_as_before(who: str):
    code = """
    mine = lambda signum, frame: None
    signal.signal(signal.SIGUSR2, mine)
    ch, release = Chan(1), Chan()
    def in_child():
        assert stands(signal.SIGUSR2) is mine
        assert stands(signal.SIGTERM) is signal.SIG_DFL
        assert stands().__module__ == 'gopoll.runtime.interrupt' or sys.argv[1] == 'thread'
        assert ignored(signal.SIGHUP)
        fresh = Chan(1)
        notify(fresh, signal.SIGUSR1)
        send(signal.SIGUSR1)
        assert fresh.recv() is Signals.SIGUSR1
        stop(fresh)
        assert len(ch) == 0
        stop(ch)
        assert (_handlers._listeners, _handlers._heard, this.sched.external) == ({}, {}, 0)
        return 7
    def fork():
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                status = in_child()
            finally:
                os._exit(status)
        statuses.send(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    statuses = Chan(1)
    def main():
        go(release.recv)
        notify(ch, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT)
        ctx, end = notify_context(context.background(), signal.SIGUSR1)
        ignore(signal.SIGHUP)
        if sys.argv[1] == 'thread':
            threading.Thread(target=fork).start()
        elif sys.argv[1] == 'goroutine':
            go(fork)
        else:
            fork()
        code = statuses.recv()
        send(signal.SIGUSR1)
        assert ch.recv() is Signals.SIGUSR1
        ctx.done().recv()
        end()
        stop(ch)
        release.close()
        return code
    print(gopoll.run(main))
    """
    must_run(code, who, says="7", PYTHONWARNINGS="ignore::DeprecationWarning")


# -- deadlocks --------------------------------------------------------------------------------


def test_who_waits_for_a_signal_is_no_deadlock_until_stop():
    """No other thread is there that could wake somebody: the alarm comes from the kernel."""
    code = """
    def main():
        ch = Chan(1)
        notify(ch, signal.SIGALRM)
        signal.setitimer(signal.ITIMER_REAL, 0.2)  # long after a deadlock would have been found
        assert ch.recv() is Signals.SIGALRM
        with notify_context(context.background(), signal.SIGALRM) as ctx:
            stop(ch)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            ctx.done().recv()
        try:
            ch.recv()
        except gopoll.Deadlock:
            return 'deadlock'
    print(gopoll.run(main))
    """
    must_run(code, says="deadlock")


# -- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signum", "error", "text"),
    [
        (9, ValueError, "SIGKILL cannot be caught"),
        (19, ValueError, "SIGSTOP cannot be caught"),
        (0, ValueError, "there is no signal 0"),
        (-1, ValueError, "there is no signal -1"),
        (10**30, ValueError, f"there is no signal {10**30}"),
        ("SIGINT", TypeError, "a signal is a number, such as signal.SIGTERM, got 'SIGINT'"),
        (True, TypeError, "got True"),
        (2.0, TypeError, "got 2.0"),
        (None, TypeError, "got None"),
        ([2], TypeError, r"got \[2\]"),
    ],
)
def test_what_is_no_signal_is_refused_and_changes_nothing(signum, error, text):
    calls = [
        lambda: signal.notify(Chan(1), 10, signum),
        lambda: signal.ignore(10, signum),
        lambda: signal.reset(10, signum),
        lambda: signal.notify_context(context.background(), 10, signum),
    ]
    if "caught" in text:
        assert signal.ignored(signum) is False
    else:
        calls.append(lambda: signal.ignored(signum))
    for call in calls:
        with pytest.raises(error, match=text):
            call()
    assert not signal.ignored(10)


def test_what_is_no_channel_is_refused():
    closed = Chan(1)
    closed.close()
    for not_a_channel in (None, object(), [].append):
        with pytest.raises(TypeError, match="expected a channel"):
            signal.notify(not_a_channel, 10)
        with pytest.raises(TypeError, match="expected a channel"):
            signal.stop(not_a_channel)
    with pytest.raises(ValueError, match="nil channel"):
        signal.notify(nil_chan, 10)
    with pytest.raises(ChannelClosed, match="notify on closed channel"):
        signal.notify(closed, 10)
    signal.stop(nil_chan)
    signal.stop(closed)


def test_a_handler_that_python_did_not_set_cannot_be_taken():
    """Python tells of it by None, and could not set it again."""
    code = """
    from gopoll.os import signal as room
    room.getsignal = lambda signum, real=room.getsignal: None if signum == 10 else real(signum)
    ch = Chan(1)
    try:
        notify(ch, 10)
    except ValueError as exc:
        print(exc)
    notify(ch)  # all that can be caught
    assert stands(10) is signal.SIG_DFL
    stop(ch)
    """
    must_run(code, says="signal 10 has a handler that is not Python's and could not be given back")
