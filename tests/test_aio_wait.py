"""Coroutines that wait for goroutines and channels, and goroutines that wait for coroutines."""

import asyncio
import contextvars
import threading

import pytest

import gopoll
from gopoll import Chan, ChannelClosed, aio, go, nil_chan
from gopoll.testing import wait_idle
from tests.support.parking import end, in_thread, outcome, parked
from tests.support.threads import SOON, running

pytestmark = pytest.mark.network


async def value(it):
    await asyncio.sleep(0)
    return it


async def fail(exc):
    await asyncio.sleep(0)
    raise exc


async def ended(task):
    """Wait until `task` has ended; return how."""
    await asyncio.wait([task])
    return "cancelled" if task.cancelled() else task.exception() or task.result()


async def waiting(coro):
    """Start a task and let it come to its wait."""
    task = asyncio.create_task(coro)
    await asyncio.sleep(0)
    assert not task.done()
    return task


class Elsewhere:
    """A plain event loop in an OS thread of its own, which knows nothing of gopoll."""

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        return self.loop

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        gopoll.offload(self.thread.join, SOON)
        self.loop.close()


# -- result ----------------------------------------------------------------------------------------


def test_result_returns_what_the_goroutine_returns():
    gate = Chan()

    async def main():
        g = go(gate.recv)
        task = await waiting(aio.result(g))
        await aio.send(gate, "sent")
        return await task, await aio.result(g)

    assert aio.run(main()) == ("sent", "sent")


def test_result_raises_what_the_goroutine_raises():
    exc = ValueError("no")

    def body():
        raise exc

    async def main():
        with pytest.raises(ValueError, match="no") as caught:
            await aio.result(go(body))
        assert caught.value is exc
        assert await aio.result(go(gopoll.goexit)) is None

    aio.run(main())  # and nothing was reported


