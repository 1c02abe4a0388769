"""Ctrl-C reaches main and nobody else, wherever it falls.

Handlers that the program brings itself: see test_handlers.py.
"""

import textwrap

import pytest

from tests.support.program import PRELUDE, must_succeed
from tests.support.script import run_script

pytestmark = pytest.mark.network

_WAITS = """
ch = Chan()
a, b = net.pipe()
listener = net.listen('tcp', '127.0.0.1:0')
pair = socket.socketpair()

def join():
    go(ch.recv).join()

def contend():  # somebody else is in the middle of reading
    go(quietly, conn.read)
    gopoll.gosched()
    conn.read()

def quietly(fn):
    try:
        fn()
    except net.ClosedError:
        pass

release = threading.Event()
waits = {
    'recv': ch.recv,
    'send': lambda: ch.send(1),
    'select': lambda: select(ch.recv, (Chan().send, 1)),
    'nothing': select,
    'nil': gopoll.nil_chan.recv,
    'sleep': lambda: gopoll.sleep(1000),
    'join': join,
    'offload': lambda: gopoll.offload(release.wait),
    'accept': listener.accept,
    'read': lambda: conn.read(),
    'fd wait': contend,
    'pipe': a.read,
    'wait_read': lambda: gopoll.wait_read(pair[0]),
    'timed': lambda: go(ch.recv).join(1000),
}
log = []
others = []

def other():
    others.append(gopoll.current())
    try:
        Chan().recv()
    finally:
        log.append('finally')

def main():
    global conn
    conn = net.dial('tcp', str(listener.addr))
    peer = listener.accept()
    go(other)
    ring()
    try:
        waits[sys.argv[1]]()
    except KeyboardInterrupt:
        log.append('interrupt')
    for _ in range(50):
        gopoll.gosched()
    fresh = Chan()
    go(fresh.send, 7)
    assert fresh.recv() == 7
    gopoll.sleep(0.001)
    assert not any(g.done for g in others)
    release.set()
    conn.close()
    peer.close()
    listener.close()

gopoll.run(main)
for end in pair:
    end.close()
print(*log)
"""


@pytest.mark.parametrize(
    "wait",
    [
        *("recv", "send", "select", "nothing", "nil", "sleep", "join", "offload", "accept"),
        *("read", "fd wait", "pipe", "wait_read", "timed"),
    ],
)
def test_ctrl_c_ends_what_main_waits_for_once(wait: str):
    must_succeed(_WAITS, wait, says="interrupt finally")


def test_an_uncaught_ctrl_c_ends_the_program_as_python_does():
    code = """
    def other():
        try:
            Chan().recv()
        finally:
            print('finally')
    def main():
        go(other)
        ring()
        Chan().recv()
    gopoll.run(main)
    """
    done = run_script(PRELUDE + textwrap.dedent(code))
    assert done.returncode == -2
    assert done.stdout == "finally\n"
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"


def test_ctrl_c_in_mains_own_code_is_raised_at_once():
    code = """
    go(Chan().recv)
    gopoll.gosched()
    trace = []
    try:
        signal.raise_signal(signal.SIGINT)
        trace.append('later')
    except KeyboardInterrupt:
        trace.append('at once')
    gopoll.sleep(0.01)
    print(*trace)
    """
    must_succeed(code, says="at once")


@pytest.mark.parametrize(
    "then", ["pass", "ch.try_send(1); ch.try_recv()", "gopoll.num_goroutine()"]
)
def test_ctrl_c_inside_of_gopoll_is_raised_though_main_never_waits_again(then: str):
    code = f"""
    ch = Chan(1)
    go(Chan().recv)
    gopoll.gosched()
    hits = 0
    try:
        gopoll.wait_read(Rings())  # does not raise: it returns
        hits += 10
        while True:
            {then}
    except KeyboardInterrupt:
        hits += 1
    gopoll.sleep(0.02)  # longer than it takes to ask again
    print(hits)
    """
    # The interrupt may be raised in the very instant in which wait_read is left.
    done = run_script(PRELUDE + textwrap.dedent(code))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout in ("11\n", "1\n")


