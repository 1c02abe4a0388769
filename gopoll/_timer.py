"""What is behind the timers of `gopoll.time`: a time at which something is due, once or again.

`when` is that time, and the whole state; whoever takes or changes it by an exchange has won:

    ========  =======================  ==============  =====================================
    when      stop()                   reset()         the time has come
    ========  =======================  ==============  =====================================
    a time    True; None from now on   True; another   taken: by a receiver or for the call;
                                                       None from now on, or the next tick
    None      False                    False; a time   it never does
    ========  =======================  ==============  =====================================

A `TimerChan` sends nothing by itself. It is as Go's since 1.23: a receiver finds that the time has
come, and takes it; only while somebody waits there is a timer in a heap, one for each who waits, on
a timeline of the waiter's own thread. So nothing but its users keeps it alive, what is not received
does not pile up, to arm and to stop one costs next to nothing, and after a stop there is nothing
left to receive. A `Call` is in the heap as long as it is armed, and made by the thread that armed
it first.

The timers in the heaps are only hints. One that surfaces too early looks at `when`, and waits on.
"""

from collections import deque
from math import inf

from gopoll._original import get_ident
from gopoll._typing import Any
from gopoll.chan import BLOCKED, Chan
from gopoll.runtime.bubble import bubble_of, bubbles
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.guard import Guard
from gopoll.runtime.sched import on_thread_of, this
from gopoll.runtime.timers import Timeline, Timer, check_seconds
from gopoll.runtime.waitq import Waiter, WaitQueue, refuse, resume

__all__ = ["Call", "TimerChan", "check_duration", "check_period"]


def check_duration(value: float, what: str) -> float:
    """Return `value` as a number of seconds from now, zero if it is negative."""
    if type(value) is float and value >= 0.0:  # as nearly all are
        return value
    check_seconds(value, what)
    if value is None:
        msg = f"{what}: a duration is a number of seconds, got None"
        raise TypeError(msg)
    try:
        return max(0.0, float(value))
    except OverflowError:  # an integer beyond every float
        return inf if value > 0 else 0.0


def check_period(value: float, what: str) -> float:
    """Return `value` as a number of seconds from one tick to the next."""
    period = check_duration(value, what)
    if period == 0.0:
        msg = f"non-positive interval for {what}: {value!r}"
        raise ValueError(msg)
    return period


_EMPTY: deque[Any] = deque(maxlen=0)  # shared by all: those who wait are in `_waiting`
_NOBODY = WaitQueue()


