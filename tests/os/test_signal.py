"""Signals on channels: Go's own scenarios, from os/signal/signal_test.go and test/sigchld.go.

Each has a process of its own. A signal that a process without other threads sends to itself has
been handled when ``kill`` returns: so "nothing comes" needs no waiting.
"""

import shutil
import textwrap

import pytest

from tests.support.program import PRELUDE, must_succeed
from tests.support.script import run_script

pytestmark = pytest.mark.network

SIGNALS = """
from signal import Signals
from gopoll import context
from gopoll.os.signal import ignore, ignored, notify, notify_context, reset, stop

def send(*signums):
    for signum in signums:
        os.kill(os.getpid(), signum)

def get(ch, want):
    'Wait for a signal; it must be this one.'
    with gopoll.timeout(20):
        value = ch.recv()
    assert value is want, value

def nothing(*chans):
    for ch in chans:
        assert ch.try_recv() == (None, False)
"""


def must_run(code: str, *args: str, says: str, timeout: float = 40.0) -> None:
    must_succeed(SIGNALS + textwrap.dedent(code), *args, says=says, timeout=timeout)


def test_signals_arrive_on_the_channels_that_asked_for_them():
    """TestSignal."""
    code = """
    c = Chan(1)
    notify(c, Signals.SIGHUP)
    send(Signals.SIGHUP)
    get(c, Signals.SIGHUP)

    every = Chan(1)
    notify(every)
    send(Signals.SIGWINCH)
    get(every, Signals.SIGWINCH)
    for _ in range(2):  # that nobody reads from c keeps nobody from anything
        send(Signals.SIGHUP)
        get(every, Signals.SIGHUP)
    get(c, Signals.SIGHUP)
    nothing(c, every)
    stop(c)
    send(Signals.SIGHUP)
    get(every, Signals.SIGHUP)
    nothing(c)
    print('ok')
    """
    must_run(code, says="ok")


def test_who_listens_and_who_sends_at_the_same_time():
    """TestStress: one goroutine receives, another one sends, as fast as they can."""
    code = """
    done, finished, heard = Chan(), Chan(), []
    def listen():
        ch = Chan(1)
        notify(ch, signal.SIGUSR1)
        while select(ch.recv, done.recv)[0] == 0:
            heard.append(1)
        stop(ch)
        finished.send(None)
    def shoot():
        for _ in range(3000):
            send(signal.SIGUSR1)
            gopoll.gosched()
        finished.send(None)
    go(listen)
    gopoll.gosched()
    go(shoot)
    finished.recv()
    done.close()
    finished.recv()
    assert len(heard) > 1000, len(heard)
    print('ok')
    """
    must_run(code, says="ok")


@pytest.mark.parametrize("how", ["reset", "ignore"])
def test_reset_and_ignore_take_a_signal_from_all_channels(how: str):
    """TestReset and TestIgnore."""
    code = """
    how = sys.argv[1]
    send(signal.SIGWINCH)  # by default it does nothing
    c1, c2, c3 = Chan(1), Chan(1), Chan(3)
    notify(c1, signal.SIGWINCH)
    notify(c2, signal.SIGHUP)
    notify(c3, signal.SIGHUP, signal.SIGWINCH, signal.SIGURG)
    send(signal.SIGWINCH, signal.SIGHUP)
    get(c1, Signals.SIGWINCH)
    get(c2, Signals.SIGHUP)
    get(c3, Signals.SIGWINCH)
    get(c3, Signals.SIGHUP)
    {'reset': reset, 'ignore': ignore}[how](signal.SIGWINCH, signal.SIGHUP)
    send(signal.SIGWINCH)
    if how == 'ignore':
        send(signal.SIGHUP)
    nothing(c1, c2, c3)
    assert ignored(signal.SIGHUP) == (how == 'ignore')
    send(signal.SIGURG)  # the others stay
    get(c3, Signals.SIGURG)
    reset()
    send(signal.SIGURG, signal.SIGWINCH)
    nothing(c1, c2, c3)
    assert not any(ignored(s) for s in (signal.SIGHUP, signal.SIGWINCH, signal.SIGURG))
    send(signal.SIGHUP)
    print('still alive')
    """
    done = run_script(PRELUDE + SIGNALS + textwrap.dedent(code), how)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", -1)  # of SIGHUP


