"""One call for all who ask for the same thing in the same moment: golang.org/x/sync/singleflight.

The first who asks for a key calls its function and leads; who asks while it runs, follows:

    ==========================  ==================================  ==============================
    the leader's function       do() of the followers               channels of do_chan()
    ==========================  ==================================  ==============================
    returns                     the same value                      Result(value, None, shared)
    raises an Exception         the same exception                  Result(None, error, shared)
    calls ``goexit()``          they end by ``goexit()``, too       closed without a result
    is ended from outside       the first of them leads, with its   as the new leader fares
                                own function
    ==========================  ==================================  ==============================

*From outside* is what is meant for the leader alone: the end of a ``timeout()`` block around its
do(), or a Ctrl-C. A follower whose own wait ends so only leaves; the call goes on for the others.

A key is known from the first question to the end of the function; `forget` makes it unknown at
once, so that the next one who asks leads a call of its own.
"""

from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Any, Generic, NamedTuple, TypeVar

from gopoll.chan import Chan
from gopoll.errors import GoExit
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.proc import go, goexit
from gopoll.runtime.sched import this
from gopoll.runtime.waitq import Waiter, WaitQueue, refuse, resume
from gopoll.sync._primitive import Primitive, call, is_a_ghost, next_in

__all__ = ["Result", "SingleFlight"]

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
_REASON = "singleflight.Do"


class Result(NamedTuple, Generic[T]):
    """What `SingleFlight.do_chan` sends; mirrors ``singleflight.Result``."""

    value: T | None
    error: Exception | None
    shared: bool


class _Order(Generic[T]):
    """What do_chan() was asked for."""

    __slots__ = ("channel", "fn")

    def __init__(self, fn: Callable[[], T]) -> None:
        self.channel: Chan[Result[T]] = Chan(1)
        self.fn = fn


class _Flight(Generic[T]):
    """One call, from the first question to its end."""

    __slots__ = ("channels", "error", "followers", "leader", "queue", "trace", "value")

    def __init__(self, leader: Goroutine[Any] | None) -> None:
        self.leader = leader
        self.followers = 0
        self.queue = WaitQueue()  # of followers; `ok` tells that it has landed, else they lead
        self.channels: list[_Order[T]] = []
        self.value: T | None = None
        self.error: BaseException | None = None
        self.trace: TracebackType | None = None

    def answer(self) -> T:
        """Return or raise what came of it."""
        if self.error is None:
            return self.value  # type: ignore[return-value]
        if isinstance(self.error, GoExit):
            goexit()
        raise self.error.with_traceback(self.trace)  # as it was: each raise adds to it