def test_ctrl_c_tears_nothing_in_a_program_that_has_no_goroutine_but_main():
    code = """
    events = []
    class Late(Rings):
        def fileno(self):
            number = super().fileno()
            events.append('still inside')
            return number
    def main():
        gopoll.wait_read(Late())
        Chan().recv()
    try:
        gopoll.run(main)
    except KeyboardInterrupt:
        print(*events)
    """
    must_succeed(code, says="still inside")


def test_ctrl_c_inside_of_gopoll_waits_for_mains_next_park():
    code = """
    go(Chan().recv)
    gopoll.gosched()
    events = []
    class Late(Rings):
        def fileno(self):
            number = super().fileno()
            events.append('still inside')
            return number
    try:
        gopoll.wait_read(Late())
        Chan().recv()
    except KeyboardInterrupt:
        events.append('interrupt')
    gopoll.sleep(0.01)
    print(*events)
    """
    must_succeed(code, says="still inside interrupt")


def test_what_gopoll_raises_again_an_instant_too_late_is_dropped():
    """Main has raised it meanwhile; the next Ctrl-C counts."""
    code = """
    from gopoll.runtime import interrupt
    go(Chan().recv)
    gopoll.gosched()
    hits = []
    for again in (True, False):
        interrupt._pending.again = again
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            hits.append(again)
    gopoll.sleep(0.01)
    print(*hits)
    """
    must_succeed(code, says="False")


@pytest.mark.parametrize("where", ["its own code", "gopoll"])
def test_ctrl_c_while_another_goroutine_runs_comes_out_of_main(where: str):
    code = """
    events = []
    def other():
        try:
            if sys.argv[1] == 'gopoll':
                gopoll.wait_read(Rings())
                gopoll.gosched()
            else:
                signal.raise_signal(signal.SIGINT)
            events.append('other goes on')
        except BaseException as exc:
            events.append(repr(exc))
    def main():
        g = go(other)
        try:
            Chan().recv()
        except KeyboardInterrupt:
            events.append('main')
        g.join()
    gopoll.run(main)
    print(*sorted(events))
    """
    must_succeed(code, where, says="main other goes on")


def test_ctrl_c_in_the_middle_of_an_import_shows_nobody_half_a_module(tmp_path):
    """Python lets the thread that imports a module see it as it is by then, whichever goroutine."""
    (tmp_path / "halves.py").write_text(
        "import signal\nfirst = 1\nsignal.raise_signal(signal.SIGINT)\nsecond = 2\n"
    )
    code = """
    sys.path.insert(0, sys.argv[1])
    def use():
        import halves
        seen.append(halves.second)
    seen = []
    others = [go(use), go(use)]
    try:
        Chan().recv()
    except KeyboardInterrupt:
        use()
    for g in others:
        g.join()
    print(*seen)
    """
    must_succeed(code, str(tmp_path), says="2 2 2")


@pytest.mark.parametrize("where", ["goroutine", "handler of serve"])
def test_ctrl_c_stops_a_goroutine_that_computes_for_ever(where: str):
    code = """
    def hog(*conn):
        ring_now.set()
        while True:
            pass
    ring_now = threading.Event()
    def kill():
        ring_now.wait()
        signal.pthread_kill(main_ident, signal.SIGINT)
    threading.Thread(target=kill).start()
    if sys.argv[1] == 'goroutine':
        go(hog)
    else:
        listener = net.listen('tcp', '127.0.0.1:0')
        go(net.serve, listener, hog)
        conn = net.dial('tcp', str(listener.addr))
    try:
        Chan().recv()
    except KeyboardInterrupt:
        print('main')
        sys.stdout.flush()
        os._exit(0)
    """
    must_succeed(code, where, says="main")