def test_ignored_tells_of_each_change():
    """TestIgnored."""
    code = """
    c = Chan(1)
    notify(c, signal.SIGWINCH)
    assert not ignored(signal.SIGWINCH)
    stop(c)
    assert not ignored(signal.SIGWINCH)
    ignore(signal.SIGWINCH)
    assert ignored(signal.SIGWINCH)
    notify(c, signal.SIGWINCH)
    assert not ignored(signal.SIGWINCH)
    stop(c)
    assert not ignored(signal.SIGWINCH)  # it was not, before gopoll came
    ignore()
    assert ignored(signal.SIGTERM) and ignored(signal.SIGINT)
    send(signal.SIGTERM, signal.SIGINT)
    reset()
    assert not ignored(signal.SIGTERM) and not ignored(signal.SIGKILL)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    print('ok')
    """
    must_run(code, says="ok")


_NOHUP = """
from gopoll.os.signal import ignored
import signal
print(ignored(signal.SIGHUP))
"""


@pytest.mark.skipif(shutil.which("nohup") is None, reason="there is no nohup")
def test_nohup_is_seen():
    """TestDetectNohup."""
    assert run_script(_NOHUP).stdout == "False\n"
    under = """
    import subprocess, sys
    done = subprocess.run(['nohup', sys.executable, '-c', sys.argv[1]], capture_output=True)
    sys.stdout.write(done.stdout.decode())
    """
    assert run_script(under, _NOHUP).stdout == "True\n"


_STOP = """
when = sys.argv[1]
for signum in (Signals.SIGWINCH, Signals.SIGHUP, Signals.SIGURG):
    hangup = signum == signal.SIGHUP
    if not hangup or when == 'before':
        send(signum)
    c = Chan(1)
    notify(c, signum)
    send(signum)
    get(c, signum)
    stop(c)
    nothing(c)
    if not hangup or when == 'after':
        send(signum)
    nothing(c)
print('the end')
"""


def test_nothing_comes_after_stop():
    """TestStop."""
    must_run(_STOP, "never", says="the end")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nohup", [False, True])
def test_what_is_not_heard_does_what_it_did_before(when: str, nohup: bool):
    """TestNohup: SIGHUP ends the program that does not listen, unless it runs under nohup."""
    set_up = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" if nohup else ""
    done = run_script(set_up + PRELUDE + SIGNALS + _STOP, when)
    expected = (0, "the end\n") if nohup else (-1, "")
    assert (done.returncode, done.stdout, done.stderr) == (*expected, "")


def test_sigcont_is_heard():
    """TestSIGCONT."""
    code = """
    c = Chan(1)
    notify(c, signal.SIGCONT)
    send(signal.SIGCONT)
    get(c, Signals.SIGCONT)
    stop(c)
    print('ok')
    """
    must_run(code, says="ok")


@pytest.mark.parametrize("who_stops", ["main", "goroutine", "thread"])
def test_a_signal_around_stop_is_sent_or_does_what_it_did_before(who_stops: str):
    """TestAtomicStop: SIGTERM is received, or ends the program, but is never lost."""
    code = """
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    who = sys.argv[1]
    def stop_at_once(c, jitter):
        ready.write(b'.')
        for _ in range(jitter):
            pass
        stop(c)
    def catch(jitter):
        c = Chan(1)
        notify(c, signal.SIGTERM)
        if who == 'main':
            stop_at_once(c, jitter)
        elif who == 'goroutine':
            go(stop_at_once, c, jitter).join()
        else:
            thread = threading.Thread(target=stop_at_once, args=(c, jitter))
            thread.start()
            while thread.is_alive():
                gopoll.gosched()
            thread.join()
        sent.read(1)
        return c.try_recv() == (Signals.SIGTERM, True)
    outcomes = []
    for i in range(150):
        pipes = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            ready, sent = os.fdopen(pipes[0][1], 'wb', 0), os.fdopen(pipes[1][0], 'rb', 0)
            os._exit(0 if catch(i % 50 * 20) else 1)
        os.read(pipes[0][0], 1)
        os.kill(child, signal.SIGTERM)
        os.write(pipes[1][1], b'.')
        outcomes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        for fd in (*pipes[0], *pipes[1]):
            os.close(fd)
    print(sorted({*outcomes} - {0, -signal.SIGTERM}))
    """
    must_run(code, who_stops, says="[]")


