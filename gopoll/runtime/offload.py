"""Calls that truly block leave the scheduler's thread: worker OS threads, kept for a while.

A job goes straight to an idle worker, or to a new one, or, past `_MOST`, into the queue. Workers
are daemons: a program that ends does not wait for them. While a goroutine waits for one it is not
asleep for ever, so it is never part of a deadlock.
"""

from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial

from gopoll._original import allocate_lock, get_ident, start_new_thread, thread_count
from gopoll._typing import Any, ParamSpec, TypeVar
from gopoll.runtime import fork, outside
from gopoll.runtime.guard import Guard, calls_user_code
from gopoll.runtime.sched import schedulers, this
from gopoll.runtime.waitq import Waiter, refuse, resume

__all__ = ["offload"]

_MOST = 128  # threads
_AT_THE_END = "at interpreter shutdown"  # from Python 3.12 on; no flag tells it
_IDLE = 10.0  # seconds after which a worker without work ends

P = ParamSpec("P")
T = TypeVar("T")


class _Job:
    """One call, and what came of it."""

    __slots__ = ("call", "error", "value", "waiter")

    def __init__(self, call: Callable[[], Any], waiter: Waiter) -> None:
        self.call: Callable[[], Any] | None = call
        self.waiter = waiter
        self.value: Any = None
        self.error: BaseException | None = None

    @calls_user_code
    def do(self) -> None:
        call, self.call = self.call, None
        assert call is not None
        try:
            self.value = call()
        except BaseException as exc:
            self.error = exc
        del call
        if self.waiter.claim():
            resume(self.waiter.g)


class _Worker:
    """An OS thread: it has a job, or is idle and waits for its lock."""

    __slots__ = ("job", "wake")

    def __init__(self, job: _Job) -> None:
        self.job: _Job | None = job
        self.wake = allocate_lock()
        self.wake.acquire()


class _Pool(Guard):
    """The workers of the process."""

    __slots__ = ("idle", "queue", "size")

    def __init__(self) -> None:
        super().__init__()
        self.renew()

    def renew(self) -> None:
        """Start from nothing: in a forked child none of the threads exists."""
        self.renew_after_fork()
        self.idle: list[_Worker] = []
        self.queue: deque[_Job] = deque()
        self.size = 0
        outside.own_threads[0] = 0

    def submit(self, job: _Job) -> None:
        """Give `job` to a worker."""
        self.enter()
        try:
            if self.idle:
                worker = self.idle.pop()
                worker.job = job
                worker.wake.release()
            elif self.size < _MOST:
                if _start(self._work, _Worker(job)):
                    self.size += 1
                    outside.own_threads[0] += 1
            else:
                self.queue.append(job)
        finally:
            self.leave()

    def _work(self, worker: _Worker) -> None:
        while True:
            if worker.job is not None:
                worker.job.do()
                worker.job = None
            spoilt = get_ident() in schedulers  # the call used gopoll: that ends with the thread
            self.enter()
            try:
                if spoilt:
                    if self.queue:
                        start_new_thread(self._work, (_Worker(self.queue.popleft()),))
                    else:
                        self.size -= 1
                        outside.own_threads[0] -= 1
                    return
                if self.queue:
                    worker.job = self.queue.popleft()
                    continue
                self.idle.append(worker)
            finally:
                self.leave()
            if worker.wake.acquire(True, _IDLE):
                continue
            self.enter()
            try:
                if worker not in self.idle:  # given a job in the last instant
                    continue
                self.idle.remove(worker)
                self.size -= 1
                outside.own_threads[0] -= 1
                return
            finally:
                self.leave()


def _start(work: Callable[[_Worker], object], worker: _Worker) -> bool:
    """Start a thread; False if there will be none any more, and nobody who asks for the reason.

    A thread that runs on while the interpreter is taken down ends with it, wherever it is by then.
    """
    try:
        start_new_thread(work, (worker,))
    except RuntimeError as exc:
        if _AT_THE_END not in str(exc) or this.sched.is_main_thread:
            raise
        return False
    return True


_pool = _Pool()


def _renew_in_child() -> None:
    _pool.renew()
    outside.own_threads[0] = thread_count()  # a thread that forked is counted, though it is main


fork.in_child(_renew_in_child)


def offload(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``fn(*args, **kwargs)`` in a worker OS thread; only the calling goroutine parks.

    It sees a copy of the caller's context variables. What it returns is returned, what it raises
    is raised. If the wait is interrupted, the call goes on and its outcome is dropped.

    Raises:
        TypeError: `fn` cannot be called.
    """
    if not callable(fn):
        msg = f"offload() needs something to call, got {fn!r}"
        raise TypeError(msg)
    sched = this.sched
    if sched.current is None:
        refuse("offload")
    context = copy_context()
    job = _Job(partial(context.run, fn, *args, **kwargs), Waiter(sched.current))
    sched.external += 1
    try:
        _pool.submit(job)
        sched.park(job.waiter, "offload")
    finally:
        sched.external -= 1
    if job.error is not None:
        try:
            raise job.error
        finally:
            del job
    return job.value  # type: ignore[no-any-return]
