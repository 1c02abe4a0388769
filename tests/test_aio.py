"""Event loops in goroutines, without the patch: who waits, what is whose, what ends a loop."""

import asyncio
import contextvars
import gc
import sys
import threading
import warnings
from contextlib import suppress

import pytest

import gopoll
from gopoll import Chan, aio, go
from gopoll.errors import GoExit, ScopeEnd
from gopoll.testing import wait_idle
from tests.support.parking import end, in_thread, outcome, parked
from tests.support.script import run_script
from tests.support.threads import SOON

pytestmark = pytest.mark.network


async def value(it):
    await asyncio.sleep(0)
    return it


async def fail(exc):
    await asyncio.sleep(0)
    raise exc


async def until(event, log=None):
    """Wait, and note how that ended."""
    try:
        await event.wait()
    except BaseException as exc:
        if log is not None:
            log.append(type(exc).__name__)
        raise


# -- running ---------------------------------------------------------------------------------------


def test_run_returns_or_raises():
    assert aio.run(value(5)) == 5
    with pytest.raises(KeyError):
        aio.run(fail(KeyError("no")))
    with pytest.raises(ValueError, match="coroutine"):
        aio.run(5)


def test_a_loop_parks_its_goroutine_and_nobody_else():
    gate = Chan()
    g = parked(aio.run, aio.recv(gate))
    gate.send("through")  # from here, while the loop waits
    assert g.result(SOON) == "through"


def test_a_time_passes_while_others_run():
    turns = 0
    g = go(aio.run, asyncio.sleep(0.01, "slept"))
    while not g.done:
        turns += 1
        gopoll.sleep(0.001)
    assert turns > 1
    assert g.result() == "slept"


def test_many_loops_side_by_side():
    gate = Chan()

    async def body(number):
        loop = asyncio.get_running_loop()
        await aio.recv(gate)
        assert asyncio.get_running_loop() is loop
        return number

    goroutines = [go(aio.run, body(n)) for n in range(20)]
    wait_idle()
    assert not any(g.done for g in goroutines)
    gate.close()
    assert [g.result(SOON) for g in goroutines] == list(range(20))


def test_a_runner_with_a_loop_of_ours():
    with asyncio.Runner(loop_factory=aio.new_event_loop) as runner:
        assert isinstance(runner.get_loop(), asyncio.SelectorEventLoop)
        g = parked(runner.run, asyncio.Event().wait())
        runner.get_loop().call_soon_threadsafe(runner.get_loop().stop)
        with pytest.raises(RuntimeError, match="stopped before"):
            g.result(SOON)


def test_a_loop_that_never_waits_gives_way():
    stop = False

    async def spin():
        turns = 0
        while not stop:
            await asyncio.sleep(0)
            turns += 1
        return turns

    g = go(aio.run, spin())
    for _ in range(5):
        gopoll.sleep(0.001)
    stop = True
    assert g.result(SOON) > 0


def test_a_loop_of_another_os_thread():
    def thread():
        gate = Chan()
        g = go(aio.run, aio.recv(gate))
        gopoll.gosched()
        gate.send("there")
        return g.result(SOON)

    assert in_thread(thread) == "there"


def test_a_loop_moves_from_thread_to_thread():
    loop = aio.new_event_loop()
    try:
        assert loop.run_until_complete(asyncio.sleep(0.001, 1)) == 1
        assert in_thread(lambda: loop.run_until_complete(asyncio.sleep(0.001, 2))) == 2
        assert loop.run_until_complete(asyncio.sleep(0.001, 3)) == 3
    finally:
        loop.close()


def test_work_in_threads_comes_back():
    async def main():
        loop = asyncio.get_running_loop()
        mine = threading.get_ident()
        assert await asyncio.to_thread(threading.get_ident) != mine
        return await loop.run_in_executor(None, threading.get_ident) != mine

    assert go(aio.run, main()).result(SOON)