def test_timers_go_on_under_a_rain_of_signals():
    """TestTime: whoever sleeps wakes in time while signals arrive."""
    code = """
    ch, over = Chan(1), []
    notify(ch, signal.SIGUSR1)
    def shoot():
        while not over:
            send(signal.SIGUSR1)
            gopoll.gosched()
    go(shoot)
    for _ in range(50):
        gopoll.sleep(0.0001)
        get(ch, Signals.SIGUSR1)
    over.append(1)
    gopoll.gosched()
    stop(ch)
    print('ok')
    """
    must_run(code, says="ok")


def test_a_program_survives_sigchld():
    """test/sigchld.go; and it is heard, if somebody asks, when a child ends."""
    code = """
    send(signal.SIGCHLD)
    ch = Chan(1)
    notify(ch, signal.SIGCHLD)
    child = os.fork()
    if child == 0:
        os._exit(0)
    get(ch, Signals.SIGCHLD)
    assert os.waitpid(child, 0) == (child, 0)
    stop(ch)
    send(signal.SIGCHLD)
    print('survived SIGCHLD')
    """
    must_run(code, says="survived SIGCHLD")


def test_sigpipe_is_heard_and_the_write_fails_all_the_same():
    code = """
    def break_pipe():
        read, write = os.pipe()
        os.close(read)
        try:
            os.write(write, b'x')
        except BrokenPipeError:
            return True
        finally:
            os.close(write)
    assert ignored(signal.SIGPIPE)  # by Python
    assert break_pipe()
    ch = Chan(1)
    notify(ch, signal.SIGPIPE)
    assert break_pipe()
    get(ch, Signals.SIGPIPE)
    stop(ch)
    assert ignored(signal.SIGPIPE)
    assert break_pipe()
    nothing(ch)
    print('ok')
    """
    must_run(code, says="ok")


@pytest.mark.skipif(not hasattr(__import__("signal"), "SIGRTMIN"), reason="no such signals here")
def test_real_time_signals_are_numbers():
    code = """
    ch = Chan(4)
    notify(ch, signal.SIGRTMIN, signal.SIGRTMIN + 3)
    send(signal.SIGRTMIN + 3, signal.SIGRTMIN)
    got = [ch.recv(), ch.recv()]
    assert got == [signal.SIGRTMIN + 3, signal.SIGRTMIN]
    assert type(got[0]) is int and got[1] is Signals.SIGRTMIN
    stop(ch)
    print('ok')
    """
    must_run(code, says="ok")


def test_a_channel_gets_what_fits_and_the_rest_is_dropped():
    code = """
    one, three, none = Chan(1), Chan(3), Chan()
    for ch in (one, three, none):
        notify(ch, signal.SIGUSR1)
        notify(ch, signal.SIGUSR1)  # twice is once
    for _ in range(2):
        send(signal.SIGUSR1)
    assert (len(one), len(three), len(none)) == (1, 2, 0)
    g = go(none.recv)
    gopoll.gosched()
    send(signal.SIGUSR1)  # somebody stands there and waits: it fits
    assert g.result(20) is Signals.SIGUSR1
    one.close()
    send(signal.SIGUSR1)  # nobody gets an exception
    assert len(three) == 3
    reset()
    print('ok')
    """
    must_run(code, says="ok")


def test_without_names_all_but_crashes_are_heard():
    code = """
    ch = Chan(100)
    notify(ch)
    wanted = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    wanted -= {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}
    for signum in sorted(wanted):
        if signal.getsignal(signum) is not None:
            send(signum)
            assert ch.recv() == signum
    assert signal.getsignal(signal.SIGSEGV) is not signal.getsignal(signal.SIGTERM)
    stop(ch)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
    print('ok')
    """
    must_run(code, says="ok")