class TimerChan(Chan[float]):
    """A channel from which the time can be received once it has come; nobody else sends."""

    __slots__ = ("_changes", "_home", "_now", "_period", "_waiting", "when")

    def __init__(self, seconds: float, period: float = 0.0) -> None:
        """Be due in `seconds`, and every `period` after that if it is not zero."""
        Guard.__init__(self)  # and not the channel's, which is twice as dear, for two queues
        self.cap = 0
        self.closed = False
        self._buffer = _EMPTY
        self._receivers = self._senders = _NOBODY
        sched = this.sched
        g = sched.current
        self.bubble = bubble_of(g) if bubbles[0] else None
        timeline = (sched if g is None else g).timeline
        # A clock of its own, under a test for one, belongs to a thread. The real one has each.
        self._home = None if timeline is sched.timeline else (sched, timeline)
        self._now = timeline.now
        self._period = period
        self._changes = 0  # stops and resets
        self._waiting: dict[Waiter, Timer | None] = {}  # in the order of their coming
        self.when: float | None = self._now() + seconds

    def stop(self) -> bool:
        """Not be due any more; False if it was not."""
        return self._change(None)

    def reset(self, seconds: float, period: float = 0.0) -> bool:
        """Be due in `seconds` instead, as at first; tell whether it was due."""
        return self._change(self._now() + seconds, period)

    def _change(self, when: float | None, period: float = 0.0) -> bool:
        self.latch.acquire()  # and not `enter`: a handler may change it in the middle of anything
        self._changes += 1
        self._period = period
        was, self.when = self.when, when
        self.latch.release()
        for waiter in list(self._waiting) if self._waiting else ():
            if not waiter.g.sched.dead:
                waiter.g.sched.post(self._settle_there, waiter)
        return was is not None

    def recv_ok(self) -> tuple[float | None, bool]:
        """Wait until the time has come; return it, and True."""
        sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
        self.enter()
        try:
            taken = self.take()
            if taken is BLOCKED:
                waiter = Waiter(sched.current or refuse("chan receive"))
                self.queue(waiter, sends=False)
        finally:
            self.leave()
        if taken is not BLOCKED:
            return taken[0], True
        try:
            reason = "chan receive"
            sched.park(waiter, reason if self.bubble is None else self._durable(reason))
        finally:
            self.latch.acquire()
            self.unqueue(waiter, sends=False)
            self.latch.release()
        return waiter.value, waiter.ok

    def send(self, value: float) -> None:
        """Refuse: only time sends."""
        self.put(value)

    def put(self, value: float) -> Any:  # noqa: ARG002 - nobody gets it
        """Refuse: only time sends."""
        msg = "send to the channel of a timer, which is receive-only"
        raise TypeError(msg)

    def close(self) -> None:
        """Refuse: it belongs to the timer."""
        msg = "close of the channel of a timer, which is receive-only"
        raise TypeError(msg)

    # -- all of this inside the guard ----------------------------------------------------------

    def take(self) -> Any:
        """Take the time if it has come, otherwise as a channel's."""
        when, period = self.when, self._period
        if when is None or (now := self._now()) < when:
            return BLOCKED
        then = when + period * (1 + (now - when) // period) if period else None
        # In the middle of this a handler may have changed it: an exchange, as in Waiter.claim.
        won, self.when = self.when is when, then if self.when is when else self.when
        return (when, True, None) if won else BLOCKED

    def put_back(self, value: float) -> None:
        """Nothing: the time has come, and whoever was told is gone."""

    def queue(self, waiter: Waiter, *, sends: bool) -> None:  # noqa: ARG002 - nobody does
        """Let `waiter` wait here for the time to come."""
        self._waiting[waiter] = None
        if self._home is None or self._home[0] is waiter.g.sched:
            self._settle(waiter)
        else:  # by way of our own inbox: inside the guard no other thread is woken
            waiter.g.sched.post(self._settle_there, waiter)

    def unqueue(self, waiter: Waiter, *, sends: bool) -> None:  # noqa: ARG002
        """Take `waiter` out if it still waits here."""
        timer = self._waiting.pop(waiter, None)
        if timer is None:
            return
        if self._home is None or self._home[0] is waiter.g.sched:
            self._timeline_of(waiter).cancel(timer)
        else:
            waiter.g.sched.post(self._cancel_there, timer)

    # -- on the waiter's own thread ------------------------------------------------------------

    def _settle_there(self, waiter: Waiter) -> None:
        on_thread_of(self._home[0] if self._home else waiter.g.sched, self._settle, waiter)

    def _cancel_there(self, timer: Timer) -> None:
        assert self._home is not None
        on_thread_of(self._home[0], self._home[1].cancel, timer)

    # -- on the thread of the timeline: the waiter's too, but for a clock of a test's --------

    def _settle(self, waiter: Waiter) -> None:
        """Let the timer of `waiter`, if it still waits, be one that comes in time."""
        timeline = self._timeline_of(waiter)
        self.latch.acquire()
        while waiter in self._waiting:
            when, timer = self.when, self._waiting[waiter]
            if timer is None and when is not None:
                self._waiting[waiter] = timeline.add(when, self._fire, waiter)
            elif timer is not None and (when is None or when < timer.when):
                self._waiting[waiter] = None
                timeline.cancel(timer)
            else:
                break
        self.latch.release()

    def _fire(self, waiter: Waiter) -> None:
        """Hand the time, if it has come, to the first who waits."""
        self.enter()
        try:
            changes = self._changes
            taken = self.take()
            served = None
            if taken is not BLOCKED:
                served = next((each for each in self._waiting if each.claim()), None)
                if served is not None:
                    served.value, served.ok, _ = taken
                elif self._changes == changes:
                    self.when = taken[0]  # put it back: all of them are on their way out
                    return
            if served is not waiter and waiter in self._waiting:
                self._waiting[waiter] = None
                self._settle(waiter)
        finally:
            self.leave()
        if served is not None:
            resume(served.g)

    def _timeline_of(self, waiter: Waiter) -> Timeline:
        return waiter.g.sched.timeline if self._home is None else self._home[1]


class Call:
    """A call that is due: a goroutine of its own each time, and each time in a fresh context."""

    __slots__ = ("_model", "_timer", "when")

    def __init__(self, seconds: float, model: Goroutine[Any]) -> None:
        """Start a goroutine like `model`, which itself never starts, in `seconds`."""
        self._model = model
        self._timer: Timer | None = None
        timeline = model.timeline
        self.when: float | None = timeline.now() + seconds
        if model.sched.sleeping:
            self._follow()
        else:  # it is the calling thread's, and nobody else knows of this yet
            self._timer = timeline.add(self.when, self._fire)

    def stop(self) -> bool:
        """Not be due any more; False if it was not."""
        was, self.when = self.when, None
        if was is not None:
            self._follow()
        return was is not None

    def reset(self, seconds: float) -> bool:
        """Be due in `seconds` instead; tell whether it was due."""
        when = self._model.timeline.now() + seconds
        was, self.when = self.when, when
        self._follow()
        return was is not None

    def _follow(self) -> None:
        """Settle, on the thread whose goroutine it will be."""
        sched = self._model.sched
        if sched.thread == get_ident() and not sched.sleeping:  # else a handler ended its sleep
            self._settle()
        elif not sched.dead:
            sched.post(self._settle, None)

    def _settle(self, _: object = None) -> None:
        """Let the timer be one that comes in time."""
        timeline = self._model.timeline
        while True:
            when, timer = self.when, self._timer
            if timer is None and when is not None:
                self._timer = timeline.add(when, self._fire)
            elif timer is not None and (when is None or when < timer.when):
                self._timer = None
                timeline.cancel(timer)
            else:
                break

    def _fire(self, _: object) -> None:
        self._timer = None
        when = self.when
        if when is None or self._model.timeline.now() < when:
            self._settle()
            return
        won, self.when = self.when is when, None if self.when is when else self.when
        if won:
            self._start()
        else:
            self._settle()

    def _start(self) -> None:
        g = self._model.twin()
        g.sched.start(g)
