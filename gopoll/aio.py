"""asyncio and goroutines in one program: each awaits the other, and only who waits is held up.

    ===========  =============================================  ================================
    who          waits for                                      by
    ===========  =============================================  ================================
    a goroutine  a coroutine, on a loop of its own              ``run(coro)``
    a goroutine  a coroutine, on a loop that runs elsewhere     ``submit(coro, loop)``
    a coroutine  the end of a goroutine                         ``await result(g)``
    a coroutine  a channel                                      ``await recv(ch)``,
                                                                ``await recv_ok(ch)``,
                                                                ``await send(ch, value)``
    ===========  =============================================  ================================

A loop from `new_event_loop` parks the goroutine in which it runs, with or without the patch of the
standard library; so several loops run beside each other and beside goroutines in one OS thread. Any
other loop blocks its OS thread while nothing happens in it, unless asyncio is patched. What is here
works on those too, but goroutines of their thread do not run meanwhile.

In a coroutine a call that parks, ``ch.recv()`` for one, holds up the loop and all of its tasks, as
a call that blocks does anywhere in asyncio; other goroutines run. ``await`` holds up the task only.

**Cancellation.** A task that is cancelled stops to wait; what it waited for goes on. Nothing that a
channel has handed over is lost: a value that comes at the very moment of the cancellation is the
next to be received; if a value is taken at that moment, `send` returns, and the next wait of the
task is cancelled instead.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, TypeVarTuple

from gopoll._caller import Caller, post
from gopoll._original import set_wakeup_fd
from gopoll._running import run_forever, running_here
from gopoll._selector import Selector
from gopoll.chan import BLOCKED, Chan, nil_chan
from gopoll.errors import ChannelClosed
from gopoll.runtime import interrupt
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.guard import calls_user_code
from gopoll.runtime.join import enlist, strike_off
from gopoll.runtime.panic import panicked
from gopoll.runtime.poller.waker import on_signals
from gopoll.runtime.sched import this
from gopoll.runtime.waitq import Waiter, refuse, resume

__all__ = ["new_event_loop", "recv", "recv_ok", "result", "run", "send", "submit"]

A = TypeVarTuple("A")
T = TypeVar("T")


# -- loops ----------------------------------------------------------------------------------------


class _EventLoop(asyncio.SelectorEventLoop):
    """An event loop whose waits park the goroutine that runs it."""

    def __init__(self) -> None:
        super().__init__(Selector())

    @calls_user_code
    def run_forever(self) -> None:
        run_forever(self, asyncio.SelectorEventLoop.run_forever)

    def add_signal_handler(self, sig: int, callback: Callable[[*A], Any], *args: *A) -> None:
        this.sched.need_poller()  # whose waker is to hear signals first
        super().add_signal_handler(sig, callback, *args)
        self._share_signals()

    def remove_signal_handler(self, sig: int) -> bool:
        removed = super().remove_signal_handler(sig)
        if removed:
            self._share_signals()
        return removed

    def _share_signals(self) -> None:
        """Let the scheduler hear signals again, and hear of them from it.

        The process has one descriptor for that. asyncio has just taken it, or given it to nobody,
        unless the room `signal` of the patch saw to it.
        """
        waker, csock = this.sched.waker, self._csock  # type: ignore[attr-defined]
        found = set_wakeup_fd(-1)
        taken = csock is not None and found == csock.fileno()
        if waker is not None and (taken or found == -1):
            waker.hear_signals()
        else:
            set_wakeup_fd(found, warn_on_full_buffer=False)
        listens = self._hear in on_signals
        if taken and not listens:
            on_signals.append(self._hear)
        elif listens and not self._signal_handlers:  # type: ignore[attr-defined]
            on_signals.remove(self._hear)

    def _hear(self, numbers: bytes) -> None:
        for number in numbers:
            self._handle_signal(number)  # type: ignore[attr-defined]


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop that parks the goroutine in which it runs, and nobody else.

    For ``asyncio.Runner(loop_factory=gopoll.aio.new_event_loop)``. It is a
    ``asyncio.SelectorEventLoop`` in all else. Mirrors nothing in Go.
    """
    return _EventLoop()


