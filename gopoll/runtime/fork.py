"""What a forked child keeps: the goroutine that forked, and nothing else.

It is the child's main goroutine from then on; when it ends, the child ends, flushed. All other
goroutines stay referenced and never run again, so none of their ``finally`` blocks runs twice. The
inherited poller is closed and never modified: the kernel's set is shared with the parent. The child
gets a scheduler of its own, so descriptors register afresh at their first wait. Locks that another
thread may have held at that instant are made anew, and so is what a goroutine held that is no more;
they are found through the collector, since a list of them would cost each of them memory.

Hooks of others may run in the child before ours, and use what is built on gopoll. So from a moment
before the fork until then an operation that finds that the turn is over goes on.
"""

import gc
import os
from collections.abc import Callable

from gopoll._original import get_ident
from gopoll.runtime import interrupt, lifetime
from gopoll.runtime.guard import Guard
from gopoll.runtime.sched import Scheduler, schedulers, this

__all__ = ["in_child"]

_in_child: list[Callable[[], None]] = []
_ghosts: list[Scheduler] = []


def in_child(fn: Callable[[], None]) -> None:
    """Have `fn` called in each forked child, once the scheduler is sound."""
    _in_child.append(fn)


def _before_fork() -> None:
    _note_fork(True)


def _after_fork_in_parent() -> None:
    _note_fork(False)


def _note_fork(begins: bool) -> None:
    sched = schedulers.get(get_ident())
    if sched is not None:
        sched.forking = begins


def _after_fork_in_child() -> None:
    mine = schedulers.get(get_ident())
    for sched in schedulers.values():
        survivor = sched.current if sched is mine else None
        for g in sched.goroutines:
            if g is not survivor and g.waiter is not None:
                g.waiter.claim()  # whoever finds it in a queue passes it over
        sched.dead = True
        lifetime.close(sched)
        _ghosts.append(sched)
    schedulers.clear()
    frozen = gc.get_freeze_count()
    if frozen:  # as servers do before they fork; the collector shows nothing that is
        gc.unfreeze()
    for obj in gc.get_objects():
        if isinstance(obj, Guard):
            obj.renew_after_fork()
    if frozen:
        gc.freeze()
    if mine is not None:
        survivor = mine.current or mine.main
        this.sched = schedulers[get_ident()] = Scheduler(survivor)
        this.sched.running = mine.running
        this.sched.timeline = mine.timeline  # a timeout that is open goes on
    interrupt.forget()
    for fn in _in_child:
        fn()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