def test_streams_of_two_loops():
    port = Chan()

    async def serve():
        done = asyncio.Event()

        async def handle(reader, writer):
            writer.write((await reader.readline()).upper())
            writer.close()
            await writer.wait_closed()
            done.set()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server:
            await aio.send(port, server.sockets[0].getsockname()[1])
            await done.wait()

    async def ask():
        reader, writer = await asyncio.open_connection("127.0.0.1", await aio.recv(port))
        writer.write(b"hello\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    server = go(aio.run, serve())
    assert go(aio.run, ask()).result(SOON) == b"HELLO\n"
    server.result(SOON)


def test_a_child_process():
    async def main():
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('child')", stdout=asyncio.subprocess.PIPE
        )
        out, _ = await child.communicate()
        return out, child.returncode

    assert go(aio.run, main()).result(SOON) == (b"child\n", 0)


def test_an_unclosed_loop_is_collected_and_says_so():
    loop = aio.new_event_loop()
    loop.run_until_complete(asyncio.sleep(0.001))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        del loop
        gc.collect()
    assert any("unclosed event loop" in str(each.message) for each in seen)


def test_a_closed_loop_waits_for_nothing():
    loop = aio.new_event_loop()
    loop.close()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.run_forever()


# -- what belongs to a goroutine -------------------------------------------------------------------


def test_the_running_loop_is_the_goroutines():
    gate = Chan()

    async def main():
        another = value(1)
        with pytest.raises(RuntimeError, match="running event loop"):
            asyncio.run(another)
        another.close()
        inner = go(asyncio._get_running_loop)  # a goroutine of a coroutine has no loop
        assert await aio.result(inner) is None
        await aio.recv(gate)
        return asyncio.get_running_loop()

    g = parked(aio.run, main())
    assert asyncio._get_running_loop() is None
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()
    gate.send(None)
    assert g.result(SOON).is_closed()


def test_a_goroutine_of_a_coroutine_runs_a_loop_of_its_own():
    async def outer():
        inner = go(aio.run, value("inner"))
        task = asyncio.current_task()
        found = await aio.result(inner)
        assert asyncio.current_task() is task
        return found

    assert go(aio.run, outer()).result(SOON) == "inner"


def test_a_task_that_parks_keeps_its_loop_and_its_place():
    gate = Chan()

    async def main():
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        gate.recv()  # holds up this loop, and no other
        assert (asyncio.get_running_loop(), asyncio.current_task()) == (loop, task)
        return "main"

    g = parked(aio.run, main())
    assert aio.run(value("other")) == "other"
    gate.send(None)
    assert g.result(SOON) == "main"


def test_hooks_and_debugging_are_the_goroutines():
    gate = Chan()

    async def numbers():
        yield 1

    async def main():
        found = [n async for n in numbers()]
        assert sys.get_asyncgen_hooks().firstiter.__self__ is asyncio.get_running_loop()
        await aio.recv(gate)
        assert sys.get_asyncgen_hooks().firstiter.__self__ is asyncio.get_running_loop()
        assert sys.get_coroutine_origin_tracking_depth() > 0
        return found

    def hook(_):
        pass

    sys.set_asyncgen_hooks(firstiter=hook)
    try:
        goroutines = [parked(lambda: aio.run(main(), debug=True)) for _ in range(2)]
        assert sys.get_asyncgen_hooks() == (hook, None)
        assert sys.get_coroutine_origin_tracking_depth() == 0
        sys.set_asyncgen_hooks(firstiter=None)
        gate.close()
        assert [g.result(SOON) for g in goroutines] == [[1], [1]]
        assert sys.get_asyncgen_hooks() == (None, None)
        assert sys.get_coroutine_origin_tracking_depth() == 0
    finally:
        sys.set_asyncgen_hooks(firstiter=None)


def test_context_variables_of_goroutines_and_tasks():
    var = contextvars.ContextVar("var", default="none")
    gate = Chan()

    async def child():
        var.set("child")
        await aio.recv(gate)
        return var.get()

    async def main(name):
        assert var.get() == "outside"
        var.set(name)
        task = asyncio.create_task(child())
        await asyncio.sleep(0)
        inner = go(var.get)
        return await task, var.get(), await aio.result(inner)

    def body(name):
        var.set("outside")
        return aio.run(main(name)), var.get()

    goroutines = [parked(body, name) for name in "ab"]
    assert var.get() == "none"
    gate.close()
    assert [g.result(SOON) for g in goroutines] == [
        (("child", "a", "a"), "outside"),
        (("child", "b", "b"), "outside"),
    ]


