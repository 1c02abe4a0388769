"""``signal`` under the patch: handlers act for the main goroutine, wherever they strike."""

import signal
import sys

import pytest

from tests.support.script import run_script

pytestmark = pytest.mark.network

PATCHED = """
from gopoll.monkey import registry
for room in ("time", "signal", "select", "selectors", "os", "io"): registry.enter(room, room)
import gopoll, os, signal, sys, time
me = os.getpid()
def kick(signum=signal.SIGUSR1): os.kill(me, signum)
def kick_idle(): gopoll.testing.wait_idle(); kick()
class Raised(Exception): pass
def raises(signum, frame): raise Raised
signal.signal(signal.SIGUSR1, raises)
"""


def run(code, *args, **env):
    done = run_script(PATCHED + code, *args, **env)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


# -- what the program sees -------------------------------------------------------------------------


def test_the_program_sees_its_own_handlers():
    assert run(
        "print(signal.getsignal(signal.SIGUSR1) is raises)\n"
        "print(signal.signal(signal.SIGUSR1, signal.SIG_IGN) is raises)\n"
        "print(repr(signal.signal(signal.SIGUSR1, raises)))\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
        "print(repr(signal.getsignal(signal.SIGURG)), repr(signal.getsignal(signal.SIGTERM)))\n"
    ) == [
        *["True", "True", "<Handlers.SIG_IGN: 1>", "True"],
        "<Handlers.SIG_DFL: 0> <Handlers.SIG_DFL: 0>",
    ]


def test_what_is_wrong_is_told_as_ever():
    assert run(
        "for args in ((4242, raises), (signal.SIGKILL, raises), (signal.SIGUSR1, None),\n"
        "             (signal.SIGURG, 'x'), ('x', raises)):\n"
        "    try: print(signal.signal(*args))\n"
        "    except Exception as exc: print(type(exc).__name__)\n"
        "for fd in ('x', 10**6):\n"
        "    try: signal.set_wakeup_fd(fd)\n"
        "    except Exception as exc: print(type(exc).__name__)\n"
        "print(signal.set_wakeup_fd(-1))\n"
    ) == ["ValueError", "OSError", *["TypeError"] * 4, "OSError", "-1"]


def test_handlers_are_the_main_goroutines_business():
    assert run(
        "def other():\n"
        "    try: signal.signal(signal.SIGUSR2, raises)\n"
        "    except ValueError as exc: return exc\n"
        "print(gopoll.go(other).result(5))\n"
    ) == ["signal only works in main thread of the main interpreter"]


def test_what_was_set_before_the_patch_follows_it_and_is_given_back():
    done = run_script(
        "import signal, os\n"
        "class Raised(Exception): pass\n"
        "def raises(signum, frame): raise Raised\n"
        "signal.signal(signal.SIGUSR1, raises)\n"
        "r, w = os.pipe(); os.set_blocking(w, False)\n"
        "signal.set_wakeup_fd(w)\n"
        "from gopoll import monkey\n"
        "import gopoll, _signal, time\n"
        "monkey.patch_time(); monkey.patch_signal()\n"
        "gopoll.go(os.kill, os.getpid(), signal.SIGUSR1)\n"
        "try: time.sleep(5)\n"
        "except Raised: print('raised', os.read(r, 9) == bytes([signal.SIGUSR1]))\n"
        "gopoll.gosched()\n"
        "monkey.restore()\n"
        "print(_signal.getsignal(signal.SIGUSR1) is raises, signal.set_wakeup_fd(-1) == w)\n"
        "print(_signal.getsignal(signal.SIGINT), _signal.getsignal(signal.SIGURG))\n"
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "raised True",
        "True True",
        "<built-in function default_int_handler> 0",
    ]


# -- where handlers run ----------------------------------------------------------------------------


def test_in_its_own_code_main_is_interrupted_at_once():
    assert (
        run(
            "try: kick(); print('lost')\nexcept Raised: print('raised')\n"
            "try: signal.raise_signal(signal.SIGUSR1); print('lost')\n"
            "except Raised: print('raised')\n"
            "import threading\n"
            "try: signal.pthread_kill(threading.get_ident(), signal.SIGUSR1); print('lost')\n"
            "except Raised: print('raised')\n"
        )
        == ["raised"] * 3
    )


def test_a_handler_that_raises_ends_the_wait_of_main():
    assert (
        run(
            "r, w = os.pipe()\n"
            "for wait in (lambda: time.sleep(9), lambda: os.read(r, 1), gopoll.Chan().recv,\n"
            "        lambda: gopoll.sleep(9), gopoll.gosched, gopoll.go(time.sleep, 9).join):\n"
            "    gopoll.go(kick)\n"
            "    try: wait(); print('lost')\n"
            "    except Raised as exc: print('raised')\n"
        )
        == ["raised"] * 6
    )


