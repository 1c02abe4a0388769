"""A signal in the moment in which main's wait ends, while another thread computes for ever.

That one gives way for signals, and for nothing else. So what a handler raises must come out of main
whatever main's wait has come to, and main must have had the time to make use of it: once.
"""

import pytest

from tests.support.script import run_script

pytestmark = pytest.mark.network

PRELUDE = """
from gopoll import monkey
monkey.patch_all()
import concurrent.futures, gopoll, os, queue, select, signal, socket, sys, threading, time

class Raised(Exception): pass
me, kind, handled = os.getpid(), sys.argv[1], 0

def handler(signum, frame):
    global handled
    handled += 1
    if kind == "raises": raise Raised(handled)

signal.signal(signal.SIGUSR1, handler)
signal.signal(signal.SIGUSR2, handler)

def kick(): os.kill(me, signal.SIGUSR1)

def spin(seconds=9):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end: pass

def computes(*acts):
    '''Start a thread that does `acts` once main waits, and then computes until it is stopped.'''
    global stop
    stop = False
    def compute():
        gopoll.testing.wait_idle()
        for act in acts: act()
        while not stop: pass
    thread = threading.Thread(target=compute)
    thread.start()
    return thread
"""


def run(code, kind="raises"):
    done = run_script(PRELUDE + code, kind)
    assert done.stderr == ""
    return done.stdout.splitlines()


# Each leaves `wait`, what main does; `claim`, what ends that; `left`, whether it can be had yet.
WAITS = {
    "Lock.acquire": """
lock = threading.Lock(); lock.acquire()
wait, claim, left = lock.acquire, lock.release, lambda: lock.acquire(False)
""",
    "Lock.acquire with a timeout": """
lock = threading.Lock(); lock.acquire()
def wait(): return lock.acquire(timeout=9)
claim, left = lock.release, lambda: lock.acquire(False)
""",
    "RLock.acquire": """
lock, let, held = threading.RLock(), gopoll.Chan(1), gopoll.Chan()
def holds():
    with lock: held.send(1); let.recv()
threading.Thread(target=holds).start(); held.recv()
def claim(): let.send(1); gopoll.gosched()
wait, left = lock.acquire, lambda: lock.acquire(False)
""",
    "Event.wait": """
event = threading.Event()
wait, claim, left = event.wait, event.set, event.is_set
""",
    "Event.wait with a timeout": """
event = threading.Event()
def wait(): return event.wait(9)
claim, left = event.set, event.is_set
""",
    "Condition.wait": """
condition, told = threading.Condition(), []
def wait():
    with condition: return condition.wait()
def claim():
    with condition: condition.notify(); told.append(1)
def left(): return told
""",
    "Semaphore.acquire": """
semaphore = threading.Semaphore(0)
wait, claim, left = semaphore.acquire, semaphore.release, lambda: semaphore.acquire(False)
""",
    "Queue.get": """
items = queue.Queue()
wait, claim, left = items.get, lambda: items.put(1), lambda: items.get(False)
""",
    "Queue.put": """
items = queue.Queue(1); items.put(0)
def wait(): items.put(1); return True
claim, left = items.get, items.empty
""",
    "SimpleQueue.get": """
items = queue.SimpleQueue()
wait, claim, left = items.get, lambda: items.put(1), lambda: items.get(False)
""",
    "Thread.join": """
let = gopoll.Chan(1)
one = threading.Thread(target=let.recv); one.start()
def wait(): one.join(); return True
def claim(): let.send(1); gopoll.gosched()
def left(): return not one.is_alive()
""",
    "Future.result": """
future = concurrent.futures.Future()
wait, claim, left = future.result, lambda: future.set_result(1), future.done
""",
    "native wait": """
ch = gopoll.Chan()
def claim(): gopoll.go(ch.send, 1); gopoll.gosched()
wait, left = ch.recv, ch.recv
""",
}
# What ends these is found by g0 at the next turn.
LATER = {
    "sleep": """
def wait(): time.sleep(0.2); return True
def claim(): spin(0.3)
def left(): return True
""",
    "recv": """
a, b = socket.socketpair()
def wait(): return a.recv(1)
def claim(): b.send(b"x")
def left(): return select.select([a], [], [], 0)[0] and a.recv(1)
""",
    "Lock.acquire, released by another OS thread": """
lock = threading.Lock(); lock.acquire()
real = monkey.original("_thread", "start_new_thread")
released = monkey.original("_thread", "allocate_lock")(); released.acquire()
def claim(): real(lambda: (lock.release(), released.release()), ()); released.acquire()
wait, left = lock.acquire, lambda: lock.acquire(False)
""",
    "os.read": """
r, w = os.pipe()
def wait(): return os.read(r, 1)
def claim(): os.write(w, b"x")
def left(): return select.select([r], [], [], 0)[0] and os.read(r, 1)
""",
}

CLAIMED = """
got, raised = [], 0
def main():
    got.append(wait())
    if kind == "raises": spin()
thread = computes({acts})
try: main()
except Raised: raised += 1
stop = True
thread.join()
time.sleep(0)
print(raised, handled, bool(got.pop() if got else left()))
if "a" in globals(): a.close(); b.close()
"""


@pytest.mark.parametrize("acts", ["claim, kick", "kick, claim"])
@pytest.mark.parametrize("wait", {**WAITS, **LATER})
def test_the_exception_comes_out_and_what_came_is_kept(wait, acts):
    code = {**WAITS, **LATER}[wait] + CLAIMED.replace("{acts}", acts)
    assert run(code) == ["1 1 True"]


