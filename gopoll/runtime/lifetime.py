"""How a scheduler begins and ends: g0's birth on shallow ground, the end of its goroutines.

**Birth.** A greenlet inherits the recursion depth of whoever first switches into it, for ever, and
g0 hands it on to every goroutine. In the main thread g0 is born at import. In another thread it is
born at the first use of gopoll, however deep that is; then it is born again as soon as the thread's
own goroutine parks on shallower ground.

**End.** When `run()` returns, or a thread ends, its other goroutines end as by ``goexit()``: their
``finally`` blocks run, within `_GRACE` seconds. Those that refuse are reported and kept, never to
run again; nothing ends by garbage collection. When the main thread ends without `run()` nobody
waits for the rest, as in Go. Those that stand for threads (`outliving`) end as threads do.
"""

import sys
from types import FrameType

from greenlet import GreenletExit, getcurrent, greenlet

from gopoll._original import allocate_lock, fork_exit, get_ident, monotonic
from gopoll._typing import TYPE_CHECKING, Any
from gopoll.errors import GoExit
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.panic import flush_output, report
from gopoll.runtime.timers import Timeline
from gopoll.runtime.traceback import format_goroutines

if TYPE_CHECKING:
    from gopoll.runtime.sched import Scheduler

__all__ = [
    "LastWill",
    "close",
    "end_of_child",
    "ending",
    "give_birth_to_g0",
    "outliving",
    "seek_shallow_ground",
    "shut_down",
]

# Those that go on when `run()` ends, as threads do; and whether the OS thread waits for them then.
outliving: dict[Goroutine[Any], bool] = {}
ending = [False]  # whether Python ends: greenlets will switch for a while only
_GRACE = 1.0
_SHALLOW = 60  # frames; an import statement or a test runner is not deeper


def give_birth_to_g0(sched: "Scheduler") -> None:
    """Make g0 and enter it once, here."""
    sched.deep = _depth(sys._getframe())
    if sched.deep <= _SHALLOW:
        sched.deep = 0
    sched.g0 = greenlet(sched.loop, parent=getcurrent())
    sched.g0.switch()


def seek_shallow_ground(sched: "Scheduler") -> None:
    """Replace a g0 that was born deep, if the stack is much shallower now."""
    if _depth(sys._getframe()) > sched.deep // 2:
        return
    old = sched.g0
    sched.free.clear()  # they inherited the depth; those in use keep it until they end
    give_birth_to_g0(sched)
    for g in sched.goroutines:
        if g is not sched.main and g.greenlet is not None:
            g.greenlet.parent = sched.g0
    old.parent = getcurrent()
    old.throw(GreenletExit)


def _depth(frame: FrameType | None) -> int:
    depth = 0
    while frame is not None:
        frame = frame.f_back
        depth += 1
    return depth


def shut_down(sched: "Scheduler", timeline: Timeline | None = None) -> None:
    """End every goroutine but the calling one, or those of `timeline`, as by ``goexit()``.

    Those that refuse are reported. What interrupts the caller meanwhile is raised in the end: the
    time to wait is short.
    """
    caller = sched.current

    def the_others() -> list[Goroutine[Any]]:
        mine = (g for g in sched.goroutines if timeline is None or g.timeline is timeline)
        return [g for g in mine if g is not caller and (timeline is not None or g not in outliving)]

    told: set[Goroutine[Any]] = set()
    give_up = monotonic() + _GRACE
    interruption: BaseException | None = None
    try:
        while others := the_others():
            for g in others:
                if g not in told:
                    told.add(g)
                    _tell_to_end(sched, g)
            for g in others:
                try:
                    g.join(max(0.0, give_up - monotonic()))
                except TimeoutError:
                    raise
                except BaseException as exc:
                    interruption = interruption or exc
    except TimeoutError:
        refused = the_others()
        text = format_goroutines(refused)
        sys.stderr.write(f"gopoll: {len(refused)} goroutines refused to end:\n\n{text}")
    finally:
        for g in the_others():
            forget(sched, g)
    if interruption is not None:
        raise interruption


