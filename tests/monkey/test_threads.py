"""``threading.Thread`` under the patch: goroutines that look like threads."""

import os
import sys

import pytest

from tests.support.script import run_script
from tests.support.threaded import run, run_late


def test_a_thread_is_a_goroutine_of_the_same_os_thread():
    assert run("""
        import os
        seen = []
        def work(): seen.append((threading.get_native_id(), gopoll.current().name))
        t = threading.Thread(target=work, name="worker")
        t.start(); t.join()
        print(seen == [(threading.get_native_id(), "worker")], gopoll.num_goroutine())
    """) == ["True 1"]


def test_threads_take_turns_where_they_wait():
    assert run("""
        events = []
        def work(n):
            events.append(("begin", n))
            time.sleep(0.01 * n)
            events.append(("end", n))
        threads = [threading.Thread(target=work, args=(n,)) for n in (3, 1, 2)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(*[f"{what} {n}" for what, n in events], sep=", ")
    """) == ["begin 3, begin 1, begin 2, end 1, end 2, end 3"]


def test_each_has_an_ident_of_its_own():
    assert run("""
        idents = []
        def work():
            me = threading.current_thread()
            idents.append(threading.get_ident())
            assert me.ident == threading.get_ident() and threading._active[me.ident] is me
        threads = [threading.Thread(target=work) for _ in range(100)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(len(set(idents)), threading.get_ident() in idents, all(i > 0 for i in idents))
        print([t.ident for t in threads] == idents)
    """) == ["100 False True", "True"]


def test_main_keeps_the_ident_of_the_os_thread():
    assert run_late(
        "before = threading.get_ident(), threading.main_thread().ident, threading.current_thread()",
        """
        after = threading.get_ident(), threading.main_thread().ident, threading.current_thread()
        print(before == after)
        """,
    ) == ["True"]


def test_who_ends_is_not_alive_any_more():
    assert run("""
        go_on = threading.Event()
        t = threading.Thread(target=go_on.wait)
        print(t.is_alive(), threading.active_count())
        t.start()
        print(t.is_alive(), threading.active_count(), t in threading.enumerate())
        t.join(0.001)
        print(t.is_alive())
        go_on.set()
        t.join()
        print(t.is_alive(), threading.active_count(), t in threading.enumerate())
        t.join()
    """) == ["False 1", "True 2 True", "True", "False 1 False"]


def test_many_join_the_same_one():
    # Each of them acquires and releases what tells the end; none finds it locked.
    assert run("""
        go_on = threading.Event()
        t = threading.Thread(target=go_on.wait)
        t.start()
        joiners = [threading.Thread(target=t.join) for _ in range(10)]
        for j in joiners: j.start()
        go_on.set()
        for j in joiners: j.join()
        print(t.is_alive(), [j.is_alive() for j in joiners] == [False] * 10)
    """) == ["False True"]


def test_the_main_thread_is_joined():
    assert run("""
        def work():
            threading.main_thread().join()
            print("after main")
        for _ in range(2): threading.Thread(target=work).start()
        print("main ends")
    """) == ["main ends", "after main", "after main"]


def test_the_program_waits_for_those_that_are_no_daemons():
    assert run("""
        import atexit
        atexit.register(lambda: print("exit"))
        def work(n): time.sleep(n / 100); print("done", n)
        def never(): time.sleep(60); print("never")
        threading.Thread(target=never, daemon=True).start()
        for n in (2, 1): threading.Thread(target=work, args=(n,)).start()
    """) == ["done 1", "done 2", "exit"]


def test_a_thread_that_starts_late_is_waited_for_as_well():
    assert run("""
        def second(): time.sleep(0.01); print("second")
        def first(): time.sleep(0.01); threading.Thread(target=second).start(); print("first")
        threading.Thread(target=first).start()
    """) == ["first", "second"]


def test_an_exception_goes_to_the_hook_and_the_thread_ends():
    assert run("""
        def hook(args): print(args.exc_type.__name__, args.exc_value, args.thread.name)
        threading.excepthook = hook
        def work(): raise ValueError("no good")
        t = threading.Thread(target=work, name="bad"); t.start(); t.join()
        print(t.is_alive())
    """) == ["ValueError no good bad", "False"]


def test_what_nobody_caught_in_a_low_level_thread_is_unraisable():
    assert run("""
        import _thread, sys
        told = []
        sys.unraisablehook = told.append
        def work(): raise ValueError("no good")
        def leave(): _thread.exit()
        for function in (work, leave): _thread.start_new_thread(function, ())
        time.sleep(0)
        (args,) = told
        print(args.exc_value, repr(args.object or args.err_msg).count("work"))
        print([f.name for f in __import__("traceback").extract_tb(args.exc_traceback)])
    """) == ["no good 1", "['work']"]


