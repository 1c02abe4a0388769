"""``threading.Lock`` and ``RLock`` under the patch, and what is made of them."""

import pytest

from tests.support.threaded import run

KINDS = pytest.mark.parametrize("kind", ["Lock", "RLock"])


@KINDS
def test_a_lock_waits_for_its_holder(kind):
    assert run(f"""
        lock, events = threading.{kind}(), []
        def work():
            with lock: events.append("work")
        with lock:
            t = threading.Thread(target=work); t.start()
            time.sleep(0.01)
            events.append("main")
        t.join()
        print(events)
    """) == ["['main', 'work']"]


@KINDS
def test_a_wait_ends_in_time(kind):
    assert run(f"""
        lock = threading.{kind}()
        def work():
            print(lock.acquire(False), lock.acquire(True, 0), lock.acquire(timeout=0.01))
        with lock:
            t = threading.Thread(target=work); t.start(); t.join()
        print(lock._waiters)
    """) == ["False False False", "deque([])"]


@KINDS
@pytest.mark.parametrize(
    "arguments", ["0, 1", "True, -2", "timeout=1e30", "timeout='1'", "True, float('nan')"]
)
def test_bad_arguments_raise_what_they_raise_without_the_patch(kind, arguments):
    first, second = run(f"""
        from gopoll import native
        def raised(lock):
            try: lock.acquire({arguments})
            except Exception as exc: return repr(exc)
        print(raised(threading.{kind}()))
        print(raised(native.{kind}()))
    """)
    assert first == second != "None"


@KINDS
def test_everybody_has_a_turn_in_order(kind):
    assert run(f"""
        lock, order = threading.{kind}(), []
        def work(n):
            for _ in range(3):
                with lock:
                    order.append(n)
                    time.sleep(0)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(len(order), max(map(order.count, range(4))))
        print([sorted(order.index(n) for n in range(4))][0] == [order.index(n) for n in range(4)])
    """) == ["12 3", "True"]


def test_one_that_takes_the_lock_again_and_again_does_not_keep_it():
    assert run("""
        lock, stop = threading.Lock(), []
        def hog():
            while not stop:
                with lock: time.sleep(0)
        t = threading.Thread(target=hog); t.start()
        with lock: stop.append(1)
        t.join()
        print("had it")
    """) == ["had it"]


def test_locks_that_are_free_let_the_others_run():
    # Who only ever takes free locks never waits, and yet somebody else must be able to stop it.
    assert run("""
        lock, stop = threading.Lock(), []
        t = threading.Thread(target=stop.append, args=(1,))
        gopoll.go(lambda: stop.append(1))
        while not stop:
            with lock: pass
        stop.clear()
        gopoll.go(lambda: stop.append(1))
        lock.acquire()
        while not stop:
            lock.acquire(False)
        stop.clear()
        rlock = threading.RLock()
        gopoll.go(lambda: stop.append(1))
        while not stop:
            rlock.acquire(); rlock.release()
        print("stopped")
    """) == ["stopped"]


def test_anybody_may_release_a_lock():
    assert run("""
        lock = threading.Lock(); lock.acquire()
        threading.Timer(0.01, lock.release).start()
        print(lock.acquire(), lock.locked())
        lock.release()
        try: lock.release()
        except RuntimeError as exc: print(exc)
    """) == ["True True", "release unlocked lock"]


def test_a_recursive_lock_belongs_to_its_goroutine():
    assert run("""
        lock = threading.RLock()
        def fails():
            try: lock.release()
            except RuntimeError as exc: print(exc)
        with lock, lock:
            t = threading.Thread(target=fails); t.start(); t.join()
            print(lock._is_owned(), str(lock).split()[:6])
        fails()
    """)[1].startswith("True ['<locked', '_thread.RLock', 'object', 'owner=")


def test_representations():
    assert run("""
        import re
        lock, rlock = threading.Lock(), threading.RLock()
        def show(*locks):
            for each in locks: print(re.sub("0x[0-9a-f]+", "0x", repr(each)))
        show(lock, rlock, type(lock), type(rlock), threading.Condition(lock), threading.Event())
        with lock, rlock, rlock:
            print(f"owner={threading.get_ident()} count=2" in repr(rlock))
            show(lock)
    """) == [
        "<unlocked _thread.lock object at 0x>",
        "<unlocked _thread.RLock object owner=0 count=0 at 0x>",
        "<class '_thread.lock'>",
        "<class '_thread.RLock'>",
        "<Condition(<unlocked _thread.lock object at 0x>, 0)>",
        "<threading.Event at 0x: unset>",
        "True",
        "<locked _thread.lock object at 0x>",
    ]


