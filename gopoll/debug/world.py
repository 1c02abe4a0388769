"""Stop the world: nobody else runs until it goes on, while the one who stopped it may still wait.

For a debugger that talks to somebody: the program must not go on behind its back, but reading the
next command is a wait like any other, and so are timers and a Ctrl-C. A debugger may also start
helpers (a thread that draws its prompt). So in a stopped world

    =============================================  ==============================================
    who                                            runs
    =============================================  ==============================================
    the goroutine that stopped it                  yes
    those that it starts, and those that they do   yes
    everybody else of this OS thread               is held as soon as it is runnable
    =============================================  ==============================================

Other OS threads go on; what they wake here is held. No wait is a deadlock meanwhile.

The scheduler is one of another class for so long, with a g0 of its own. So a world that goes on
pays nothing for being stoppable.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

from gopoll._original import monotonic
from gopoll.runtime import turn
from gopoll.runtime.goroutine import Goroutine, work
from gopoll.runtime.sched import Scheduler, this

__all__ = ["stop_world"]


class _World:
    """Who may run in a stopped world, and who is held."""

    def __init__(self, sched: Scheduler, g: Goroutine[Any]) -> None:
        self.free = {g.id}
        self.newest = max(other.id for other in sched.goroutines)
        self.held: list[Goroutine[Any]] = []
        self.g0 = sched.g0  # that of the world that goes on
        self.deep = sched.deep

    def may_run(self, g: Goroutine[Any]) -> bool:
        if g.id in self.free:
            return True
        if g.id > self.newest and g.site is not None and g.site[2] in self.free:
            self.free.add(g.id)
            return True
        return False


_worlds: dict[int, _World] = {}  # those that are stopped, by thread


class _Stopped(Scheduler):
    """The scheduler of a thread whose world is stopped."""

    __slots__ = ()

    def _next(self) -> greenlet:
        self._hold()
        return super()._next()

    def _schedule(self) -> None:
        runq = self.runq
        while True:
            if not runq or self.operations <= 0 or monotonic() >= self.turn_end:
                turn.begin(self)
            self._hold()
            if not runq:
                continue
            g = runq[0]
            if g.greenlet is None:
                worker = self.free.pop() if self.free else greenlet(work, _worlds[self.thread].g0)
                self._bind(worker, g)
            self.operations -= 1
            # From here to the switch no call and no jump: nobody can interrupt.
            del runq[0]
            g.waiter = None
            self.current = g
            g.greenlet.switch(self)

    def _hold(self) -> None:
        """Take out of the queue who must not run."""
        world = _worlds[self.thread]
        for g in tuple(self.runq):
            if not world.may_run(g):
                world.held.append(g)
                self.runq.remove(g)


def _live(sched: Scheduler) -> None:
    """The body of the stopped world's g0."""
    failure: BaseException | None = None
    while True:
        try:
            if failure is not None:
                turn.resynchronise(sched, failure)
                failure = None
            sched._schedule()
        except GreenletExit:  # the world goes on
            return
        except BaseException as exc:  # a foreign signal handler raised in here
            failure = exc


@contextmanager
def stop_world() -> Iterator[None]:
    """Let no other goroutine of this OS thread run during the block, even if the caller waits.

    Those that the caller starts in the block do run. Other OS threads go on.
    """
    sched = this.sched
    g = sched.current
    if g is None or type(sched) is not Scheduler:  # nobody can switch; or it is stopped already
        yield
    elif g.waiter is not None:  # the caller interrupts gopoll itself: nothing may park
        sched.current = None
        try:
            yield
        finally:
            sched.current = g
    else:
        _stop(sched, g)
        try:
            yield
        finally:
            _go_on(sched)


def _stop(sched: Scheduler, g: Goroutine[Any]) -> None:
    _worlds[sched.thread] = _World(sched, g)
    sched.external += 1
    sched.g0, sched.deep = greenlet(lambda: _live(sched), getcurrent()), 0
    sched.__class__ = _Stopped


def _go_on(sched: Scheduler) -> None:
    world = _worlds.pop(sched.thread)
    sched.__class__ = Scheduler
    sched.external -= 1
    g0, sched.g0, sched.deep = sched.g0, world.g0, world.deep
    g0.parent = getcurrent()
    g0.throw(GreenletExit)
    sched.runq.extend(g for g in world.held if g not in sched.runq and not g.done)
