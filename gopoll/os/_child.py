"""A child process, and the waiting for its end: by many, from any thread, reaped exactly once.

    ========  ============  =================  =============================================
    state     returncode    poll()             send(signum)
    ========  ============  =================  =============================================
    alive     None          None               goes to the process
    ended     None          reaps it           goes to the zombie, which takes no notice
    reaped    a number      that number        does nothing
    ========  ============  =================  =============================================

The number of a process may be somebody else's as soon as it is reaped. So reaping and signalling
exclude each other; and where the system has descriptors of processes (Linux: pidfd) these are what
is reaped and signalled, in case somebody else reaps all children of the program. The number of its
process group is its own: whoever reaps a child whose group has to end with it (`ends_group`) kills
what is left of that first.

Who waits looks first, and parks if the child is alive: in the `_Watch` of its scheduler, a process
source of the poller's contract. The report is a hint, as it is for descriptors: it wakes all who
wait on that scheduler, the first to look reaps, and the others find what it found. Each scheduler
has its own report. Where the poller has no such source, a thread waits for the child instead.

Invariant: the descriptor is closed by whoever is last, who reaps or the last watch that is left.
"""

import os
from contextlib import suppress
from typing import Any

from gopoll._original import main_thread, os_close, sleep, start_new_thread
from gopoll.os._system import (
    P_PIDFD,
    SIGKILL,
    os_kill,
    os_killpg,
    os_waitid,
    os_waitpid,
    pidfd_open,
    pidfd_send_signal,
    waitstatus_to_exitcode,
)
from gopoll.runtime import outside
from gopoll.runtime.guard import Guard
from gopoll.runtime.poller.base import READ
from gopoll.runtime.sched import Scheduler, on_thread_of, schedulers, this
from gopoll.runtime.timers import check_seconds
from gopoll.runtime.waitq import Waiter, refuse, wait

__all__ = ["Child"]

_REASON = "process wait"
_LOST = 0  # the status of a child that somebody else has reaped, as subprocess has it
_SOONEST, _LATEST = 0.001, 0.05  # between two looks, where even a thread can only look


