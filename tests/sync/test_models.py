"""Semaphore and RWMutex against plain models: any operations, in any order of running.

Each goroutine tells the model what it is about to do, and does it: nobody comes between. So after
each step the model knows who must have been let in by now, whatever order the seed has chosen.
"""

from collections import deque

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

import gopoll
from gopoll import go, testing
from gopoll.errors import GoExit
from gopoll.runtime.sched import this
from gopoll.sync import RWMutex, Semaphore
from tests.support.model import must_do_what_the_model_says
from tests.support.parking import end

HISTORIES, STEPS = 60, 25


class Machine(RuleBasedStateMachine):
    """Bursts of operations. `model` has `waiting` and `let_in`, both lists of goroutines."""

    def __init__(self):
        super().__init__()
        self.chance = this.sched.shuffle, this.sched.dice
        self.entered = []  # goroutines that the real one has let in
        self.everybody = []

    def burst(self, operations, seed):
        with testing.seeded(seed):
            self.everybody += [go(self.perform, *operation) for operation in operations]
            testing.wait_idle()

    @rule(numbers=st.lists(st.integers(0, 20), min_size=1, max_size=3), seed=st.integers(0, 99))
    def interrupt(self, numbers, seed):
        """End some of the waits, in the same instant."""
        waiting = self.model.waiting if hasattr(self, "model") else []
        ended = {waiting[number % len(waiting)] for number in numbers if waiting}
        with testing.seeded(seed):
            for g in sorted(ended, key=lambda g: g.id):
                this.sched.interrupt(g, GoExit())
            testing.wait_idle()
        if ended:
            self.model.leave(ended)

    @invariant()
    def both_agree(self):
        if hasattr(self, "model"):
            testing.wait_idle()
            assert sorted(g.id for g in self.entered) == sorted(g.id for g in self.model.let_in)
            for g in self.everybody:
                assert g.done is (g not in self.model.waiting)

    def teardown(self):
        end(*self.everybody)
        this.sched.shuffle, this.sched.dice = self.chance


# -- Semaphore -----------------------------------------------------------------------------------


class SemaphoreModel:
    def __init__(self, size):
        self.size, self.taken = size, 0
        self.queue, self.never, self.let_in = deque(), [], []

    @property
    def waiting(self):
        return [g for g, _ in self.queue] + self.never

    def acquire(self, g, n):
        if n > self.size:
            self.never.append(g)
        else:
            self.queue.append((g, n))
            self.serve()

    def serve(self):
        while self.queue and self.queue[0][1] <= self.size - self.taken:
            g, n = self.queue.popleft()
            self.taken += n
            self.let_in.append(g)

    def leave(self, ended):
        self.queue = deque(item for item in self.queue if item[0] not in ended)
        self.never = [g for g in self.never if g not in ended]
        self.serve()


class Semaphores(Machine):
    @initialize(size=st.integers(0, 4))
    def make(self, size):
        self.real, self.model = Semaphore(size), SemaphoreModel(size)

    operations = st.tuples(st.sampled_from(["acquire", "try", "release"]), st.integers(0, 5))

    @rule(operations=st.lists(operations, min_size=1, max_size=6), seed=st.integers(0, 99))
    def some(self, operations, seed):
        self.burst(operations, seed)

    def perform(self, what, n):
        g, real, model = gopoll.current(), self.real, self.model
        if what == "acquire":
            model.acquire(g, n)
            real.acquire(n)
            self.entered.append(g)
        elif what == "try":
            fits = not model.queue and n <= model.size - model.taken
            assert real.try_acquire(n) is fits
            model.taken += n * fits
        else:
            n = min(n, model.taken)
            model.taken -= n
            model.serve()
            real.release(n)

    @invariant()
    def the_weights_agree(self):
        if hasattr(self, "model"):
            assert f"{self.model.taken}/{self.model.size}" in repr(self.real)


def test_a_semaphore_does_what_the_model_says():
    must_do_what_the_model_says(Semaphores, histories=HISTORIES, steps=STEPS)


# -- RWMutex -------------------------------------------------------------------------------------


class RWModel:
    def __init__(self):
        self.readers, self.writing = 0, False
        self.readers_waiting, self.writers_waiting, self.let_in = deque(), deque(), []

    @property
    def waiting(self):
        return [*self.readers_waiting, *self.writers_waiting]

    @property
    def open_to_readers(self):
        return not self.writing and not self.writers_waiting

    @property
    def open_to_writers(self):
        return self.open_to_readers and not self.readers

    def read(self, g):
        if self.open_to_readers:
            self.readers += 1
            self.let_in.append(g)
        else:
            self.readers_waiting.append(g)

    def write(self, g):
        if self.open_to_writers:
            self.writing = True
            self.let_in.append(g)
        else:
            self.writers_waiting.append(g)

    def all_readers(self):
        self.readers += len(self.readers_waiting)
        self.let_in += self.readers_waiting
        self.readers_waiting.clear()

    def one_writer(self):
        if self.writers_waiting:
            self.writing = True
            self.let_in.append(self.writers_waiting.popleft())

    def stop_reading(self):
        self.readers -= 1
        if not self.readers:
            self.one_writer()

    def stop_writing(self):
        self.writing = False
        if self.readers_waiting:
            self.all_readers()
        else:
            self.one_writer()

    def leave(self, ended):
        self.readers_waiting = deque(g for g in self.readers_waiting if g not in ended)
        self.writers_waiting = deque(g for g in self.writers_waiting if g not in ended)
        if self.open_to_readers:
            self.all_readers()


class RWMutexes(Machine):
    @initialize()
    def make(self):
        self.real, self.model = RWMutex(), RWModel()

    operations = st.sampled_from(["read", "write", "try to read", "try to write", "stop", "stop"])

    @rule(operations=st.lists(operations, min_size=1, max_size=6), seed=st.integers(0, 99))
    def some(self, operations, seed):
        self.burst([(what,) for what in operations], seed)

    def perform(self, what):
        g, real, model = gopoll.current(), self.real, self.model
        if what == "read":
            model.read(g)
            real.rlock()
            self.entered.append(g)
        elif what == "write":
            model.write(g)
            real.lock()
            self.entered.append(g)
        elif what == "try to read":
            may = model.open_to_readers
            assert real.try_rlock() is may
            model.readers += may
        elif what == "try to write":
            may = model.open_to_writers
            assert real.try_lock() is may
            model.writing = model.writing or may
        elif model.writing:
            model.stop_writing()
            real.unlock()
        elif model.readers:
            model.stop_reading()
            real.runlock()

    @invariant()
    def the_states_agree(self):
        if hasattr(self, "model"):
            model = self.model
            state = "write-locked" if model.writing else f"{model.readers} readers"
            assert state in repr(self.real)


def test_an_rwmutex_does_what_the_model_says():
    must_do_what_the_model_says(RWMutexes, histories=HISTORIES, steps=STEPS)
