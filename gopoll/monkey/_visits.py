"""Handlers run in the main goroutine: at once where that may be, else by a visit to it.

CPython runs a handler in the main thread, between two bytecodes of whatever it finds there. On
goroutines that may be another goroutine, or gopoll's own code. So what a signal calls for is *owed*
first, and done where the main thread would do it, on main's own stack:

    =====================  ====================  ==============================================
    a signal comes while   in                    then
    =====================  ====================  ==============================================
    main runs              its own code          it is done there, and raises there
    another one runs       its own code          main is visited; the other one gives way
    any, or none           gopoll's code; or     nothing is torn: it is done a moment later, in
                           another one an        the next own code, as above, or by a visit
                           import, or `_BRIEF`
    =====================  ====================  ==============================================

**A visit** is made to a main that waits, or waits for its turn. Main is resumed, but what it waits
for has not happened: the scheduler's hook for what is kept per thread, `on_switch`, runs the
handlers, which may wait in turn. What they raise ends the wait, as `park` has it; or, if what was
waited for has come meanwhile, is raised as soon as main is back in its own code.

    ========  ==========================================  =======================================
    stage     main                                        leaves it by
    ========  ==========================================  =======================================
    called    is about to be resumed                      it is: running
    running   runs the handlers, or waits inside of them  they have ended, and its own wait, too:
                                                          over; that has not: resting
    resting   waits on                                    another signal: running; its wait has
                                                          ended: over
    ========  ==========================================  =======================================

A `Hinted` wait is over when the visit begins, and repeated after it: so a handler gets the lock, or
the data, for which main waits, and not main, which could not make use of it.

A visited main begins a new turn, and so does one in which a handler raises. Else it might have to
give way before it has made use of that, to one who computes for ever: nobody pokes him any more.

Visits nest, for a handler may wait and be visited. Each entry of main in the run queue must be used
up by the wait that it was for: those that come in a wait further in are counted as `spare`.
"""

import sys
from types import FrameType
from typing import Any, Final

from greenlet import GreenletExit

from gopoll._original import errno
from gopoll.fd import FD
from gopoll.monkey._owed import do, is_due, late, poke, poke_later
from gopoll.monkey._wait import Hinted
from gopoll.monkey._waited import begin_turn
from gopoll.runtime import fork
from gopoll.runtime.goroutine import Carrier, Goroutine
from gopoll.runtime.guard import imports, in_user_code
from gopoll.runtime.netpoll import Slot
from gopoll.runtime.poller.base import READ
from gopoll.runtime.sched import Scheduler, this
from gopoll.runtime.waitq import Claimable

__all__ = ["attend"]

_DEADLOCK: Final = (
    "a signal handler cannot use a descriptor while main waits for it in the same way"
)
# They hold a lock for a moment, which main may need to come out of its wait.
_BRIEF: Final = frozenset(
    ("concurrent.futures._base", "concurrent.futures.thread", "logging", "queue", "threading")
)
_CALLED, _RUNNING, _RESTING = "called", "running", "resting"


def attend(frame: FrameType | None) -> None:
    """See to it that what is owed is done: now, if `frame`, which is interrupted, allows that."""
    sched = this.sched
    if _visits.gathers or not is_due(sched.main):
        return
    g = sched.current
    if g is not None and g.in_call and in_user_code(frame):
        if g is sched.main:
            do(_program(frame))
            return
        if not imports(frame) and not _is_brief(frame):
            _visits.gather()
            _visits.call(sched)
            sched.operations = 0  # by way of g0: main may be in its inbox
            sched.give_way()
            if is_due(sched.main):  # who claimed main's waiter has not readied main yet
                poke_later(sched.main)
            return
    sched.inbox.append((_visits.call, sched))
    sched.ring()
    if g is not None:  # else g0 looks into its inbox next
        if g is not sched.main:
            sched.operations = 0
        poke_later(sched.main)