def test_goexit_ends_a_thread_silently():
    assert run("""
        def work():
            try: gopoll.goexit()
            finally: print("cleaned")
        t = threading.Thread(target=work); t.start(); t.join()
        print(t.is_alive())
    """) == ["cleaned", "False"]


def test_a_thread_has_none_of_its_creators_context():
    assert run("""
        import contextvars
        var = contextvars.ContextVar("var", default="unset")
        var.set("main")
        t = threading.Thread(target=lambda: print(var.get())); t.start(); t.join()
        gopoll.go(lambda: print(var.get())).join()
    """) == ["unset", "main"]


def test_the_count_of_threads():
    assert run("""
        import _thread
        def count(): return _thread._count()
        before = count()
        go_on = threading.Event()
        t = threading.Thread(target=go_on.wait); t.start()
        during = count()
        gopoll.offload(int)
        go_on.set(); t.join()
        print(before, during, count())
    """) == ["0 1 0"]


def test_a_goroutine_is_known_by_a_dummy_which_goes_with_it():
    assert run("""
        def work():
            me = threading.current_thread()
            assert me is threading.current_thread() and me.is_alive()
            assert me.ident == threading.get_ident()
            return me.name.startswith("Dummy")
        print({gopoll.go(work).result() for _ in range(1000)}, threading.active_count() <= 2)
    """) == ["{True} True"]


def test_two_goroutines_have_two_dummies():
    assert run("""
        go_on, dummies = threading.Event(), []
        def work():
            mine = threading.current_thread()
            dummies.append(mine)
            go_on.wait()
            assert threading.current_thread() is mine
        goroutines = [gopoll.go(work) for _ in range(2)]
        gopoll.gosched()
        print(dummies[0] is dummies[1], [d.is_alive() for d in dummies])
        go_on.set()
        for g in goroutines: g.join()
    """) == ["False [True, True]"]


def test_an_ident_may_be_handed_to_c():
    assert run("""
        import signal
        def work():
            signal.pthread_kill(threading.get_ident(), 0)
            if hasattr(time, "pthread_getcpuclockid"):
                clock = time.pthread_getcpuclockid(threading.get_ident())
                assert time.clock_gettime(clock) > 0
        t = threading.Thread(target=work); t.start(); t.join()
        try: signal.pthread_kill(t.ident, 0)
        except ProcessLookupError: print("gone")
    """) == ["gone"]


def test_an_ident_may_be_handed_to_c_if_signal_is_not_patched():
    done = run_script("""
        import signal
        from gopoll import monkey
        monkey.patch_thread()
        import threading
        t = threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), 0))
        t.start(); t.join()
        monkey.restore()
        print(signal.pthread_kill)
    """)
    assert (done.stdout, done.stderr) == ("<built-in function pthread_kill>\n", "")


def test_a_thread_is_stopped_by_an_asynchronous_exception():
    assert run("""
        import ctypes
        class Stop(Exception): pass
        def raise_in(thread, exc):
            raising = ctypes.pythonapi.PyThreadState_SetAsyncExc
            return raising(ctypes.c_ulong(thread.ident), ctypes.py_object(exc))
        def work():
            try: time.sleep(60)
            except Stop: print("stopped")
        t = threading.Thread(target=work); t.start()
        print(raise_in(t, Stop))
        t.join()
        print(raise_in(t, Stop))
        def stop_main(): print(raise_in(threading.main_thread(), Stop))
        threading.Thread(target=stop_main).start()
        try: time.sleep(60)
        except Stop: print("main stopped")
        try:
            raise_in(threading.current_thread(), Stop)
            for _ in range(1000): pass
        except Stop: print("by itself")
    """) == ["1", "stopped", "0", "1", "main stopped", "by itself"]


def test_timer():
    assert run("""
        done = threading.Event()
        t = threading.Timer(0.01, done.set); t.start()
        print(done.wait(10)); t.join()
        t = threading.Timer(60, print); t.start(); t.cancel(); t.join()
    """) == ["True"]


def test_an_idle_wait_is_ended_by_a_signal_handler():
    assert (
        run("""
        import os, signal
        event = threading.Event()
        signal.signal(signal.SIGALRM, lambda *_: event.set())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        print(event.wait())
        def handler(*_): raise InterruptedError("by the handler")
        signal.signal(signal.SIGALRM, handler)
        lock = threading.Lock(); lock.acquire()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try: lock.acquire()
        except InterruptedError as exc: print(exc, lock)
        lock.release(); print(lock.acquire(False))
    """)[0]
        == "True"
    )


def test_ctrl_c_interrupts_a_join_of_main():
    assert run("""
        import _thread
        go_on = threading.Event()
        t = threading.Thread(target=go_on.wait); t.start()
        threading.Thread(target=lambda: (testing.wait_idle(), _thread.interrupt_main())).start()
        try: t.join()
        except KeyboardInterrupt: print("interrupted")
        go_on.set()
    """) == ["interrupted"]


