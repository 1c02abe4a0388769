"""Forks: the child keeps the goroutine that forked, and never touches what it shares.

`child` in the prelude forks, calls its argument in the child, and returns the child's status.
"""

import textwrap

import pytest

from tests.support.program import PRELUDE
from tests.support.program import must_succeed as must_succeed_
from tests.support.script import run_script

pytestmark = pytest.mark.network

# A fork of a process with threads is what some of these are about; newer Pythons warn of it.
_QUIET = {"PYTHONWARNINGS": "ignore::DeprecationWarning"}

_PRELUDE = """
def wait_for(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def child(fn, *args):
    'Fork; fn decides the status of the child, an exception makes it 1.'
    pid = os.fork()
    if pid:
        return wait_for(pid)
    status = 1
    try:
        status = fn(*args) or 0
    except BaseException as exc:
        import traceback
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)

def said(conn, data):
    'Write and see it come back.'
    conn.write(data)
    return conn.read_exactly(len(data))
"""


def must_succeed(code: str, *args: str, says: str, timeout: float = 30.0) -> None:
    must_succeed_(_PRELUDE + textwrap.dedent(code), *args, says=says, timeout=timeout, **_QUIET)


def test_a_child_of_main_has_main_only():
    code = """
    def other():
        try:
            Chan().recv()
        finally:
            print('finally of', os.getpid() == parent)
    parent = os.getpid()
    def in_child():
        assert gopoll.num_goroutine() == 1
        assert gopoll.current().name == 'main'
        ch = Chan()
        go(ch.send, 1)
        assert ch.recv() == 1
        gopoll.sleep(0.001)
        assert gopoll.offload(os.getpid) == os.getpid() != parent
        return 7
    def main():
        go(other)
        gopoll.gosched()
        gopoll.offload(print, 'warm', flush=True)
        status = child(in_child)
        assert gopoll.num_goroutine() == 2
        print(status)
    gopoll.run(main)
    """
    done = run_script(PRELUDE + _PRELUDE + textwrap.dedent(code), **_QUIET)
    assert done.stderr == ""
    assert done.stdout == "warm\n7\nfinally of True\n"


_ENDS = """
def forks():
    pid = os.fork()
    if pid:
        statuses.send(wait_for(pid))
        return
    try:
        assert gopoll.num_goroutine() == 1
        me = gopoll.current()
        assert me.name == 'forks' and go(gopoll.sleep, 0.001).join() is None
        sys.stdout.write('buffered ')
        end()
    finally:
        print('mine', end=' ')

def other():
    try:
        Chan().recv()
    finally:
        print('other', os.getpid() == parent, end=' ')

parent = os.getpid()
statuses = Chan()

def main():
    try:
        go(other)
        go(forks)
        status = statuses.recv()
    finally:
        print('main', os.getpid() == parent, status)

gopoll.run(main)
"""