class SingleFlight(Primitive, Generic[K, T]):
    """Calls one function at a time for each key; mirrors ``singleflight.Group``."""

    __slots__ = ("_flights",)

    def __init__(self) -> None:
        super().__init__()
        self._flights: dict[K, _Flight[T]] = {}

    def __repr__(self) -> str:
        return f"<SingleFlight at {id(self):#x} of {len(self._flights)}>"

    def do(self, key: K, fn: Callable[[], T]) -> tuple[T, bool]:
        """Return what ``fn()`` returns, or what the call that is under way for `key` does.

        The second value tells whether others got the same. What the function raises is raised in
        all who wait for it.

        Raises:
            RuntimeError: The function asks for its own key: it would wait for itself.
            TypeError: `key` cannot be hashed, or `fn` not called.
        """
        _check(key, fn)
        sched = this.sched
        sched.operations -= 1
        if sched.operations < 0:
            sched.yield_turn()
        g = sched.current
        waiter = None
        self.enter()
        try:
            flight = self._flights.get(key)
            if flight is None:
                flight = self._flights[key] = _Flight(g)
            elif g is not None and flight.leader is g:
                msg = f"singleflight: the call for {key!r} asks for itself: it would wait for ever"
                raise RuntimeError(msg)
            else:
                waiter = Waiter(g or refuse(_REASON))
                flight.followers += 1
                flight.queue.push(waiter)
        finally:
            self.leave()
        if waiter is not None:
            try:
                self._park(sched, waiter, _REASON)
            except BaseException:
                self._leave(flight, waiter)
                raise
            if waiter.ok:
                return flight.answer(), True
        value = self._lead(key, flight, fn)
        return value, flight.followers > 0

    def do_chan(self, key: K, fn: Callable[[], T]) -> Chan[Result[T]]:
        """Ask as `do` does, without waiting: the channel returned receives the `Result`.

        If nobody has asked before, a new goroutine calls `fn`. The channel is closed without a
        result if the function calls ``goexit()``. Mirrors ``DoChan``.

        Raises:
            TypeError: `key` cannot be hashed, or `fn` not called.
        """
        _check(key, fn)
        order = _Order(fn)
        self._book((key, order))
        return order.channel

    def forget(self, key: K) -> None:
        """Let the next one who asks for `key` call its function, even if a call is under way."""
        self.latch.acquire()
        if self.busy:
            self.latch.release()
            this.sched.post(self.forget, key)
            return
        self.busy = True
        try:
            self._flights.pop(key, None)
        finally:
            self.leave()

    def renew_after_fork(self) -> None:
        """In a child only the calls of the goroutine that forked are under way; see `Guard`."""
        super().renew_after_fork()
        mine = {k: f for k, f in self._flights.items() if not is_a_ghost(f.leader)}
        self._flights = mine
        for flight in mine.values():
            flight.queue = WaitQueue()

    # -- flying ------------------------------------------------------------------------------

    def _lead(
        self, key: K, flight: _Flight[T], fn: Callable[[], T], order: _Order[T] | None = None
    ) -> T:
        """Call `fn` for all."""
        try:
            flight.value = value = call(fn)
        except (Exception, GoExit) as exc:
            flight.error = exc
            flight.trace = exc.__traceback__
            self._land(key, flight)
            raise
        except BaseException:
            self._step_down(key, flight, order)
            raise
        self._land(key, flight)
        return value

    def _book(self, what: tuple[K, _Order[T]]) -> None:
        """Let a channel follow, or a new goroutine lead for it."""
        self.latch.acquire()
        if self.busy:
            self.latch.release()
            this.sched.post(self._book, what)
            return
        self.busy = True
        key, order = what
        try:
            flight = self._flights.get(key)
            new = flight is None
            if flight is None:
                flight = self._flights[key] = _Flight(None)
            else:
                flight.followers += 1
            flight.channels.append(order)
        finally:
            self.leave()
        if new:
            go(self._lead_for, key, flight, order)

    def _lead_for(self, key: K, flight: _Flight[T], order: _Order[T]) -> None:
        """The body of a goroutine that leads for a channel."""
        flight.leader = this.sched.current
        try:
            self._lead(key, flight, order.fn, order)
        except Exception:  # it was sent to those who want it
            return

    def _land(self, key: K, flight: _Flight[T]) -> None:
        """Tell all."""
        heirs = []
        self.enter()
        try:
            if self._flights.get(key) is flight:
                del self._flights[key]
            while (heir := next_in(flight.queue)) is not None:
                heir.ok = True
                heirs.append(heir)
        finally:
            self.leave()
        for heir in heirs:
            resume(heir.g)
        error = flight.error
        for order in flight.channels:
            if error is None or isinstance(error, Exception):
                order.channel.try_send(Result(flight.value, error, flight.followers > 0))
            else:
                order.channel.close()

    def _step_down(self, key: K, flight: _Flight[T], own: _Order[T] | None) -> None:
        """The leader is ended from outside: let another one lead, who is no follower then."""
        self.enter()
        try:
            if own is not None:
                flight.channels.remove(own)
            heir = next_in(flight.queue)
            order = flight.channels[0] if heir is None and flight.channels else None
            flight.leader = None if heir is None else heir.g
            if heir is not None or order is not None:
                flight.followers -= 1
            elif self._flights.get(key) is flight:
                del self._flights[key]
        finally:
            self.leave()
        if own is not None:
            own.channel.close()
        if heir is not None:
            resume(heir.g)
        elif order is not None:
            go(self._lead_for, key, flight, order)

    def _leave(self, flight: _Flight[T], waiter: Waiter) -> None:
        """A follower whose wait was interrupted."""
        self.enter()
        try:
            flight.queue.discard(waiter)
            flight.followers -= 1
        finally:
            self.leave()


def _check(key: Hashable, fn: Callable[[], Any]) -> None:
    hash(key)
    if not callable(fn):
        msg = f"singleflight needs something to call, got {fn!r}"
        raise TypeError(msg)