@calls_user_code
def run(main: Coroutine[Any, Any, T], /, *, debug: bool | None = None) -> T:
    """Run the coroutine `main` to its end on a new loop, in the calling goroutine, which parks.

    As ``asyncio.run``, which blocks the OS thread unless asyncio is patched: what tasks it leaves
    behind are cancelled, and `debug` switches the loop's debug mode on or off. In the main
    goroutine a first Ctrl-C cancels `main`. Mirrors nothing in Go.

    Returns:
        What `main` returns.

    Raises:
        RuntimeError: A loop runs in this goroutine already.
        ValueError: `main` is no coroutine.
        BaseException: What `main` raises.
    """
    sched = this.sched
    with asyncio.Runner(debug=debug, loop_factory=new_event_loop) as runner:
        try:  # The runner looks after Ctrl-C where it finds Python's own handler.
            stood_aside = sched.current is sched.main and interrupt.uninstall()
        except KeyboardInterrupt:
            main.close()
            raise
        try:
            return runner.run(main)
        finally:
            if stood_aside:
                interrupt.install()


# -- from a goroutine ------------------------------------------------------------------------------


class _Task:
    """A coroutine on its way through a loop, for a goroutine that waits elsewhere."""

    __slots__ = ("coro", "loop", "task", "waiter")

    def __init__(self, coro: Coroutine[Any, Any, Any], loop: Any, waiter: Waiter) -> None:
        self.coro = coro
        self.loop = loop
        self.waiter = waiter
        self.task: asyncio.Task[Any] | None = None

    def begin(self) -> None:
        """On the loop: start, unless nobody waits any more."""
        if self.waiter.claimed:
            self.coro.close()
            return
        self.task = self.loop.create_task(self.coro)
        self.task.add_done_callback(self._done)

    def _done(self, _: object) -> None:
        if self.waiter.claim():
            resume(self.waiter.g)

    def abandon(self) -> None:
        """On the loop: nobody waits any more."""
        if self.task is not None:
            self.task.cancel()


