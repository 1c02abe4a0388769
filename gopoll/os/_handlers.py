"""Who hears which signal, and whose handler stands there.

Each signal is in one of three states. `before` is whatever stood there when gopoll came: Python's
default, a handler of the program, or nothing at all. What stands there for Ctrl-C depends on the
moment: gopoll's own handler while there are goroutines, else Python's (see `interrupt`).

    =======  ==================  ==============  =============  ================  ===============
    state    its arrival         listen          last stop      reset             ignore
    =======  ==================  ==============  =============  ================  ===============
    before   as the program has  it is heard     nothing        nothing           it is ignored
    heard    goes to each of     one more        back to        back to before,   it is ignored,
             its listeners                       before         no listeners      no listeners
    ignored  nothing             it is heard     nothing        back to before    nothing
    =======  ==================  ==============  =============  ================  ===============

Who sets another handler with the standard library meanwhile has taken the signal away, and that
handler stays.

Invariants:

- Tables and handlers change in the main thread only, where Python allows it, and where it runs the
  handlers. Other threads ask for it, through the inbox of that thread, and wait.
- A signal that comes while handlers are exchanged meets the old one or the new one. So what arrives
  around a last `stop` is told, or does what it did before.
- The handler never waits for a guard that its own thread may have to leave first. Where it stands
  in the middle of gopoll and a guard is held, it leaves the signal to `_todo`; and so it is with a
  change that is asked for in such a place. Every change begins with working that off, in order.
- While anything is heard, the main scheduler counts one who waits for the outside: no deadlock.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from signal import (  # noqa: TID251 - what nobody patches
    SIG_BLOCK,
    SIG_SETMASK,
    Handlers,
    pthread_sigmask,
)
from types import FrameType
from typing import Any, Final

from gopoll._original import SIGINT, default_int_handler, getsignal, main_thread, set_signal
from gopoll.runtime import fork, interrupt
from gopoll.runtime.guard import interrupts_gopoll
from gopoll.runtime.sched import schedulers, this
from gopoll.runtime.waitq import Waiter, refuse, resume, wait

__all__ = ["IGNORE", "Listener", "ignore", "listen", "reset", "stop"]

IGNORE: Final = int(Handlers.SIG_IGN)
_PATIENCE: Final = 10.0  # seconds in which the main thread comes by, if it runs goroutines
_NO_HELP: Final = (
    "Python sets signal handlers in its main thread only, and that one does not run goroutines: "
    "call this there"
)


class Listener:
    """Somebody to tell of signals; the one listener of its `target`."""

    __slots__ = ("signals", "target")

    def __init__(self, target: object) -> None:
        self.target = target
        self.signals: frozenset[int] = frozenset()

    def tell(self, signum: int) -> None:
        """Pass the signal on; nothing of gopoll is half changed."""
        raise NotImplementedError

    def tell_inside(self, signum: int) -> bool:  # noqa: ARG002 - most cannot
        """Do that where gopoll was interrupted in the middle; False if it must wait a little."""
        return False

    def tell_late(self, signum: int) -> None:
        """Do that, if it is still wanted."""
        if signum in self.signals:
            self.tell(signum)


_listeners: dict[object, Listener] = {}  # by target
_heard: dict[int, tuple[Listener, ...]] = {}  # by signal; what the handler looks at
_before: dict[int, Any] = {}  # by signal: what stood there, where it is heard or ignored
_put_aside: set[int] = set()  # those that are ignored
_todo: deque[Callable[[], None]] = deque()  # what had to be left for later
_changing = False
_counted = False  # as one who waits for the outside


def listen(listener: Listener, signals: frozenset[int]) -> None:
    """Tell the target of `listener` of these signals, too; by the listener that it has already."""
    _in_main_thread(_listen, listener, signals)


def stop(target: object) -> None:
    """Tell `target` of nothing more; once this returns or raises, it hears nothing."""
    listener = _listeners.get(target)
    if listener is None:
        return
    done = False
    try:
        done = _in_main_thread(_stop, listener)
    except BaseException:
        schedulers[main_thread().ident or 0].post(_change, partial(_stop, listener))
        raise
    finally:
        if not done:
            listener.signals = frozenset()
            _unlist(listener)


def ignore(signals: frozenset[int]) -> None:
    """Have these signals do nothing."""
    _in_main_thread(_cancel, signals, _put_to_ignore)


def reset(signals: frozenset[int]) -> None:
    """Have these signals do what they did before gopoll came."""
    _in_main_thread(_cancel, signals, _give_back)


def _hear(signum: int, frame: FrameType | None) -> None:
    """The handler of all that is heard."""
    if signum == SIGINT and interrupt._pending.again:
        interrupt._dispatch(signum, frame)  # of a Ctrl-C that came before us, and is still due
        return
    inside = interrupts_gopoll(frame)
    for listener in _heard.get(signum, ()):
        if signum not in listener.signals:
            continue
        if not inside:
            listener.tell(signum)
        elif not listener.tell_inside(signum):
            _leave_for_later(partial(listener.tell_late, signum))


def _leave_for_later(what: Callable[[], None]) -> None:
    _todo.append(what)
    this.sched.post(_change, _nothing)


def _nothing() -> None:
    pass


# -- how the main thread is reached ------------------------------------------------------------


def _in_main_thread(fn: Callable[..., None], *args: Any) -> bool:
    """Call ``fn(*args)`` as a change; False if that had to be left for later."""
    sched = this.sched
    call = partial(fn, *args)
    inside = interrupts_gopoll(sys._getframe())
    if sched.is_main_thread:
        if inside or _changing:
            _leave_for_later(call)
            return False
        _change(call)
        return True
    main = schedulers.get(main_thread().ident or 0)
    if main is None:
        raise RuntimeError(_NO_HELP)
    if inside:
        main.post(_change, call)
        return False
    waiter = Waiter(sched.current or refuse("os/signal"))
    main.post(_serve, (waiter, call))
    try:
        wait(waiter, "os/signal", _PATIENCE)
    except TimeoutError:
        raise RuntimeError(_NO_HELP) from None
    if waiter.value is not None:
        raise waiter.value
    return True


def _serve(request: tuple[Waiter, Callable[[], None]]) -> None:
    """Make a change for another thread, unless that has given up."""
    waiter, call = request
    if not waiter.claim():
        return
    try:
        _change(call)
    except BaseException as exc:
        waiter.value = exc
    resume(waiter.g)


def _change(call: Callable[[], None]) -> None:
    """Make a change, after those that had to be left for later."""
    global _changing, _counted
    _changing = True
    try:
        while _todo:
            _todo.popleft()()
        call()
    finally:
        _changing = False
        if _counted != bool(_heard):
            _counted = not _counted
            this.sched.external += 1 if _counted else -1


# -- the changes -------------------------------------------------------------------------------


def _listen(listener: Listener, signals: frozenset[int]) -> None:
    listener = _listeners.setdefault(listener.target, listener)
    fresh = signals - listener.signals
    try:
        listener.signals |= signals  # before the handler stands, so that it misses nobody
        for signum in fresh:
            _heard[signum] = (*_others(listener, signum), listener)
            _take(signum)
    except BaseException:
        _forget(listener, fresh)
        raise


def _stop(listener: Listener) -> None:
    _forget(listener, [signum for signum, told in _heard.items() if listener in told])


def _forget(listener: Listener, signals: Iterable[int]) -> None:
    """Tell `listener` of these no more; give back those that nobody else hears."""
    failure: BaseException | None = None
    for signum in signals:
        others = _others(listener, signum)
        if others:
            _heard[signum] = others
            continue
        try:
            _give_back(signum)  # what has arrived by now is still told
        except BaseException as exc:  # what the handler of another signal raised, which has run now
            failure = exc
            _give_back(signum)
        _heard.pop(signum, None)
    listener.signals -= frozenset(signals)
    if not listener.signals:
        _unlist(listener)
    if failure is not None:
        raise failure


def _cancel(signals: frozenset[int], action: Callable[[int], None]) -> None:
    """Do `action` with these signals, and take them from all who hear them."""
    for signum in signals:
        action(signum)
        for listener in _heard.pop(signum, ()):
            listener.signals -= {signum}
            if not listener.signals:
                _unlist(listener)


def _others(listener: Listener, signum: int) -> tuple[Listener, ...]:
    return tuple(other for other in _heard.get(signum, ()) if other is not listener)


def _unlist(listener: Listener) -> None:
    if _listeners.get(listener.target) is listener:
        del _listeners[listener.target]


# -- handlers ----------------------------------------------------------------------------------


def _take(signum: int) -> None:
    """Let our handler stand there."""
    _remember(signum)
    set_signal(signum, _hear)
    _put_aside.discard(signum)


def _put_to_ignore(signum: int) -> None:
    _remember(signum)
    _put(signum, IGNORE)
    _put_aside.add(signum)


def _give_back(signum: int) -> None:
    """Let what stood there before stand there again, unless the program has set another."""
    if _is_ours(signum):
        _put(signum, _before[signum])
    _put_aside.discard(signum)
    _before.pop(signum, None)


def _remember(signum: int) -> None:
    """Note what stands there, if it is the program's."""
    if not _is_ours(signum):
        _before[signum] = getsignal(signum)


