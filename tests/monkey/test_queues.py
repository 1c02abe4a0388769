"""``queue`` under the patch; its only class written in C has a successor."""

import pytest

from tests.support.threaded import run, run_late

KINDS = pytest.mark.parametrize("kind", ["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"])


@KINDS
def test_who_gets_from_an_empty_queue_waits(kind):
    assert run(f"""
        import queue
        q, got = queue.{kind}(), []
        def work():
            for _ in range(10): got.append(q.get())
        t = threading.Thread(target=work); t.start()
        for n in range(10):
            q.put(n)
            if n % 3 == 0: time.sleep(0.001)
        t.join()
        print(sorted(got) == list(range(10)), q.empty())
    """) == ["True True"]


@KINDS
def test_a_wait_ends_in_time(kind):
    assert run(f"""
        import queue
        q = queue.{kind}()
        for call in (lambda: q.get(timeout=0.01), lambda: q.get(False), q.get_nowait,
                     lambda: q.get(timeout=0)):
            try: call()
            except queue.Empty: print("empty")
        try: q.get(timeout=-1)
        except ValueError as exc: print(exc)
    """) == ["empty"] * 4 + ["'timeout' must be a non-negative number"]


def test_a_full_queue_makes_the_producer_wait():
    assert run("""
        import queue
        q, events = queue.Queue(1), []
        def produce():
            for n in range(3): q.put(n); events.append(("put", n))
        t = threading.Thread(target=produce); t.start()
        for _ in range(3): events.append(("got", q.get())); q.task_done()
        t.join(); q.join()
        print([n for what, n in events if what == "got"], q.empty())
    """) == ["[0, 1, 2] True"]


def test_a_producer_that_never_waits_lets_the_consumer_run():
    assert run("""
        import queue
        for q in (queue.Queue(), queue.SimpleQueue()):
            stop = threading.Event()
            def consume():
                for _ in range(100): q.get()
                stop.set()
            threading.Thread(target=consume).start()
            while not stop.is_set(): q.put(1)
            print("stopped")
    """) == ["stopped", "stopped"]


def test_between_os_threads():
    assert run("""
        import queue
        from gopoll import native
        for kind in (queue.Queue, queue.SimpleQueue):
            q, got, count = kind(), [], 2000
            def produce():
                for n in range(count): q.put(n)
            def consume():
                while (item := q.get()) is not None: got.append(item)
            producers = [native.Thread(target=produce), threading.Thread(target=produce)]
            consumers = [native.Thread(target=consume), threading.Thread(target=consume),
                         threading.Thread(target=consume)]
            for t in consumers + producers: t.start()
            for t in producers: t.join()
            for _ in consumers: q.put(None)
            for t in consumers: t.join()
            print(sorted(got) == sorted(2 * list(range(count))))
    """) == ["True", "True"]


def test_a_simple_queue_is_used_in_a_handler_and_in_a_finalizer():
    assert run("""
        import gc, queue, signal
        q = queue.SimpleQueue()
        signal.signal(signal.SIGALRM, lambda *_: q.put("handler"))
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        got = [q.get() for _ in range(20)]
        signal.setitimer(signal.ITIMER_REAL, 0)
        class Garbage:
            def __init__(self): self.me = self
            def __del__(self): q.put("finalizer")
        gc.set_threshold(3)
        def work():
            for _ in range(50): Garbage(); q.get()
        threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(set(got))
    """) == ["{'handler'}"]


def test_an_interrupted_getter_leaves_the_item_to_the_next():
    assert run("""
        import queue
        q = queue.SimpleQueue()
        def gives_up():
            with gopoll.timeout(0.001): q.get()
        g = gopoll.go(gives_up)
        got = []
        t = threading.Thread(target=lambda: got.append(q.get())); t.start()
        try: g.result()
        except TimeoutError: q.put("item")
        t.join()
        print(got, q._getters)
    """) == ["['item'] deque([])"]


def test_what_a_simple_queue_is():
    assert run("""
        import pickle, queue, weakref
        q = queue.SimpleQueue()
        weakref.ref(q); q.put_nowait(1); q.put(2, False, 3)
        print(q.qsize(), q.empty(), queue.SimpleQueue, queue.SimpleQueue[int])
        try: pickle.dumps(q)
        except TypeError as exc: print(exc)
        try: queue.SimpleQueue(1)
        except TypeError: print("no arguments")
        class Sub(queue.SimpleQueue):
            def __init__(self, x): self.x = x
        print(Sub(5).x, Sub(1).empty())
    """) == [
        "2 False <class '_queue.SimpleQueue'> _queue.SimpleQueue[int]",
        "cannot pickle '_queue.SimpleQueue' object",
        "no arguments",
        "5 True",
    ]


def test_a_module_that_is_imported_anew_is_patched_anew():
    assert run("""
        import importlib, queue, sys
        del sys.modules["_queue"], sys.modules["queue"]
        import queue as again
        print(again.SimpleQueue is queue.SimpleQueue, again is queue)
        print(importlib.reload(again).SimpleQueue is queue.SimpleQueue)
    """) == ["True False", "True"]


def test_queues_that_exist_follow():
    assert run_late(
        """
        import queue
        simple, q = queue.SimpleQueue(), queue.Queue()
        simple.put("early"); q.put("early")
        """,
        """
        def work(each): print(each.get(), each.get())
        threads = [threading.Thread(target=work, args=(each,)) for each in (simple, q)]
        for t in threads: t.start()
        for each in (simple, q): each.put("late")
        for t in threads: t.join()
        """,
    ) == ["early late", "early late"]
