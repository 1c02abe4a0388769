"""Locks and kin, with Go's semantics: for goroutines of any thread, and for plain threads too.

`Mutex` and `RWMutex` protect data, `Cond` waits until they have changed, `WaitGroup` waits for many
goroutines, `Once`, `once_func` and `once_value` do something one time, `Pool` keeps what can be
used again, `Semaphore` bounds how much goes on at a time, `SingleFlight` lets those who ask for the
same thing in the same moment share one answer.

None of them takes a timeout: ``with gopoll.timeout(seconds):`` around a wait sets one. A wait that
ends so has taken nothing, and what was handed over in the same instant is kept. What Go calls
misuse raises RuntimeError with Go's text, and leaves the primitive as it was. None may be copied.

**In a forked child** only the goroutine that forked goes on. What a goroutine held by name that is
no more, a locked `Mutex`, a write-locked `RWMutex`, the one run of a `Once` or of a `SingleFlight`,
is free there. What is counted and nobody's by name stays counted: read locks, the weight taken from
a `Semaphore`, the tasks of a `WaitGroup`.

**In a signal handler or a finalizer** what need not wait (unlock, done, release, signal, put, the
``try_`` forms) may be used, even if the very same primitive is being changed underneath: then it
happens a moment later. What would have to wait there raises RuntimeError.
"""

from gopoll.sync.cond import Cond
from gopoll.sync.mutex import Locker, Mutex
from gopoll.sync.once import Once, once_func, once_value
from gopoll.sync.pool import Pool
from gopoll.sync.rwmutex import ReadLocker, RWMutex
from gopoll.sync.semaphore import Semaphore
from gopoll.sync.singleflight import Result, SingleFlight
from gopoll.sync.waitgroup import WaitGroup

__all__ = [
    "Cond",
    "Locker",
    "Mutex",
    "Once",
    "Pool",
    "RWMutex",
    "ReadLocker",
    "Result",
    "Semaphore",
    "SingleFlight",
    "WaitGroup",
    "once_func",
    "once_value",
]
