"""Several processes behind one listener: what each of them is, and who sees to it that they live.

The process that calls ``serve(listener, handler, workers=N)`` is the supervisor. It serves nobody:
it forks the workers, puts another one in the place of each that ends, and passes on the end.

    =============  =========================================  ====================================
    what comes     to the supervisor                          to a worker
    =============  =========================================  ====================================
    SIGTERM        the listener is closed, see there          the same as ``listener.close()``
    SIGINT         the same                                   nothing: a terminal sends it to all,
                                                              and the supervisor decides
    SIGHUP         new workers begin, then the old ones get   nothing, for the same reason
                   SIGTERM
    its listener   each worker gets SIGTERM, and SIGKILL if   it accepts no more, and ends when its
    is closed      it lives `_LAST_WORDS` longer than it      handlers have; after `grace` seconds
                   may; ``serve`` returns when all are gone   their connections are closed
    SIGTERM,       SIGKILL for all that are left              nothing
    SIGINT again
    its death      the workers see the end of a pipe          another one takes its place
    an exception   as if the listener were closed, but it is  is reported, and is its end
    out of serve   not; less grace for who ends as `goexit`
    =============  =========================================  ====================================

**One queue.** The workers inherit the listener, so there is one queue of connections in the kernel,
and whoever is free takes the next. With a socket for each (SO_REUSEPORT) the kernel deals them out
unseen: who is dealt to a worker that computes has to wait for it, who is in the queue of one that
dies is lost or waits for the next, and there is no such thing for Unix sockets. The price of one
queue is that a connection wakes all workers that have nothing to do, and all but one for nothing.
The kernel can wake one of them only (EPOLLEXCLUSIVE), but does not ask again when that one is
killed before it came to accept, or is busy. So that a burst does not end in the first worker that
woke, each takes one connection in a turn, and leaves the next to others if they have less (see
`Share`).

Each place is kept by a goroutine of the supervisor, which forks; in the child that is the main
goroutine, and all that there is. So nothing of the program's runs in a worker but the handler and
what forks call for; it ends without the ``finally`` blocks around ``serve`` and without atexit.

Invariants:

- The supervisor has the reading side of the listener while there are workers, so nobody accepts in
  that process, and nobody has to be woken for a connection; the end of the wait for it is the end.
- From before the fork until its own handlers stand, the signals above are blocked in a child.
- Only the supervisor has the writing end of the pipe. A child that somebody else forks closes it.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle, islice
from mmap import mmap
from signal import SIG_BLOCK, SIG_SETMASK, Signals  # noqa: TID251 - what nobody patches
from typing import Any, Final, NoReturn

from gopoll._original import fork_exit, os_close, os_pipe, pthread_sigmask
from gopoll.chan import Chan
from gopoll.context import Canceled, Context, background, with_cancel
from gopoll.errors import ClosedError, GoExit
from gopoll.net.conn import Conn
from gopoll.net.owner import Bound
from gopoll.os import signal
from gopoll.os._child import Child
from gopoll.runtime import fork, lifetime
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.guard import calls_user_code
from gopoll.runtime.netpoll import wait_read
from gopoll.runtime.panic import flush_output
from gopoll.runtime.poller.base import READ
from gopoll.runtime.proc import go, gosched, sleep
from gopoll.runtime.sched import this
from gopoll.runtime.scope import until
from gopoll.time import now

__all__ = ["Share", "Supervisor", "next_pause"]

_ENDS: Final = (Signals.SIGTERM, Signals.SIGINT)
_HEARD: Final = (*_ENDS, Signals.SIGHUP)
_LAST_WORDS: Final = 2.0  # seconds for what a worker does after `grace`: its ``finally`` blocks
_HASTE: Final = 0.5  # the most where our own goroutines are being ended
_LONG_LIFE: Final = 10.0  # seconds; who has lived so long is replaced at once
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
_NOBODY: Final = 1 << 60  # connections of a worker that takes none
_FAIR: Final = 4  # connections more than another, and an eighth
_COURTESY, _RARELY = 0.001, 0.01  # seconds
_SHORT: Final = 16  # goroutines; a turn of so many costs a millisecond at most


class Share:
    """What one worker knows of the others: how many connections each of them handles.

    The numbers are in memory that all of them share, one for each place; nobody writes into that of
    another. They are hints: a worker that has many more than the one that has least waits a moment
    before it asks for the next. If nobody makes use of that, it does so rarely: the others may be
    busy with what they have.
    """

    __slots__ = ("_again", "_numbers", "_place")

    def __init__(self, numbers: "memoryview[int]", place: int) -> None:
        self._numbers = numbers
        self._place = place
        self._again = 0.0  # when to be polite next

    def begin(self) -> None:
        """Take connections, from now on or soon."""
        self._numbers[self._place] = 0

    def end(self) -> None:
        """Take no more: who is not there does not have less than others."""
        self._numbers[self._place] = _NOBODY

    def count(self, handler: Callable[[Conn], object]) -> Callable[[Conn], object]:
        """Return `handler`, made to count what it handles."""
        numbers, place = self._numbers, self._place

        def handle(conn: Conn) -> None:
            numbers[place] += 1
            try:
                handler(conn)
            finally:
                numbers[place] -= 1

        return calls_user_code(handle)

    def step_back(self) -> None:
        """After a connection was taken: let another worker have the next, if that is fair."""
        least = min(self._numbers)
        if self._numbers[self._place] > least + least // 8 + _FAIR and now() >= self._again:
            sleep(_COURTESY)
            if min(self._numbers) == least:
                self._again = now() + _RARELY
        elif len(this.sched.runq) <= _SHORT:
            gosched()  # begin with what we have; whoever has nothing to do is quicker


class Supervisor:
    """Who sees to it that `work` goes on in so many processes, as long as `listener` is open."""

    def __init__(
        self, listener: Bound, work: Callable[[Share], object], workers: int, grace: float | None
    ) -> None:
        self._listener = listener
        self._work = work
        self._workers = workers
        self._patience = None if grace is None else max(0.0, grace) + _LAST_WORDS
        self._keepers: set[Goroutine[None]] = set()
        self._children: set[Child] = set()
        self._dismiss: Callable[[], None] = lambda: None  # those who were hired last
        self._ending = False
        places = 2 * workers  # while some are replaced there are twice as many
        self._numbers = memoryview(mmap(-1, 8 * places)).cast("q")
        for place in range(places):
            self._numbers[place] = _NOBODY
        self._places = cycle(range(places))
        self._life_seen, self._life = os_pipe()  # what the workers watch, and we hold

    def run(self) -> None:
        """Have the workers serve until the listener is closed; see the table above."""
        signals = Chan[Any](len(_HEARD))
        _supervisors.add(self)
        try:
            signal.notify(signals, *_HEARD)
            go(self._hear, signals)
            self._hire()
            self._wait_for_close()
        except GoExit:
            self._patience = _HASTE
            raise
        finally:
            self._ending = True
            self._dismiss()
            try:
                for keeper in tuple(self._keepers):
                    keeper.join()
            finally:
                signal.stop(signals)
                signals.close()
                _supervisors.discard(self)
                os_close(self._life)
                os_close(self._life_seen)

    def _wait_for_close(self) -> None:
        """Take the reading side of the listener, and wait until it is closed."""
        side = self._listener._fd.reader
        try:
            if not side.take():
                side.queue_up()
        except ClosedError:
            return
        try:
            side.queue_up()  # behind ourselves
        except ClosedError:
            return
        finally:
            side.held = False
            side.settle()

    def _hear(self, signals: Chan[Any]) -> None:
        for signum in signals:
            ends = self._ending or self._listener.closed
            if ends and signum in _ENDS:
                for child in tuple(self._children):
                    child.send(Signals.SIGKILL, group=False)
            elif signum in _ENDS:
                self._listener.close()
            elif not ends:
                dismiss = self._dismiss
                self._hire()
                dismiss()

    # -- a place, and who is in it -------------------------------------------------------------

    def _hire(self) -> None:
        """Begin with as many workers as there should be."""
        ctx, self._dismiss = with_cancel(background())
        for place in islice(self._places, self._workers):
            share = Share(self._numbers, place)
            share.begin()  # so who is quicker leaves something to those who are still to come
            self._keepers.add(go(self._keep, ctx, share))

    def _keep(self, ctx: Context, share: Share) -> None:
        """See to it that there is a worker, until `ctx` is done."""
        pause = 0.0
        try:
            while not self._listener.closed and ctx.err() is None:
                began = now()
                self._employ(ctx, share)
                pause = next_pause(pause, now() - began)
                with suppress(Canceled), until(ctx):
                    sleep(pause)
        finally:
            keeper = this.sched.current
            assert keeper is not None
            self._keepers.discard(keeper)

    def _employ(self, ctx: Context, share: Share) -> None:
        """Have a worker until it ends, or see to that when `ctx` is done."""
        share.begin()
        try:
            child = Child(self._fork(share))
        except OSError as exc:
            share.end()
            _say(f"no worker could be started: {exc}")
            return
        self._children.add(child)
        try:
            with until(ctx):
                code = child.wait()
            if code:
                _say(f"worker {child.pid} {_how(code)}; another one takes its place")
        except Canceled:
            _end(child, self._patience)
        except BaseException:
            _end(child, _HASTE)
            raise
        finally:
            share.end()
            self._children.discard(child)

    def _fork(self, share: Share) -> int:
        flush_output()  # or the child would do that, too
        mask = pthread_sigmask(SIG_BLOCK, _HEARD)
        try:
            pid = os.fork()
            if pid == 0:
                self._live(mask, share)
            return pid
        finally:
            pthread_sigmask(SIG_SETMASK, mask)

    # -- in the worker -------------------------------------------------------------------------

    def _live(self, mask: set[int], share: Share) -> NoReturn:
        """Be the worker: the whole life of a process."""
        me = this.sched.main
        try:
            try:
                try:
                    self._begin(mask)
                    self._work(share)
                finally:
                    lifetime.shut_down(this.sched)
            except GoExit:
                pass
            except BaseException as exc:
                me.error = exc
            lifetime.end_of_child(me)
        finally:
            fork_exit(1)

    def _begin(self, mask: set[int]) -> None:
        """Take over what is the worker's, and leave alone what is the supervisor's."""
        orders = Chan[Any](1)
        signal.notify(orders, Signals.SIGTERM)
        signal.notify(Chan[Any](1), Signals.SIGINT, Signals.SIGHUP)  # where nobody looks
        pthread_sigmask(SIG_SETMASK, mask)
        for other in _supervisors:
            other._listener._unlink = None
            if other is not self and not other._listener.closed:
                other._listener.close()
        _supervisors.clear()
        self._listener._fd.set_deadline(READ, None)
        go(self._obey, orders.recv)
        go(self._obey, wait_read, self._life_seen)

    def _obey(self, wait: Callable[..., object], *args: object) -> None:
        """Accept no more once there is nothing to wait for."""
        wait(*args)
        if not self._listener.closed:
            self._listener.close()


_supervisors: Final[set[Supervisor]] = set()  # at work in this process


def next_pause(pause: float, lived: float) -> float:
    """Return how long a place stays empty, after the last `pause` and a worker that has `lived`.

    In seconds. A worker that dies at once must not make the supervisor spin.
    """
    if lived >= _LONG_LIFE:
        return 0.0
    return min(max(_FIRST_PAUSE, 2 * pause), _LONGEST_PAUSE)


def _end(child: Child, patience: float | None) -> None:
    """Have `child` end, in so many seconds; it does, even if this is interrupted."""
    try:
        child.send(Signals.SIGTERM, group=False)
        child.wait(patience)
    except TimeoutError:
        _say(f"worker {child.pid} did not end in time, and is killed")
    finally:
        child.send(Signals.SIGKILL, group=False)
        child.wait()


def _how(code: int) -> str:
    if code > 0:
        return f"ended with status {code}"
    try:
        return f"was ended by {Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _say(what: str) -> None:
    try:
        sys.stderr.write(f"gopoll: {what}\n")
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # no stderr, or a closed one
        return


def _let_go_of_life() -> None:
    """Leave the supervisor the only one that holds its end of the pipe."""
    for supervisor in _supervisors:
        if supervisor._life >= 0:
            os_close(supervisor._life)
            supervisor._life = -1


fork.in_child(_let_go_of_life)
