"""Channels and select against a plain model: any order of operations, every value accounted for."""

from collections import deque
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from gopoll import Chan, ChannelClosed, default, go, select, testing
from gopoll.runtime.sched import this
from tests.support.model import must_do_what_the_model_says
from tests.support.parking import end, outcome


class Model:
    """What Go's specification says of one channel, with waiters by name."""

    def __init__(self, cap):
        self.cap = cap
        self.buffer = deque()
        self.senders = deque()  # (goroutine, value)
        self.receivers = deque()
        self.closed = False

    def send(self, value):
        """Return what happens: an error, a receiver that gets it, or True for "buffered"."""
        if self.closed:
            return "closed"
        if self.receivers:
            return self.receivers.popleft()
        if len(self.buffer) < self.cap:
            self.buffer.append(value)
            return True
        return None

    def recv(self):
        """Return (value, ok, sender that goes on), or None."""
        if self.buffer:
            value, sender = self.buffer.popleft(), None
            if self.senders:
                sender, waiting = self.senders.popleft()
                self.buffer.append(waiting)
            return value, True, sender
        if self.senders:
            sender, value = self.senders.popleft()
            return value, True, sender
        if self.closed:
            return None, False, None
        return None


class Channels(RuleBasedStateMachine):
    """Two channels; goroutines that send, receive and select on them."""

    def __init__(self):
        super().__init__()
        # The choices of select decide who waits, and so which steps are possible: a history must
        # be the same each time it is replayed.
        self.chance = this.sched.shuffle, this.sched.dice
        this.sched.shuffle, this.sched.dice = None, Random(0)

    @initialize(caps=st.tuples(st.integers(0, 2), st.integers(0, 2)))
    def make(self, caps):
        self.real = [Chan(cap) for cap in caps]
        self.model = [Model(cap) for cap in caps]
        self.expected = {}  # goroutine: its outcome
        self.selecting = {}  # goroutine: its cases
        self.sent = 0

    def value(self):
        self.sent += 1
        return self.sent

    def woken(self, receiver, index, value, ok):
        """A waiting receiver is served on channel `index`; a select among them leaves the other."""
        cases = self.selecting.pop(receiver, None)
        if cases is None:
            self.expected[receiver] = (value, ok)
            return
        self.expected[receiver] = (cases.index(index), (value, ok))
        for model in self.model:
            model.receivers = deque(g for g in model.receivers if g is not receiver)

    @rule(which=st.integers(0, 1))
    def send(self, which):
        value, model = self.value(), self.model[which]
        g = go(outcome, self.real[which].send, value)
        testing.wait_idle()
        happened = model.send(value)
        if happened is None:
            model.senders.append((g, value))
        elif happened == "closed":
            assert isinstance(g.result(), ChannelClosed)
        else:
            self.expected[g] = None
            if happened is not True:
                self.woken(happened, which, value, ok=True)

    @rule(which=st.integers(0, 1))
    def recv(self, which):
        g = go(self.real[which].recv_ok)
        testing.wait_idle()
        happened = self.model[which].recv()
        if happened is None:
            self.model[which].receivers.append(g)
            return
        value, ok, sender = happened
        self.expected[g] = (value, ok)
        if sender is not None:
            self.expected[sender] = None

    @rule(which=st.integers(0, 1))
    def try_send(self, which):
        value = self.value()
        happened = self.model[which].send(value)
        got = outcome(self.real[which].try_send, value)
        if happened == "closed":
            assert isinstance(got, ChannelClosed)
        else:
            assert got is (happened is not None)
            if happened not in {True, None}:
                self.woken(happened, which, value, ok=True)

    @rule(which=st.integers(0, 1))
    def try_recv(self, which):
        happened = self.model[which].recv()
        got = outcome(self.real[which].try_recv)
        if happened is None:
            assert got == (None, False)
        elif not happened[1]:
            assert isinstance(got, ChannelClosed)
        else:
            assert got == happened[:2]
            if happened[2] is not None:
                self.expected[happened[2]] = None

    @rule(order=st.sampled_from([(0,), (1,), (0, 1), (1, 0), (0, 0), (0, 1, 1)]))
    def receive_by_select(self, order):
        ready = [which for which in order if self.can_receive(which)]
        g = go(select, *(self.real[which].recv_ok for which in order))
        testing.wait_idle()
        if not ready:
            self.selecting[g] = list(order)
            for which in set(order):
                self.model[which].receivers.append(g)
            return
        index, answer = g.result()
        assert order[index] in ready
        value, ok, sender = self.model[order[index]].recv()
        assert answer == (value, ok)
        if sender is not None:
            self.expected[sender] = None

    @rule(which=st.integers(0, 1))
    def send_by_select_with_default(self, which):
        value = self.value()
        happened = self.model[which].send(value)
        got = outcome(select, (self.real[which].send, value), default)
        if happened == "closed":
            assert isinstance(got, ChannelClosed)
        else:
            assert got == (0 if happened is not None else 1, None)
            if happened not in {True, None}:
                self.woken(happened, which, value, ok=True)

    @rule(which=st.integers(0, 1))
    def close(self, which):
        model = self.model[which]
        if model.closed:
            assert isinstance(outcome(self.real[which].close), ChannelClosed)
            return
        self.real[which].close()
        model.closed = True
        while model.receivers:
            self.woken(model.receivers.popleft(), which, None, ok=False)
        while model.senders:
            self.expected[model.senders.popleft()[0]] = ChannelClosed

    @precondition(lambda self: any(model.senders or model.receivers for model in self.model))
    @rule(number=st.integers(0))
    def interrupt(self, number):
        """End a goroutine that waits: its value goes with it, the others keep their places."""
        waiting = [g for model in self.model for g in (*dict(model.senders), *model.receivers)]
        g = waiting[number % len(waiting)]
        end(g)
        self.selecting.pop(g, None)
        for model in self.model:
            model.senders = deque(item for item in model.senders if item[0] is not g)
            model.receivers = deque(item for item in model.receivers if item is not g)

    def can_receive(self, which):
        model = self.model[which]
        return bool(model.buffer or model.senders or model.closed)

    @invariant()
    def both_agree(self):
        if not hasattr(self, "real"):
            return
        testing.wait_idle()
        for g, wanted in self.expected.items():
            got = g.result()
            if wanted is ChannelClosed:
                assert isinstance(got, ChannelClosed)
            elif isinstance(got, tuple) and isinstance(wanted, tuple) and isinstance(got[1], tuple):
                assert got[1] == wanted[1]  # a channel named twice may be served for either case
            else:
                assert got == wanted
        self.expected.clear()
        for real, model in zip(self.real, self.model, strict=True):
            assert list(real._buffer) == list(model.buffer)
            assert (real._senders.first is None) is (not model.senders)
            assert (real._receivers.first is None) is (not model.receivers)

    def teardown(self):
        if hasattr(self, "model"):
            for model in self.model:
                end(*dict(model.senders), *model.receivers)
        this.sched.shuffle, this.sched.dice = self.chance


def test_channels_do_what_the_model_says():
    """Each history ends with nobody waiting unexpectedly and nothing lost."""
    must_do_what_the_model_says(Channels, histories=60, steps=30)
