"""Time, as the calling goroutine sees it: seconds on a clock that never goes back.

Deadlines are times on this clock: ``conn.set_deadline(time.now() + 5)``. What waits for a time can
be received from: ``after(5)`` is a channel, for `select` as for ``recv()``. Such a channel seems
unbuffered, its length and capacity are 0, and it is only received from.

A timer belongs to the clock of the goroutine that makes it. It may be used from any OS thread.
"""

from collections.abc import Callable

from gopoll._timer import Call, TimerChan, check_duration, check_period
from gopoll._typing import ParamSpec
from gopoll.chan import Chan, nil_chan
from gopoll.runtime.proc import conceive, sleep
from gopoll.runtime.sched import this

__all__ = ["Ticker", "Timer", "after", "after_func", "now", "sleep", "tick"]

P = ParamSpec("P")


def now() -> float:
    """Return the time in seconds on the monotonic clock; mirrors the monotonic part of ``Now``.

    Under a fake clock (`gopoll.testing`) it is that clock's time.
    """
    sched = this.sched
    g = sched.current
    return (sched if g is None else g).timeline.now()


class Timer:
    """A single event, in `seconds` from now; mirrors ``time.Timer`` and ``NewTimer``.

    Its channel `c` then gives the time for which it was set, to one receiver. A timer that nobody
    refers to any more is gone; it need not be stopped for that.

    Raises:
        ValueError: `seconds` is not a number.
        TypeError: `seconds` is no number at all.
    """

    __slots__ = ("__weakref__", "_alarm", "c")

    c: Chan[float]
    _alarm: TimerChan | Call

    def __init__(self, seconds: float) -> None:
        self.c = self._alarm = TimerChan(check_duration(seconds, "Timer"))

    def __repr__(self) -> str:
        return f"<Timer {_state(self._alarm)}>"

    def stop(self) -> bool:
        """Prevent the event; False if it has happened, or was prevented before.

        The event of a channel happens when it is received. So if nobody has received it, and the
        timer is running, that is True, and nothing can be received afterwards. The event of
        `after_func` happens when the call gets its goroutine; for its end this does not wait.
        Mirrors ``Timer.Stop``.
        """
        return self._alarm.stop()

    def reset(self, seconds: float) -> bool:
        """Let the event happen in `seconds` from now; tell whether it was still to happen.

        What is received afterwards is the new event, never the old one. Mirrors ``Timer.Reset``.

        Raises:
            ValueError: `seconds` is not a number.
            TypeError: `seconds` is no number at all.
        """
        return self._alarm.reset(check_duration(seconds, "Timer.reset"))


class Ticker:
    """An event every `seconds`; mirrors ``time.Ticker`` and ``NewTicker``.

    Its channel `c` gives the time of each tick, to one receiver. A tick waits for its receiver; the
    ticks that come meanwhile are lost, and the next one is in step with all before. A ticker that
    nobody refers to any more is gone; it need not be stopped for that.

    Raises:
        ValueError: `seconds` is not positive.
        TypeError: `seconds` is no number at all.
    """

    __slots__ = ("__weakref__", "_alarm", "c")

    c: Chan[float]

    def __init__(self, seconds: float) -> None:
        period = check_period(seconds, "Ticker")
        self.c = self._alarm = TimerChan(period, period)

    def __repr__(self) -> str:
        return f"<Ticker {_state(self._alarm)}>"

    def stop(self) -> None:
        """Tick no more; nothing can be received afterwards. Mirrors ``Ticker.Stop``.

        The channel is not closed: who receives from it waits.
        """
        self._alarm.stop()

    def reset(self, seconds: float) -> None:
        """Tick every `seconds` from now on. Mirrors ``Ticker.Reset``.

        Raises:
            ValueError: `seconds` is not positive.
            TypeError: `seconds` is no number at all.
        """
        period = check_period(seconds, "Ticker.reset")
        self._alarm.reset(period, period)


def after(seconds: float) -> Chan[float]:
    """Return a channel that gives the time once `seconds` have passed. Mirrors ``time.After``.

    It costs no more than a timer that is stopped: a channel that nobody refers to is gone.

    Raises:
        ValueError: `seconds` is not a number.
        TypeError: `seconds` is no number at all.
    """
    return TimerChan(check_duration(seconds, "after"))


def tick(seconds: float) -> Chan[float]:
    """Return the channel of a `Ticker` that nobody can stop, for a loop over its ticks.

    Mirrors ``time.Tick``, except that a period that is none is an error, and no nil channel.

    Raises:
        ValueError: `seconds` is not positive.
        TypeError: `seconds` is no number at all.
    """
    period = check_period(seconds, "tick")
    return TimerChan(period, period)


def after_func(
    seconds: float, fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
) -> Timer:
    """Call ``fn(*args, **kwargs)`` in `seconds`, in a goroutine of its own; a `Timer` can stop it.

    It will be a goroutine of the calling thread, and sees the caller's context variables as they
    are now. ``reset()`` of the timer calls it later, or again. Its `c` is `nil_chan`. Mirrors
    ``time.AfterFunc``.

    Raises:
        ValueError: `seconds` is not a number.
        TypeError: `seconds` is no number at all, or `fn` cannot be called.
    """
    duration = check_duration(seconds, "after_func")
    timer = Timer.__new__(Timer)
    timer.c = nil_chan
    timer._alarm = Call(duration, conceive("after_func", fn, args, kwargs))
    return timer


def _state(alarm: TimerChan | Call) -> str:
    return "stopped" if alarm.when is None else f"due at {alarm.when:.6f}"