def submit(coro: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """Run `coro` as a task of `loop`, which runs elsewhere, and wait for it; only the caller parks.

    `loop` may run in another goroutine or in another OS thread, and be of any kind. The task sees a
    copy of the caller's context variables. If the wait is interrupted, by a ``timeout()`` for one,
    the task is cancelled and not waited for. For a goroutine it is what
    ``run_coroutine_threadsafe(coro, loop).result()`` is for a thread. Mirrors nothing in Go.

    Returns:
        What `coro` returns.

    Raises:
        TypeError: `coro` is no coroutine.
        RuntimeError: `loop` is closed, or runs in the calling goroutine, which would wait for ever.
        asyncio.CancelledError: The task was cancelled.
        BaseException: What `coro` raises.
    """
    if not asyncio.iscoroutine(coro):
        msg = f"submit() needs a coroutine, got {coro!r}"
        raise TypeError(msg)
    sched = this.sched
    g = sched.current or refuse("coroutine")
    if asyncio._get_running_loop() is loop:
        coro.close()
        msg = "submit() would wait for the loop that calls it: await the coroutine"
        raise RuntimeError(msg)
    job = _Task(coro, loop, Waiter(g))
    try:
        loop.call_soon_threadsafe(job.begin)
    except RuntimeError:
        coro.close()
        raise
    sched.external += 1
    try:
        sched.park(job.waiter, "coroutine")
    except BaseException:
        post(loop, job.abandon)
        raise
    finally:
        sched.external -= 1
    assert job.task is not None
    try:
        value: T = job.task.result()
        return value
    finally:
        del job  # an exception's traceback has this frame, and the task has the exception


# -- from a coroutine ------------------------------------------------------------------------------


async def result(g: Goroutine[T]) -> T:
    """Wait for the end of the goroutine `g`, and return what its function returned.

    ``g.result()`` for a coroutine: None if the goroutine ended by ``goexit()``; an exception that
    ended it is raised here, and not reported on stderr. If this is cancelled the goroutine goes on:
    in gopoll nobody is killed. Mirrors nothing in Go.

    Raises:
        RuntimeError: A goroutine would wait for itself, or the loop blocks the OS thread in which
            `g` is to run; then use `new_event_loop`, or patch asyncio.
        BaseException: What ended `g`.
    """
    sched = this.sched
    if not g.done:
        running = running_here()
        if g is sched.current:
            msg = "a goroutine cannot wait for its own end"
            raise RuntimeError(msg)
        if g.sched is sched and (running is None or not running.parks):
            msg = "this event loop blocks its OS thread, in which the goroutine is to run"
            raise RuntimeError(msg)
        caller = Caller()
        waiter = Waiter(caller, True)  # type: ignore[arg-type]  # it is all that a queue asks for
        if enlist(g, waiter):
            await caller.wait(
                waiter,
                withdraw=lambda: strike_off(g, waiter),
                undo=lambda: _report(g),
            )
    return g.result()


async def recv_ok(ch: Chan[T]) -> tuple[T | None, bool]:
    """Receive a value, and True; or None and False once the channel is closed and drained.

    ``ch.recv_ok()`` for a coroutine. Mirrors ``v, ok := <-ch``.
    """
    _spend()
    ch.enter()
    try:
        taken = ch.take()
        if taken is BLOCKED:
            caller, waiter = _queue(ch, None, sends=False)
    finally:
        ch.leave()
    if taken is BLOCKED:
        await caller.wait(
            waiter,
            withdraw=lambda: _withdraw(ch, waiter, sends=False),
            undo=lambda: _put_back(ch, waiter),
        )
        return waiter.value, waiter.ok
    value, ok, sender = taken
    if sender is not None:
        resume(sender.g)
    return value, ok


async def recv(ch: Chan[T]) -> T | None:
    """Receive a value; None once the channel is closed and drained.

    ``ch.recv()`` for a coroutine. Mirrors ``<-ch``.
    """
    return (await recv_ok(ch))[0]


async def send(ch: Chan[T], value: T) -> None:
    """Send `value`; wait until there is room for it, or a receiver.

    ``ch.send(value)`` for a coroutine. If this is cancelled the value was not sent. Mirrors
    ``ch <- value``.

    Raises:
        ChannelClosed: The channel is closed, or was while this waited.
    """
    _spend()
    ch.enter()
    try:
        receiver = ch.put(value)
        if receiver is BLOCKED:
            caller, waiter = _queue(ch, value, sends=True)
    finally:
        ch.leave()
    if receiver is BLOCKED:
        await caller.wait(
            waiter, withdraw=lambda: _withdraw(ch, waiter, sends=True), undo=lambda: not waiter.ok
        )
        if not waiter.ok:
            msg = "send on closed channel"
            raise ChannelClosed(msg)
    elif receiver is not None:
        resume(receiver.g)


def _spend() -> None:
    """Let other goroutines run if the turn is over."""
    sched = this.sched
    sched.operations -= 1
    if sched.operations < 0:
        sched.yield_turn()


def _queue(ch: Chan[Any], value: Any, *, sends: bool) -> tuple[Caller, Waiter]:
    caller = Caller()
    waiter = Waiter(caller, value)  # type: ignore[arg-type]
    if ch is not nil_chan:  # there nobody ever comes
        ch.queue(waiter, sends=sends)
    return caller, waiter


def _withdraw(ch: Chan[Any], waiter: Waiter, *, sends: bool) -> None:
    ch.latch.acquire()
    ch.unqueue(waiter, sends=sends)
    ch.latch.release()


def _report(g: Goroutine[Any]) -> bool:
    if g.error is not None:
        panicked(g, g.error)
    return True


def _put_back(ch: Chan[Any], waiter: Waiter) -> bool:
    if not waiter.ok:  # the channel was closed
        return True
    ch.enter()
    try:
        receiver = ch.put_back(waiter.value)
    finally:
        ch.leave()
    if receiver is not None:
        resume(receiver.g)
    return True
