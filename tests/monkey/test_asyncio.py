"""asyncio under the patch: loops park, and are the goroutine's in which they run."""

import sys

import pytest

from tests.support.script import run_script

pytestmark = pytest.mark.network

PATCHED = """
from gopoll import monkey
monkey.patch_all()
import _thread, asyncio, gopoll, inspect, logging, os, selectors, signal, socket, sys, threading
import time
from gopoll.testing import wait_idle
logging.getLogger("asyncio").setLevel(logging.ERROR)  # a busy machine is slow in every callback
async def value(it):
    await asyncio.sleep(0)
    return it
def later(fn, *args):
    '''Call it once everybody else waits.'''
    gopoll.go(lambda: (wait_idle(), fn(*args)))
def said(call, *args):
    try: return call(*args)
    except BaseException as exc: return f"{type(exc).__name__}: {exc}"
"""


def run(code, *args, **env):
    done = run_script(PATCHED + code, *args, **env)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


def test_a_loop_parks_its_goroutine_and_nobody_else():
    assert run(
        "async def main(name):\n"
        "    gate = events[name] = asyncio.Event()\n"
        "    await gate.wait()\n"
        "    return name\n"
        "events = {}\n"
        "goroutines = [gopoll.go(asyncio.run, main(n)) for n in range(3)]\n"
        "thread = threading.Thread(target=lambda: print(asyncio.run(main(3))))\n"
        "thread.start()\n"
        "wait_idle()\n"
        "print(len(events), asyncio.run(value('main')))\n"
        "for gate in events.values(): gate._loop.call_soon_threadsafe(gate.set)\n"
        "thread.join()\n"
        "print([g.result(5) for g in goroutines])\n"
    ) == ["4 main", "3", "[0, 1, 2]"]


def test_times_pass_side_by_side():
    assert run(
        "start = time.monotonic()\n"
        "goroutines = [gopoll.go(asyncio.run, asyncio.sleep(0.1, n)) for n in range(20)]\n"
        "time.sleep(0.1)\n"
        "print(sum(g.result(5) for g in goroutines), time.monotonic() - start < 1.5)\n"
    ) == ["190 True"]


def test_what_belongs_to_a_goroutine():
    assert run(
        "async def main():\n"
        "    loop, task = asyncio.get_running_loop(), asyncio.current_task()\n"
        "    print(said(asyncio.run, value(1)))\n"
        "    print(gopoll.go(said, asyncio.get_running_loop).result(5))\n"
        "    print(gopoll.go(asyncio.run, value('inner')).result(5))\n"
        "    time.sleep(0.001)\n"
        "    print(asyncio.get_running_loop() is loop, asyncio.current_task() is task)\n"
        "    print(sys.get_asyncgen_hooks().firstiter.__self__ is loop)\n"
        "import warnings; warnings.simplefilter('ignore', RuntimeWarning)\n"
        "gopoll.go(asyncio.run, main()).result(5)\n"
        "print(sys.get_asyncgen_hooks(), asyncio._get_running_loop())\n"
    ) == [
        "RuntimeError: asyncio.run() cannot be called from a running event loop",
        "RuntimeError: no running event loop",
        "inner",
        "True True",
        "True",
        "asyncgen_hooks(firstiter=None, finalizer=None) None",
    ]


SET = """
import warnings; warnings.simplefilter("ignore", DeprecationWarning)
mine, other = asyncio.new_event_loop(), asyncio.new_event_loop()
asyncio.set_event_loop(mine)
def body():
    print(said(asyncio.get_event_loop_policy().get_event_loop)[:40])
    asyncio.set_event_loop(other)
    print(asyncio.get_event_loop() is other)
gopoll.go(body).join(5)
print(asyncio.get_event_loop() is mine)
mine.close(); other.close()
"""


def test_each_goroutine_sets_a_loop_of_its_own():
    assert run(SET) == ["RuntimeError: There is no current event ", "True", "True"]