def test_a_wait_goes_on_after_a_handler_that_returns():
    assert run(
        "signal.signal(signal.SIGUSR1, lambda *_: print('handled'))\n"
        "r, w = os.pipe()\n"
        "def other():\n"
        "    for _ in range(3): kick(); gopoll.gosched()\n"
        "    os.write(w, b'data')\n"
        "gopoll.go(other)\n"
        "print(os.read(r, 9))\n"
    ) == ["handled"] * 3 + ["b'data'"]


def test_the_frame_is_mains_own():
    assert run(
        "signal.signal(signal.SIGUSR1, lambda s, f: print(s, f.f_code.co_name))\n"
        "def waiting():\n"
        "    gopoll.go(kick)\n"
        "    time.sleep(0.01)\n"
        "waiting()\n"
        "def raising(): signal.raise_signal(signal.SIGUSR1)\n"
        "kick(); raising()\n"
    ) == [f"{signal.SIGUSR1:d} {where}" for where in ("waiting", "kick", "raising")]


def test_another_goroutine_that_computes_gives_way():
    assert run(
        "stop = False\n"
        "def compute():\n"
        "    while not stop: pass\n"
        "    return 'computed'\n"
        "g = gopoll.go(compute)\n"
        "signal.signal(signal.SIGALRM, raises)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.01)\n"
        "try: time.sleep(9)\n"
        "except Raised: print('raised')\n"
        "stop = True\n"
        "print(g.result(5))\n"
    ) == ["raised", "computed"]


def test_what_strikes_gopoll_is_done_soon_even_if_main_never_waits():
    assert run(
        "from gopoll.runtime import guard\n"
        "signal.signal(signal.SIGUSR1, lambda *_: done.append(1))\n"
        "done = []\n"
        "code = compile('kick()', '<gopoll>', 'exec')\n"
        "exec(code, {'__name__': 'gopoll.inside', 'kick': kick})\n"
        "first = len(done)\n"
        "while not done: pass\n"
        "print(first, done)\n"
        "signal.signal(signal.SIGUSR1, raises)\n"
        "try:\n"
        "    exec(code, {'__name__': 'gopoll.inside', 'kick': kick})\n"
        "    while True: pass\n"
        "except Raised: print('raised')\n"
    ) == ["0 [1]", "raised"]


def test_what_was_handed_over_comes_before_what_a_handler_raises():
    assert run(
        "ch = gopoll.Chan()\n"
        "def other(): gopoll.testing.wait_idle(); ch.try_send('value'); kick()\n"
        "gopoll.go(other)\n"
        "try:\n"
        "    value = None\n"
        "    value = ch.recv()\n"
        "    while True: pass\n"
        "except Raised: print(value)\n"
    ) == ["value"]


# -- handlers that wait ----------------------------------------------------------------------------


def test_a_handler_may_wait_while_main_does():
    assert run(
        "r, w = os.pipe()\n"
        "def handler(*_):\n"
        "    gopoll.go(os.write, w, b'for the handler')\n"
        "    print(os.read(r, 99))\n"
        "    time.sleep(0.01)\n"
        "    print('handled')\n"
        "signal.signal(signal.SIGUSR1, handler)\n"
        "r2, w2 = os.pipe()\n"
        "def other(): kick(); os.write(w2, b'for main')\n"
        "gopoll.go(other)\n"
        "print(os.read(r2, 99))\n"
    ) == ["b'for the handler'", "handled", "b'for main'"]


def test_what_main_waits_for_may_come_while_a_handler_waits():
    assert run(
        "ch, other_ch = gopoll.Chan(), gopoll.Chan()\n"
        "def handler(*_):\n"
        "    print('in')\n"
        "    gopoll.go(later)\n"
        "    print(other_ch.recv())\n"
        "def later():\n"
        "    ch.send('main')\n"
        "    for _ in range(3): gopoll.gosched()\n"
        "    time.sleep(0.01)\n"
        "    other_ch.send('handler')\n"
        "signal.signal(signal.SIGUSR1, handler)\n"
        "gopoll.go(kick_idle)\n"
        "print(ch.recv())\n"
        "try:\n"
        "    with gopoll.timeout(0.01): ch.recv()\n"
        "except TimeoutError: print('nothing is left')\n"
    ) == ["in", "handler", "main", "nothing is left"]


