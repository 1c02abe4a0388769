"""The scheduler: one per OS thread; it alone decides who runs, and every switch is made here.

A goroutine runs until it parks, yields or ends. Then its own greenlet switches straight to the next
runnable goroutine (a hand-over), or to g0, the greenlet in which the loop lives:

    running ──park()──▶ waiting ──ready()──▶ runnable ──hand-over or g0──▶ running
       │  └──yield_turn()────────────────────────▲
       └──returns──▶ dead; its worker goes to the free list, or on to a new goroutine

A *turn* is what runs between two looks at the timers, the inbox and the poller (`turn`). It ends
after so many operations and switches or so much time, whichever comes first, so nobody starves
those. Operations that do not have to wait count too, and yield once the turn is over.

Invariants:

- g0 makes every first switch into a worker, shallow on its stack: a greenlet inherits the recursion
  depth and the C stack depth of whoever first switches into it.
- `current` is the goroutine that runs, None while g0 does. A runnable goroutine is in `runq` once.
- Only the scheduler's own thread touches `runq`, timers and slots. Everybody else (other threads,
  and signal handlers that could have interrupted anything) appends to `inbox` and rings. The loop
  says that it sleeps *before* its last look at the inbox, so no ring is lost.
- Goroutines are held strongly until they end; none ends by garbage collection.
"""

import atexit
import sys
from collections import deque
from collections.abc import Callable

from greenlet import GreenletExit, getcurrent, greenlet

from gopoll._original import ThreadLocal, allocate_lock, get_ident, main_thread, monotonic
from gopoll._typing import TYPE_CHECKING, Any
from gopoll.runtime import lifetime, turn
from gopoll.runtime.goroutine import Goroutine, Roster, Site, work
from gopoll.runtime.guard import Guard, interrupts_gopoll
from gopoll.runtime.join import join, wake_joiners
from gopoll.runtime.panic import panicked
from gopoll.runtime.poller import new_poller
from gopoll.runtime.poller.base import Poller
from gopoll.runtime.poller.waker import Waker
from gopoll.runtime.timers import Timeline
from gopoll.runtime.waitq import Claimable, Waiter, on_thread_of, refuse

if TYPE_CHECKING:
    from random import Random

__all__ = ["Scheduler", "on_thread_of", "schedulers", "this"]

_FREE_WORKERS = 512
_yielding = Waiter(None)  # type: ignore[arg-type]  # of all who yield; nobody can claim it
_yielding.claimed = True


