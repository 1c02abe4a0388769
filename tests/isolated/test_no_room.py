"""Where no room is left on the stack, at whatever step: RecursionError, and nothing is torn.

Endless recursion ends the goroutine that has it. The others go on, whatever it did to what they
share: who was to be woken is not forgotten, and who did not come to wait is in nobody's way.
"""

import pytest

from tests.support.program import must_succeed

pytestmark = pytest.mark.network

SWEEP = """
    from gopoll import context, sync
    from gopoll.os import file

    def at(n, fn):
        return at(n - 1, fn) if n else fn()

    def later(fn, *args):
        for _ in range(10):
            gopoll.gosched()
        fn(*args)

    def quietly(fn):
        try:
            fn()
        except OSError:
            pass

    def close(*files):
        for f in files:
            if not f.closed:
                f.close()

    def guarded(lock):
        with lock:
            pass

    def sweep(make):
        'What is called deep, what others do, and what main does then if that could not be done.'
        full = go(depth).result()
        outcomes = set()
        for less in range(40):
            op, others, instead = make()
            goroutines = [go(*other) for other in others]
            gopoll.gosched()
            done = []
            def deep():
                try:
                    at(full - less, op)
                    done.append(True)
                except RecursionError:
                    done.append(False)
            with gopoll.timeout(20):
                go(deep).join()
                if not done[0]:
                    instead()
                for g in goroutines:
                    g.join()
            outcomes.update(done)
            assert gopoll.num_goroutine() == 1, less
        assert outcomes == {True, False}
        print('nothing is torn')
"""

SCENARIOS = {
    "a receiver is there": """
        ch = Chan()
        return lambda: ch.send(1), [(ch.recv,)], lambda: ch.send(1)
    """,
    "a sender is there": """
        ch = Chan()
        return ch.recv, [(ch.send, 1)], ch.recv
    """,
    "receive": """
        ch = Chan()
        return ch.recv, [(later, ch.send, 1)], ch.recv
    """,
    "send": """
        ch = Chan()
        return lambda: ch.send(1), [(later, ch.recv)], lambda: ch.send(1)
    """,
    "select": """
        a, b = Chan(), Chan()
        return lambda: select(a.recv, b.recv), [(later, b.send, 1)], b.recv
    """,
    "close a channel": """
        ch = Chan()
        return ch.close, [(ch.recv_ok,)] * 2, ch.close
    """,
    "yield": """
        return gopoll.gosched, [(later, int)], int
    """,
    "sleep": """
        return lambda: gopoll.sleep(0.0001), [], int
    """,
    "join": """
        ch = Chan()
        g = go(ch.recv)
        return g.join, [(later, ch.send, 1)], g.join
    """,
    "go": """
        ch = Chan(1)
        return lambda: go(ch.send, 1).join(), [(ch.recv,)], lambda: ch.try_send(1)
    """,
    "offload": """
        return lambda: gopoll.offload(int), [], int
    """,
    "lock": """
        mu = sync.Mutex()
        mu.lock()
        return lambda: guarded(mu), [(later, mu.unlock)], lambda: guarded(mu)
    """,
    "unlock": """
        mu = sync.Mutex()
        mu.lock()
        return mu.unlock, [(guarded, mu)] * 2, mu.unlock
    """,
    "unlock for readers": """
        mu = sync.RWMutex()
        mu.lock()
        return mu.unlock, [(guarded, mu.reading)] * 2, mu.unlock
    """,
    "unlock for a writer": """
        mu = sync.RWMutex()
        mu.rlock()
        return mu.runlock, [(guarded, mu)], mu.runlock
    """,
    "release": """
        two = sync.Semaphore(2)
        two.acquire(2)
        return lambda: two.release(2), [(two.acquire,)] * 2, lambda: two.release(2)
    """,
    "done": """
        group = sync.WaitGroup()
        group.add(1)
        return group.done, [(group.wait,)] * 2, group.done
    """,
    "broadcast": """
        cond = sync.Cond(sync.Mutex())
        def wait():
            with cond.lock:
                cond.wait()
        return cond.broadcast, [(wait,)] * 2, cond.broadcast
    """,
    "cancel": """
        ctx, cancel = context.with_cancel(context.background())
        below, _ = context.with_cancel(ctx)
        return cancel, [(ctx.done().recv,), (below.done().recv,)], cancel
    """,
    "a block with a timeout": """
        def limited():
            with gopoll.timeout(0.0001):
                Chan().recv()
        return lambda: quietly(limited), [], int
    """,
    "read": """
        files = file.pipe()
        def read():
            assert files[0].read() == b'x'
            close(*files)
        write = lambda: later(files[1].write, b'x')
        return read, [(quietly, write)], lambda: close(*files)
    """,
    "close a file": """
        files = file.pipe()
        return lambda: close(*files), [(quietly, files[0].read)] * 2, lambda: close(*files)
    """,
}


@pytest.mark.parametrize("what", SCENARIOS)
def test_at_each_depth_that_is_left(what: str):
    code = SWEEP + "\n    def make():" + SCENARIOS[what] + "\n    sweep(make)\n"
    must_succeed(code, says="nothing is torn", PYTHONWARNINGS="ignore::ResourceWarning")