def test_a_timeout_of_mains_wait_that_is_over_while_a_handler_waits_is_kept():
    assert run(
        "def handler(*_): time.sleep(0.03); gopoll.gosched(); print('handled')\n"
        "signal.signal(signal.SIGUSR1, handler)\n"
        "never = gopoll.go(time.sleep, 99)\n"
        "gopoll.go(kick)\n"
        "try: never.join(0.01)\n"
        "except TimeoutError: print('timed out')\n"
    ) == ["handled", "timed out"]


def test_handlers_interrupt_handlers():
    assert run(
        "def outer(*_):\n"
        "    print('outer'); gopoll.go(kick, signal.SIGUSR2)\n"
        "    try: time.sleep(9)\n"
        "    except Raised: print('raised in the outer one')\n"
        "def inner(*_):\n"
        "    print('inner'); time.sleep(0.001); raise Raised\n"
        "signal.signal(signal.SIGUSR1, outer)\n"
        "signal.signal(signal.SIGUSR2, inner)\n"
        "gopoll.go(kick)\n"
        "time.sleep(0.05)\n"
        "print('slept')\n"
    ) == ["outer", "inner", "raised in the outer one", "slept"]


def test_a_thousand_signals_in_one_wait():
    assert run(
        "count = 0\n"
        "def handler(*_):\n"
        "    global count\n"
        "    count += 1\n"
        "    if count % 3 == 0: gopoll.gosched()\n"
        "signal.signal(signal.SIGUSR1, handler)\n"
        "ch = gopoll.Chan()\n"
        "def other():\n"
        "    for i in range(1000):\n"
        "        kick()\n"
        "        while count <= i: gopoll.gosched()\n"
        "    ch.send('sent')\n"
        "gopoll.go(other)\n"
        "print(ch.recv(), count)\n"
    ) == ["sent 1000"]


def test_a_handler_waits_for_a_lock_that_main_does_not_have():
    assert run(
        "lock = gopoll.sync.Mutex()\n"
        "def holder():\n"
        "    with lock: kick(); time.sleep(0.01)\n"
        "    print('released')\n"
        "def handler(*_):\n"
        "    with lock: print('locked')\n"
        "signal.signal(signal.SIGUSR1, handler)\n"
        "gopoll.go(holder)\n"
        "time.sleep(0.05)\n"
    ) == ["released", "locked"]


def test_a_handler_gets_the_lock_that_main_waits_for():
    assert run(
        "from gopoll import monkey; monkey.patch_all()\n"
        "import threading\n"
        "lock, condition = threading.RLock(), threading.Condition()\n"
        "def handler(*_):\n"
        "    with lock, condition: print('handled'); time.sleep(0.001)\n"
        "signal.signal(signal.SIGUSR1, handler)\n"
        "def holder():\n"
        "    with lock: held.append(1); gopoll.testing.wait_idle(); kick(); time.sleep(0.01)\n"
        "    print('released')\n"
        "for use in (lock.acquire, lambda: lock.acquire(timeout=5)):\n"
        "    held = []\n"
        "    g = gopoll.go(holder)\n"
        "    while not held: gopoll.gosched()\n"
        "    print(use()); lock.release(); g.join(5)\n"
        "with condition:\n"
        "    gopoll.go(kick_idle)\n"
        "    print(condition.wait(0.2))\n"
    ) == ["released", "handled", "True"] * 2 + ["handled", "False"]


def test_a_handler_gets_the_data_that_main_waits_for():
    assert run(
        "from gopoll import monkey; monkey.patch_all()\n"
        "import queue\n"
        "r, w = os.pipe(); items = queue.SimpleQueue()\n"
        "def handler(*_):\n"
        "    gopoll.go(os.write, w, b'1'); gopoll.go(items.put, 1)\n"
        "    print('handler', os.read(r, 1), items.get())\n"
        "signal.signal(signal.SIGUSR1, handler)\n"
        "for take, give in ((lambda: os.read(r, 1), lambda: os.write(w, b'2')),\n"
        "                   (items.get, lambda: items.put(2))):\n"
        "    def other(): kick_idle(); gopoll.testing.wait_idle(); give()\n"
        "    gopoll.go(other)\n"
        "    print('main', take())\n"
    ) == ["handler b'1' 1", "main b'2'", "handler b'1' 1", "main 2"]


SOCKETS = """
from gopoll import monkey; monkey.patch_all()
import socket
a, b = socket.socketpair()
a.settimeout(0.2) if {timeout} else None
def handler(*_):
    {act}
    time.sleep(0.01)
    print("handled")
signal.signal(signal.SIGUSR1, handler)
def other():
    kick_idle()
    gopoll.testing.wait_idle()
    {then}
gopoll.go(other)
try: print(a.recv(9))
except OSError as exc: print(type(exc).__name__, exc.errno)
a.close(); b.close()
"""


