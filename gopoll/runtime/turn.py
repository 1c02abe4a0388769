"""A turn: what g0 does between two stretches of running goroutines.

It fires the timers, empties the inbox and asks the poller; if after that nobody can run, it sleeps
until somebody can, or finds that nobody ever will. A turn lasts `_OPERATIONS` operations and
switches, or `_SLICE` seconds, whichever ends first.

The order before a sleep matters: say that we sleep, look at the inbox once more, sleep. A producer
appends first and looks second, so one of the two sees the other.
"""

from gopoll._original import monotonic, sleep
from gopoll._typing import TYPE_CHECKING
from gopoll.errors import Deadlock
from gopoll.runtime import outside
from gopoll.runtime.poller.base import READ_WRITE
from gopoll.runtime.traceback import format_goroutines

if TYPE_CHECKING:
    from gopoll.runtime.sched import Scheduler

__all__ = ["begin", "resynchronise"]

_OPERATIONS = 256
_SLICE = 0.010
_LONGEST_NAP = 1_000_000.0
_RECHECK = 1.0  # how often to ask again whether the other threads, our last hope, have ended
_LOOK = 0.001  # from one look for a thread that is about to run to the next


def begin(sched: "Scheduler") -> None:
    """Look at everything that can make a goroutine runnable; sleep until something has."""
    runq = sched.runq
    asked = False  # the poller, by a sleep just now
    while True:
        sched.turn_start = monotonic()
        if sched.timeline.heap:
            sched.timeline.run_due()
        for _ in range(len(sched.inbox)):  # what they post in turn waits for the next round
            fn, arg = sched.inbox.popleft()
            fn(arg)
        if sched.watchers:
            moved = [watcher() for watcher in tuple(sched.watchers)]
            if any(moved) and not runq:
                if sched.poller is not None:
                    _harvest(sched, 0)
                continue
        if runq:
            if sched.poller is not None and not asked:
                _harvest(sched, 0)
            break
        if sched.idlers and _all_idle(sched):
            continue
        asked = _sleep(sched)
    sched.operations = _OPERATIONS
    sched.turn_end = monotonic() + _SLICE


def _sleep(sched: "Scheduler") -> bool:
    """Sleep until something may be runnable; return whether the poller was asked meanwhile."""
    due = sched.timeline.next_due()
    if due is not None:
        timeout: float | None = max(0.0, due - sched.timeline.now())
    elif sched.external or _outside_can_wake(sched):
        timeout = None
    else:
        timeout = _hopeless(sched)
    if sched.poller is None and sched.is_main_thread:
        try:  # a nap can be slept through signals
            sched.need_poller()
        except OSError:
            pass  # without descriptors it must do
    sched.sleeping = True
    try:
        if sched.inbox or sched.runq:
            return False
        if sched.poller is not None:
            _harvest(sched, timeout)
            return True
        sched.nap.acquire(True, -1 if timeout is None else min(timeout, _LONGEST_NAP))
        return False
    finally:
        sched.sleeping = False


def _harvest(sched: "Scheduler", timeout: float | None) -> None:
    assert sched.poller is not None
    for target, modes in sched.poller.poll(timeout):
        target.deliver(modes)


def _all_idle(sched: "Scheduler") -> bool:
    """Wake those who wait for idleness, unless a last look at the poller finds work."""
    if sched.poller is not None:
        _harvest(sched, 0)
    if not sched.runq and not sched.inbox:
        idlers = sched.idlers.copy()
        sched.idlers.clear()
        for waiter in idlers:
            if waiter.claim():
                sched.ready(waiter.g)
    return bool(sched.runq or sched.inbox)


def _outside_can_wake(sched: "Scheduler") -> bool:
    """Whether somebody waits for a descriptor; in a server the first one looked at does."""
    return any(g.waiter is not None and g.waiter.external for g in sched.goroutines)


def _hopeless(sched: "Scheduler") -> float | None:
    """Nothing here can wake anybody: tell main so, unless the outside still can.

    Returns how long to sleep.
    """
    if not sched.is_main_thread or outside.signal_handlers():
        return None  # the main thread lives, or a signal handler may wake somebody
    begun = monotonic()
    while not outside.other_threads() and monotonic() - begun < outside.unborn():
        if sched.inbox or sched.runq:
            break
        sleep(_LOOK)
    if sched.inbox or sched.runq:
        return 0.0
    if outside.other_threads():
        return _RECHECK
    what = "all goroutines are asleep - deadlock!"
    if sched.main.reason == "goexit":
        what = "no goroutines (main called goexit) - deadlock!"
    sched.interrupt(sched.main, Deadlock(f"{what}\n\n{format_goroutines(sched.goroutines)}"))
    return 0.0


def resynchronise(sched: "Scheduler", exc: BaseException) -> None:
    """Hand to main what a signal handler raised in g0, and mend what it tore.

    Edges that were harvested but not delivered are gone: every descriptor is taken for ready.
    """
    sched.sleeping = False
    sched._put_back(None)
    if sched.poller is not None:
        for target in sched.poller.targets():
            target.deliver(READ_WRITE)
    sched.interrupt(sched.main, exc)