def test_a_goroutine_that_ends_takes_its_loop_with_it():
    def body():
        gopoll.current().on_switch = None
        loop = aio.new_event_loop()
        loop.close()
        from gopoll._running import set_running_loop

        set_running_loop(loop)  # and nobody takes it back

    go(body).join(SOON)
    assert asyncio._get_running_loop() is None


# -- what ends a loop ------------------------------------------------------------------------------


def test_a_timeout_around_a_loop_cancels_its_tasks():
    log = []
    with pytest.raises(TimeoutError, match="timed out"), gopoll.timeout(0.01):
        aio.run(until(asyncio.Event(), log))
    assert log == ["CancelledError"]


@pytest.mark.parametrize("where", ["main", "task", "callback"])
def test_a_timeout_around_a_loop_ends_a_parked_call(where):
    async def park():
        Chan().recv()

    async def main():
        if where == "main":
            await park()
        elif where == "task":
            asyncio.create_task(park())  # noqa: RUF006 - the loop ends before it could be lost
        else:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda *_: None)
            loop.call_soon(Chan().recv)
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match="timed out"), gopoll.timeout(0.01):
        aio.run(main())
    assert aio.run(value("and nothing is left of it")) == "and nothing is left of it"


def test_a_timeout_that_is_over_before_the_loop_begins():
    with pytest.raises(TimeoutError), gopoll.timeout(0):
        aio.run(until(asyncio.Event()))


def test_goexit_in_a_coroutine_ends_the_goroutine():
    log = []

    async def main():
        other = asyncio.create_task(until(asyncio.Event(), log))
        await asyncio.sleep(0)
        try:
            gopoll.goexit()
        finally:
            log.append("main")
        await other

    def body():
        aio.run(main())
        return "not reached"

    assert go(body).result(SOON) is None
    assert log == ["main", "CancelledError"]


def test_goexit_in_a_callback_ends_the_goroutine():
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        loop.call_soon(gopoll.goexit)
        await asyncio.Event().wait()

    assert go(aio.run, main()).result(SOON) is None


@pytest.mark.parametrize("parks", [False, True])
def test_the_end_of_a_program_ends_its_loops(parks):
    log = []

    async def main():
        try:
            if parks:
                Chan().recv()
            await asyncio.Event().wait()
        except BaseException as exc:
            log.append(type(exc))
            raise

    g = parked(aio.run, main())
    end(g)
    assert log == [GoExit if parks else asyncio.CancelledError]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_means_the_program_leaves_the_loop(kind):
    async def main():
        task = asyncio.create_task(fail(kind()))
        await asyncio.Event().wait()
        await task

    assert isinstance(outcome(aio.run, main()), kind)


# -- blocks in a task ------------------------------------------------------------------------------


def test_a_timeout_in_a_task_ends_its_await():
    async def main():
        with pytest.raises(TimeoutError, match="timed out"), gopoll.timeout(0.01) as t:
            await asyncio.Event().wait()
        assert t.expired
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)
        return "went on"

    assert aio.run(main()) == "went on"


def test_a_timeout_in_a_task_ends_its_parked_call():
    async def main():
        with pytest.raises(TimeoutError), gopoll.timeout(0.01):
            Chan().recv()
        await asyncio.sleep(0)
        return asyncio.current_task().cancelling()

    assert aio.run(main()) == 0


def test_a_timeout_in_a_task_ends_nobody_elses_wait():
    gate = Chan()
    ended = Chan(1)

    async def hurried():
        try:
            with gopoll.timeout(0.01) as scope:
                await asyncio.Event().wait()
        except TimeoutError:
            return scope.expired

    async def patient():
        await asyncio.sleep(0)
        gopoll.go(lambda: (gopoll.sleep(0.03), gate.send("late")))
        return gate.recv()  # parked, in the same goroutine, when the time of the other is over

    async def main():
        return await asyncio.gather(hurried(), patient())

    ended.close()
    assert aio.run(main()) == [True, "late"]