def test_a_thread_cannot_start_while_python_ends():
    done = run_script("""
        from gopoll import monkey
        monkey.patch_all()
        import _thread
        class AtEnd:
            def __del__(self):
                try: _thread.start_new_thread(print, ("never",))
                except RuntimeError as exc: print(exc)
        at_end = AtEnd()
    """)
    assert done.stdout == "can't create new thread at interpreter shutdown\n"


def test_thousands_of_threads():
    assert run("""
        go_on, count = threading.Event(), [0]
        def work():
            go_on.wait()
            count[0] += 1
        threads = [threading.Thread(target=work) for _ in range(3000)]
        for t in threads: t.start()
        go_on.set()
        for t in threads: t.join()
        print(count, threading.active_count())
    """) == ["[3000] 1"]


def test_restored_threads_are_os_threads_again():
    assert run("""
        from gopoll import native
        seen = []
        def work(): seen.append(threading.get_native_id())
        before = threading.Thread(target=work)
        monkey.restore()
        for t in (before, threading.Thread(target=work)): t.start(); t.join()
        print(threading.get_native_id() in seen, len(seen))
        print(threading.Lock is native.Lock, type(threading.RLock()) is type(native.RLock()))
    """) == ["False 2", "True True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
class TestFork:
    def test_the_child_keeps_the_thread_that_forked(self):
        assert run("""
            import os, sys
            idle = threading.Thread(target=time.sleep, args=(60,), daemon=True, name="idle")
            idle.start()
            main = threading.main_thread()
            def work():
                sys.stdout.flush()
                pid = os.fork()
                if pid:
                    print(os.waitpid(pid, 0)[1])
                    return
                me = threading.current_thread()
                print(me.name, me is threading.main_thread(), me.ident == threading.get_ident())
                print(threading.enumerate() == [me], me.is_alive())
                print(main.is_alive(), idle.is_alive())
                t = threading.Thread(target=print, args=("its own",)); t.start(); t.join()
            t = threading.Thread(target=work, name="forks"); t.start(); t.join()
        """) == ["forks True True", "True True", "False False", "its own", "0"]

    def test_the_child_of_main_is_main(self):
        assert run("""
            import os, sys
            idle = threading.Thread(target=time.sleep, args=(60,), daemon=True)
            idle.start()
            sys.stdout.flush()
            pid = os.fork()
            if not pid:
                me = threading.current_thread()
                print(me is threading.main_thread(), threading.enumerate() == [me], me.is_alive())
                print(idle.is_alive())
                threading.Thread(target=lambda: (time.sleep(0.01), print("waited for"))).start()
                sys.exit(3)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """) == ["True True True", "False", "waited for", "3"]

    def test_a_lock_that_was_held_and_made_anew_is_free(self):
        assert run("""
            import logging, os, sys
            lock = threading.Lock()
            os.register_at_fork(after_in_child=lock._at_fork_reinit)
            rlock = threading.RLock()
            def hold():
                with lock, rlock: time.sleep(60)
            threading.Thread(target=hold, daemon=True).start()
            sys.stdout.flush()
            pid = os.fork()
            if not pid:
                print(lock.acquire(timeout=1), rlock.acquire(timeout=0.01))
                sys.stdout.flush()
                os._exit(0)
            print(os.waitpid(pid, 0)[1])
        """) == ["True False", "0"]


def test_trace_functions_are_left_alone():
    assert run("""
        import sys
        calls = []
        def trace(frame, event, arg): calls.append(frame.f_code.co_name)
        threading.settrace(trace)
        def work(): pass
        t = threading.Thread(target=work); t.start(); t.join()
        threading.settrace(None); sys.settrace(None)
        print("work" in calls)
    """) == ["True"]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="handles exist since Python 3.13")
def test_a_handle():
    assert run("""
        import _thread
        go_on = threading.Event()
        handle = _thread.start_joinable_thread(go_on.wait)
        print(handle.is_done(), handle.ident > 0)
        handle.join(0.001)
        go_on.set()
        handle.join()
        print(handle.is_done())
    """) == ["False True", "True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_nobody_runs_in_a_child_before_it_is_sound():
    # The first hook in the child takes locks until a turn would be over.
    assert run_late(
        """
        import os, sys
        lock = threading.Lock()
        def hook():
            for _ in range(1000):
                with lock: pass
        os.register_at_fork(after_in_child=hook)
        """,
        """
        def other(): print("ran in", "the parent" if os.getpid() == parent else "the child")
        parent = os.getpid()
        gopoll.go(other)
        pid = os.fork()
        if not pid: os._exit(0)
        print(os.waitpid(pid, 0)[1])
        """,
    ) == ["ran in the parent", "0"]