class _Visit:
    """A run of handlers in main, out of one of its waits."""

    __slots__ = (
        "inner",
        "orphan",
        "pushed",
        "reason",
        "retried",
        "since",
        "stage",
        "thrown",
        "waiter",
    )

    def __init__(self, main: Goroutine[Any]) -> None:
        self.stage = _CALLED
        self.waiter = main.waiter
        self.reason = main.reason
        self.since = main.since
        self.pushed = False  # we have put main into the run queue
        self.inner: Claimable | None = None  # what a handler waits for
        self.thrown: BaseException | None = None  # what `waiter` was ended with, meanwhile
        self.retried: Hinted | None = None  # `waiter`, if its wait is over, and will be repeated
        self.orphan = False  # in a forked child, where the poller knows of no wait


class _Visits:
    """The visits to main, the innermost last; and the hook of main while there are any."""

    __slots__ = ("_base", "_spare", "_stack", "gathers")

    def __init__(self) -> None:
        self._stack: list[_Visit] = []
        self._base: Carrier | None = None  # the hook that main has else
        self._spare = 0
        self.gathers = False  # whoever attends to a signal does not do more than note it

    def gather(self) -> None:
        """Let what has come at the same time as the signal that is attended to be owed, too.

        Python would call the other handlers after this one: once the one it interrupts is back.
        """
        self.gathers = True
        try:
            poke()
        finally:
            self.gathers = False

    def call(self, sched: Scheduler) -> None:
        """Have main, which does not run, do what is due as soon as it can."""
        main = sched.main
        if sched.current is main or main.done or not is_due(main):
            return
        visit = self._stack[-1] if self._stack else None
        if visit is None or visit.stage == _RUNNING:
            visit = _Visit(main)
            if not self._stack:
                self._base = main.on_switch
                main.on_switch = self
            self._stack.append(visit)
        # Who has claimed a waiter readies main without our help.
        if not visit.pushed and _is_open(visit.waiter, main):
            visit.pushed = True
            sched.runq.appendleft(main)

    def __call__(self, resumes: bool) -> None:
        """Hear that main leaves its stack, or that it is back."""
        main = this.sched.main
        visit = self._stack[-1]
        if visit.stage == _CALLED and resumes:
            self._run(main, visit)
        elif visit.stage == _CALLED:  # it came back by a way that we do not hear of
            self._leave(main)
            this.sched.inbox.append((self.call, this.sched))
            if main.on_switch is not None:
                main.on_switch(False)
        elif not resumes:
            self._keep_thrown(main, None)
            self._check(main)
            visit.inner = main.waiter
            self._switched(False)
        else:
            self._is_back(main, visit)

    def crosses(self, exc: BaseException) -> None:
        """Hear what is raised in main; as if there were no visit."""
        if self._base is not None:
            self._base.crosses(exc)

    def block(self) -> Any:
        """Say whose block begins in main; as if there were no visit."""
        return None if self._base is None else self._base.block()

    def _is_back(self, main: Goroutine[Any], visit: _Visit) -> None:
        """Let main go on inside of a handler only if that is what it was resumed for."""
        inner = visit.inner if main.waiter is None else None  # else it is resumed by no switch
        self._keep_thrown(main, inner)
        while _is_open(inner, main):
            self._spare += 1
            if self._sleep(main, visit, inner, main.reason):
                return
            self._keep_thrown(main, inner)
        self._switched(True)

    def _run(self, main: Goroutine[Any], visit: _Visit) -> None:
        """Make a visit; returns once the wait that it interrupted has ended."""
        self._switched(True)
        pushed = False
        try:
            while True:
                pushed, visit.pushed = visit.pushed, False
                visit.stage = _RUNNING
                if not pushed and _is_open(visit.waiter, main):
                    self._spare += 1
                begin_turn(main.sched)
                if isinstance(visit.waiter, Hinted) and visit.waiter.claim():
                    visit.retried = visit.waiter
                do(_program(sys._getframe()))
                if visit.retried is not None:
                    visit.retried.ok, visit.retried.value = True, None
                    return
                if not _is_open(visit.waiter, main):
                    if pushed:
                        pushed = False
                        self._use_up(main, visit)
                    return
                if visit.orphan and isinstance(visit.waiter, Slot):
                    raise InterruptedError(errno.EINTR, "a signal handler has forked this process")
                visit.stage = _RESTING
                self._switched(False)
                self._sleep(main, visit, visit.waiter, visit.reason)
                self._switched(True)
        except GreenletExit:
            raise
        except BaseException as exc:
            if visit.retried is not None:
                visit.retried.claimed = False
            if _is_open(visit.waiter, main):
                main.waiter = visit.waiter  # park() claims it, and raises this
                raise
            late.append(exc)  # first of all: nobody who runs before main may hold it up
            main.postpone(exc)
            poke_later(main)
            if pushed:
                self._use_up(main, visit)
        finally:
            main.since = visit.since
            main.reason = visit.reason
            if visit.thrown is not None:
                main.thrown = visit.thrown
            self._leave(main)

    def _leave(self, main: Goroutine[Any]) -> None:
        self._stack.pop()
        if not self._stack:
            main.on_switch, self._base = self._base, None
            self._spare = 0

    def survive(self, sched: Scheduler) -> None:
        """In a forked child: go on if it was a handler that forked, else there is no visit."""
        if sched.main.on_switch is self:
            self._spare = 0
            for visit in self._stack:
                visit.orphan = True
        else:
            self._stack.clear()
            self._base = None

    def _switched(self, resumes: bool) -> None:
        if self._base is not None:
            self._base(resumes)

    def _sleep(
        self, main: Goroutine[Any], visit: _Visit, waiter: Claimable | None, reason: str
    ) -> bool:
        """Let the others run until main is resumed; True if it was for a visit, which is over."""
        main.waiter = waiter
        main.reason = reason
        main.sched._next().switch()
        if self._stack[-1] is not visit:
            self._run(main, self._stack[-1])
            return True
        return False

    def _use_up(self, main: Goroutine[Any], visit: _Visit) -> None:
        """Take away that whoever claimed the waiter readied main; wait until he has, if need be."""
        if self._spare:
            self._spare -= 1
            return
        runq = main.sched.runq
        if main in runq:
            runq.remove(main)
            return
        self._switched(False)
        if not self._sleep(main, visit, visit.waiter, visit.reason):
            self._switched(True)

    def _check(self, main: Goroutine[Any]) -> None:
        """Refuse a wait of a handler for main itself, which uses the same side of a descriptor."""
        for visit in self._stack if main.reason == "fd wait" else ():
            slot = visit.waiter
            fd = slot.desc.owner if isinstance(slot, Slot) else None
            if isinstance(fd, FD) and isinstance(slot, Slot):
                waiter = (fd.reader if slot.mode == READ else fd.writer).queue.first
                while waiter is not None:
                    if waiter is main.waiter:
                        raise RuntimeError(_DEADLOCK)
                    waiter = waiter.next

    def _keep_thrown(self, main: Goroutine[Any], inner: Claimable | None) -> None:
        """Keep what a wait further out was ended with, until its visit is over."""
        if main.thrown is None:
            return
        if inner is not None and not _is_open(inner, main) and main.reason != "runnable":
            return  # it is what the inner wait was ended with
        for visit in reversed(self._stack):
            if not _is_open(visit.waiter, main) and visit.thrown is None:
                visit.thrown, main.thrown = main.thrown, None
                return


def _is_open(waiter: Claimable | None, main: Goroutine[Any]) -> bool:
    """Whether nobody has ended the wait for `waiter`."""
    if isinstance(waiter, Slot):
        return waiter.state is main
    return waiter is not None and not waiter.claimed  # type: ignore[attr-defined]


def _is_brief(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_globals.get("__name__") in _BRIEF


def _program(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame that is not gopoll's."""
    while frame is not None and frame.f_globals.get("__name__", "").startswith("gopoll."):
        frame = frame.f_back
    return frame


_visits: Final = _Visits()

fork.in_child(lambda: _visits.survive(this.sched))
