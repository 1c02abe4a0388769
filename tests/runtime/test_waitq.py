"""The queue of waiters, and the one claim of each."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gopoll
from gopoll.runtime.waitq import CaseWaiter, Waiter, WaitQueue


@pytest.fixture
def queue():
    return WaitQueue()


def waiters(n):
    g = gopoll.current()
    return [Waiter(g, i) for i in range(n)]


def test_one_wait_is_claimed_once():
    (waiter,) = waiters(1)
    assert [waiter.claim(), waiter.claim(), waiter.claim()] == [True, False, False]


def test_the_cases_of_a_select_share_one_claim():
    (shared,) = waiters(1)
    first, second = CaseWaiter(shared, "a"), CaseWaiter(shared, "b")
    assert [second.claim(), first.claim(), second.claim()] == [True, False, False]
    assert (first.claimed, second.claimed, shared.claimed) == (False, True, True)


def test_an_interrupted_select_leaves_no_case_to_claim():
    (shared,) = waiters(1)
    case = CaseWaiter(shared, None)
    assert shared.claim()
    assert not case.claim()
    assert not case.claimed


def test_first_come_first_served(queue):
    everybody = waiters(3)
    for waiter in everybody:
        queue.push(waiter)
    assert [queue.claim_first() for _ in range(4)] == [*everybody, None]
    assert queue.first is queue.last is None


def test_claimed_waiters_are_passed_over_and_dropped(queue):
    first, second, third = waiters(3)
    for waiter in (first, second, third):
        queue.push(waiter)
    first.claim()
    third.claim()
    assert queue.claim_first() is second
    assert queue.claim_first() is None
    assert queue.first is queue.last is None


def test_taking_out_what_is_not_there_changes_nothing(queue):
    inside, outside = waiters(2)
    queue.push(inside)
    queue.discard(outside)
    queue.discard(inside)
    queue.discard(inside)
    assert queue.first is queue.last is None


def test_a_waiter_taken_out_can_be_queued_again(queue):
    a, b = waiters(2)
    queue.push(a)
    queue.push(b)
    queue.discard(a)
    queue.push(a)
    assert [queue.claim_first(), queue.claim_first()] == [b, a]


def test_it_says_who_waits(queue):
    assert repr(queue) == "<WaitQueue empty>"
    (waiter,) = waiters(1)
    queue.push(waiter)
    assert "main" in repr(queue)
    assert repr(waiter).startswith("<Waiter open ")
    waiter.claim()
    assert repr(waiter).startswith("<Waiter claimed ")


@given(st.lists(st.tuples(st.sampled_from(["push", "discard", "claim", "serve"]), st.integers(0))))
def test_it_behaves_as_a_plain_queue(steps):
    """Against a deque: whatever is pushed, taken out, claimed elsewhere and served."""
    queue, model = WaitQueue(), deque()
    g = gopoll.current()
    for step, number in steps:
        if step == "push":
            waiter = Waiter(g)
            queue.push(waiter)
            model.append(waiter)
        elif step == "serve":
            while model and model[0].claimed:
                model.popleft()
            expected = model.popleft() if model else None
            assert queue.claim_first() is expected
        elif model:
            waiter = model[number % len(model)]
            if step == "discard":
                queue.discard(waiter)
                model.remove(waiter)
            else:
                waiter.claim()
        forward, waiter = [], queue.first
        while waiter is not None:
            forward.append(waiter)
            waiter = waiter.next
        backward, waiter = [], queue.last
        while waiter is not None:
            backward.append(waiter)
            waiter = waiter.prev
        assert forward == backward[::-1] == list(model)
