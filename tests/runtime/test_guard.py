"""The lock that its own thread may find taken."""

import threading

import pytest

import gopoll
from gopoll.runtime.guard import Guard
from tests.support.parking import in_thread


class Thing(Guard):
    def __repr__(self):
        return "<Thing>"


def test_enter_and_leave():
    guard = Thing()
    guard.enter()
    assert guard.busy
    guard.leave()
    assert not guard.busy
    in_thread(guard.enter)  # the lock is free for others


def test_the_same_thread_is_told_that_it_is_inside_already():
    guard = Thing()
    guard.enter()
    with pytest.raises(RuntimeError, match="interrupted this operation on <Thing>"):
        guard.enter()
    assert guard.busy  # the first one is still inside
    guard.leave()
    guard.enter()
    guard.leave()


def test_another_thread_waits_until_it_is_left():
    guard = Thing()
    seen = []

    def body():
        guard.enter()
        seen.append("inside")
        guard.leave()

    guard.enter()
    thread = threading.Thread(target=body)
    thread.start()
    seen.append("still mine")
    guard.leave()
    gopoll.offload(thread.join)
    assert seen == ["still mine", "inside"]


def test_a_lock_held_by_a_thread_that_is_gone_can_be_made_anew():
    """What a forked child does with the locks of threads that do not exist in it."""
    guard = Thing()
    in_thread(guard.enter)
    guard.renew_after_fork()
    guard.enter()
    assert guard.busy
    guard.leave()