def test_what_a_lock_is():
    assert run("""
        import _thread, pickle, weakref
        for lock in (threading.Lock(), threading.RLock()):
            weakref.ref(lock)
            try: pickle.dumps(lock)
            except TypeError as exc: print(exc)
        print(isinstance(threading.Lock(), _thread.LockType), _thread.LockType.__name__)
        try: type("Sub", (_thread.LockType,), {})
        except TypeError as exc: print(exc)
        class Sub(threading._CRLock): pass
        print(repr(Sub())[:14])
        print(pickle.loads(pickle.dumps(_thread.allocate_lock)) is _thread.allocate_lock)
    """) == [
        "cannot pickle '_thread.lock' object",
        "cannot pickle '_thread.RLock' object",
        "True lock",
        "type '_thread.lock' is not an acceptable base type",
        "<unlocked Sub ",
        "True",
    ]


def test_conditions_events_semaphores_and_barriers_park():
    assert run("""
        ready, condition, got = [], threading.Condition(), []
        def take():
            with condition:
                condition.wait_for(lambda: ready)
                got.append(ready.pop())
        threads = [threading.Thread(target=take) for _ in range(3)]
        for t in threads: t.start()
        for n in range(3):
            with condition: ready.append(n); condition.notify()
            time.sleep(0)
        for t in threads: t.join()
        print(got, condition.acquire() and condition.wait(0.001))
        condition.release()

        barrier = threading.Barrier(3, timeout=10)
        threads = [threading.Thread(target=barrier.wait) for _ in range(2)]
        for t in threads: t.start()
        barrier.wait()
        for t in threads: t.join()

        most, now = [0], [0]
        semaphore = threading.BoundedSemaphore(2)
        def work():
            with semaphore:
                now[0] += 1; most[0] = max(most[0], now[0]); time.sleep(0.001); now[0] -= 1
        threads = [threading.Thread(target=work) for _ in range(6)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(most)
    """) == ["[0, 1, 2] False", "[2]"]


@KINDS
def test_between_os_threads(kind):
    assert run(f"""
        from gopoll import native
        lock, counter, rounds = threading.{kind}(), [0], 300
        def work():
            for _ in range(rounds):
                with lock:
                    value = counter[0]
                    time.sleep(0)
                    counter[0] = value + 1
        threads = [threading.Thread(target=work) for _ in range(4)]
        threads += [native.Thread(target=work) for _ in range(4)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(counter[0] == 8 * rounds)
    """) == ["True"]


@KINDS
def test_a_timeout_is_as_good_as_a_release_for_who_comes_next(kind):
    # Waits that end in time, among others that do not: nobody is forgotten.
    assert run(f"""
        from gopoll import native
        import random
        lock, done = threading.{kind}(), []
        def work(seed):
            chance = random.Random(seed)
            for _ in range(100):
                if lock.acquire(timeout=chance.random() / 1000):
                    time.sleep(chance.random() / 5000)
                    lock.release()
            with lock: done.append(seed)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        threads += [native.Thread(target=work, args=(n,)) for n in range(6, 9)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(sorted(done) == list(range(9)), lock)
    """)[0].startswith("True <unlocked")


def test_a_handler_may_use_the_lock_that_it_interrupts():
    assert run("""
        import signal
        lock, count = threading.RLock(), [0]
        def handler(*_):
            with lock: count[0] += 1
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        while count[0] < 30:
            for _ in range(100):
                with lock:
                    with lock: pass
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(lock._recursion_count(), repr(lock)[:9])
    """) == ["0 <unlocked"]


def test_a_finalizer_may_use_a_lock():
    assert run("""
        import gc
        lock, count = threading.RLock(), [0]
        class Garbage:
            def __init__(self): self.me = self
            def __del__(self):
                with lock: count[0] += 1
        gc.set_threshold(5)
        def work():
            for _ in range(200):
                with lock: Garbage()
                time.sleep(0)
        threads = [threading.Thread(target=work) for _ in range(3)]
        for t in threads: t.start()
        for t in threads: t.join()
        gc.collect()
        print(count)
    """) == ["[600]"]


def test_a_timeout_scope_ends_a_wait():
    assert (
        run("""
        lock = threading.Lock(); lock.acquire()
        condition = threading.Condition()
        try:
            with gopoll.timeout(0.01): lock.acquire()
        except TimeoutError: print("lock", lock._waiters)
        try:
            with gopoll.timeout(0.01), condition: condition.wait()
        except TimeoutError: print("condition", condition)
    """)[0]
        == "lock deque([])"
    )


def test_a_condition_has_its_lock_again_before_an_interrupt_is_raised():
    assert run("""
        condition = threading.Condition()
        order = []
        def waits():
            with condition:
                try:
                    with gopoll.timeout(0.005): condition.wait()
                finally:
                    order.append(("owned", condition._is_owned()))
        g = gopoll.go(waits)
        gopoll.gosched()
        with condition:
            time.sleep(0.02)      # the wait is over meanwhile, and its lock is ours
            order.append("main")
        try: g.result()
        except TimeoutError: print(order)
    """) == ["['main', ('owned', True)]"]