@pytest.mark.parametrize(
    ("act", "then", "timeout", "said"),
    [
        ("a.send(b'x'); b.recv(1)", "b.send(b'y')", False, "b'y'"),
        ("a.close()", "pass", False, "OSError 9"),
        ("a.shutdown(socket.SHUT_RD)", "pass", False, "b''"),
        ("time.sleep(0.3)", "pass", True, "TimeoutError None"),
    ],
)
def test_a_handler_uses_the_socket_that_main_waits_for(act, then, timeout, said):
    code = SOCKETS.format(act=act, then=then, timeout=timeout)
    assert run(code) == ["handled", said]


def test_what_a_handler_cannot_do_is_refused():
    act = "try: a.recv(1)\n    except RuntimeError as exc: print(exc)"
    said = "a signal handler cannot use a descriptor while main waits for it in the same way"
    code = SOCKETS.format(act=act, then="b.send(b'y')", timeout=False)
    assert run(code) == [said, "handled", "b'y'"]


# -- waiting for signals ---------------------------------------------------------------------------


def test_pause_parks_until_a_handler_has_run():
    assert run(
        "signal.signal(signal.SIGUSR1, lambda *_: print('handled'))\n"
        "gopoll.go(kick)\n"
        "print(signal.pause())\n"
        "signal.signal(signal.SIGUSR1, raises)\n"
        "gopoll.go(kick)\n"
        "try: signal.pause()\n"
        "except Raised: print('raised')\n"
    ) == ["handled", "None", "raised"]


@pytest.mark.parametrize("blocked", [True, False])
def test_sigwait_takes_a_signal_from_its_handler(blocked):
    assert run(
        "signals = {signal.SIGUSR1, signal.SIGUSR2}\n"
        "if len(sys.argv) > 1: signal.pthread_sigmask(signal.SIG_BLOCK, signals)\n"
        "before = signal.pthread_sigmask(signal.SIG_BLOCK, ())\n"
        "gopoll.go(kick)\n"
        "print(repr(signal.sigwait(signals)))\n"
        "print(signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before, signal.sigpending())\n",
        *(["blocked"] if blocked else []),
    ) == [f"<Signals.SIGUSR1: {signal.SIGUSR1:d}>", "True set()"]


def test_a_thread_that_blocks_all_signals_blocks_none_for_main():
    assert run(
        "before = signal.pthread_sigmask(signal.SIG_BLOCK, ())\n"
        "def other():\n"
        "    print(signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()) == before)\n"
        "    now = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])\n"
        "    print(now == signal.valid_signals())\n"
        "    now = signal.pthread_sigmask(signal.SIG_SETMASK, [])\n"
        "    print(now == signal.valid_signals() - {signal.SIGUSR2})\n"
        "    for args in ((4242, []), (signal.SIG_BLOCK, [4242]), (signal.SIG_BLOCK, 5)):\n"
        "        try: signal.pthread_sigmask(*args)\n"
        "        except Exception as exc: print(type(exc).__name__)\n"
        "    kick()\n"
        "gopoll.go(other)\n"
        "try: time.sleep(5)\n"
        "except Raised: print('raised')\n"
        "print(signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before)\n"
    ) == [*["True"] * 3, "OSError", "ValueError", "TypeError", "raised", "True"]


@pytest.mark.skipif(not hasattr(signal, "sigtimedwait"), reason="no sigtimedwait here")
def test_sigtimedwait_and_sigwaitinfo():
    assert run(
        "signals = {signal.SIGUSR2}\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, signals)\n"
        "print(signal.sigtimedwait(signals, 0), signal.sigtimedwait(signals, 0.01))\n"
        "gopoll.go(kick, signal.SIGUSR2)\n"
        "info = signal.sigwaitinfo(signals)\n"
        "print(info.si_signo == signal.SIGUSR2, info.si_pid == me)\n"
        "gopoll.go(kick, signal.SIGUSR2)\n"
        "print(signal.sigtimedwait(signals, 9).si_signo == signal.SIGUSR2)\n"
        "try: signal.sigtimedwait(signals, -1)\n"
        "except ValueError: print('wrong')\n"
        "gopoll.go(kick)\n"
        "try: signal.sigwaitinfo(signals)\n"
        "except Raised: print('raised')\n"
    ) == ["None None", "True True", "True", "wrong", "raised"]


