"""Signals find their channel wherever they land: threads, handlers, finalizers, busy channels."""

import textwrap

import pytest

from tests.support.program import must_succeed

pytestmark = pytest.mark.network

NAMES = """
from collections import deque
from signal import Signals
from gopoll import context
from gopoll.os import _handlers
from gopoll.os.signal import ignore, ignored, notify, notify_context, reset, stop

def send(*signums):
    for signum in signums:
        os.kill(os.getpid(), signum)

class Striking(deque):
    'A buffer: while a value is put into it, inside of the channel, something happens.'
    strike = None
    def append(self, value):
        strike, self.strike = self.strike, None
        if strike is not None:
            strike()
        super().append(value)

def striking(cap, strike):
    ch = Chan(cap)
    ch._buffer = Striking()
    ch._buffer.strike = strike
    return ch
"""


def must_run(code: str, *args: str, says: str, **env: str) -> None:
    must_succeed(NAMES + textwrap.dedent(code), *args, says=says, **env)


@pytest.mark.parametrize("how", ["recv", "select", "range", "timeout", "poller"])
def test_a_signal_wakes_who_sleeps(how: str):
    code = """
    how = sys.argv[1]
    def main():
        ch = Chan(1)
        notify(ch, signal.SIGTERM)
        if how == 'poller':
            a, b = socket.socketpair()
            g = go(gopoll.wait_read, a)
            gopoll.gosched()
        ring(signal.SIGTERM)
        match how:
            case 'recv' | 'poller':
                value = ch.recv()
            case 'select':
                value = select(Chan().recv, ch.recv)[1]
            case 'range':
                value = next(iter(ch))
            case 'timeout':
                with gopoll.timeout(1000):
                    value = ch.recv()
        if how == 'poller':
            b.send(b'x')
            g.join()
            a.close()
            b.close()
        stop(ch)
        return value
    print(repr(gopoll.run(main)))
    """
    must_run(code, how, says="<Signals.SIGTERM: 15>")


def test_a_signal_arrives_while_another_goroutine_computes():
    code = """
    ch = Chan(1)
    notify(ch, signal.SIGTERM)
    shoot = threading.Event()
    def kill():
        shoot.wait()
        send(signal.SIGTERM)
    threading.Thread(target=kill).start()
    def compute():
        shoot.set()
        while not len(ch):  # nobody else runs: only the handler can change that
            pass
        return ch.try_recv()
    print(go(compute).result())
    stop(ch)
    """
    must_run(code, says="(<Signals.SIGTERM: 15>, True)")


def test_a_thread_hears_though_the_main_thread_does_something_else():
    code = """
    ch, done = Chan(1), threading.Event()
    got = []
    def listen():
        got.append(ch.recv())
        done.set()
    notify(ch, signal.SIGTERM)
    thread = threading.Thread(target=listen)
    thread.start()
    send(signal.SIGTERM)
    done.wait()  # no goroutine runs here
    thread.join()
    stop(ch)
    print(got)
    """
    must_run(code, says="[<Signals.SIGTERM: 15>]")


def test_any_thread_may_ask_and_stop():
    code = """
    log = Chan(1)
    def ask():
        ch = Chan(1)
        notify(ch, signal.SIGTERM, signal.SIGUSR1)
        for signum in (signal.SIGTERM, signal.SIGUSR1):
            send(signum)
            assert ch.recv() == signum
        reset(signal.SIGUSR1)
        ignore(signal.SIGUSR2)
        assert ignored(signal.SIGUSR2)
        stop(ch)
        with notify_context(context.background(), signal.SIGHUP) as ctx:
            send(signal.SIGHUP)
            ctx.done().recv()
        try:
            notify(ch, signal.SIGKILL)
        except ValueError as exc:
            log.send(str(exc))
    thread = threading.Thread(target=ask)
    thread.start()
    text = log.recv()
    while thread.is_alive():
        gopoll.gosched()
    for signum in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        assert signal.getsignal(signum) is signal.SIG_DFL
    print(text)
    """
    must_run(code, says="SIGKILL cannot be caught")


def test_a_main_thread_that_runs_no_goroutines_is_named():
    code = """
    _handlers._PATIENCE = 0.01
    first, second = Chan(1), Chan(1)
    notify(first, signal.SIGUSR1)
    errors = []
    def ask():
        for fn, args in ((notify, (second, signal.SIGUSR1)), (stop, (first,))):
            try:
                fn(*args)
            except RuntimeError as exc:
                errors.append(str(exc))
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert errors == [_handlers._NO_HELP] * 2
    send(signal.SIGUSR1)  # nobody gets it; it still does not do what it did before
    assert len(first) == len(second) == 0
    third = Chan(1)
    notify(third, signal.SIGUSR1)
    testing.wait_idle()  # now the main thread hears of what was asked for
    send(signal.SIGUSR1)
    assert (len(first), len(second), len(third)) == (0, 0, 1)
    stop(third)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    print('ok')
    """
    must_run(code, says="ok")


def test_a_main_thread_that_never_met_gopoll_is_named_at_once():
    code = """
    import subprocess
    code = '''if True:
        import signal, threading
        def ask():
            import gopoll
            from gopoll.os.signal import notify
            try:
                notify(gopoll.Chan(1), signal.SIGTERM)
            except RuntimeError as exc:
                print(str(exc).partition(':')[2])
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    '''
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    print(done.stdout + done.stderr)
    """
    must_run(code.replace("print(done", "sys.stdout.write(done"), says=" call this there")