def test_a_policy_that_was_there_before_the_patch():
    late = (
        "import asyncio\n"
        "loop = asyncio.new_event_loop()\n"
        "asyncio.get_event_loop_policy().set_event_loop(loop)\n"
    )
    code = (
        "print(asyncio.get_event_loop_policy().get_event_loop() is loop)\n"
        "print(loop.run_until_complete(value('an old loop runs')))\n"
        "g = gopoll.go(loop.run_forever); wait_idle()\n"
        "print(asyncio._get_running_loop())\n"
        "loop.call_soon_threadsafe(loop.stop); g.join(5); loop.close()\n"
    )
    done = run_script(late + PATCHED + code + SET)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        *("True", "an old loop runs", "None"),
        *("RuntimeError: There is no current event ", "True", "True"),
    ]


def test_calls_from_other_threads():
    assert run(
        "from gopoll import _original\n"
        "async def main():\n"
        "    loop = asyncio.get_running_loop()\n"
        "    for start in (_thread.start_new_thread, _original.start_new_thread):\n"
        "        future = loop.create_future()\n"
        "        start(loop.call_soon_threadsafe, (future.set_result, 'called'))\n"
        "        print(await future)\n"
        "    print(await asyncio.to_thread(blocked))\n"
        "    print(await loop.run_in_executor(None, blocked))\n"
        "    print((await loop.getaddrinfo('localhost', 1, type=socket.SOCK_STREAM))[0][4][:2])\n"
        "def blocked():\n"
        "    time.sleep(0.001)\n"
        "    return threading.current_thread() is threading.main_thread()\n"
        "asyncio.run(main())\n"
    )[:4] == ["called", "called", "False", "False"]


def test_a_task_submitted_by_a_thread():
    assert run(
        "async def main():\n"
        "    loop = asyncio.get_running_loop()\n"
        "    def body(): return asyncio.run_coroutine_threadsafe(value(5), loop).result(5)\n"
        "    return await asyncio.to_thread(body)\n"
        "print(asyncio.run(main()))\n"
    ) == ["5"]


def test_loops_of_several_os_threads():
    assert run(
        "from gopoll import _original\n"
        "found = gopoll.Chan(9)\n"
        "async def main(n):\n"
        "    await asyncio.sleep(0.001)\n"
        "    return n\n"
        "def thread(n):\n"
        "    inner = gopoll.go(asyncio.run, main(n))\n"
        "    found.send(asyncio.run(main(n)) + inner.result(5))\n"
        "for n in range(3): _original.start_new_thread(thread, (n,))\n"
        "print(sorted(found.recv() for _ in range(3)))\n"
    ) == ["[0, 2, 4]"]


CHILD = """
async def main(n):
    code = "import sys; print(sys.stdin.read(), flush=True); exit(3)"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=-1, stdout=-1)
    out, _ = await child.communicate(str(n).encode())
    return out, child.returncode
"""


def test_children_of_several_loops():
    assert run(
        CHILD + "goroutines = [gopoll.go(asyncio.run, main(n)) for n in range(2)]\n"
        "print(asyncio.run(main(2)))\n"
        "print([g.result(20) for g in goroutines])\n"
    ) == ["(b'2\\n', 3)", "[(b'0\\n', 3), (b'1\\n', 3)]"]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="since 3.12 asyncio chooses by itself")
@pytest.mark.parametrize("watcher", ["Safe", "Fast", "MultiLoop", "Threaded", "Pidfd"])
def test_children_of_each_watcher(watcher):
    assert run(
        CHILD + f"watcher = asyncio.{watcher}ChildWatcher()\n"
        "asyncio.set_child_watcher(watcher)\n"
        "def hook(loop): watcher.attach_loop(loop); return loop\n"
        "with asyncio.Runner(loop_factory=lambda: hook(asyncio.new_event_loop())) as runner:\n"
        "    print(runner.run(main(1)))\n"
        "    watcher.close()\n"
    ) == ["(b'1\\n', 3)"]


def test_signal_handlers_of_a_loop():
    assert run(
        "async def main():\n"
        "    loop = asyncio.get_running_loop()\n"
        "    seen = asyncio.Queue()\n"
        "    loop.add_signal_handler(signal.SIGUSR1, seen.put_nowait, 'usr1')\n"
        "    loop.add_signal_handler(signal.SIGINT, seen.put_nowait, 'int')\n"
        "    for number in (signal.SIGUSR1, signal.SIGINT):\n"
        "        later(os.kill, os.getpid(), number)\n"
        "        print(await seen.get())\n"
        "    print(loop.remove_signal_handler(signal.SIGUSR1), "
        "loop.remove_signal_handler(signal.SIGINT))\n"
        "    print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
        "asyncio.run(main())\n"
        "async def elsewhere():\n"
        "    add = asyncio.get_running_loop().add_signal_handler\n"
        "    print(said(add, signal.SIGUSR1, print)[:12])\n"
        "gopoll.go(asyncio.run, elsewhere()).result(5)\n"
    ) == ["usr1", "int", "True True", "True", "RuntimeError"]