class Scheduler:
    """The goroutines of one OS thread."""

    __slots__ = (
        "current",
        "dead",
        "deep",
        "dice",
        "external",
        "forking",
        "free",
        "g0",
        "ghosts",
        "goroutines",
        "guard",
        "idlers",
        "inbox",
        "is_main_thread",
        "last_site",
        "main",
        "nap",
        "operations",
        "poller",
        "running",
        "runq",
        "shuffle",
        "sleeping",
        "thread",
        "timeline",
        "turn_end",
        "turn_start",
        "waker",
        "watchers",
    )

    def __init__(self, survivor: Goroutine[Any] | None = None) -> None:
        """Make the scheduler of the calling thread; in a forked child, around the survivor."""
        self.thread = get_ident()
        self.is_main_thread = survivor is not None or self.thread == main_thread().ident
        self.guard = Guard()  # of the joiners of this scheduler's goroutines
        self.timeline = Timeline(monotonic)
        self.runq: deque[Goroutine[Any]] = deque()
        self.inbox: deque[tuple[Callable[[Any], object], Any]] = deque()
        self.free: list[greenlet] = []
        self.poller: Poller | None = None  # appears with the first descriptor,
        self.waker: Waker | None = None  # and so does its waker; until then a nap may be enough
        self.nap = allocate_lock()
        self.nap.acquire()
        self.sleeping = self.dead = False
        self.running = False  # inside of run()
        self.last_site: Site | None = None  # where go() was called last
        self.external = 0  # goroutines parked on what only the outside can end
        self.forking = False  # by its current goroutine, at this very moment
        self.idlers: list[Waiter] = []  # who waits until there is nothing to do
        self.watchers: list[Callable[[], bool]] = []  # asked in each turn; True: they did something
        self.shuffle: Callable[[deque[Goroutine[Any]]], object] | None = None
        self.dice: Random | None = None  # of select, made at its first use
        self.ghosts: list[object] = []  # greenlets that must never run again nor be collected
        self.operations = 0  # left in this turn
        self.turn_start = self.turn_end = monotonic()
        self.main: Goroutine[Any] = survivor or Goroutine.blank(self, "main")
        self.main.greenlet = getcurrent()
        self.main.sched = self
        self.current: Goroutine[Any] | None = self.main
        self.goroutines = Roster(self.main)
        self.deep = 0  # how deep on the stack g0 was born, if too deep
        self.g0: greenlet
        lifetime.give_birth_to_g0(self)

    def __repr__(self) -> str:
        return f"<Scheduler of thread {self.thread}: {len(self.goroutines)} goroutines>"

    # -- waiting: called in a goroutine, on the scheduler's own thread ------------------------

    def park(self, waiter: Claimable, reason: str, me: greenlet | None = None) -> None:
        """Wait until somebody claims `waiter` and readies the goroutine: the parking primitive.

        The caller has put the waiter where it will be found. If this raises (an interrupt claimed
        it), the caller takes it out again; nothing was handed over then.
        """
        g = self.current
        if g is None or g.waiter is not None:  # a handler inside g0, or inside of this very park
            waiter.claim()
            refuse(reason)
        if g.pending is not None and waiter.claim():
            raise g.take_pending()
        g.waiter = waiter
        g.reason = reason
        g.since = self.turn_start
        # Not always the worker: a goroutine may use greenlets itself.
        g.greenlet = getcurrent() if me is None else me
        try:
            if g.on_switch is not None:
                g.on_switch(False)
            self._next().switch()
            if g.on_switch is not None:
                g.on_switch(True)
        except GreenletExit:
            raise
        except BaseException as exc:
            self._interrupted(g, exc)
        if g.thrown is not None:
            try:
                raise g.take_thrown()
            finally:
                del g

    def yield_turn(self) -> None:
        """Let the others run first, because an operation finds that the turn is over.

        Not in a handler that interrupted the runtime: nobody expects that it waits, and it goes on.
        """
        if not interrupts_gopoll(sys._getframe(1)) and not lifetime.ending[0]:
            self.give_way()

    def give_way(self) -> None:
        """Let the others run first, because the caller wants it."""
        g = self.current
        if g is None or g.waiter is not None or g.fn is not None or g.greenlet is None:
            return  # a handler inside of the scheduler, or a worker whose goroutine has ended
        idle = not self.runq and g.pending is None
        if self.forking or (idle and self.operations > 0 and monotonic() < self.turn_end):
            self.operations -= 1  # there is nobody else, and it is not yet time to look again
            return
        g.waiter, g.reason, g.greenlet = _yielding, "runnable", getcurrent()
        try:
            if g.on_switch is not None:
                g.on_switch(False)
            self.runq.append(g)
            self._next().switch()
            if g.on_switch is not None:
                g.on_switch(True)
        except GreenletExit:
            raise
        except BaseException as exc:
            g.waiter = None
            if self.current is g and self.runq and self.runq[-1] is g:
                del self.runq[-1]  # if `_next` had no room on the stack, what follows has none
            self._put_back(g)
            if g in self.runq:
                self.runq.remove(g)
            g.postpone(exc)
        if g.pending is not None:
            raise g.take_pending()

    def _next(self) -> greenlet:
        """Choose whom to switch to: the next goroutine while the turn lasts, else g0."""
        runq = self.runq
        if runq and self.operations > 0 and monotonic() < self.turn_end:
            if self.shuffle is not None:
                self.shuffle(runq)
            g = runq[0]
            target: greenlet | None = g.greenlet
            if target is None and self.free:
                target = self._bind(self.free.pop(), g)
            if target is not None:
                self.operations -= 1
                del runq[0]  # from here to the switch no call and no jump: nobody can interrupt
                g.waiter = None
                self.current = g
                return target
        if self.deep and self.current is self.main:
            lifetime.seek_shallow_ground(self)
        self.current = None
        return self.g0

    def _interrupted(self, g: Goroutine[Any], exc: BaseException) -> None:
        """Undo a park into which a foreign signal handler raised `exc`; nothing may be lost.

        If nobody has claimed the waiter the exception goes on at once; otherwise what was handed
        over comes first, and the exception is raised at the next park.
        """
        self._put_back(g)
        waiter = g.waiter
        if waiter is not None:
            if waiter.claim():
                g.waiter = None
                raise exc
            g.carry(False)
            self._next().switch()  # the one who claimed it readies us: that must be used up
            g.carry(True)
        g.postpone(exc)

    def _put_back(self, g: Goroutine[Any] | None) -> None:
        """Return a goroutine that was chosen to run, but not yet switched to, to the queue."""
        chosen = self.current
        self.current = g
        if chosen is not None and chosen is not g and chosen not in self.runq:
            if chosen.greenlet is not None and chosen.greenlet.dead:  # torn while it was buried
                self.finish(chosen)
            elif chosen.greenlet is not None or chosen.fn is not None:  # it is not done
                self.runq.appendleft(chosen)
        if g is not None:
            g.carry(True)

    # -- waking ------------------------------------------------------------------------------

    def ready(self, g: Goroutine[Any]) -> None:
        """Make `g` runnable; on the scheduler's own thread, by whoever claimed its waiter."""
        self.runq.append(g)
        if self.sleeping:  # a signal handler inside the poll, which goes on after it
            self.ring()

    def post(self, fn: Callable[[Any], object], arg: Any) -> None:
        """Have ``fn(arg)`` called on the scheduler's thread, soon; from any thread or handler."""
        self.inbox.append((fn, arg))
        if self.sleeping:
            self.ring()

    def ring(self) -> None:
        """End the present or the next sleep."""
        waker = self.waker  # its thread may end, and close it, at any moment
        if waker is not None:
            waker.wake()
        else:
            try:
                self.nap.release()
            except RuntimeError:  # it is free already: somebody else rang
                return

    def interrupt(self, g: Goroutine[Any], exc: BaseException) -> None:
        """Raise `exc` in `g`: out of the wait it is in, or else at its next one."""
        waiter = g.waiter
        if waiter is not None and waiter.claim():
            g.thrown = exc
            self.ready(g)
        else:
            g.postpone(exc)
        if g.on_switch is not None:
            g.on_switch.crosses(exc)

    # -- births and deaths -------------------------------------------------------------------

    def start(self, g: Goroutine[Any]) -> None:
        """Take in a new goroutine and make it runnable."""
        self.goroutines.add(g)
        self.ready(g)

    def finish(self, g: Goroutine[Any]) -> None:
        """Bury `g`, whose function has ended: tell those who joined it, report its exception."""
        if g is self.main:  # of a forked child: a main goroutine on a worker's stack
            lifetime.end_of_child(g)
        g.carry(False)
        g.greenlet = None  # it is dead from here: before the look at the joiners
        self.goroutines.strike(g)
        watched = g.joiners is not None and wake_joiners(g)
        if g.error is not None and not watched:
            if isinstance(g.error, (KeyboardInterrupt, SystemExit)):
                self.interrupt(self.main, g.error)  # they mean the program, wherever raised
            else:
                panicked(g, g.error)

    def retire(self) -> bool:
        """Give back the calling worker, whose goroutine is dead; True once it is bound again."""
        worker = getcurrent()
        worker.gr_context = None
        if len(self.free) >= _FREE_WORKERS or self.dead or self.deep:
            self.current = None
            return False
        self.current = None  # a handler that comes now finds nobody whom it could stop
        self.free.append(worker)
        target = self._next()
        if target is not worker:
            target.switch()
        return True

    def _bind(self, worker: greenlet, g: Goroutine[Any]) -> greenlet:
        """Make `worker` the body of `g`."""
        g.greenlet = worker
        worker.gr_context = g.context
        g.context = None
        return worker

    def join(self, g: Goroutine[Any], timeout: float | None, *, wants_error: bool) -> None:
        """Wait in the goroutine that calls, of whatever scheduler, for the end of `g`, of ours."""
        join(g, this.sched.current, timeout, wants_error=wants_error)

    def need_poller(self) -> Poller:
        """Return the poller; it appears at the first need, with its waker."""
        if self.poller is None:
            poller = new_poller()
            if self.sleeping:  # a signal handler inside the nap: the next sleep is in the poller
                self.ring()
            self.waker = Waker(poller)
            if self.is_main_thread:
                self.waker.hear_signals()
            self.poller = poller
        return self.poller

    # -- g0 ----------------------------------------------------------------------------------

    def loop(self) -> None:
        """The body of g0."""
        self.main.greenlet.switch()  # entered once, while the stack is shallow
        failure: BaseException | None = None
        while True:  # twice: in a storm of signals the next one strikes on the way round
            try:
                while True:
                    try:
                        if failure is not None:
                            turn.resynchronise(self, failure)
                            failure = None
                        self._schedule()
                    except GreenletExit:  # the thread ends
                        return
                    except BaseException as exc:  # a foreign signal handler raised in here
                        failure = exc
            except GreenletExit:
                return
            except BaseException as exc:
                failure = exc

    def _schedule(self) -> None:
        runq = self.runq
        while True:
            if not runq or self.operations <= 0 or monotonic() >= self.turn_end:
                turn.begin(self)
            if self.shuffle is not None:
                self.shuffle(runq)
            g = runq[0]
            if g.greenlet is None:
                self._bind(self.free.pop() if self.free else greenlet(work, self.g0), g)
            self.operations -= 1
            del runq[0]  # from here to the switch no call and no jump: nobody can interrupt
            g.waiter = None
            self.current = g
            g.greenlet.switch(self)  # `work` wants it at its first entry; others ignore it


class _This(ThreadLocal):
    """What belongs to the calling OS thread: its scheduler, made at the first look."""

    def __init__(self) -> None:
        known = schedulers.get(get_ident())
        if known is not None:  # the thread is ending, and its storage is gone already
            self.sched = known
            return
        self.sched = Scheduler()
        schedulers[self.sched.thread] = self.sched
        if not self.sched.is_main_thread:
            self.last_will = lifetime.LastWill(self.sched, schedulers)


schedulers: dict[int, Scheduler] = {}  # by thread, for reports and for forks
this = _This()
atexit.register(lifetime.freeze_other_threads, schedulers)
