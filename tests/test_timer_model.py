"""Timers and tickers against a plain model: any order of operations, every event accounted for."""

import weakref
from contextlib import ExitStack

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from gopoll import default, go, select, testing, time
from tests.support.model import must_do_what_the_model_says
from tests.support.parking import end

TIMERS, TICKER, CALL = (0, 1), 2, 3
CHANNELS = (*TIMERS, TICKER)
# Added to each duration, so that no two are ever due at once: a select would have the choice.
# Binary fractions: the sums are exact.
ODDS = [1 / 2**20, 1001 / 2**20, 2003 / 2**20, 3011 / 2**20]

which_one = st.integers(0, CALL)
which_channel = st.sampled_from(CHANNELS)
how_long = st.integers(1, 9)


class Model:
    """When something is due, how often, and who waits for it."""

    def __init__(self, when, period=None):
        self.when = when
        self.period = period
        self.waiters = []

    def take(self, now):
        """The time that can be received now, or None."""
        if self.when is None or self.when > now:
            return None
        taken = self.when
        if self.period is None:
            self.when = None
        else:
            while self.when <= now:
                self.when += self.period
        return taken


class Timers(RuleBasedStateMachine):
    """Two timers, a ticker and a call, on a clock that is moved by hand."""

    @initialize(seed=st.integers(0, 3))
    def make(self, seed):
        self.stack = ExitStack()
        self.stack.enter_context(testing.seeded(seed))
        self.clock = self.stack.enter_context(testing.fake_clock(0.0))
        self.now = 0.0
        self.called = []
        self.expected_calls = []
        self.forgotten = []  # calls whose timer nobody has any more: they come nevertheless
        self.expected = {}  # goroutine: what it receives
        self.selecting = {}  # goroutine: the channels among which it chooses
        self.real = [None] * 4
        self.model = [None] * 4
        for which in range(4):
            self.arm(which, 5)

    def arm(self, which, seconds):
        """Put a new one in the place."""
        seconds += ODDS[which]
        self.model[which] = Model(self.now + seconds, seconds if which == TICKER else None)
        if which == CALL:
            self.real[which] = time.after_func(seconds, self.call)
        else:
            self.real[which] = (time.Ticker if which == TICKER else time.Timer)(seconds)

    def call(self):
        self.called.append(time.now())

    @rule(which=which_one, seconds=how_long)
    def reset(self, which, seconds):
        model = self.model[which]
        was_active = model.when is not None
        got = self.real[which].reset(seconds + ODDS[which])
        assert got is (None if which == TICKER else was_active)
        model.when = self.now + seconds + ODDS[which]
        if which == TICKER:
            model.period = seconds + ODDS[which]

    @rule(which=which_one)
    def stop(self, which):
        model = self.model[which]
        got = self.real[which].stop()
        assert got is (None if which == TICKER else model.when is not None)
        model.when = None

    @rule(seconds=st.integers(0, 20))
    def advance(self, seconds):
        """Time passes; those who wait, and calls, get theirs in order."""
        self.clock.advance(seconds)
        until = self.now + seconds
        while True:
            due = [m for m in self.model if m.when is not None and m.waiters]
            due += [m for m in (self.model[CALL], *self.forgotten) if m.when is not None]
            due = [m for m in due if m.when <= until]
            if not due:
                break
            first = min(due, key=lambda m: m.when)
            self.now = max(self.now, first.when)
            taken = first.take(self.now)
            if first in self.model[:CALL]:
                self.serve(first, taken)
            else:
                self.expected_calls.append(taken)
        self.now = until

    def serve(self, model, taken):
        g = model.waiters[0]
        cases = self.selecting.pop(g, None)
        which = self.model.index(model)
        self.expected[g] = taken if cases is None else (cases.index(which), (taken, True))
        self.leave(g)

    def leave(self, g):
        for model in self.model:
            model.waiters = [other for other in model.waiters if other is not g]

    @rule(which=which_channel)
    def try_recv(self, which):
        taken = self.model[which].take(self.now)
        assert self.real[which].c.try_recv() == (taken, taken is not None)

    @rule(which=which_channel)
    def recv(self, which):
        g = go(self.real[which].c.recv)
        testing.wait_idle()
        taken = self.model[which].take(self.now)
        if taken is None:
            self.model[which].waiters.append(g)
        else:
            self.expected[g] = taken

    @rule(cases=st.permutations(CHANNELS), count=st.integers(2, 3))
    def receive_by_select(self, cases, count):
        cases = cases[:count]
        g = go(select, *(self.real[which].c.recv_ok for which in cases))
        testing.wait_idle()
        ready = [w for w in cases if self.model[w].when is not None]
        ready = [w for w in ready if self.model[w].when <= self.now]
        if not ready:
            self.selecting[g] = cases
            for which in cases:
                self.model[which].waiters.append(g)
            return
        index, answer = g.result()
        assert cases[index] in ready
        assert answer == (self.model[cases[index]].take(self.now), True)

    @rule(which=which_channel)
    def select_with_default(self, which):
        taken = self.model[which].take(self.now)
        got = select(self.real[which].c.recv, default)
        assert got == ((1, None) if taken is None else (0, taken))

    @precondition(lambda self: any(model.waiters for model in self.model))
    @rule(number=st.integers(0))
    def interrupt(self, number):
        """End a goroutine that waits; the others keep their places."""
        waiting = [g for model in self.model for g in model.waiters]
        g = waiting[number % len(waiting)]
        end(g)
        self.selecting.pop(g, None)
        self.leave(g)

    @rule(which=which_one, seconds=how_long)
    def forget(self, which, seconds):
        """Drop the last reference: a channel that nobody waits on is gone, a call comes."""
        if which == CALL:
            self.forgotten.append(self.model[which])
        elif self.model[which].waiters:
            return
        else:
            gone = weakref.ref(self.real[which].c)
            self.real[which] = None
            assert gone() is None
        self.arm(which, seconds)

    @invariant()
    def both_agree(self):
        if not hasattr(self, "model"):
            return
        testing.wait_idle()
        for g, wanted in self.expected.items():
            assert g.result() == wanted
        self.expected.clear()
        assert self.called == self.expected_calls
        for real, model in zip(self.real[:CALL], self.model[:CALL], strict=True):
            assert [waiter.g for waiter in real.c._waiting] == model.waiters
            assert not any(g.done for g in model.waiters)
        calls = [self.model[CALL], *self.forgotten]
        in_heap = sum(len(m.waiters) for m in self.model if m.when is not None)
        assert len(self.clock) == in_heap + sum(m.when is not None for m in calls)

    def teardown(self):
        if hasattr(self, "model"):
            end(*{g for model in self.model for g in model.waiters})
            self.real[CALL].stop()
            self.stack.close()


def test_timers_do_what_the_model_says():
    must_do_what_the_model_says(Timers, histories=80, steps=40)
