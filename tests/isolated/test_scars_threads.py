"""OS threads beside goroutines: what they share works between them."""

from tests.support.scars import cases, check

THREADS = {
    # A lock that is held here is waited for in an OS thread.
    "gevent-1437": """
        import threading
        from gopoll import native
        lock, semaphore, got = threading.Lock(), threading.Semaphore(1), []
        lock.acquire(); semaphore.acquire()
        def work():
            with lock, semaphore: got.append(1)
        thread = native.Thread(target=work)
        thread.start()
        threading.Timer(0.01, lock.release).start()
        threading.Timer(0.01, semaphore.release).start()
        thread.join()
        assert got == [1]
        print("fine")
    """,
    # One socket is used by several OS threads, one after the other and at once.
    "gevent-2047": """
        import socket
        from gopoll import native
        a, b = socket.socketpair()
        def echo():
            while data := b.recv(100): b.sendall(data)
        echoing = native.Thread(target=echo)
        echoing.start()
        answers = []
        def ask(): a.sendall(b"ping"); answers.append(a.recv(4))
        for _ in range(3):
            thread = native.Thread(target=ask)
            thread.start(); thread.join()
            ask()
        a.shutdown(socket.SHUT_WR)
        echoing.join()
        assert answers == [b"ping"] * 6
        a.close(); b.close()
        print("fine")
    """,
    # A thread is joined at the end, by threading itself, and told by its name.
    "eventlet-662": """
        import threading, time
        threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(3)]
        for thread in threads: thread.start()
        assert len(threading.enumerate()) == 4
        for thread in threads: thread.join()
        assert threading.enumerate() == [threading.main_thread()]
        print("fine")
    """,
    # Both kinds of executor: this one's threads are goroutines, that one's are not.
    "gevent-2025": """
        import threading, time
        from concurrent.futures import ThreadPoolExecutor
        from gopoll import native, _original
        with ThreadPoolExecutor(5) as pool:
            nap = lambda n: (time.sleep(0.01), threading.get_native_id())[1]
            idents = set(pool.map(nap, range(5)))
        assert idents == {threading.get_native_id()}
        with native.ThreadPoolExecutor(2) as pool:
            assert pool.submit(threading.get_native_id).result() not in idents
        print("fine")
    """,
    # A library that runs its own OS threads calls back from them, and we wait for that.
    "gevent-786": """
        import queue, threading
        from gopoll import native
        event, answers = threading.Event(), queue.Queue()
        def library():
            for n in range(3): answers.put(n)
            event.set()
        thread = native.Thread(target=library)
        thread.start()
        assert event.wait(10) and [answers.get() for _ in range(3)] == [0, 1, 2]
        condition, ready = threading.Condition(), []
        def notify():
            with condition: ready.append(1); condition.notify_all()
        another = native.Thread(target=notify)
        with condition:
            another.start()
            assert condition.wait_for(lambda: ready, 10)
        thread.join(); another.join()
        print("fine")
    """,
    # Messages are logged from many OS threads, and from goroutines.
    "gevent-863": """
        import io, logging, threading
        from gopoll import native, offload
        stream = io.StringIO()
        logging.basicConfig(stream=stream, level=logging.INFO)
        def work(kind):
            for n in range(50): logging.info("%s %d", kind, n)
        threads = [native.Thread(target=work, args=("native",)) for _ in range(5)]
        threads += [threading.Thread(target=work, args=("goroutine",)) for _ in range(5)]
        for thread in threads: thread.start()
        offload(work, "worker")
        for thread in threads: thread.join()
        assert len(stream.getvalue().splitlines()) == 550
        print("fine")
    """,
    # Each OS thread may have goroutines, and wait in the standard library's words.
    "gevent-1484": """
        import threading, time
        from gopoll import go, native
        done = []
        def work():
            ones = [go(time.sleep, 0.01) for _ in range(10)]
            for one in ones: one.join()
            done.append(threading.get_native_id())
        threads = [native.Thread(target=work) for _ in range(3)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert len(set(done)) == 3
        print("fine")
    """,
    "gevent-569": """
        import queue, threading
        from gopoll import native
        there, back = queue.Queue(1), queue.SimpleQueue()
        def work():
            while (item := there.get()) is not None: back.put(item * 2)
        threads = [native.Thread(target=work) for _ in range(2)]
        for thread in threads: thread.start()
        for n in range(100): there.put(n)
        for thread in threads: there.put(None)
        for thread in threads: thread.join()
        assert sorted(back.get() for _ in range(100)) == list(range(0, 200, 2))
        print("fine")
    """,
}


@cases(THREADS)
def test_threads(program):
    check(program)
