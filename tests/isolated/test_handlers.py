"""The program's own signal handlers, whatever they do: wake somebody, raise, wait, in a storm."""

import pytest

from tests.support.program import must_succeed

pytestmark = pytest.mark.network


@pytest.mark.parametrize("act", ["ch.try_send(7)", "ch.send(7)", "go(ch.send, 7)", "go(late, ch)"])
def test_a_handler_that_wakes_somebody_ends_the_sleep(act: str):
    """Mirrors TestNetpollBreak: readying is not enough, the wait in the poller must end."""
    code = f"""
    ch = Chan()
    def late(ch):
        gopoll.gosched()
        ch.send(7)
    signal.signal(signal.SIGUSR1, lambda signum, frame: {act})
    ring(signal.SIGUSR1)
    print(ch.recv())
    """
    must_succeed(code, says="7")


LATE = """
    # A signal that strikes after the last bytecode before the poller's system call, when Python can
    # no longer run a handler: to look up index `strike` calls raise(3), from C to C.
    import ctypes, functools
    from gopoll.runtime.poller import select as select_room

    def strike_before(call):
        def struck(*args):
            if sched.sleeping and strikes:
                strikes.clear()
                ['struck'][strike]
            return call(*args)
        return struck

    class Late:
        def __init__(self, real):
            self.real = real
        def __getattr__(self, name):
            value = getattr(self.real, name)
            return strike_before(value) if name in ('poll', 'control') else value

    poller = sched.need_poller()
    for name in ('_epoll', '_kqueue', '_poll'):
        if hasattr(poller, name):
            setattr(poller, name, Late(getattr(poller, name)))
    select_room.select_select = strike_before(select_room.select_select)
    strikes = []

    def strike_late(signum):
        global strike
        c_raise = functools.partial(getattr(ctypes.CDLL(None), 'raise'), int(signum))
        strike = type('Strike', (), {'__index__': staticmethod(c_raise)})()
        strikes.append(signum)
"""


def test_a_signal_on_the_last_step_before_the_system_call_is_not_slept_through():
    code = """
    ch = Chan(1)
    signal.signal(signal.SIGUSR1, lambda signum, frame: ch.try_send(7))
    strike_late(signal.SIGUSR1)
    print(ch.recv(), strikes)
    """
    must_succeed(LATE + code, says="7 []")


def test_ctrl_c_on_the_last_step_before_the_system_call_is_not_slept_through():
    code = """
    go(gopoll.sleep, 1000)
    strike_late(signal.SIGINT)
    try:
        Chan().recv()
    except KeyboardInterrupt:
        print('interrupted', strikes)
    """
    must_succeed(LATE + code, says="interrupted []")


def test_a_program_that_hears_signals_itself_keeps_doing_so():
    """As asyncio does. Once it does not any more, gopoll does not come between either."""
    code = """
    mine = socket.socketpair()
    mine[1].setblocking(False)
    signal.set_wakeup_fd(mine[1].fileno())
    sched.need_poller()
    signal.signal(signal.SIGUSR1, lambda signum, frame: None)
    signal.raise_signal(signal.SIGUSR1)
    assert mine[0].recv(10) == bytes([signal.SIGUSR1])
    assert signal.set_wakeup_fd(-1) == mine[1].fileno()
    for end in mine:
        end.close()
    print('mine')
    """
    must_succeed(code, says="mine")


def test_a_child_hears_its_own_signals():
    code = """
    sched.need_poller()
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    pid = os.fork()
    if pid == 0:
        assert signal.set_wakeup_fd(-1) == -1
        this.sched.need_poller()
        assert signal.set_wakeup_fd(-1) != -1
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert signal.set_wakeup_fd(-1) == before != -1
    print('heard')
    """
    must_succeed(code, says="heard")


def test_a_handler_ends_the_wait_of_another_goroutine_while_main_sleeps_long():
    code = """
    ch, done = Chan(), Chan()
    go(lambda: done.send(ch.recv()))
    signal.signal(signal.SIGUSR1, lambda signum, frame: ch.try_send(7))
    ring(signal.SIGUSR1)
    go(gopoll.sleep, 1000)
    print(done.recv())
    """
    must_succeed(code, says="7")


def test_a_handler_that_waits_inside_of_the_scheduler_is_refused():
    code = """
    refused = []
    ch, asleep = Chan(), Chan()
    full = Chan(1)
    full.send(0)
    listener = net.listen('tcp', '127.0.0.1:0')
    r, w = os.pipe()
    waits = [
        ch.recv, lambda: ch.send(1), lambda: full.send(1), lambda: select(ch.recv), select,
        lambda: gopoll.sleep(1), go(asleep.recv).join, lambda: gopoll.offload(print),
        lambda: gopoll.wait_read(r), gopoll.nil_chan.recv, testing.wait_idle,
        listener.accept, gopoll.current,
    ]
    gopoll.gosched()
    def handler(signum, frame):
        gopoll.gosched()  # this one need not wait, so it does not
        for wait in waits:
            try:
                wait()
                refused.append('no: ' + repr(wait))
            except RuntimeError:
                refused.append('yes')
        again.send('over')
    again = Chan(1)
    signal.signal(signal.SIGUSR1, handler)
    ring(signal.SIGUSR1)
    assert again.recv() == 'over'
    listener.close()
    assert refused == ['yes'] * len(waits), refused
    assert not ch.try_send(1)  # nobody was left in a queue
    asleep.close()
    assert full.recv() == 0
    assert not len(full)
    go(full.send, 'sound')
    print(full.recv())
    """
    must_succeed(code, says="sound")