def test_main_does_not_give_way_at_once_to_one_who_computes():
    """However many operations were made in this turn before."""
    code = """
    stop, ch, hits = [], Chan(1), []
    def hog():
        signal.raise_signal(signal.SIGINT)
        while not stop: pass
    for count in range(40):
        stop.clear()
        for _ in range(count): ch.send(1); ch.recv()
        g = go(hog)
        try:
            try: Chan().recv()
            finally:
                for _ in range(50): ch.send(1); ch.recv()
        except KeyboardInterrupt: hits.append(1)
        stop.append(1)
        g.join()
    print(len(hits))
    """
    must_succeed(code, says="40")


def test_ctrl_c_in_a_timer_comes_out_of_main():
    code = """
    ch = Chan()
    go(ch.recv)
    def fire(_):
        signal.raise_signal(signal.SIGINT)
    sched.timeline.add(0.0, fire)
    try:
        gopoll.sleep(1000)
    except KeyboardInterrupt:
        print('main')
    ch.send(1)
    """
    must_succeed(code, says="main")


@pytest.mark.timeout(150)
def test_two_hundred_interrupts_two_hundred_exceptions_and_nothing_lost():
    """One at a time, at whatever moment it falls, while messages pass through main."""
    code = """
    ch, hits, over = Chan(), [], threading.Event()
    started, got, total = [], [], []
    def kill():
        while not started:
            os.sched_yield()
        for _ in range(200):
            seen = len(hits)
            signal.pthread_kill(main_ident, signal.SIGINT)
            while len(hits) == seen:
                os.sched_yield()
        over.set()
    def produce():
        i = 0
        while not over.is_set() or i < 20000:
            ch.send(i)
            i += 1
        total.append(i)
        ch.close()
    killer = threading.Thread(target=kill)
    killer.start()
    go(produce)
    started.append(1)
    while True:
        try:
            got.extend(ch)  # all in gopoll and in C: an interrupt cannot fall between two items
            break
        except KeyboardInterrupt:
            hits.append(1)
    killer.join()
    assert got == list(range(total[0])), len(got)
    print(len(hits))
    """
    must_succeed(code, says="200", timeout=120)


def test_ctrl_c_while_others_exchange_traffic_hurts_nobody_else():
    code = """
    def client(n):
        ping(str(listener.addr), n, 100)
        done.send(n)
    done = Chan(20)
    listener = net.listen('tcp', '127.0.0.1:0')
    def main():
        go(net.serve, listener, echo)
        for n in range(20):
            go(client, n)
        hits = 0
        for _ in range(10):
            ring()
            try:
                Chan().recv()
            except KeyboardInterrupt:
                hits += 1
        assert sorted(done.recv() for _ in range(20)) == list(range(20))
        listener.close()
        return hits
    hits = gopoll.run(main)
    print(hits)
    """
    must_succeed(code, says="10")


def test_the_programs_own_handler_stays_and_the_default_comes_back():
    code = """
    during = []
    gopoll.run(lambda: (go(gopoll.gosched).join(), during.append(signal.getsignal(signal.SIGINT))))
    assert during[0] is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    mine = lambda signum, frame: seen.append(signum)
    seen = []
    signal.signal(signal.SIGINT, mine)
    def main():
        go(gopoll.gosched).join()
        assert signal.getsignal(signal.SIGINT) is mine
        ring()
        while not seen: gopoll.sleep(0.02)
    gopoll.run(main)
    assert signal.getsignal(signal.SIGINT) is mine

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gopoll.run(lambda: go(gopoll.gosched).join())
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    print(*seen)
    """
    must_succeed(code, says="2")


def test_a_handler_set_before_the_import_stays():
    code = """
    import signal
    mine = lambda signum, frame: seen.append(signum)
    seen = []
    signal.signal(signal.SIGINT, mine)
    import gopoll
    gopoll.go(gopoll.gosched).join()
    signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is mine
    print(*seen)
    """
    done = run_script(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")
