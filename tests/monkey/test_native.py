"""``gopoll.native``: OS threads and blocking locks, whatever was patched and when."""

import pytest

from tests.support.script import run_script
from tests.support.threaded import COMMON, PATCH, run, run_late

ORDERS = pytest.mark.parametrize(
    "order",
    [
        PATCH + "from gopoll import native\nnative.threading, native.queue\n",
        "from gopoll import native\nnative.threading, native.queue\n" + PATCH,
        "from gopoll import native\n" + PATCH,
        "import threading, queue\n" + PATCH + "from gopoll import native\n",
    ],
    ids=["patched", "loaded", "imported", "late"],
)


def run_in(order, code):
    done = run_script(order + COMMON + code)
    assert done.stderr == ""
    return done.stdout.splitlines()


@ORDERS
def test_the_names_are_those_of_the_standard_library_without_the_patch(order):
    assert run_in(
        order,
        "import _thread, _queue, queue\n"
        "from gopoll import _original\n"
        "print(type(native.Lock()) is type(_original.allocate_lock()))\n"
        "print(type(native.RLock()) is _original.RLock, native.local is _original.ThreadLocal)\n"
        "print(native.SimpleQueue is not queue.SimpleQueue, native.Event is not threading.Event)\n"
        "print(native.threading is not threading, native.queue is not queue)\n"
        "print(type(native.Event()._cond._lock) is type(_original.allocate_lock()))\n"
        "print(type(native.Queue().mutex) is type(_original.allocate_lock()))\n",
    ) == ["True", "True True", "True True", "True True", "True", "True"]


@ORDERS
def test_a_native_thread_is_an_os_thread_and_one_of_threading(order):
    assert run_in(
        order,
        "seen = []\n"
        "def work():\n"
        "    me = threading.current_thread()\n"
        "    seen.append((me, me.ident == native.get_ident(), me.native_id))\n"
        "t = native.Thread(target=work, name='real')\n"
        "t.start(); t.join()\n"
        "(me, right, native_id), = seen\n"
        "print(me is t, right, native_id != threading.get_native_id(), t.is_alive())\n",
    ) == ["True True True False"]


def test_who_joins_a_native_thread_parks():
    assert run("""
        from gopoll import native
        r, w = native.Event(), native.Event()
        def work(): w.set(); r.wait()
        t = native.Thread(target=work); t.start()
        def others(): w.wait(); r.set()
        threading.Thread(target=others).start()
        t.join()
        print(t.is_alive())
    """) == ["False"]


def test_a_native_thread_blocks_nobody():
    assert run("""
        from gopoll import native
        begun, end, ticks = native.Event(), native.Event(), []
        def work(): begun.set(); end.wait()
        t = native.Thread(target=work); t.start(); begun.wait()
        def tick():
            for _ in range(3): time.sleep(0.001); ticks.append(1)
            end.set()
        threading.Thread(target=tick).start()
        t.join()
        print(ticks)
    """) == ["[1, 1, 1]"]


def test_executors_compute_in_os_threads_and_are_waited_for_in_goroutines():
    assert run("""
        from gopoll import native
        order = []
        gate, all_three = native.Event(), native.threading.Barrier(3)
        def compute(n): gate.wait(); all_three.wait(); return n * n, native.get_ident()
        with native.ThreadPoolExecutor(3) as pool:
            futures = [pool.submit(compute, n) for n in range(3)]
            threading.Thread(target=lambda: (order.append("goroutine"), gate.set())).start()
            results = [f.result() for f in futures]
            order.append("results")
        print(order, [r for r, _ in results], len({i for _, i in results}),
              native.get_ident() in {i for _, i in results})
        from concurrent.futures import ThreadPoolExecutor
        print(issubclass(native.ThreadPoolExecutor, ThreadPoolExecutor))
    """) == ["['goroutine', 'results'] [0, 1, 4] 3 False", "True"]