@pytest.mark.parametrize("again", [0, 1])
def test_ctrl_c_cancels_the_main_task(again):
    assert run(
        "async def main():\n"
        "    try: await asyncio.Event().wait()\n"
        "    except asyncio.CancelledError:\n"
        "        print('cancelled')\n"
        f"        if {again}: await asyncio.Event().wait()\n"
        "        raise\n"
        "def press():\n"
        f"    for _ in range({again} + 1): wait_idle(); os.kill(os.getpid(), signal.SIGINT)\n"
        "gopoll.go(press)\n"
        "try: asyncio.run(main())\n"
        "except KeyboardInterrupt: print('interrupted')\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
    ) == ["cancelled", "interrupted", "True"]


def test_ctrl_c_while_a_goroutine_runs_reaches_the_loop_of_main():
    assert run(
        "async def main():\n"
        "    gopoll.go(signal.raise_signal, signal.SIGINT)\n"
        "    await asyncio.Event().wait()\n"
        "print(said(asyncio.run, main()))\n"
    ) == ["KeyboardInterrupt: "]


@pytest.mark.parametrize("kind", ["KeyboardInterrupt", "SystemExit"])
def test_what_means_the_program_leaves_the_loop(kind):
    assert (
        run(
            f"def fail(): raise {kind}(3)\n"
            "async def main(): fail()\n"
            "async def calls():\n"
            "    asyncio.get_running_loop().call_soon(fail)\n"
            "    await asyncio.Event().wait()\n"
            "print(said(asyncio.run, main()))\n"
            "print(said(asyncio.run, calls()))\n"
        )
        == [f"{kind}: 3"] * 2
    )


def test_goexit_and_timeouts_leave_the_loop():
    assert run(
        "log = []\n"
        "async def other():\n"
        "    try: await asyncio.Event().wait()\n"
        "    finally: log.append('other')\n"
        "async def main(call, *args):\n"
        "    task = asyncio.create_task(other())\n"
        "    await asyncio.sleep(0)\n"
        "    call(*args)\n"
        "print(gopoll.go(asyncio.run, main(gopoll.goexit)).result(5), log)\n"
        "def limited():\n"
        "    with gopoll.timeout(0.01): asyncio.run(main(time.sleep, 5))\n"
        "print(said(limited), log)\n"
        "async def within():\n"
        "    with gopoll.timeout(0.01): await asyncio.sleep(5)\n"
        "print(said(asyncio.run, within()))\n"
        "async def own():\n"
        "    async with asyncio.timeout(0.01): await asyncio.sleep(5)\n"
        "print(said(asyncio.run, own()))\n"
    ) == [
        "None ['other']",
        "TimeoutError: timed out after 0.01 seconds ['other', 'other']",
        "TimeoutError: timed out after 0.01 seconds",
        "TimeoutError: ",
    ]


def test_debug_mode():
    assert run(
        "log = []\n"
        "class Handler(logging.Handler):\n"
        "    def emit(self, record): log.append(record.getMessage())\n"
        "logging.getLogger('asyncio').addHandler(Handler())\n"
        "logging.getLogger('asyncio').setLevel(logging.WARNING)\n"
        "async def main():\n"
        "    loop = asyncio.get_running_loop()\n"
        "    print(sys.get_coroutine_origin_tracking_depth() > 0)\n"
        "    print(gopoll.go(said, loop.call_soon, print).result(5)[:39])\n"
        "    loop.slow_callback_duration = 0.01\n"
        "    time.sleep(0.02)\n"
        "    print(gopoll.go(sys.get_coroutine_origin_tracking_depth).result(5))\n"
        "gopoll.go(asyncio.run, main(), debug=True).result(5)\n"
        "print(any(line.startswith('Executing <Task') for line in log))\n"
    ) == [
        "True",
        "RuntimeError: Non-thread-safe operation",
        "0",
        "True",
    ]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are eager tasks since 3.12")
