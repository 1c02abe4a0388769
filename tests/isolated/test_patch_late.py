"""A patch that comes late: names, locks and objects that exist follow, or are named."""

import pytest

from tests.support.script import run_script

# A module that was imported before, with whatever may hold an original.
EARLY = """
import functools, queue, threading, time
from time import sleep
from time import sleep as real_sleep
def by_default(seconds, sleep=time.sleep): sleep(seconds)
def by_keyword(seconds, *, sleep=time.sleep): sleep(seconds)
class Task:
    nap = time.sleep
    doze = staticmethod(time.sleep)
    def run(self, seconds, _sleep=time.sleep): _sleep(seconds)
TABLE = {"sleep": time.sleep}
LIST = [print, time.sleep]
BOUND = functools.partial(time.sleep, 1)
TUPLE = (time.sleep,)
def make():
    hidden = time.sleep
    return lambda: hidden(0.01)
CLOSURE = make()
"""

PRELUDE = """
import sys, types
early = types.ModuleType("early")
sys.modules["early"] = early
exec(compile({early!r}, "early.py", "exec"), early.__dict__)
from gopoll import monkey
import warnings
warnings.simplefilter("ignore", monkey.PatchWarning)
"""


def run(code, *args, early=EARLY, **env):
    done = run_script(PRELUDE.format(early=early) + code, *args, **env)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "call",
    [
        "early.sleep(0.01)",
        "early.by_default(0.01)",
        "early.by_keyword(0.01)",
        "early.Task.nap(0.01)",
        "early.Task().nap(0.01)",
        "early.Task().doze(0.01)",
        "early.Task().run(0.01)",
        "early.TABLE['sleep'](0.01)",
        "early.LIST[1](0.01)",
    ],
)
def test_a_name_follows(call):
    """Somebody else runs while it sleeps."""
    code = f"""
monkey.patch_all()
import gopoll
gopoll.go(print, "another")
{call}
print("slept")
"""
    assert run(code) == ["another", "slept"]


def test_what_says_that_it_is_the_original_stays():
    code = """
monkey.patch_time()
print(early.real_sleep is monkey.original("time", "sleep"), early.sleep is early.real_sleep)
"""
    assert run(code) == ["True False"]


def test_what_cannot_follow_is_warned_of_and_reported():
    code = """
import io
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    monkey.patch_all()
for warning in caught:
    print(warning.category.__name__, warning.message)
report = monkey.report(io.StringIO())
for stale in report.stale:
    if stale.module == "early":
        print(stale.name, stale.place)
print("early was the first to import time.sleep" in str(report))
"""
    assert run(code) == [
        (
            "PatchWarning patched too late for early.BOUND['func'] (time.sleep), early.TUPLE[0] "
            "(time.sleep): what was imported before still blocks the thread"
        ),
        "early.BOUND time:sleep",
        "early.TUPLE time:sleep",
        "early.make.<locals>.<lambda> time:sleep",
        "True",
    ]


def test_everything_is_given_back():
    code = """
import time
monkey.patch_all()
early.Task.doze = print
monkey.restore()
print(early.sleep is time.sleep is early.real_sleep is early.TABLE["sleep"] is early.LIST[1])
print(early.by_default.__defaults__, early.by_keyword.__kwdefaults__["sleep"] is time.sleep)
print(early.Task.nap is time.sleep, early.Task.doze is print, early.Task.run.__defaults__)
"""
    sleep = "<built-in function sleep>"
    assert run(code) == ["True", f"({sleep},) True", f"True True ({sleep},)"]


def test_a_module_that_loads_itself_when_it_is_used_is_left_asleep():
    code = """
import importlib.util
spec = importlib.util.find_spec("colorsys")
lazy = importlib.util.LazyLoader(spec.loader)
spec.loader = lazy
module = importlib.util.module_from_spec(spec)
sys.modules["colorsys"] = module
lazy.exec_module(module)
monkey.patch_all()
monkey.report(open("/dev/null", "w"))
print("rgb_to_hsv" in object.__getattribute__(module, "__dict__"))
"""
    assert run(code, PYTHONWARNINGS="ignore") == ["False"]


LOCKS = """
import logging, queue, threading
class Slots:
    __slots__ = ("lock",)
    def __init__(self): self.lock = threading.Lock()
class Holder:
    shared = threading.Lock()
    def __init__(self): self.lock = threading.Lock()
lock, rlock, slots, holder = threading.Lock(), threading.RLock(), Slots(), Holder()
condition, event, semaphore = threading.Condition(), threading.Event(), threading.Semaphore()
jobs, simple, local = queue.Queue(), queue.SimpleQueue(), threading.local()
simple.put(1); simple.put(2)
local.name = "main"
listed = [threading.Lock()]
def make():
    inner = threading.Lock()
    return lambda: inner
closure = make()
"""


