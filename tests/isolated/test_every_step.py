"""Ctrl-C at each single step of gopoll's code in turn: one exception, in main, and nothing torn."""

import pytest

from tests.support.program import must_succeed

SWEEP = """
    import contextlib, io
    from gopoll.runtime.goroutine import work
    from collections import Counter, deque

    class Step:
        'Trace function: raises SIGINT at the n-th line or call in gopoll since it was made.'
        def __init__(self, n):
            self.left = n
        def __call__(self, frame, event, arg):
            if not frame.f_globals.get('__name__', '').startswith('gopoll'):
                return None
            if frame.f_code is work.__code__ and event != 'call':
                return self  # between its lines no signal is heard but by a tracer
            if self.left > 0:
                self.left -= 1
                if self.left == 0:
                    signal.raise_signal(signal.SIGINT)
            return self

    def hits_of(fn):
        'Call it; return what came of it, and the interrupt too if it comes an instant later.'
        found = []
        for call in (fn, lambda: found or gopoll.sleep(1), testing.wait_idle):
            try:
                call()
            except BaseException as exc:
                found.append(type(exc).__name__)
            finally:
                sys.settrace(None)
        return found

    def sweep(main):
        n = 0
        while True:
            n += 1
            step = Step(n)
            begun, ended = [], []
            def stepping():
                sys.settrace(step)
                gopoll.run(main, begun, ended)
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                found = hits_of(stepping)
            if step.left:
                break
            assert found == ['KeyboardInterrupt'], (n, found)
            assert not said.getvalue(), (n, said.getvalue())
            assert not Counter(begun) - Counter(ended), (n, begun, ended)
            assert gopoll.num_goroutine() == 1, n
            rest = sched.current is sched.main, sched.runq, sched.inbox
            assert rest == (True, deque(), deque()), (n, rest)
        assert n > 100, n
        print('every step')
"""


@pytest.mark.timeout(150)
@pytest.mark.parametrize("what", ["channels", "births", "sleep", "select", "sockets"])
def test_ctrl_c_at_each_step(what: str):
    scenarios = """
    def tracked(begun, ended, fn, *args):
        try:
            begun.append(id(fn))
            fn(*args)
        finally:
            ended.append(id(fn))

    def channels(start):
        a, b = Chan(), Chan(1)
        def produce():
            for i in range(3):
                a.send(i)
            a.close()
        def pass_on():
            for value in a:
                b.send(value)
            b.close()
        start(produce)
        start(pass_on)
        list(b)

    def births(start):
        def leaf():
            pass
        def branch():
            for _ in range(2):
                start(leaf)
            gopoll.gosched()
        start(branch).join()
        start(branch).join()

    def sleep(start):
        start(gopoll.sleep, 0.0001)
        start(gopoll.sleep, 0)
        gopoll.sleep(0.0002)

    def select_(start):
        a, b = Chan(), Chan()
        start(a.send, 1)
        start(b.send, 2)
        for _ in range(2):
            select(a.recv, b.recv)
        select(a.recv, default)

    def sockets(start):
        with net.listen('tcp', '127.0.0.1:0') as listener:
            def serve():
                with listener.accept() as conn:
                    conn.write(conn.read())
            server = start(serve)
            with net.dial('tcp', str(listener.addr)) as conn:
                conn.write(b'hello')
                conn.read_exactly(5)
            server.join()

    scenario = {'select': select_}.get(sys.argv[1]) or globals()[sys.argv[1]]

    def main(begun, ended):
        scenario(lambda fn, *args: go(tracked, begun, ended, fn, *args))

    import warnings
    warnings.simplefilter('ignore', ResourceWarning)  # an interrupt between open and with
    sweep(main)
    """
    must_succeed(SWEEP + scenarios, what, says="every step", timeout=120)