class Child(Guard):
    """A child of this process."""

    __slots__ = (
        "__weakref__",
        "_fd",
        "_thread_runs",
        "_watches",
        "ends_group",
        "lost",
        "pid",
        "returncode",
    )

    def __init__(self, pid: int) -> None:
        """Take over the child `pid`, which nobody has reaped."""
        super().__init__()
        self.pid = pid
        self.returncode: int | None = None
        self.lost = False  # reaped by somebody else, who has its status
        self.ends_group = False  # it leads one, of which nobody may outlive it any more
        self._fd = -1
        self._thread_runs = False
        self._watches: dict[Scheduler, _Watch] = {}
        if pidfd_open is not None and P_PIDFD is not None:
            try:
                self._fd = pidfd_open(pid)
            except (OSError, OverflowError):  # none left, forbidden, no such number: that must do
                self._fd = -1

    def __repr__(self) -> str:
        return f"<Child {self.pid} {'alive' if self.returncode is None else self.returncode}>"

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            os_close(self._fd)

    def renew_after_fork(self) -> None:
        """Forget who waits: in a forked process they do not exist, and the child is not its own."""
        super().renew_after_fork()
        self._watches = {}
        self._thread_runs = False

    # -- looking, without waiting --------------------------------------------------------------

    def poll(self, *, reap: bool = True) -> int | None:
        """Return how the child has ended, None while it is alive.

        Without `reap`, where the system can look without reaping, it stays a zombie, whose number
        nobody else can get; any number means that it has ended.
        """
        if self.returncode is not None:
            return self.returncode
        self.latch.acquire()
        if self.busy:  # a handler or finalizer that interrupted this very look
            self.latch.release()
            return None
        self.busy = True
        try:
            code = self._look(reap=reap)
        finally:
            self.leave()
        if self.returncode is not None:
            self._close_if_unused()
        return code

    def _look(self, *, reap: bool) -> int | None:
        """Do that, guarded."""
        if self.returncode is not None:
            return self.returncode
        if reap and self.ends_group and os_waitid is not None:
            if self._look(reap=False) is None or self.returncode is not None:
                return self.returncode
            with suppress(OSError):  # there are only others' processes, or none
                os_killpg(self.pid, SIGKILL)
        try:
            if self._fd < 0 and (reap or os_waitid is None):
                pid, status = os_waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = waitstatus_to_exitcode(status)
                return self.returncode
            options = os.WEXITED | os.WNOHANG | (0 if reap else os.WNOWAIT)
            if self._fd < 0:
                found = os_waitid(os.P_PID, self.pid, options)
            else:
                found = os_waitid(P_PIDFD, self._fd, options)
        except (ChildProcessError, OverflowError):
            self.lost = True
            self.returncode = _LOST
            return _LOST
        except OSError:
            if self._fd < 0:
                raise
            self._fd = -1  # closed behind our back: the number is something else's
            return self._look(reap=reap)
        if found is None:
            return None
        code: int = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
        if reap:
            self.returncode = code
        return code

    def send(self, signum: int, *, group: bool) -> None:
        """Send a signal to the child, or to the process group that it leads, unless it is reaped.

        Raises:
            OSError, ValueError: There is no such signal; or it is forbidden.
        """
        self.latch.acquire()
        if self.busy:
            self.latch.release()
            this.sched.post(_send_later, (self, signum, group))
            return
        self.busy = True
        try:
            self._look(reap=False)  # somebody else may have reaped it, or closed its descriptor
            if self.returncode is not None:
                return
            if group:
                os_killpg(self.pid, signum)
            elif self._fd >= 0 and pidfd_send_signal is not None:
                pidfd_send_signal(self._fd, signum)
            else:
                os_kill(self.pid, signum)
        except ProcessLookupError:
            return
        except PermissionError:  # some kernels say that of a group that has ended, too
            if not group or self._look(reap=False) is None:
                raise
        finally:
            self.leave()

    # -- waiting -----------------------------------------------------------------------------

    def wait(self, timeout: float | None = None, *, reap: bool = True) -> int:
        """Park until the child has ended, at most `timeout` seconds; return how.

        Raises:
            TimeoutError: It has not ended by then.
        """
        check_seconds(timeout, "timeout")
        sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
        deadline: float | None = None
        while (code := self.poll(reap=reap)) is None:
            g = sched.current or refuse(_REASON)
            left = None
            if timeout is not None:
                now = g.timeline.now()
                deadline = now + timeout if deadline is None else deadline
                left = max(0.0, deadline - now)
            waiter = Waiter(g)
            watch = self._watch(sched)
            watch.waiters.append(waiter)
            sched.external += 1
            try:
                watch.arm()
                if self.returncode is None:  # else the number that we watch may be a stranger's
                    wait(waiter, _REASON, left)
            finally:
                sched.external -= 1
                watch.leave(waiter)
        return code

    def abandon(self) -> None:
        """Reap the child when it ends, though nobody waits; from any thread or finalizer."""
        sched = schedulers.get(main_thread().ident or 0) or this.sched
        sched.post(_adopt, self)

    def close(self) -> None:
        """Give back the descriptor, if nobody waits: from now on the number must do."""
        self._close_if_unused(even_alive=True)

    def _watch(self, sched: Scheduler) -> "_Watch":
        self.enter()
        try:
            watch = self._watches.get(sched)
            if watch is None:
                watch = self._watches[sched] = _Watch(self, sched)
            return watch
        finally:
            self.leave()

    def drop(self, watch: "_Watch") -> None:
        """Let go of a watch that has left the poller."""
        self.latch.acquire()
        if self._watches.get(watch.sched) is watch:
            del self._watches[watch.sched]
        self.latch.release()
        self._close_if_unused()

    def _close_if_unused(self, *, even_alive: bool = False) -> None:
        fd = -1
        self.latch.acquire()
        if not self.busy and not self._watches and (even_alive or self.returncode is not None):
            fd, self._fd = self._fd, -1
        self.latch.release()
        if fd >= 0:
            os_close(fd)

    def open_watch(self, watch: "_Watch") -> bool:
        """Ask the poller of `watch` to report the end; False if it cannot."""
        poller = watch.sched.need_poller()
        stranger = poller.find(self._fd)
        if stranger is not None and stranger is not watch:  # it was closed behind our back
            stranger.evict()
        return poller.watch_process(self.pid, self._fd, watch)

    def close_watch(self, watch: "_Watch") -> None:
        """Take that back."""
        if watch.sched.poller is not None:
            watch.sched.poller.forget_process(self.pid, self._fd, watch)

    # -- where the kernel reports nothing ------------------------------------------------------

    def start_thread(self) -> None:
        """Have a thread wait for the child, unless one does."""
        self.enter()
        started, self._thread_runs = self._thread_runs, True
        self.leave()
        if started:
            return
        outside.own_threads[0] += 1
        try:
            start_new_thread(self._wait_in_thread, ())
        except BaseException:
            outside.own_threads[0] -= 1
            self._thread_runs = False
            for watch in tuple(self._watches.values()):
                if watch.sched is not this.sched:  # who came meanwhile and relies on the thread
                    on_thread_of(watch.sched, watch.deliver, READ)
            raise

    def _wait_in_thread(self) -> None:
        try:
            if os_waitid is not None:
                os_waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            else:
                pause = _SOONEST
                while self.poll() is None:
                    sleep(pause)
                    pause = min(2 * pause, _LATEST)
        except ChildProcessError:  # somebody has reaped it: the next look tells
            pass
        finally:
            outside.own_threads[0] -= 1
            self._thread_runs = False
            for watch in tuple(self._watches.values()):
                on_thread_of(watch.sched, watch.deliver, READ)


