"""What a hostile program, peer or environment does to the runtime, and how it stands."""

import pytest

from tests.support.program import must_succeed

pytestmark = pytest.mark.network


@pytest.mark.timeout(150)
def test_a_thousand_connections_reset_in_the_same_instant():
    code = """
    import resource, struct
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = 1000 if os.environ.get('GOPOLL_POLLER', 'epoll').startswith('epoll') else 200
    count = min(count, hard // 2 - 50)
    ended = Chan(count)
    def handler(conn):
        try:
            conn.read()
            ended.send('eof')
        except ConnectionError:
            ended.send('reset')
    def main():
        listener = net.listen('tcp', '127.0.0.1:0')
        go(net.serve, listener, handler)
        clients = []
        for _ in range(count):
            clients.append(socket.create_connection(('127.0.0.1', listener.addr.port)))
            if len(clients) % 100 == 0:
                testing.wait_idle()
        testing.wait_idle()
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            client.close()
        ends = {ended.recv() for _ in range(count)}
        assert ends <= {'reset', 'eof'}, ends  # libkqueue consumes the error
        conn = net.dial('tcp', str(listener.addr))  # the server lives
        conn.write(b'x')
        assert ended.recv() == 'eof'
        conn.close()
        listener.close()
        testing.wait_idle()
    gopoll.run(main)
    print('done')
    """
    must_succeed(code, says="done", timeout=120)


def test_too_many_open_files_make_a_server_pause_and_nothing_else():
    code = """
    import resource
    listener = net.listen('tcp', '127.0.0.1:0')
    def main():
        go(net.serve, listener, echo)
        first = net.dial('tcp', str(listener.addr))
        first.write(b'a')
        assert first.read() == b'a'
        late = socket.create_connection(('127.0.0.1', listener.addr.port))
        ballast = []
        try:
            while True:
                ballast.append(os.dup(0))
        except OSError:
            pass
        late.sendall(b'late')
        for _ in range(20):  # the server goes on for those whom it has
            first.write(b'b')
            assert first.read() == b'b'
        for fd in ballast:
            os.close(fd)
        assert gopoll.offload(late.recv, 10) == b'late'
        late.close()
        first.close()
        listener.close()
        testing.wait_idle()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    gopoll.offload(print, 'a thread, while there are descriptors for one')
    gopoll.run(main)
    print('done')
    """
    must_succeed(code, says="done", timeout=30)


@pytest.mark.parametrize("cap", [0, 1, 100_000])
def test_finalizers_that_send_on_the_channel_that_is_in_use(cap: int):
    """A collection may start anywhere, also inside of the very channel.

    What a finalizer is told was sent arrives, once; nothing of the others is lost.
    """
    code = f"""
    import gc
    ch, late, sent, got = Chan({cap}), Chan(100_000), [], []
    class Bomb:
        def __init__(self):
            self.me = self
        def __del__(self):
            late.send('bomb')
            if ch.try_send('bomb'):
                sent.append(1)
    def produce():
        for i in range(3000):
            Bomb()
            ch.send(i)
        gc.set_threshold(0)
    gc.set_threshold(7, 2, 2)
    g = go(produce)
    while not g.done or len(got) < 3000 + len(sent):
        got.append(ch.recv()) if len(got) < 3000 + len(sent) else g.join()
    assert [v for v in got if v != 'bomb'] == list(range(3000))
    assert ch.try_recv() == (None, False)
    assert sent or ch.cap < 2  # when finalizers run is Python's affair
    print('done')
    """
    must_succeed(code, says="done")


def test_endless_recursion_in_a_goroutine_ends_that_goroutine_only():
    code = """
    reports = []
    gopoll.set_panic(lambda g, exc: reports.append(type(exc)))
    def endless(ch):
        def deeper(n):
            ch.try_send(n)
            return deeper(n + 1)
        deeper(0)
    full = go(depth).result()
    for _ in range(20):
        go(endless, Chan(1)).join()
    assert reports == [RecursionError] * 20, reports
    assert go(depth).result() >= full - 50
    print('done')
    """
    must_succeed(code, says="done")


def test_goroutines_do_not_inherit_the_depth_of_those_who_start_them():
    """g0 makes every first switch, from shallow ground, however deep go() and the parks are."""
    code = """
    def at(n, fn):
        return at(n - 1, fn) if n else fn()
    shallow = go(depth).result()
    def chain(n):  # each starts the next, and parks
        return go(chain, n - 1).result() if n else depth()
    assert at(400, lambda: go(depth).result()) >= shallow - 20
    assert go(chain, 500).result() >= shallow - 20
    results = []
    def thread():
        at(400, lambda: go(gopoll.gosched).join())  # its scheduler is born deep
        gopoll.sleep(0.001)                          # parks on shallower ground
        results.append(go(depth).result())
    t = threading.Thread(target=thread)
    t.start()
    t.join()
    assert results[0] >= shallow - 50, (results, shallow)
    print('done')
    """
    must_succeed(code, says="done")


def test_a_goroutine_that_uses_greenlets_itself():
    code = """
    from greenlet import getcurrent, greenlet
    ch, out = Chan(), Chan(100)
    def inner():
        parent = getcurrent().parent
        while True:
            value = ch.recv()  # parks in a greenlet that the scheduler has not made
            if value is None:
                return 'inner ends'
            parent.switch(value)
    def outer():
        mine = greenlet(inner)
        value = mine.switch()
        while not mine.dead:
            out.send(value)
            value = mine.switch()
        out.send(value)
        out.close()
    go(outer)
    for i in range(50):
        ch.send(i)
    ch.close()
    assert list(out) == [*range(50), 'inner ends']
    print('done')
    """
    must_succeed(code, says="done")