@pytest.mark.parametrize(
    ("end", "status", "complaint"),
    [
        ("pass", 0, ""),
        ("sys.exit(5)", 5, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit('bye')", 1, "bye"),
        ("gopoll.goexit()", 0, ""),
        ("raise KeyError('torn')", 1, "KeyError: 'torn'"),
    ],
)
def test_the_end_of_a_goroutine_that_forked_is_the_end_of_the_child(
    end: str, status: int, complaint: str
):
    """Flushed, with its own finally blocks run and nobody else's."""
    code = f"{PRELUDE}{_PRELUDE}\ndef end():\n    {end}\n{_ENDS}"
    done = run_script(code, **_QUIET)
    assert done.returncode == 0
    assert complaint in done.stderr
    assert bool(done.stderr) == bool(complaint)
    assert done.stdout == f"buffered mine main True {status}\nother True "


def test_a_child_uses_the_same_connections_and_the_parent_goes_on():
    """The inherited epoll is never modified: what the child registers and closes is its own."""
    code = """
    listener = net.listen('tcp', '127.0.0.1:0')
    mine = [net.dial('tcp', str(listener.addr)) for _ in range(4)]
    theirs = [listener.accept() for _ in range(4)]
    for conn in theirs:
        go(echo, conn)
    assert all(said(conn, b'before') == b'before' for conn in mine)

    def in_child():
        go(lambda: theirs[0].write(theirs[0].read()))  # the ghosts are not in the way
        assert said(mine[0], b'child') == b'child'
        conn = net.dial('tcp', str(listener.addr))
        peer = listener.accept()
        go(echo, peer)
        assert said(conn, b'fresh') == b'fresh'
        conn.close()
        conn = net.dial('tcp', str(listener.addr))  # reuses the number
        peer2 = listener.accept()
        go(echo, peer2)
        assert said(conn, b'again') == b'again'
        for end in (conn, listener, *mine, *theirs):
            end.close()
        testing.wait_idle()  # the other ends see it and close

    def main():
        waiting = go(listener.accept)
        gopoll.gosched()
        # The parent must not read meanwhile: the two share the sockets.
        assert child(in_child) == 0
        for i, conn in enumerate(mine):
            assert said(conn, b'after %d' % i) == b'after %d' % i
        conn = net.dial('tcp', str(listener.addr))
        peer = waiting.result()
        go(echo, peer)
        assert said(conn, b'new') == b'new'
        for end in (conn, *mine, listener):
            end.close()
        testing.wait_idle()
        print('done')
    gopoll.run(main)
    """
    must_succeed(code, says="done")


def test_a_child_inside_of_a_goroutine_that_was_reading_serves_on():
    code = """
    listener = net.listen('tcp', '127.0.0.1:0')
    def handler(conn):
        while data := conn.read():
            if data == b'fork' and not (pid := os.fork()):
                conn.write(b'child')
                assert conn.read_exactly(4) == b'more'
                conn.write(b'seen')
                return  # ends the child
            if data == b'fork':
                print(gopoll.offload(wait_for, pid))
                continue
            conn.write(data)
    def main():
        go(net.serve, listener, handler)
        conn = net.dial('tcp', str(listener.addr))
        assert said(conn, b'parent') == b'parent'
        conn.write(b'fork')
        assert conn.read_exactly(5) == b'child'
        conn.write(b'more')
        assert conn.read_exactly(4) == b'seen'
        assert said(conn, b'parent again') == b'parent again'
        conn.close()
        listener.close()
    gopoll.run(main)
    """
    must_succeed(code, says="0")


@pytest.mark.parametrize("kind", ["recv", "select", "timed"])
def test_a_childs_channels_hand_nothing_to_ghosts(kind: str):
    code = """
    ch, full, got = Chan(), Chan(), []
    waits = {
        'recv': (ch.recv, lambda: full.send('ghost')),
        'select': (lambda: select(ch.recv), lambda: select((full.send, 'ghost'))),
        'timed': (lambda: go(ch.recv).result(1000), lambda: go(full.send, 'ghost').result(1000)),
    }
    def in_child():
        assert not ch.try_send(1)
        assert full.try_recv() == (None, False)
        assert select(ch.recv, (ch.send, 1), full.recv, default) == (3, None)
        go(ch.send, 2)
        assert ch.recv() == 2
        go(full.send, 3)
        assert full.recv() == 3
        ch.close()
        assert ch.recv_ok() == (None, False)
    def main():
        receiver, sender = (go(wait) for wait in waits[sys.argv[1]])
        testing.wait_idle()
        assert child(in_child) == 0
        ch.send('parent')
        assert full.recv() == 'ghost'
        receiver.join()
        sender.join()
        print('done')
    gopoll.run(main)
    """
    must_succeed(code, kind, says="done")


@pytest.mark.parametrize("frozen", [False, True])
def test_a_fork_while_another_thread_is_inside_of_a_channel(frozen):
    """The thread does not exist in the child, and neither may its lock.

    Servers freeze what the collector knows before they fork.
    """
    code = """
    import gc
    class Slow(Chan):
        __slots__ = ()
        def put(self, value):
            inside.set()
            leave.wait()
            return super().put(value)
    inside, leave = threading.Event(), threading.Event()
    ch, results = Slow(1), Chan(1)
    thread = threading.Thread(target=ch.try_send, args=(1,))  # it has no goroutines, no scheduler
    thread.start()
    inside.wait()
    if sys.argv[1] == 'True':
        gc.freeze()
    was_frozen = gc.get_freeze_count()
    def in_child():
        leave.set()
        assert bool(gc.get_freeze_count()) == bool(was_frozen)
        ch.send(2)
        return ch.recv()
    status = child(in_child)
    leave.set()
    thread.join()
    assert ch.recv() == 1
    print(status)
    """
    must_succeed(code, str(frozen), says="2")


def test_a_fork_in_another_thread():
    code = """
    ch = Chan()
    go(ch.recv)
    gopoll.gosched()
    def in_child():
        assert threading.main_thread() is threading.current_thread()
        assert gopoll.current().name == 'main'
        assert gopoll.num_goroutine() == 1
        assert not ch.try_send(1)
        go(ch.send, 5)
        try:
            signal.raise_signal(signal.SIGINT)
            return 1
        except KeyboardInterrupt:
            return ch.recv()
    def thread(uses_gopoll):
        if uses_gopoll:
            go(gopoll.gosched).join()
        statuses.append(child(in_child))
    statuses = []
    for uses_gopoll in (True, False):
        t = threading.Thread(target=thread, args=(uses_gopoll,))
        t.start()
        t.join()
    ch.send('parent')
    print(*statuses)
    """
    must_succeed(code, says="5 5")


def test_children_of_children():
    code = """
    def descend(depth):
        if not depth:
            return 0
        ch = Chan()
        go(ch.send, 1)
        g = go(lambda: child(descend, depth - 1))
        return g.result() + ch.recv()
    print(child(descend, 4))
    """
    must_succeed(code, says="4")


def test_a_signal_handler_forks_while_the_scheduler_sleeps():
    code = """
    sched.need_poller()
    def handler(signum, frame):
        pid = os.fork()
        if not pid:
            os._exit(5)
        ch.send(wait_for(pid))
    ch = Chan(1)
    signal.signal(signal.SIGUSR1, handler)
    ring(signal.SIGUSR1)
    print(ch.recv())
    """
    must_succeed(code, says="5")


def test_an_interrupt_that_was_pending_is_the_parents():
    code = """
    go(Chan().recv)
    gopoll.gosched()
    hits = []
    class Forks(Rings):
        def fileno(self):
            number = super().fileno()
            if not os.fork():
                hits.append('child')
            return number
    try:
        gopoll.wait_read(Forks())
        gopoll.sleep(0.05)
        outcome = 'slept'
    except KeyboardInterrupt:
        outcome = 'interrupted'
    if hits:
        os._exit(0 if outcome == 'slept' else 1)
    print(outcome, os.waitstatus_to_exitcode(os.wait()[1]))
    """
    must_succeed(code, says="interrupted 0")


def test_multiprocessing_by_fork():
    code = """
    import multiprocessing
    context = multiprocessing.get_context('fork')
    def square(n):
        ch = Chan()
        go(ch.send, n * n)
        return ch.recv()
    def in_process(queue, conn):
        queue.put(said(conn, b'process'))
    def main():
        listener = net.listen('tcp', '127.0.0.1:0')
        go(net.serve, listener, echo)
        conn = net.dial('tcp', str(listener.addr))
        go(Chan().recv)
        gopoll.gosched()
        with context.Pool(2) as pool:
            assert gopoll.offload(pool.map, square, range(20)) == [n * n for n in range(20)]
        queue = context.SimpleQueue()
        process = context.Process(target=in_process, args=(queue, conn))
        process.start()
        assert gopoll.offload(queue.get) == b'process'
        gopoll.offload(process.join)
        assert process.exitcode == 0
        assert said(conn, b'parent') == b'parent'
        conn.close()
        listener.close()
        print('done')
    gopoll.run(main)
    """
    must_succeed(code, says="done", timeout=40)


def test_subprocesses_inside_of_goroutines():
    code = """
    import subprocess
    def run(n):
        done = subprocess.run([sys.executable, '-S', '-c', f'print({n})'], capture_output=True)
        return int(done.stdout)
    def main():
        go(Chan().recv)
        gs = [go(run, n) for n in range(2)] + [go(gopoll.offload, run, n) for n in range(2, 4)]
        print(*(g.result() for g in gs))
    gopoll.run(main)
    """
    must_succeed(code, says="0 1 2 3", timeout=40)


def test_a_timeout_that_is_open_goes_on_in_the_child():
    code = """
    def main():
        ctx, cancel = gopoll.context.with_timeout(gopoll.context.background(), 0.02)
        try:
            with gopoll.timeout(0.01):
                pid = os.fork()
                Chan().recv()
        except TimeoutError:
            ctx.done().recv()
            if pid == 0:
                os._exit(3)
        print(wait_for(pid))
    gopoll.run(main)
    """
    must_succeed(code, says="3")