def test_the_program_waits_for_native_threads():
    lines = run("""
        from gopoll import native
        def work(name): native.sleep(0.05); print(name + "\\n", end="")
        native.Thread(target=work, args=("Thread",)).start()
        native.Thread(target=native.sleep, args=(60,), daemon=True).start()
        native.threading.Thread(target=work, args=("threading.Thread",)).start()
        native.ThreadPoolExecutor(1).submit(work, "executor")
    """)
    assert sorted(lines) == ["Thread", "executor", "threading.Thread"]


def test_a_native_thread_that_needs_a_goroutine_gets_it_at_exit():
    assert run("""
        from gopoll import native
        import queue
        q = queue.Queue()
        def serve():
            while True: q.get().set()
        threading.Thread(target=serve, daemon=True).start()
        def work():
            answered = native.Event()
            native.sleep(0.05)
            q.put(answered); answered.wait()
            print("answered\\n", end="")
        native.threading.Thread(target=work).start()
        native.Thread(target=work).start()
    """) == ["answered", "answered"]


def test_threads_of_a_native_thread_are_os_threads_and_outlive_it():
    assert run("""
        from gopoll import native
        seen = []
        def late(): time.sleep(0.02); seen.append(threading.get_native_id())
        def work():
            threading.Thread(target=late).start()
            seen.append(threading.get_native_id())
        t = native.Thread(target=work); t.start(); t.join()
        for other in threading.enumerate():
            if other is not threading.main_thread(): other.join()
        print(len(seen), len({*seen, threading.get_native_id()}))
    """) == ["2 3"]


def test_threads_of_a_run_in_a_native_thread_are_goroutines_there():
    assert run("""
        from gopoll import native
        seen = []
        def main():
            t = threading.Thread(target=lambda: seen.append(native.get_ident()))
            t.start(); t.join()
        def work(): seen.append(native.get_ident()); gopoll.run(main)
        t = native.Thread(target=work); t.start(); t.join()
        print(len(seen), len(set(seen)))
    """) == ["2 1"]


def test_patched_primitives_work_between_all_kinds():
    assert run("""
        from gopoll import native
        barrier, condition, log = threading.Barrier(4), threading.Condition(), []
        def work(name):
            barrier.wait()
            with condition: log.append(name); condition.notify_all()
        kinds = (threading.Thread, native.Thread, native.threading.Thread)
        for kind in kinds: kind(target=work, args=(kind.__module__,)).start()
        barrier.wait()
        with condition: print(condition.wait_for(lambda: len(log) == 3, 10))
        print(sorted(log))
    """) == ["True", "['gopoll.native', 'threading', 'threading']"]


def test_threads_that_ran_before_the_patch_are_waited_for():
    assert run_late(
        """
        end = threading.Event()
        def work(): end.wait()
        t = threading.Thread(target=work); t.start()
        def show(): print(threading.current_thread().name)
        early = threading.Thread(target=show, name="early")
        """,
        """
        t.join(0.01); print(t.is_alive())
        threading.Timer(0.02, end.set).start()
        t.join(); print(t.is_alive())
        early.start(); early.join()
        """,
    ) == ["True", "False", "early"]


def test_an_unpatched_program():
    done = run_script("""
        from gopoll import native
        import threading
        t = native.Thread(target=print, args=("native",)); t.start(); t.join()
        with native.ThreadPoolExecutor(1) as pool: print(pool.submit(int, "5").result())
        print(native.Lock is threading.Lock, native.threading is threading)
        def work(): native.sleep(0.02); print("waited for")
        native.threading.Thread(target=work).start()
    """)
    assert done.stdout.splitlines() == ["native", "5", "True False", "waited for"]
    assert done.stderr == ""


def test_it_may_be_loaded_in_another_thread():
    assert run("""
        import gopoll
        def load():
            from gopoll import native
            return native.threading.main_thread().ident == threading.main_thread().ident
        print(gopoll.offload(load))
        from gopoll import native
        print(native.threading.main_thread() is native.threading.current_thread())
        t = native.threading.Thread(target=native.sleep, args=(0.02,)); t.start()
    """) == ["True", "True"]