def _tell_to_end(sched: "Scheduler", g: Goroutine[Any]) -> None:
    if g.greenlet is not None:
        sched.interrupt(g, GoExit())
        return
    g.fn = g.value = None  # it never ran, and never will
    sched.runq.remove(g)
    sched.finish(g)


def forget(sched: "Scheduler", g: Goroutine[Any]) -> None:
    """Make sure that `g` never runs again, and that nobody can hand anything to it."""
    if g.waiter is not None:
        g.waiter.claim()
    while g in sched.runq:
        sched.runq.remove(g)
    sched.ghosts.append(g.greenlet)
    g.greenlet = g.fn = g.value = None
    sched.goroutines.strike(g)


def end_of_child(g: Goroutine[Any]) -> None:
    """End the process, whose main goroutine `g` has ended on a worker's stack."""
    status = 0
    error = g.error
    if isinstance(error, SystemExit):
        code = error.code
        if isinstance(code, int):
            status = code
        elif code is not None:
            sys.stderr.write(f"{code}\n")
            status = 1
    elif error is not None:
        report(g, error)
        status = 1
    flush_output()
    fork_exit(status)


def close(sched: "Scheduler") -> None:
    """Give back a scheduler's own descriptors, and touch nothing that its poller watches."""
    poller, waker, sched.poller, sched.waker = sched.poller, sched.waker, None, None
    if poller is not None:
        poller.close()
    if waker is not None:
        waker.close()


class LastWill:
    """Held by a thread's local storage only, so that its end is the end of the thread."""

    __slots__ = ("registry", "sched")

    def __init__(self, sched: "Scheduler", registry: dict[int, "Scheduler"]) -> None:
        self.sched = sched
        self.registry = registry

    def __del__(self) -> None:
        sched = self.sched
        if sched.dead or get_ident() != sched.thread:  # a fork clears the other threads' storage
            return
        _let_threads_end(sched)
        shut_down(sched)
        sched.main.life = None
        sched.dead = True
        while sched.inbox:  # a close that this thread has not heard of yet, for one
            fn, arg = sched.inbox.popleft()
            fn(arg)
        close(sched)
        self.registry.pop(sched.thread, None)
        if sched.ghosts:
            _ghosts.append(sched)
        else:
            _dissolve(sched)


def _let_threads_end(sched: "Scheduler") -> None:
    """Wait for those goroutines that are threads, as a program does; the others are to end."""
    while waited_for := [g for g in sched.goroutines if outliving.get(g)]:
        for g in waited_for:
            g.join()
    for g in sched.goroutines:
        outliving.pop(g, None)


def _dissolve(sched: "Scheduler") -> None:
    """End the greenlets of a thread that ends: the collector does not look into their frames."""
    for one in (*sched.free, sched.g0):
        one.parent = getcurrent()
        one.throw(GreenletExit)
    sched.free.clear()
    sched.main.greenlet = None


_ghosts: list["Scheduler"] = []  # of threads that ended; collecting them would run their code


def freeze_other_threads(registry: dict[int, "Scheduler"]) -> None:
    """Let no goroutine of another thread run while the interpreter is taken down.

    A thread that asks for the lock of a dying interpreter is ended by unwinding its C stack, and
    greenlet's frames do not survive that. One that sleeps for good never asks.
    """
    ending[0] = True
    told = []
    for sched in list(registry.values()):
        if sched.thread != get_ident():
            frozen = allocate_lock()
            frozen.acquire()
            sched.post(_freeze, frozen)
            told.append(frozen)
    for frozen in told:
        try:
            frozen.acquire(True, _FREEZE)
        except KeyboardInterrupt:  # the program does end; but it should not crash
            continue


def _freeze(frozen: Any) -> None:
    for_ever = allocate_lock()
    for_ever.acquire()
    frozen.release()
    for_ever.acquire()


_FREEZE = 0.1
