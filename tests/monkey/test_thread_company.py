"""Threads under the patch beside `run`, bubbles and what looks at threads from outside."""

from tests.support.threaded import run, run_late


def test_threads_outlive_run_and_other_goroutines_do_not():
    assert run("""
        import atexit
        from concurrent.futures import ThreadPoolExecutor
        atexit.register(print, "exit")
        def work(): time.sleep(0.02); print("thread")
        def other():
            try: time.sleep(60)
            finally: print("goroutine ends")
        def main():
            threading.Thread(target=work).start()
            gopoll.go(other)
            pool = ThreadPoolExecutor(1)
            print(pool.submit(int, "1").result())
        gopoll.run(main)
        print("run is over")
    """) == ["1", "goroutine ends", "run is over", "thread", "exit"]


def test_fake_time_moves_while_threads_wait():
    assert run("""
        import queue
        with testing.bubble() as bubble:
            event, q = threading.Event(), queue.Queue()
            def work():
                time.sleep(3600)
                event.set()
                time.sleep(60)
                q.put("item")
            t = threading.Thread(target=work); t.start()
            print(event.wait(10), event.wait(), q.get(timeout=100), bubble.elapsed)
            t.join()
            s = queue.SimpleQueue()
            try: s.get(timeout=5)
            except queue.Empty: print(bubble.elapsed)
    """) == ["False True item 3660.0", "3665.0"]


def test_the_frames_of_all_threads():
    assert run("""
        import sys
        def parked(): event.wait()
        def looks():
            frames = sys._current_frames()
            for thread in (threading.main_thread(), t, threading.current_thread()):
                frame, names = frames[thread.ident], []
                while frame is not None:
                    names.append(frame.f_code.co_name)
                    frame = frame.f_back
                print([n for n in names if n in ("parked", "looks", "main")])
        event = threading.Event()
        t = threading.Thread(target=parked); t.start()
        def main():
            other = threading.Thread(target=looks); other.start(); other.join()
        main()
        event.set()
        print(testing.wait_idle() is None and "parked" in gopoll.debug.dump())
    """)[:3] == ["['main']", "['parked']", "['looks']"]


def test_a_dump_shows_threads_by_their_names():
    assert run("""
        event = threading.Event()
        t = threading.Thread(target=event.wait, name="patient"); t.start()
        dump = gopoll.debug.dump()
        print('"patient" [lock]' in dump, "created by <module>" in dump)
        event.set()
    """) == ["True True"]


def test_a_thread_that_was_told_to_end_before_it_ran_is_not_counted():
    assert run("""
        import _thread
        from gopoll import native
        from gopoll.runtime.sched import schedulers
        counts = []
        def main():
            _thread.start_new_thread(print, ("never",))
            counts.append(_thread._count())
        t = native.Thread(target=gopoll.run, args=(main,)); t.start(); t.join()
        while len(schedulers) > 1 or _thread._count() > 1: native.sleep(0.001)
        print(counts)
    """) == ["[2]"]


def test_the_thread_that_patched_lives_as_long_as_its_threads():
    assert run_late(
        """
        def late(): time.sleep(0.02); print("late")
        def never(): time.sleep(60); print("never")
        def patch():
            from gopoll import monkey
            monkey.patch_all()
            threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(3)]
            for t in threads: t.start()
            for t in threads: t.join()
            threading.Thread(target=never, daemon=True).start()
            threading.Thread(target=late).start()
            print({t.native_id for t in threads} == {threading.get_native_id()})
        t = threading.Thread(target=patch); t.start(); t.join()
        """,
        "print(threading.active_count())",
    ) == ["True", "late", "1"]


def test_threads_outlive_run_in_a_native_thread():
    assert run("""
        from gopoll import native
        def late(): time.sleep(0.02); print("late")
        def main(): threading.Thread(target=late).start()
        def work(): gopoll.run(main); print("run is over")
        t = native.Thread(target=work); t.start(); t.join()
    """) == ["run is over", "late"]