def test_the_wakeup_descriptor_has_the_byte_when_the_handler_runs():
    assert run(
        "r, w = os.pipe(); os.set_blocking(r, False); os.set_blocking(w, False)\n"
        "print(signal.set_wakeup_fd(w))\n"
        "seen = []\n"
        "signal.signal(signal.SIGUSR1, lambda *_: seen.append(os.read(r, 9)))\n"
        "kick()\n"
        "gopoll.go(kick); time.sleep(0.01)\n"
        "print(seen == [bytes([signal.SIGUSR1])] * 2)\n"
        "print(signal.set_wakeup_fd(-1) == w)\n"
        "signal.signal(signal.SIGUSR1, lambda *_: None); kick()\n"
    ) == ["-1", "True", "True"]


def test_a_forked_child_keeps_the_wakeup_descriptor():
    assert run(
        "r, w = os.pipe(); os.set_blocking(w, False)\n"
        "signal.set_wakeup_fd(w)\n"
        "signal.signal(signal.SIGUSR1, lambda *_: None)\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    os.kill(os.getpid(), signal.SIGUSR1)\n"
        "    gopoll.go(os.kill, os.getpid(), signal.SIGUSR1); time.sleep(0.001)\n"
        "    os._exit(0)\n"
        "os.waitpid(pid, 0)\n"
        "print(os.read(r, 9) == bytes([signal.SIGUSR1]) * 2)\n"
    ) == ["True"]


def test_a_full_wakeup_descriptor_warns_if_it_was_asked_to():
    code = (
        "r, w = os.pipe(); os.set_blocking(w, False)\n"
        "while True:\n"
        "    try: os.write(w, bytes(4096))\n"
        "    except BlockingIOError: break\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('handled'))\n"
        "signal.set_wakeup_fd(w, warn_on_full_buffer=False); kick()\n"
        "signal.set_wakeup_fd(w); kick()\n"
    )
    done = run_script(PATCHED + code)
    assert done.stdout.splitlines() == ["handled"] * 2
    said = "Exception ignored when trying to write to the signal wakeup fd"
    assert done.stderr.count(said) == 1
    assert "BlockingIOError" in done.stderr


def test_a_program_may_want_sigurg_for_itself():
    assert run(
        "signal.signal(signal.SIGURG, lambda *_: print('urgent'))\n"
        "kick(signal.SIGURG)\n"
        "gopoll.go(kick, signal.SIGURG); time.sleep(0.01)\n"
        "print(signal.signal(signal.SIGURG, signal.SIG_DFL).__name__)\n"
        "kick(signal.SIGURG)\n"
    ) == ["urgent", "urgent", "<lambda>"]


# -- beside gopoll's own ---------------------------------------------------------------------------


def test_channels_take_a_signal_away_and_give_it_back():
    assert run(
        "from gopoll.os import signal as ours\n"
        "ch = gopoll.Chan(1)\n"
        "ours.notify(ch, signal.SIGUSR1)\n"
        "kick(); print(ch.recv().name)\n"
        "ours.stop(ch)\n"
        "print(signal.getsignal(signal.SIGUSR1) is raises)\n"
        "gopoll.go(kick)\n"
        "try: time.sleep(5)\n"
        "except Raised: print('raised')\n"
    ) == ["SIGUSR1", "True", "raised"]


def test_asyncio_hears_signals_in_its_loop():
    assert run(
        "import asyncio\n"
        "async def main():\n"
        "    loop = asyncio.get_running_loop()\n"
        "    done = loop.create_future()\n"
        "    loop.add_signal_handler(signal.SIGUSR2, done.set_result, 'heard')\n"
        "    loop.call_soon(kick, signal.SIGUSR2)\n"
        "    print(await done)\n"
        "asyncio.run(main(), debug=False)\n"
    ) == ["heard"]


def test_an_exception_of_a_handler_that_nobody_catches_ends_the_program_once():
    done = run_script(PATCHED + "gopoll.go(kick)\ntime.sleep(5)\n")
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert "turn.py" not in done.stderr
    assert done.stderr.rstrip().endswith("Raised")


def test_a_handler_may_end_the_program():
    code = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
    done = run_script(PATCHED + code + "gopoll.go(kick, signal.SIGTERM)\ntime.sleep(5)\n")
    assert (done.returncode, done.stderr) == (7, "")


@pytest.mark.skipif(sys.platform != "linux", reason="the way in which a signal ends a process")
def test_a_signal_without_a_handler_ends_the_program_as_ever():
    done = run_script(PATCHED + "gopoll.go(kick, signal.SIGTERM)\ntime.sleep(5)\n")
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