def _is_ours(signum: int) -> bool:
    stands = getsignal(signum)
    return stands is _hear or (signum in _put_aside and bool(stands == IGNORE))


def _put(signum: int, handler: Any) -> None:
    """Set a handler in place of ours."""
    if handler is default_int_handler or handler is interrupt._dispatch:
        sched = this.sched
        has_goroutines = sched.running or len(sched.goroutines) > 1
        set_signal(signum, interrupt._dispatch if has_goroutines else default_int_handler)
    elif callable(handler):
        set_signal(signum, handler)
    else:
        # Python looks at what has arrived, then exchanges the handler, and would drop a signal that
        # comes in between. Blocked, it waits in the kernel, unless another thread takes it.
        mask = pthread_sigmask(SIG_BLOCK, ())
        try:
            pthread_sigmask(SIG_BLOCK, (signum,))
            set_signal(signum, handler)
        finally:
            pthread_sigmask(SIG_SETMASK, mask)


def _in_child() -> None:
    """Start a forked child without listeners; what was heard does what it did before."""
    global _changing, _counted
    _changing = _counted = False
    _todo.clear()
    for listener in _listeners.values():
        listener.signals = frozenset()
    _listeners.clear()
    for signum in [*_heard]:
        _give_back(signum)
    _heard.clear()


fork.in_child(_in_child)