@pytest.mark.parametrize("wait", WAITS)
def test_main_goes_on_after_a_handler_that_returns(wait):
    code = WAITS[wait] + CLAIMED.replace("{acts}", "claim, kick")
    assert run(code, "returns") == ["0 1 True"]


# -- time to make use of it ------------------------------------------------------------------------

OPERATIONS = """
lock, ch = threading.Lock(), gopoll.Chan(1)
def with_locks():
    with lock: pass
def with_channels():
    ch.try_send(1)
    ch.try_recv()
operation = {operation}
def main():
    event = threading.Event()
    thread = computes(event.set, kick)
    try:
        try: event.wait()
        finally:
            for _ in range(50): operation()
        if kind == "raises": spin()
    except Raised: pass
    return thread
for count in range(40):
    for _ in range(count): operation()
    thread = main()
    stop = True
    thread.join()
print(handled)
"""


@pytest.mark.parametrize("kind", ["raises", "returns"])
@pytest.mark.parametrize("operation", ["with_locks", "with_channels"])
def test_main_does_not_give_way_at_once_however_much_was_done_before(operation, kind):
    assert run(OPERATIONS.replace("{operation}", operation), kind) == ["40"]


def test_main_does_not_give_way_at_once_after_a_while_in_gopolls_code():
    code = """
    class Slow(float):
        def __ge__(self, other):
            spin(0.02)
            return True
    event, lock, ch, raised = threading.Event(), threading.Lock(), gopoll.Chan(1), []
    lock.acquire()
    def main():
        event.wait()
        try: lock.acquire(timeout=Slow(9))
        finally: ch.send(1)
    thread = computes(event.set, kick)
    try: main()
    except Raised: raised.append(1)
    globals().update(stop=True)
    thread.join()
    print(raised)
    """
    assert run("if 1:\n" + code) == ["[1]"]


# -- who ends the wait is the handler itself -------------------------------------------------------

ITSELF = """
real = monkey.original("_thread", "start_new_thread")
ch = gopoll.Chan()
r, w = os.pipe()
def handler(*_):
    {act}
    raise Raised
signal.signal(signal.SIGUSR1, handler)
thread = computes(kick)
raised = []
def main():
    {wait}
    spin()
try: main()
except Raised: raised.append(1)
stop = True
thread.join()
print(raised)
"""


@pytest.mark.parametrize(
    ("wait", "act"),
    [
        ("ch.recv()", "ch.try_send(1)"),
        ("ch.recv()", "real(ch.try_send, (1,)); spin(0.02)"),  # in another OS thread
        ("time.sleep(0.2)", "spin(0.3)"),
        ("os.read(r, 1)", "os.write(w, b'x')"),
    ],
)
def test_a_handler_that_ends_the_wait_and_raises(wait, act):
    assert run(ITSELF.replace("{act}", act).replace("{wait}", wait)) == ["[1]"]


def test_whoever_is_interrupted_while_he_holds_the_lock_of_a_condition_keeps_it():
    code = """
    condition, raised = threading.Condition(threading.Lock()), []
    def main():
        with condition: condition.wait()
        spin()
    def tells():
        gopoll.testing.wait_idle()
        with condition:
            condition.notify()
            kick()
            print(condition._lock.locked())
    thread = threading.Thread(target=tells)
    thread.start()
    try: main()
    except Raised: raised.append(1)
    thread.join()
    print(raised, condition._lock.locked())
    """
    assert run("if 1:\n" + code) == ["True", "[1] False"]


# -- several ---------------------------------------------------------------------------------------

SEVERAL = """
both = [signal.SIGUSR1, signal.SIGALRM]
signal.signal(signal.SIGALRM, handler)
go = monkey.original("_thread", "allocate_lock")(); go.acquire()
def sends():
    go.acquire()
    for signum in both: os.kill(me, signum)  # the main thread cannot come in between
monkey.original("_thread", "start_new_thread")(sends, ())
event, raised = threading.Event(), set()
thread = computes({acts})
def note(act):
    try: act()
    except Raised as exc:
        while exc is not None:  # the second may come while this one is handled
            raised.add(exc.args[0])
            exc = exc.__context__
def main(): event.wait(); spin()
note(lambda: note(main) or spin())
while handled < 2: time.sleep(0)
stop = True
thread.join()
print(raised, handled)
"""


@pytest.mark.parametrize("acts", ["go.release", "event.set, go.release"])
def test_signals_that_come_at_once(acts):
    assert run(SEVERAL.replace("{acts}", acts)) == ["{1, 2} 2"]


def test_an_alarm_at_any_moment():
    code = """
    signal.signal(signal.SIGALRM, handler)
    def trial(count):
        items, got, raised = queue.Queue(), [], []
        def main():
            got.append(items.get())
            spin()
        alarm = lambda: signal.setitimer(signal.ITIMER_REAL, 5e-6 * (1 + count))
        thread = computes(alarm, lambda: items.put(count))
        try: main()
        except Raised: raised.append(1)
        globals().update(stop=True)
        thread.join()
        return raised, got or [items.get(False)]
    print(all(trial(count) == ([1], [count]) for count in range(40)), handled)
    """
    assert run("if 1:\n" + code) == ["True 40"]
