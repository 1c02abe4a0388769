"""What needs a process of its own: forks and deadlocks."""

import textwrap

import pytest

from tests.support.program import must_succeed

_FORK = """
from gopoll.sync import *

def child(fn):
    'Fork; what fn returns in the child is the status, an exception makes it 99.'
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 99
    try:
        status = fn() or 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)
"""


def forks(code, says):
    must_succeed(
        _FORK + textwrap.dedent(code), says=says, PYTHONWARNINGS="ignore::DeprecationWarning"
    )


def test_a_child_keeps_its_own_locks_and_loses_those_of_the_others():
    code = """
    mine, others, rw, contended = Mutex(), Mutex(), RWMutex(), Mutex()
    def hold():
        others.lock()
        rw.lock()
        Chan().recv()
    def in_child():
        assert mine.locked and contended.locked
        assert not others.locked
        assert rw.try_lock()
        mine.unlock()
        contended.unlock()
        with others, contended, mine:
            pass
        g = go(others.lock)
        g.join()
        g = go(others.lock)
        gopoll.gosched()
        assert not g.done
        others.unlock()
        g.join()
        rw.unlock()
        with rw.reading:
            pass
        return 7
    def main():
        go(hold)
        go(contended.lock)
        go(contended.lock)
        testing.wait_idle()
        contended.unlock()  # one of the two is woken, and does not exist in the child
        contended.lock()
        with mine:
            assert child(in_child) == 7
        assert others.locked and not rw.try_lock()
        print('parent')
    gopoll.run(main)
    """
    forks(code, says="parent")


def test_a_child_counts_on_and_nobody_waits():
    code = """
    sem, wg, rw, cond = Semaphore(2), WaitGroup(), RWMutex(), Cond(Mutex())
    def wait():
        with cond.lock:
            cond.wait()
    def main():
        sem.acquire(2)
        wg.add(1)
        rw.rlock()
        for fn in (sem.acquire, wg.wait, rw.lock, wait):
            go(fn)
        testing.wait_idle()
        def in_child():
            cond.signal()
            assert not sem.try_acquire()
            sem.release()
            assert sem.try_acquire()
            assert rw.try_rlock()  # the writer that waited is gone
            rw.runlock()
            rw.runlock()
            assert rw.try_lock()
            wg.done()
            wg.wait()
            wg.go(print, 'child', flush=True)
            wg.wait()
            return 3
        assert child(in_child) == 3
        wg.done()
        print('parent')
    gopoll.run(main)
    """
    forks(code, says="parent")


def test_a_child_does_itself_what_others_were_doing():
    code = """
    once, flights, value = Once(), SingleFlight(), None
    def load():
        if os.getpid() == parent:
            Chan().recv()
        return 'loaded'
    parent = os.getpid()
    value = once_value(load)
    def main():
        for fn, *args in ((once.do, load), (value,), (flights.do, 'key', load)):
            go(fn, *args)
        testing.wait_idle()
        def in_child():
            once.do(load)
            assert once.done
            assert value() == 'loaded'
            assert flights.do('key', load) == ('loaded', False)
            return 5
        assert child(in_child) == 5
        inner = Once()
        def fork_inside():
            def in_child():
                try:
                    inner.do(print)
                except RuntimeError:
                    return 6
            assert child(in_child) == 6
        inner.do(fork_inside)
        assert inner.done
        print('parent')
    gopoll.run(main)
    """
    forks(code, says="parent")


def test_a_fork_while_another_thread_is_inside_of_a_mutex():
    code = """
    mu = Mutex()
    mu.lock()
    inside, leave = threading.Event(), threading.Event()
    class Slow(type(mu._queue)):
        __slots__ = ()
        def push(self, waiter):
            super().push(waiter)
            inside.set()
            leave.wait()
    mu._queue = Slow()
    thread = threading.Thread(target=lambda: (mu.lock(), mu.unlock()))
    thread.start()
    inside.wait()
    def in_child():
        mu.unlock()
        with mu:
            return 4
    status = child(in_child)
    leave.set()
    mu.unlock()
    gopoll.offload(thread.join)
    assert (status, mu.locked) == (4, False)
    print('parent')
    """
    forks(code, says="parent")


@pytest.mark.parametrize(
    ("wait", "reason"),
    [
        ("Mutex.lock(held)", "sync.Mutex.Lock"),
        ("RWMutex.lock(rw)", "sync.RWMutex.Lock"),
        ("RWMutex.rlock(rw)", "sync.RWMutex.RLock"),
        ("WaitGroup.wait(wg)", "sync.WaitGroup.Wait"),
        ("Semaphore(0).acquire()", "semacquire"),
    ],
)
def test_a_deadlock_says_what_is_waited_for(wait, reason):
    code = f"""
    from gopoll.sync import *
    held, rw, wg = Mutex(), RWMutex(), WaitGroup()
    held.lock()
    rw.lock()
    wg.add(1)
    try:
        {wait}
    except gopoll.Deadlock as exc:
        print('[{reason}' in str(exc))
    """
    must_succeed(code, says="True")