def test_result_of_a_group_is_the_members():
    async def main():
        with pytest.raises(ZeroDivisionError), gopoll.errgroup.Group() as group:
            member = group.go(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await aio.result(member)

    aio.run(main())


def test_a_cancelled_result_leaves_the_goroutine_alone(panics):
    gate = Chan()

    def body():
        raise ValueError(gate.recv())

    async def main():
        g = go(body)
        task = await waiting(aio.result(g))
        task.cancel()
        assert await ended(task) == "cancelled"
        assert not g.done
        await aio.send(gate, "on its own")
        wait_idle()
        return g

    g = aio.run(main())
    assert [(each, str(exc)) for each, exc in panics] == [(g, "on its own")]


def test_an_error_is_reported_if_the_cancellation_comes_at_the_same_moment(panics):
    gate = Chan()

    def body():
        raise ValueError(gate.recv())

    async def main():
        g = go(body)
        task = await waiting(aio.result(g))
        wait_idle()
        assert gate.try_send("now")
        wait_idle()  # it has ended, and has told so
        task.cancel()
        assert await ended(task) == "cancelled"

    aio.run(main())
    assert [str(exc) for _, exc in panics] == ["now"]


def test_nobody_waits_for_himself():
    async def main():
        with pytest.raises(RuntimeError, match="its own end"):
            await aio.result(gopoll.current())

    go(aio.run, main()).result(SOON)


def test_a_loop_that_blocks_the_goroutines_thread_is_told_so():
    async def main():
        g = go(Chan().recv)
        with pytest.raises(RuntimeError, match="blocks its OS thread"):
            await aio.result(g)
        return g

    end(asyncio.run(main()))


def test_result_of_a_goroutine_of_another_thread():
    gate = Chan()
    g = go(gate.recv)
    with Elsewhere() as loop:
        future = asyncio.run_coroutine_threadsafe(aio.result(g), loop)
        wait_idle()
        gate.send("across")
        assert gopoll.offload(future.result, SOON) == "across"


# -- channels --------------------------------------------------------------------------------------


def test_coroutines_and_goroutines_talk():
    there, back = Chan(), Chan(1)

    def echo():
        for each in there:
            back.send(each * 2)
        back.close()

    async def main():
        go(echo)
        found = []
        for n in range(3):
            await aio.send(there, n)
            found.append(await aio.recv(back))
        there.close()
        return found, await aio.recv(back), await aio.recv_ok(back)

    assert aio.run(main()) == ([0, 2, 4], None, (None, False))


def test_coroutines_of_two_loops_talk():
    ch = Chan()

    async def send():
        for n in range(3):
            await aio.send(ch, n)
        ch.close()

    async def recv():
        found = []
        while (taken := await aio.recv_ok(ch))[1]:
            found.append(taken[0])
        return found

    go(aio.run, send())
    assert aio.run(recv()) == [0, 1, 2]
    with Elsewhere() as loop:
        ch = Chan()
        future = asyncio.run_coroutine_threadsafe(send(), loop)
        assert aio.run(recv()) == [0, 1, 2]
        future.result(SOON)


def test_who_waits_is_served_in_order():
    ch = Chan()

    async def main():
        first = await waiting(aio.recv(ch))
        g = go(ch.recv)
        wait_idle()
        last = await waiting(aio.recv(ch))
        for n in range(3):
            await aio.send(ch, n)
        return await first, await aio.result(g), await last

    assert aio.run(main()) == (0, 1, 2)


def test_sends_on_a_closed_channel():
    ch = Chan()

    async def main():
        task = await waiting(aio.send(ch, 1))
        ch.close()
        assert isinstance(await ended(task), ChannelClosed)
        with pytest.raises(ChannelClosed):
            await aio.send(ch, 2)

    aio.run(main())


def test_a_coroutine_meets_a_select():
    a, b = Chan(), Chan()

    async def main():
        g = go(gopoll.select, a.recv, (b.send, "b"))
        wait_idle()
        received = await aio.recv(b)
        chosen = await aio.result(g)
        task = await waiting(aio.send(a, "a"))
        return received, chosen, gopoll.select(a.recv), await task

    assert aio.run(main()) == ("b", (1, None), (0, "a"), None)


def test_the_nil_channel_keeps_everybody_waiting():
    async def main():
        for coro in (aio.recv(nil_chan), aio.send(nil_chan, 1)):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(coro, 0.001)

    aio.run(main())


def test_a_timer_is_received_from():
    async def main():
        timer = gopoll.time.Timer(0.001)
        assert await aio.recv(timer.c) <= gopoll.time.now()
        timer.reset(3600)
        task = await waiting(aio.recv(timer.c))
        timer.reset(0.001)
        return await task <= gopoll.time.now()

    assert aio.run(main())
    with Elsewhere() as loop:
        future = asyncio.run_coroutine_threadsafe(main(), loop)
        assert gopoll.offload(future.result, SOON)


def test_a_cancelled_receive_takes_nothing():
    ch = Chan()

    async def main():
        task = await waiting(aio.recv(ch))
        task.cancel()
        assert await ended(task) == "cancelled"
        assert not ch.try_send(1)
        task = await waiting(aio.send(ch, 2))
        task.cancel()
        assert await ended(task) == "cancelled"
        assert ch.try_recv() == (None, False)

    aio.run(main())


@pytest.mark.parametrize("cap", [0, 1])
def test_what_comes_with_a_cancellation_is_the_next_to_be_received(cap):
    ch = Chan(cap)

    async def main():
        task = await waiting(aio.recv(ch))
        assert ch.try_send(1)  # handed over, and not yet heard of
        senders = [go(ch.send, n) for n in (2, 3)]
        wait_idle()
        task.cancel()
        assert await ended(task) == "cancelled"
        assert await aio.recv(ch) == 1
        assert {await aio.recv(ch), ch.recv()} == {2, 3}
        for g in senders:
            await aio.result(g)
        assert not ch.try_send(4) or cap  # an unbuffered channel is one still
        return len(ch) <= cap

    assert aio.run(main())


def test_what_comes_with_a_cancellation_goes_to_the_next_receiver():
    ch = Chan()

    async def main():
        task = await waiting(aio.recv(ch))
        g = go(ch.recv)
        wait_idle()
        assert ch.try_send(1)
        task.cancel()
        assert await ended(task) == "cancelled"
        return await aio.result(g)

    assert aio.run(main()) == 1


@pytest.mark.parametrize("how", ["timeout", "timeout goes on", "cancel"])
def test_what_was_sent_with_a_cancellation_was_sent(how):
    ch = Chan()
    log = []

    async def body():
        try:
            async with asyncio.timeout(None) as limit:
                limits.append(limit)
                await aio.send(ch, 1)
                log.append("sent")
                if how == "timeout goes on":
                    await asyncio.Event().wait()
            await asyncio.sleep(0)
            await asyncio.Event().wait() if how == "cancel" else await asyncio.sleep(0.001)
        except (TimeoutError, asyncio.CancelledError) as exc:
            log.append(type(exc).__name__)

    async def main():
        task = await waiting(body())
        assert ch.try_recv() == (1, True)  # and the sender has not heard of it
        if how == "cancel":
            task.cancel()
        else:
            limits[0].reschedule(0)
        await task
        return task.cancelling()

    limits = []
    assert aio.run(main()) == (how == "cancel")
    ends = {"timeout": [], "timeout goes on": ["TimeoutError"], "cancel": ["CancelledError"]}
    assert log == ["sent", *ends[how]]


def test_closing_with_a_cancellation_leaves_nothing_behind():
    ch = Chan()

    async def main():
        task = await waiting(aio.recv(ch))
        ch.close()
        task.cancel()
        assert await ended(task) == "cancelled"
        return await aio.recv_ok(ch)

    assert aio.run(main()) == (None, False)


# -- submit ----------------------------------------------------------------------------------------


@pytest.fixture
def loop():
    """A loop that runs in another goroutine."""
    loop = aio.new_event_loop()
    g = parked(loop.run_forever)
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    g.result(SOON)
    loop.close()


def test_submit_returns_or_raises(loop):
    assert aio.submit(value(5), loop) == 5
    exc = ValueError("no")
    assert outcome(aio.submit, fail(exc), loop) is exc
    assert isinstance(outcome(aio.submit, fail(asyncio.CancelledError()), loop), BaseException)


def test_submit_to_a_plain_loop_of_another_thread():
    with Elsewhere() as loop:
        goroutines = [go(aio.submit, value(n), loop) for n in range(5)]
        assert [g.result(SOON) for g in goroutines] == list(range(5))


def test_submit_from_another_thread(loop):
    found = []
    with running(lambda: found.append(aio.submit(value(5), loop))):
        pass
    assert found == [5]


def test_submit_takes_the_callers_context_along(loop):
    var = contextvars.ContextVar("var")

    async def read():
        return var.get()

    def body():
        var.set("caller")
        return aio.submit(read(), loop)

    assert go(body).result(SOON) == "caller"


def test_an_interrupted_submit_cancels_its_task(loop):
    log = Chan(1)

    async def wait():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.send("cancelled")
            raise

    with pytest.raises(TimeoutError), gopoll.timeout(0.01):
        aio.submit(wait(), loop)
    assert log.recv() == "cancelled"
    with pytest.raises(TimeoutError), gopoll.timeout(0):
        aio.submit(wait(), loop)  # never begins
    wait_idle()
    assert log.try_recv() == (None, False)


def test_submit_refuses_what_cannot_be(loop):
    with pytest.raises(TypeError, match="needs a coroutine"):
        aio.submit(5, loop)

    async def to_myself():
        with pytest.raises(RuntimeError, match="await the coroutine"):
            aio.submit(value(1), asyncio.get_running_loop())

    aio.submit(to_myself(), loop)
    closed = aio.new_event_loop()
    closed.close()
    with pytest.raises(RuntimeError, match="closed"):
        aio.submit(value(1), closed)


def test_a_goroutine_of_a_coroutine_submits_to_its_loop():
    async def main():
        g = go(aio.submit, value("back"), asyncio.get_running_loop())
        return await aio.result(g)

    assert aio.run(main()) == "back"
    assert in_thread(lambda: aio.run(main())) == "back"