@pytest.mark.parametrize(
    "lock",
    [
        "early.lock",
        "early.slots.lock",
        "early.holder.lock",
        "early.Holder.shared",
        "early.listed[0]",
        "early.closure()",
        "logging._lock",
        "logging.lastResort.lock",
        "threading._active_limbo_lock",
        "early.condition",
    ],
)
def test_a_lock_that_exists_lets_the_others_run(lock):
    """Whoever waits for it is parked: otherwise nobody would ever release it."""
    code = f"""
import logging, threading
monkey.patch_all()
import gopoll
lock = {lock}
def hold():
    with lock:
        gopoll.gosched(); gopoll.gosched()
        print("held")
gopoll.go(hold)
gopoll.gosched()
with lock:
    print("mine")
"""
    assert run(code, early=LOCKS, timeout=20) == ["held", "mine"]


def test_objects_that_exist_keep_what_they_have():
    code = """
early.rlock.acquire(); early.rlock.acquire()
import threading
monkey.patch_all()
import gopoll
print(early.local.name, early.simple.get(), early.simple.get(), early.simple.empty())
gopoll.go(lambda: print(hasattr(early.local, "name"), early.rlock.acquire(False)))
gopoll.gosched()
early.rlock.release(); early.rlock.release()
gopoll.go(lambda: print(early.rlock.acquire(False)))
gopoll.gosched()
gopoll.go(early.jobs.put, "job")
print(early.jobs.get())
gopoll.go(early.event.set)
print(early.event.wait(), early.semaphore.acquire())
"""
    assert run(code, early=LOCKS) == [
        "main 1 2 True",
        "False False",
        "True",
        "job",
        "True True",
    ]


def test_a_lock_that_is_taken_stays_and_is_reported():
    code = """
import io
early.lock.acquire()
taken = early.lock
monkey.patch_all()
print(early.lock is taken)
print([stale.name for stale in monkey.report(io.StringIO()).stale if stale.module == "early"])
"""
    assert run(code, early=LOCKS) == ["True", "['early.lock']"]


def test_locks_stay_while_another_thread_may_use_them():
    code = """
import threading
before = early.lock
go_on = threading.Event()
threading.Thread(target=go_on.wait).start()
monkey.patch_all()
print(early.lock is before)
go_on.set()
"""
    assert run(code, early=LOCKS) == ["True"]


def test_a_class_that_was_derived_from_an_original_is_reported():
    early = "import threading\nclass Context(threading.local): pass\n"
    code = """
import io
monkey.patch_all()
report = monkey.report(io.StringIO())
print([stale[:] for stale in report.stale if stale.module == "early"])
print("early.Context  is a subclass of the original _thread._local" in str(report))
"""
    assert run(code, early=early) == [
        "[('early.Context', '_thread:_local', 'early', 'subclass')]",
        "True",
    ]


def test_directories_are_removed_as_safely_as_before():
    """`shutil` looks whether `os.open` is in a set of what takes a descriptor for a directory."""
    code = """
monkey.patch_all()
import os, shutil
print(os.open in os.supports_dir_fd, shutil.rmtree.avoids_symlink_attacks)
"""
    assert run(code) == ["True True"]


def test_a_lock_that_a_local_variable_holds_too_stays():
    """It would be two locks: one for who has the variable, and one for everybody else."""
    code = """
import threading
class Holder: pass
def main():
    lock, free = threading.Lock(), threading.Lock()
    early.holder, early.other = Holder(), Holder()
    early.holder.lock = lock
    early.other.lock, free = free, None
    before = early.holder.lock, id(early.other.lock)
    del before
    old = type(lock)
    monkey.patch_all()
    print(early.holder.lock is lock, isinstance(lock, old), isinstance(early.other.lock, old))
main()
"""
    assert run(code, early="") == ["True True False"]


def test_an_object_that_refuses_changes_has_its_lock_replaced_too():
    early = """
import dataclasses, threading
@dataclasses.dataclass(frozen=True)
class Frozen:
    lock: object
@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    lock: object
frozen, slotted = Frozen(threading.Lock()), Slotted(threading.Lock())
"""
    code = """
original_type = type(early.frozen.lock)
monkey.patch_all()
print(*(type(one.lock) is original_type for one in (early.frozen, early.slotted)))
"""
    assert run(code, early=early) == ["False False"]