def test_eager_tasks_that_park():
    assert run(
        "async def sleep(n, main_task):\n"
        "    time.sleep(0.001)\n"
        "    await asyncio.sleep(0.001)\n"
        "    return n, asyncio.current_task() is not main_task\n"
        "async def main():\n"
        "    main_task = asyncio.current_task()\n"
        "    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)\n"
        "    found = await asyncio.gather(*[sleep(n, main_task) for n in range(3)])\n"
        "    return found, asyncio.current_task() is main_task\n"
        "g = gopoll.go(asyncio.run, main())\n"
        "print(asyncio.run(main()) == g.result(5) == "
        "([(0, True), (1, True), (2, True)], True))\n"
    ) == ["True"]


def test_a_loop_with_a_selector_of_the_programs():
    assert (
        run(
            "for kind in ('SelectSelector', 'PollSelector', 'DefaultSelector'):\n"
            "    loop = asyncio.SelectorEventLoop(getattr(selectors, kind)())\n"
            "    g = gopoll.go(loop.run_forever)\n"
            "    later(loop.call_soon_threadsafe, loop.stop)\n"
            "    print(g.join(5))\n"
            "    loop.close()\n"
        )
        == ["None"] * 3
    )


def test_a_loop_that_runs_in_its_own_way():
    assert run(
        "loop = asyncio.new_event_loop()\n"
        "def body():\n"
        "    asyncio._set_running_loop(loop)\n"
        "    time.sleep(0.001)\n"
        "    print(asyncio.get_running_loop() is loop)\n"
        "    asyncio._set_running_loop(None)\n"
        "    return gopoll.current().on_switch\n"
        "g = gopoll.go(body)\n"
        "gopoll.gosched()\n"
        "print(asyncio._get_running_loop(), g.result(5), asyncio._get_running_loop())\n"
        "loop.close()\n"
    ) == ["True", "None None None"]


def test_names_are_the_standard_librarys_and_are_given_back():
    assert run(
        "def names():\n"
        "    return [inspect.signature(asyncio.BaseEventLoop.run_forever),\n"
        "        inspect.signature(asyncio.SelectorEventLoop),\n"
        "        asyncio.BaseEventLoop.run_forever.__qualname__, asyncio._set_running_loop]\n"
        "green = names()\n"
        "policy = asyncio.get_event_loop_policy()\n"
        "loop = asyncio.new_event_loop(); policy.set_event_loop(loop)\n"
        "monkey.restore()\n"
        "real = names()\n"
        "print(str(green) == str(real), green[3] is real[3])\n"
        "print(asyncio.BaseEventLoop.run_forever.__module__)\n"
        "print(policy.get_event_loop() is loop, loop.run_until_complete(value('runs')))\n"
        "loop.close(); policy.set_event_loop(None)\n"
        "print(asyncio.run(value('plain')))\n"
    ) == ["True False", "asyncio.base_events", "True runs", "plain"]


def test_aio_under_the_patch():
    assert run(
        "from gopoll import aio\n"
        "async def main():\n"
        "    ch = gopoll.Chan()\n"
        "    g = gopoll.go(ch.recv)\n"
        "    await aio.send(ch, 'sent')\n"
        "    loop = asyncio.get_running_loop()\n"
        "    there = gopoll.go(aio.submit, value('there'), loop)\n"
        "    return await aio.result(g), await aio.result(there)\n"
        "print(asyncio.run(main()), aio.run(main()))\n"
    ) == ["('sent', 'there') ('sent', 'there')"]


def test_a_wait_of_a_loop_is_no_deadlock():
    assert run(
        "signal.signal(signal.SIGALRM, lambda *_: loop.call_soon_threadsafe(loop.stop))\n"
        "loop = asyncio.new_event_loop()\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.05)\n"
        "print(loop.run_forever())\n"
        "loop.close()\n"
    ) == ["None"]


def test_a_forked_child_runs_loops():
    assert run(
        "async def main():\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        os._exit(7 if asyncio._get_running_loop() is None else 8)\n"
        "    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n"
        "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"
        "print(asyncio.run(main()))\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os._exit(asyncio.run(value(5)))\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    ) == ["7", "5"]
