"""The tree of contexts: who hangs in whom, and how an end spreads.

    ========  ======================  ========================================  ================
    state     err()                   cancel, deadline, end of a parent         new child
    ========  ======================  ========================================  ================
    alive     None                    sets the outcome, closes done(), leaves   hangs in it
                                      its parent, tells its dependents
    done      Canceled, or            nothing                                   is done at once
              DeadlineExceeded
    ========  ======================  ========================================  ================

Invariants:

- The outcome, error and cause in one, is set once, by an exchange (see ``Waiter.claim``). So there
  is no lock here, and any OS thread, signal handler or finalizer may end any context.
- ``err()`` is set before done() is closed, and whoever sees it finds done() closed.
- `_dependents` are the children and callbacks to tell. Who hangs in a context enters itself first
  and looks at the outcome second; who ends it sets the outcome first and looks at them second. So
  one of the two sees the other, and telling twice does nothing.
- A context that is done hangs in nothing any more, and its timer is disarmed.

Nothing here recurses: a chain of contexts may be longer than the stack is deep. A `Context` of the
program's own is watched by one goroutine for each child, which ends with the child.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

from gopoll._select import select
from gopoll.chan import Chan, nil_chan
from gopoll.errors import Canceled, ChannelClosed, DeadlineExceeded
from gopoll.runtime.proc import go
from gopoll.runtime.sched import this
from gopoll.runtime.waitq import need_much_room

__all__ = [
    "ABSENT",
    "Active",
    "Context",
    "Empty",
    "Passive",
    "check_cause",
    "find",
    "type_name",
    "why",
]

_Outcome: TypeAlias = tuple[type[Exception] | Exception, BaseException | None]  # error and cause

_INNERMOST: Final = object()  # the key under which a context tells which `Active` ends it
ABSENT: Final = object()
_CLOSED: Final = Chan[None]()  # shared by those who are done before anybody asks for done()
_CLOSED.close()


class Context:
    """A deadline, a sign that work is no longer wanted, and values; mirrors ``context.Context``.

    Any number of goroutines, of any OS threads, may use one. A program may have contexts of its
    own: subclasses that override `done`, `err`, `deadline` and `value`. What one does not override
    is that of an empty context, which is never done.
    """

    __slots__ = ("__weakref__",)

    def __repr__(self) -> str:
        return type_name(self)

    def done(self) -> Chan[None]:
        """Return the channel that is closed when the work should stop: a case for ``select``.

        The same one each time; ``nil_chan`` if that will never be.
        """
        return nil_chan

    def err(self) -> Exception | None:
        """Return None, or once it is done, `Canceled` or `DeadlineExceeded`, made to be raised."""
        return None

    def deadline(self) -> float | None:
        """Return when it will be done, on the clock of ``gopoll.time.now()``; None if not known."""
        return None

    def value(self, key: object) -> Any:  # noqa: ARG002 - nothing belongs to any
        """Return what belongs to `key`; None if nothing does, whatever the key."""
        return None

    def on_done(self, fn: Callable[[], object]) -> Callable[[], bool]:
        """Have ``fn()`` called by whoever ends this, of whatever thread; now if it is done.

        `fn` must neither wait nor raise: ``after_func`` is for all that does. Returns what calls it
        off, and tells whether it came in time. A subclass that knows a better way than a goroutine
        which watches `done` overrides this, as a context in Go may have a method ``AfterFunc``.
        """
        inner = self.value(_INNERMOST)
        if isinstance(inner, Active) and inner.done() is self.done():
            return inner.on_done(fn)
        callback = _Callback(None, fn)
        if self.err() is not None:
            callback.run()
        elif (chan := self.done()) is not nil_chan:
            callback = watcher = _Watcher(fn)
            go(watcher.watch, chan).name = "context watcher"
        return callback


class _Callback:
    """A function to call once, unless it is called off by calling this."""

    __slots__ = ("_dependents", "_fn")

    def __init__(
        self, dependents: "dict[Active | _Callback, None] | None", fn: Callable[[], object]
    ) -> None:
        self._dependents = dependents
        self._fn: Callable[[], object] | None = fn

    def __call__(self) -> bool:
        return self._take() is not None

    def run(self) -> None:
        fn = self._take()
        if fn is not None:
            fn()

    def _take(self) -> Callable[[], object] | None:
        """Win the right to call the function, or to drop it."""
        fn, self._fn = self._fn, None
        if self._dependents is not None:
            self._dependents.pop(self, None)
        return fn


class _Watcher(_Callback):
    """A callback that a goroutine runs, when the channel that it watches is closed."""

    __slots__ = ("_quit",)

    def __init__(self, fn: Callable[[], object]) -> None:
        super().__init__(None, fn)
        self._quit: Chan[None] = Chan()

    def __call__(self) -> bool:
        in_time = super().__call__()
        if in_time:
            self._quit.close()
        return in_time

    def watch(self, chan: Chan[None]) -> None:
        if select(chan.recv, self._quit.recv)[0] == 0:
            self.run()


class Own(Context):
    """What the contexts of this module have in common."""

    __slots__ = ("parent",)

    parent: Context | None

    def __repr__(self) -> str:
        names = []
        ctx: Context | None = self
        while isinstance(ctx, Own):
            names.append(ctx.own_name())
            ctx = ctx.parent
        if ctx is not None:
            names.append(repr(ctx))
        return "".join(reversed(names))

    def value(self, key: object) -> Any:
        if key is _INNERMOST:
            origin = self.origin()
            return origin if origin is None or origin is self else origin.value(key)
        value = find(self, key)
        return None if value is ABSENT else value

    def own_value(self, key: object) -> Any:  # noqa: ARG002 - most have none
        """Return the value that `key` has here, not above; or `ABSENT`."""
        return ABSENT

    def own_name(self) -> str:
        """Return what it adds to the name of its parent."""
        raise NotImplementedError

    def origin(self) -> Context | None:
        """Return the nearest context upwards that can end: an `Active` one or a foreign one."""
        raise NotImplementedError


class Passive(Own):
    """It is done when its parent is; or if it does not follow that, never."""

    __slots__ = ("_source",)

    def __init__(self, parent: Context | None, *, follows: bool) -> None:
        self.parent = parent
        self._source = _origin_of(parent) if follows else None

    def origin(self) -> Context | None:
        return self._source

    def done(self) -> Chan[None]:
        return nil_chan if self._source is None else self._source.done()

    def err(self) -> Exception | None:
        return None if self._source is None else self._source.err()

    def deadline(self) -> float | None:
        return None if self._source is None else self._source.deadline()

    def on_done(self, fn: Callable[[], object]) -> Callable[[], bool]:
        return _Callback(None, fn) if self._source is None else self._source.on_done(fn)


class Empty(Passive):
    """A root, by its name."""

    __slots__ = ("_called",)

    def __init__(self, called: str) -> None:
        super().__init__(None, follows=False)
        self._called = called

    def own_name(self) -> str:
        return self._called


class Active(Own):
    """A context that can be cancelled."""

    __slots__ = ("_deadline", "_dependents", "_done", "_links", "_outcome")

    def __init__(self, *parents: Context) -> None:
        self.parent = parents[0]
        self._outcome: _Outcome | None = None
        self._done: Chan[None] | None = None  # made when somebody asks for it
        self._dependents: dict[Active | _Callback, None] = {}
        self._links: list[Active | Callable[[], bool]] = []  # in what it hangs
        self._deadline: float | None = None
        for origin in map(_origin_of, parents):
            if origin is not None:
                self._hang_in(origin)

    def own_name(self) -> str:
        return ".WithCancel"

    def origin(self) -> Context | None:
        return self

    def done(self) -> Chan[None]:
        if self._done is None:
            fresh: Chan[None] = Chan()
            self._done = fresh if self._done is None else self._done  # somebody may be faster
        return self._done

    def err(self) -> Exception | None:
        outcome = self._outcome
        if outcome is None:
            return None
        if self._done is None or not self._done.closed:  # whoever ends it is at it right now
            self._shut()
        error = outcome[0]
        # A new one each time: an exception that many raise would gather all their tracebacks.
        return error() if isinstance(error, type) else error

    def deadline(self) -> float | None:
        return self._deadline

    def on_done(self, fn: Callable[[], object]) -> Callable[[], bool]:
        callback = _Callback(self._dependents, fn)
        self._dependents[callback] = None
        if self._outcome is not None:
            callback.run()
        return callback

    def cancel(self) -> None:
        """End it, as the function of ``with_cancel`` does."""
        if self._outcome is None:
            self.end(Canceled, None)

    def cancel_cause(self, cause: BaseException | None = None, /) -> None:
        """End it because of `cause`, as the function of ``with_cancel_cause`` does."""
        check_cause(cause)
        self.end(Canceled, cause)

    def end(self, error: type[Exception] | Exception, cause: BaseException | None) -> None:
        """End this and all that hangs in it; nothing if it is done already."""
        if self._dependents or self._done is not None:
            need_much_room()
        outcome = error, cause
        if not self._settle(outcome) or not self._dependents:
            return
        failure = None
        told = [self]  # grows
        for ctx in told:
            for dependent in [*ctx._dependents]:
                try:
                    if not isinstance(dependent, Active):
                        dependent.run()
                    elif dependent._settle(outcome):
                        told.append(dependent)
                except BaseException as exc:  # of a callback: the others are told all the same
                    failure = exc
        if failure is not None:
            raise failure

    def _hang_in(self, origin: Context) -> None:
        """Be ended when `origin` is, and no later than its deadline."""
        deadline = origin.deadline()
        if self._deadline is None or (deadline is not None and deadline < self._deadline):
            self._deadline = deadline
        if not isinstance(origin, Active):
            self._links.append(origin.on_done(partial(self._follow, origin)))
            if self._outcome is not None:  # by an earlier parent; or it left before this link was
                self._leave()
            return
        self._links.append(origin)
        origin._dependents[self] = None
        if origin._outcome is not None:
            self.end(*origin._outcome)
        if self._outcome is not None:
            self._leave()

    def _follow(self, origin: Context) -> None:
        """End as `origin` did, a context of the program's own."""
        error = origin.err() or Canceled()
        known = type(error) in (Canceled, DeadlineExceeded)
        self.end(type(error) if known else error, why(origin))

    def _settle(self, outcome: _Outcome) -> bool:
        """End this one only; False if it is done already."""
        was, self._outcome = self._outcome, outcome if self._outcome is None else self._outcome
        if was is not None:
            return False
        self._shut()
        self._leave()
        return True

    def _shut(self, _: object = None) -> None:
        """Close done()."""
        self._done = _CLOSED if self._done is None else self._done
        chan = self._done
        if chan.closed:
            return
        chan.latch.acquire()
        reentered = chan.busy
        chan.latch.release()
        if reentered:  # by a handler, in the middle of what somebody does to this very channel
            this.sched.post(self._shut, None)
            return
        try:
            chan.close()
        except ChannelClosed:  # two ended it at once
            return

    def _leave(self) -> None:
        """Hang in nothing any more."""
        links, self._links = self._links, []
        for link in links:
            if isinstance(link, Active):
                link._dependents.pop(self, None)
            else:
                link()


def why(ctx: Context) -> BaseException | None:
    """Return the cause that somebody gave for the end of `ctx`, or None."""
    inner = ctx.value(_INNERMOST)
    outcome = inner._outcome if isinstance(inner, Active) else None
    return None if outcome is None else outcome[1]


def check_cause(cause: BaseException | None) -> None:
    """Refuse a cause that is none."""
    if cause is not None and not isinstance(cause, BaseException):
        msg = f"a cause is an exception or None, got {cause!r}"
        raise TypeError(msg)


def _origin_of(ctx: Context | None) -> Context | None:
    return ctx.origin() if isinstance(ctx, Own) else ctx


def find(ctx: Context | None, key: object) -> Any:
    """Look for the value of `key` upwards from `ctx`; `ABSENT` if there is none."""
    while isinstance(ctx, Own):
        value = ctx.own_value(key)
        if value is not ABSENT:
            return value
        ctx = ctx.parent
    value = None if ctx is None else ctx.value(key)
    return ABSENT if value is None else value


def type_name(value: object) -> str:
    kind = type(value)
    name = kind.__qualname__
    return name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"