def test_a_handler_interrupts_the_very_lock_that_it_needs():
    """Inside the guard of a channel: what need not wait is done a moment later, the rest raises."""
    code = """
    from collections import deque
    class Interrupted(deque):
        def append(self, value):
            if value == 'outer':
                signal.raise_signal(signal.SIGUSR1)
            super().append(value)
    def handler(signum, frame):
        assert ch.busy
        results.append(ch.try_recv())
        results.append(ch.try_send('inner'))
        for wait in (ch.recv, lambda: select(ch.recv)):
            try:
                wait()
            except RuntimeError:
                results.append('refused')
    results = []
    ch = Chan(2)
    ch._buffer = Interrupted()
    signal.signal(signal.SIGUSR1, handler)
    ch.send('outer')
    assert results == [(None, False), True, 'refused', 'refused'], results
    assert not ch.busy
    print(ch.recv(), ch.recv())
    """
    must_succeed(code, says="outer inner")


def test_a_handler_closes_the_channel_whose_lock_it_interrupts():
    code = """
    from collections import deque
    class Interrupted(deque):
        def append(self, value):
            signal.raise_signal(signal.SIGUSR1)
            super().append(value)
    ch = Chan(2)
    ch._buffer = Interrupted()
    signal.signal(signal.SIGUSR1, lambda signum, frame: ch.close())
    ch.send('sent')
    print(*ch)
    """
    must_succeed(code, says="sent")


def test_a_handler_closes_the_connection_whose_lock_it_interrupts():
    code = """
    listener = net.listen('tcp', '127.0.0.1:0')
    conn = net.dial('tcp', str(listener.addr))
    peer = listener.accept()
    signal.signal(signal.SIGUSR1, lambda signum, frame: conn.close())
    fd = conn._fd
    fd.enter()
    signal.raise_signal(signal.SIGUSR1)
    assert not conn.closed
    fd.leave()
    print(peer.read())
    assert conn.closed
    for end in (peer, listener):
        end.close()
    """
    must_succeed(code, says="b''")


_STORM = """
class Boom(Exception):
    pass

listener = net.listen('tcp', '127.0.0.1:0')
done = Chan(40)
finished, booms, rang = [], [], []

def client(n):
    ping(str(listener.addr), n, 150)
    done.send(n)

def main(handler):
    signal.signal(signal.SIGALRM, handler)
    go(net.serve, listener, echo)
    for n in range(40):
        go(client, n)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    while len(finished) < 40:
        try:
            finished.append(done.recv())
        except Boom:
            booms.append(1)
    signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        gopoll.gosched()  # the last one may still be on its way
    except Boom:
        booms.append(1)
    assert sorted(finished) == list(range(40)), finished
    listener.close()
"""


@pytest.mark.timeout(150)
def test_a_storm_of_handlers_that_return_loses_no_edge():
    code = """
gopoll.run(main, lambda signum, frame: rang.append(1))
print(len(booms), bool(rang))
"""
    must_succeed(_STORM + code, says="0 True", timeout=120)


@pytest.mark.timeout(150)
def test_a_storm_of_handlers_that_raise_in_the_scheduler_loses_no_edge():
    """What the kernel had reported is gone with the exception: all are taken for ready then.

    The exception comes out of main, nowhere else; no echo is lost.
    """
    code = """
import greenlet

def handler(signum, frame):
    if greenlet.getcurrent() is sched.g0:
        rang.append(1)
        raise Boom

gopoll.run(main, handler)
print(bool(rang), 0 < len(booms) <= len(rang))
"""
    must_succeed(_STORM + code, says="True True", timeout=120)


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("act", "times"), [("box.send(1)", 300), ("select(box.recv, default)", 300), ("go(int)", 3)]
)
def test_a_storm_of_handlers_that_use_the_runtime_which_they_interrupt(act: str, times: int):
    """What such a handler does need not wait, so it must not switch in the middle of a switch."""
    code = f"""
    def handler(signum, frame):
        if inside:
            return
        inside.append(1)
        rang.append(1)
        for _ in range({times}):  # 300 is more than a turn holds
            {act}
        inside.clear()
    inside, rang, box = [], [], Chan(10_000_000)
    def ping(a, b, n):
        for i in range(n):
            a.send(i)
            assert b.recv() == i
    def pong(a, b, n):
        for i in range(n):
            assert a.recv() == i
            b.send(i)
    def spawn(n):
        return [go(int).result() for _ in range(n)]
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    goroutines = [go(spawn, 2000)]
    for _ in range(10):
        a, b = Chan(), Chan()
        goroutines += [go(ping, a, b, 2000), go(pong, a, b, 2000)]
    for g in goroutines:
        g.result(100)
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(len(rang) > 10)
    """
    must_succeed(code, says="True", timeout=120)
