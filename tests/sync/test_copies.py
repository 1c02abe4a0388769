"""What must be shared is never copied."""

import copy
import pickle

import pytest

from gopoll.sync import (
    Cond,
    Mutex,
    Once,
    Pool,
    RWMutex,
    Semaphore,
    SingleFlight,
    WaitGroup,
)

MADE = {
    "Cond": lambda: Cond(Mutex()),
    "Mutex": Mutex,
    "Once": Once,
    "Pool": lambda: Pool(int),
    "RWMutex": RWMutex,
    "ReadLocker": lambda: RWMutex().reading,
    "Semaphore": lambda: Semaphore(1),
    "SingleFlight": SingleFlight,
    "WaitGroup": WaitGroup,
}


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("name", MADE)
def test_a_copy_is_refused(name, how):
    """TestCondCopy, for all of them."""
    with pytest.raises(RuntimeError, match=rf"^sync\.{name} is copied"):
        how(MADE[name]())


def test_a_copy_of_what_contains_one_is_refused():
    class Account:
        def __init__(self):
            self.mu = Mutex()

    with pytest.raises(RuntimeError, match=r"sync\.Mutex is copied"):
        copy.deepcopy(Account())
    account = Account()
    assert copy.copy(account).mu is account.mu  # shared, and that is right


@pytest.mark.parametrize("name", MADE)
def test_each_may_be_referred_to_weakly_and_tells_what_it_is(name):
    assert repr(MADE[name]()).startswith(("<" + name, "<reading of <RWMutex"))
