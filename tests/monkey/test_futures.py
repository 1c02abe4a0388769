"""``concurrent.futures`` under the patch: workers are goroutines, processes are processes."""

from tests.support.threaded import run, run_late


def test_a_pool_of_threads_is_one_of_goroutines():
    assert run("""
        from concurrent.futures import ThreadPoolExecutor, as_completed, wait
        def work(n): time.sleep(n / 200); return n, threading.get_native_id()
        with ThreadPoolExecutor(20) as pool:
            futures = [pool.submit(work, n) for n in (3, 1, 2)]
            print([f.result()[0] for f in as_completed(futures)])
            print({t for _, t in pool.map(work, range(5))} == {threading.get_native_id()})
            done, pending = wait(futures)
            print(len(done), len(pending), [f.exception() for f in futures])
    """) == ["[1, 2, 3]", "True", "3 0 [None, None, None]"]


def test_a_future_is_waited_for_at_most_so_long():
    assert run("""
        from concurrent.futures import ThreadPoolExecutor
        pool, go_on = ThreadPoolExecutor(1), threading.Event()
        future = pool.submit(go_on.wait)
        waiting = pool.submit(print, "never")
        try: future.result(0.01)
        except TimeoutError: print("not yet", waiting.cancel())
        go_on.set()
        print(future.result())
        pool.shutdown()
    """) == ["not yet True", "True"]


def test_what_is_submitted_is_done_before_the_program_ends():
    assert run("""
        import atexit
        from concurrent.futures import ThreadPoolExecutor
        atexit.register(print, "exit")
        pool = ThreadPoolExecutor(2)
        def work(n): time.sleep(0.01); print("done", n)
        for n in range(3): pool.submit(work, n)
    """) == ["done 0", "done 1", "done 2", "exit"]


def test_a_pool_that_nobody_has_any_more_ends():
    assert run("""
        import gc
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(3)
        list(pool.map(time.sleep, [0.001] * 3))
        print(threading.active_count() > 1)
        threads = pool._threads
        del pool; gc.collect()
        for t in threads: t.join()
        print(threading.active_count())
    """) == ["True", "1"]


def test_a_pool_made_before_the_patch_is_used_after_it():
    assert run_late(
        "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(2)",
        """
        def work(n): time.sleep(0.01); return n, threading.get_native_id()
        results = list(pool.map(work, range(4)))
        print([n for n, _ in results], {t for _, t in results} == {threading.get_native_id()})
        """,
    ) == ["[0, 1, 2, 3] True"]


def test_a_pool_of_processes():
    assert run("""
        import multiprocessing, os
        from concurrent.futures import ProcessPoolExecutor
        ticks = []
        def tick():
            while True: time.sleep(0.001); ticks.append(1)
        threading.Thread(target=tick, daemon=True).start()
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            print(list(pool.map(pow, range(5), [2] * 5)))
            print(pool.submit(os.getpid).result() != os.getpid())
            ticks.clear()
            pool.submit(time.sleep, 0.05).result()
        print(len(ticks) > 3)
    """) == ["[0, 1, 4, 9, 16]", "True", "True"]


def test_a_failing_initializer_breaks_the_pool():
    assert run("""
        import logging
        from concurrent.futures import ThreadPoolExecutor, BrokenExecutor
        logging.disable()
        def fails(): raise ValueError
        with ThreadPoolExecutor(1, initializer=fails) as pool:
            try: pool.submit(print).result()
            except BrokenExecutor: print("broken")
    """) == ["broken"]