class _Watch:
    """A child as one scheduler waits for it; all of it belongs to that scheduler's thread."""

    __slots__ = ("_armed", "_child", "_orphan", "sched", "waiters")

    def __init__(self, child: Child, sched: Scheduler) -> None:
        self._child = child
        self.sched = sched
        self.waiters: list[Waiter] = []
        self._armed = False
        self._orphan = False  # nobody will ever ask for its status: reap it

    def __repr__(self) -> str:
        return f"<Watch of {self._child!r} for {len(self.waiters)}>"

    def arm(self) -> None:
        """Ask for the report, unless that was done."""
        if self._armed:
            return
        self._armed = True
        try:
            if not self._child.open_watch(self):
                self._child.start_thread()
        except ProcessLookupError:  # it is about to end, or is reaped: look again
            self.sched.post(self.deliver, READ)
        except BaseException:
            self._armed = False
            raise

    def adopt(self) -> None:
        """Reap the child when it ends."""
        self._orphan = True
        self.deliver(READ)

    def leave(self, waiter: Waiter) -> None:
        """Stop waiting; the last one turns off the light."""
        if waiter in self.waiters:
            self.waiters.remove(waiter)
        self._close_if_idle()

    def deliver(self, _modes: int) -> None:
        """Wake all who wait: they look for themselves."""
        self._armed = False
        for waiter in self.waiters:
            if waiter.claim():
                self.sched.ready(waiter.g)
        self.waiters.clear()
        if self._orphan:
            self._orphan = self._child.poll() is None
            if self._orphan:
                self.arm()
                return
        self._close_if_idle()

    def evict(self) -> None:
        """The descriptor was closed behind our back, and its number registered by another."""
        self._child._fd = -1
        self.deliver(READ)

    def _close_if_idle(self) -> None:
        if not self.waiters and not self._orphan:
            self._child.close_watch(self)
            self._child.drop(self)


def _send_later(what: Any) -> None:
    child, signum, group = what
    child.send(signum, group=group)


def _adopt(child: Child) -> None:
    if child.poll() is None:
        child._watch(this.sched).adopt()