def test_a_signal_in_the_middle_of_the_very_channel_is_not_lost():
    code = """
    ch = striking(3, lambda: send(signal.SIGUSR1))
    notify(ch, signal.SIGUSR1)
    ch.send('x')
    assert [*ch._buffer] == ['x']
    testing.wait_idle()
    assert [*ch._buffer] == ['x', Signals.SIGUSR1]
    assert gopoll.num_goroutine() == 1

    notify(ch, signal.SIGUSR2)
    ch._buffer.strike = lambda: send(signal.SIGUSR1, signal.SIGUSR2)
    ch.recv()
    ch.recv()
    ch.send('y')
    stop(ch)  # they came before, so they are there; and nothing comes now
    assert [*ch._buffer] == ['y', Signals.SIGUSR1, Signals.SIGUSR2]
    testing.wait_idle()
    assert len(ch) == 3

    full = striking(1, lambda: send(signal.SIGUSR2))
    notify(full, signal.SIGUSR2)
    full.send('z')  # when its turn comes there is no room
    testing.wait_idle()
    assert [*full._buffer] == ['z'] and gopoll.num_goroutine() == 1
    stop(full)
    print('ok')
    """
    must_run(code, says="ok")


def test_a_signal_in_the_middle_of_another_channel_comes_at_once():
    code = """
    ch, seen = Chan(1), []
    def strike():
        send(signal.SIGUSR1)
        seen.append(len(ch))
    other = striking(1, strike)
    notify(ch, signal.SIGUSR1)
    other.send('x')
    assert ch.recv() is Signals.SIGUSR1
    stop(ch)
    print(*seen)
    """
    must_run(code, says="1")


def test_the_handler_does_not_wait_for_a_thread_that_waits_for_it():
    """As one does that is about to select on two channels: it has one guard, and we the other."""
    code = """
    ch, held, go_on = Chan(1), threading.Event(), threading.Event()
    def strike():
        go_on.set()
        held.wait()
        send(signal.SIGUSR1)
    mine = striking(1, strike)
    def hold_both():
        go_on.wait()
        ch.latch.acquire()
        held.set()
        mine.latch.acquire()
        mine.latch.release()
        ch.latch.release()
    notify(ch, signal.SIGUSR1)
    thread = threading.Thread(target=hold_both)
    thread.start()
    mine.send('x')
    assert ch.recv() is Signals.SIGUSR1
    thread.join()
    stop(ch)
    print('ok')
    """
    must_run(code, says="ok")


@pytest.mark.parametrize("where", ["asleep", "user code", "inside"])
def test_a_handler_of_the_program_may_change_all_this(where: str):
    code = """
    first, second = Chan(1), Chan(1)
    notify(first, signal.SIGUSR1)
    def change(signum, frame):
        stop(first)
        send(signal.SIGUSR1) if where == 'inside' else None
        notify(second, signal.SIGUSR2)
    where = sys.argv[1]
    signal.signal(signal.SIGALRM, change)
    match where:
        case 'asleep':
            signal.signal(signal.SIGALRM, lambda *args: (change(*args), changed.send(None)))
            changed = Chan(1)
            ring(signal.SIGALRM)
            changed.recv()
            testing.wait_idle()
        case 'user code':
            send(signal.SIGALRM)
        case 'inside':
            striking(1, lambda: send(signal.SIGALRM)).send('x')
            testing.wait_idle()
    assert len(first) == 0
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    send(signal.SIGUSR2)
    assert second.recv() is Signals.SIGUSR2
    stop(second)
    print('ok')
    """
    must_run(code, where, says="ok")


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_finalizer_inside_of_gopoll_may_stop(in_thread: bool):
    code = """
    ch = Chan(1)
    class Subscription:
        def __init__(self):
            notify(ch, signal.SIGUSR1)
        def __del__(self):
            stop(ch)
    subscriptions = [Subscription()]
    done = Chan(1)
    def drop():
        striking(1, subscriptions.clear).send('x')
        done.send(None)
    if sys.argv[1] == 'True':
        threading.Thread(target=drop).start()
    else:
        drop()
    done.recv()
    testing.wait_idle()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    print('ok')
    """
    must_run(code, str(in_thread), says="ok")


def test_what_another_handler_raises_leaves_nothing_half_done():
    """Its signal comes while handlers are exchanged; Python runs it then, once."""
    code = """
    class Stop(Exception):
        pass
    def raises(signum, frame):
        raise Stop
    signal.signal(signal.SIGALRM, raises)
    real = _handlers.set_signal
    def strike_before(n):
        calls = []
        def set_signal(*args):
            calls.append(1)
            if len(calls) == n:
                send(signal.SIGALRM)
            return real(*args)
        _handlers.set_signal = set_signal
    ch = Chan(1)
    wanted = ch, signal.SIGUSR1, signal.SIGUSR2
    heard = lambda: [signal.getsignal(s) is not signal.SIG_DFL for s in wanted[1:]]
    for n in (1, 2):
        strike_before(n)
        try:
            notify(*wanted)
            raise AssertionError
        except Stop:
            assert heard() == [False, False]
        notify(*wanted)
        assert heard() == [True, True]
        strike_before(n)
        try:
            stop(ch)
            raise AssertionError
        except Stop:
            assert heard() == [False, False]
        testing.wait_idle()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
    print(_handlers._listeners, _handlers._heard, sched.external)
    """
    must_run(code, says="{} {} 0")