@pytest.mark.timeout(150)
@pytest.mark.parametrize("tool", ["settrace", "setprofile"])
def test_tracing_stays_switched_on_and_is_harmless(tool: str):
    """A trace function belongs to the OS thread: debuggers and coverage depend on it."""
    code = f"""
    seen = set()
    def tool(frame, event, arg):
        if frame.f_code.co_filename == '<string>':
            seen.add(frame.f_code.co_name)
        return tool
    def worker(a, b, n):
        for i in range(n):
            a.send(i)
            assert b.recv() == i
    def mirror(a, b, n):
        for _ in range(n):
            b.send(a.recv())
    sys.{tool}(tool)
    gs = []
    for _ in range(5):
        a, b = Chan(), Chan()
        gs += [go(worker, a, b, 200), go(mirror, a, b, 200)]
    for g in gs:
        g.result()
    def late():
        return 1
    assert go(late).result() == 1
    assert sys.get{tool[3:]}() is tool
    sys.{tool}(None)
    assert {{'worker', 'mirror', 'late'}} <= seen, seen
    print('done')
    """
    must_succeed(code, says="done", timeout=120)


def test_context_variables_survive_exceptions_and_timeouts():
    """A token is reset in the context in which it was made, whatever ended the wait."""
    code = """
    import contextvars
    var = contextvars.ContextVar('var', default='unset')
    def scope(i, ch):
        token = var.set(i)
        try:
            go(ch.recv).join(0.0001)
        except TimeoutError:
            assert var.get() == i
            raise KeyError(i) from None
        finally:
            var.reset(token)
    def guarded(i):
        try:
            scope(i, never)
        except KeyError as exc:
            assert exc.args == (i,) and var.get() == 'main'
            return i
    never = Chan()
    var.set('main')
    assert [g.result() for g in [go(guarded, i) for i in range(100)]] == list(range(100))
    seen = []
    go(lambda: seen.append(var.get())).join()  # a worker that has lived before
    assert seen == ['main'] and var.get() == 'main'
    print('done')
    """
    must_succeed(code, says="done")


def test_panic_hooks_that_fail_exit_or_use_goroutines():
    code = """
    import io
    events = []
    def fails(g, exc):
        events.append('fails')
        raise ZeroDivisionError
    def talks(g, exc):
        ch = Chan(1)
        go(ch.send, repr(exc))
        events.append(ch.recv())
    def bad():
        raise KeyError('bad')
    sys.stderr = io.StringIO()
    for hook in (fails, talks):
        gopoll.set_panic(hook)
        go(bad)
        testing.wait_idle()
    report = sys.stderr.getvalue()
    sys.stderr = sys.__stderr__
    assert 'ZeroDivisionError' in report and "KeyError: 'bad'" in report
    assert events == ['fails', "KeyError('bad')"], events
    assert go(lambda: 5).result() == 5
    print('done')
    """
    must_succeed(code, says="done")


def test_run_in_odd_places():
    code = """
    def nested():
        try:
            gopoll.run(print)
        except RuntimeError as exc:
            return str(exc).startswith('run() belongs')
    assert gopoll.run(nested) and go(nested).result()
    assert gopoll.run(lambda: 1) == gopoll.run(lambda: go(lambda: 1).result()) == 1
    def myself():
        try:
            me.join()
        except RuntimeError as exc:
            return str(exc)
    me = go(myself)
    assert 'its own end' in me.result()
    try:
        gopoll.goexit()
    except RuntimeError:
        pass
    def leaves():
        try:
            gopoll.goexit()
        finally:
            gopoll.gosched()  # may still wait
            ended.append('finally')
            Chan(1).send(1)
    ended = []
    assert go(leaves).result() is None and ended == ['finally']
    def main_exits():
        go(ended.append, 'the rest goes on')
        gopoll.goexit()
    try:
        gopoll.run(main_exits)
    except gopoll.Deadlock as exc:
        ended.append(str(exc).splitlines()[0])
    deadlock = 'no goroutines (main called goexit) - deadlock!'
    assert ended[1:] == ['the rest goes on', deadlock], ended
    print('done')
    """
    must_succeed(code, says="done")


def test_two_readers_one_closer_and_a_number_that_is_reused():
    """A reader that was parked never reads from the stranger that got the number."""
    code = """
    listener = net.listen('tcp', '127.0.0.1:0')
    def outcome(fn):
        try:
            return fn()
        except OSError as exc:
            return type(exc).__name__
    reused = 0
    for _ in range(200):
        conn = net.dial('tcp', str(listener.addr))
        peer = listener.accept()
        readers = [go(outcome, conn.read) for _ in range(2)]
        gopoll.gosched()
        number = conn.fileno()
        conn.close()
        fresh = net.dial('tcp', str(listener.addr))
        other = listener.accept()
        other.write(b'for the stranger')
        peer.close()
        reused += number in (fresh.fileno(), other.fileno())
        outcomes = [g.result() for g in readers]
        assert outcomes == ['ClosedError'] * 2, outcomes
        data = fresh.read()
        assert data == b'for the stranger', data
        fresh.close()
        other.close()
    listener.close()
    print('done' if reused > 100 else reused)
    """
    must_succeed(code, says="done")