def test_timeouts_in_a_task_nest():
    async def main():
        outer, inner = gopoll.timeout(0.01), gopoll.timeout(5)
        with pytest.raises(TimeoutError, match=r"0\.01"), outer, inner:
            await asyncio.Event().wait()
        assert (outer.expired, inner.expired) == (True, False)
        with gopoll.timeout(5) as outer:
            with pytest.raises(TimeoutError, match=r"0\.01"), gopoll.timeout(0.01) as inner:
                await asyncio.Event().wait()
            await asyncio.sleep(0)
        assert (outer.expired, inner.expired) == (False, True)

    aio.run(main())


def test_a_timeout_that_is_over_at_once_ends_the_next_wait_of_its_task():
    async def other():
        gopoll.sleep(0.001)
        return "other"

    async def main(park):
        task = asyncio.create_task(other())
        with pytest.raises(TimeoutError), gopoll.timeout(0):
            if park:
                Chan().recv()
            await asyncio.Event().wait()
        return await task

    assert aio.run(main(park=False)) == "other"
    assert aio.run(main(park=True)) == "other"


def test_a_timeout_whose_block_is_left_in_time_cancels_nobody():
    async def main():
        with gopoll.timeout(0):
            pass
        with gopoll.timeout(0.001) as scope, suppress(ScopeEnd):
            Chan().recv()
        assert scope.expired
        await asyncio.sleep(0)
        return "not cancelled"

    assert aio.run(main()) == "not cancelled"


def test_a_task_that_is_cancelled_in_a_timeout_is_cancelled():
    async def body():
        with gopoll.timeout(5):
            await asyncio.Event().wait()

    async def main():
        task = asyncio.create_task(body())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    aio.run(main())


# -- Ctrl-C ----------------------------------------------------------------------------------------


CTRL_C = """
import asyncio, gopoll, os, signal
from gopoll import aio, testing
log = []
async def main():
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        log.append("cancelled")
        if again: await asyncio.Event().wait()
        raise
def press():
    for _ in range(1 + again):
        testing.wait_idle()
        os.kill(os.getpid(), signal.SIGINT)
def body():
    gopoll.go(press)
    try: {how}
    except KeyboardInterrupt: log.append("interrupted")
    return log
"""


@pytest.mark.parametrize("again", [0, 1])
def test_ctrl_c_cancels_the_main_coroutine(again):
    code = f"again = {again}\n" + CTRL_C.format(how="aio.run(main())")
    done = run_script(code + "print(gopoll.run(body), signal.getsignal(signal.SIGINT).__name__)")
    assert (done.stdout, done.stderr) == (
        "['cancelled', 'interrupted'] default_int_handler\n",
        "",
    )


def test_ctrl_c_reaches_the_main_goroutine_whatever_runs_elsewhere():
    how = "gopoll.go(aio.run, main()); gopoll.Chan().recv()"
    done = run_script("again = 0\n" + CTRL_C.format(how=how) + "print(gopoll.run(body))")
    assert (done.stdout, done.stderr) == ("['interrupted', 'cancelled']\n", "")


def test_a_loop_and_gopoll_hear_signals_beside_each_other():
    done = run_script("""
    import asyncio, os, signal
    import gopoll
    from gopoll import aio, testing
    from gopoll.os import signal as signals
    def kill(number):
        testing.wait_idle()
        os.kill(os.getpid(), number)
    async def main():
        loop = asyncio.get_running_loop()
        seen = asyncio.Queue()
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            loop.add_signal_handler(number, seen.put_nowait, number.name)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            gopoll.go(kill, number)
            print(await seen.get())
        loop.remove_signal_handler(signal.SIGUSR1)
        gopoll.go(kill, signal.SIGHUP)
        print(await aio.recv(ch))
    ch = gopoll.Chan(9)
    signals.notify(ch, signal.SIGHUP)
    def body():
        aio.run(main())
        gopoll.go(kill, signal.SIGHUP)
        print(ch.recv())
        fd = signal.set_wakeup_fd(-1)
        print(fd >= 0, signal.set_wakeup_fd(fd))
    gopoll.run(body)
    """)
    assert done.stderr == ""
    assert done.stdout.split() == ["SIGUSR1", "SIGUSR2", "1", "1", "True", "-1"]
