"""``asyncio`` on goroutines: a loop parks the goroutine that runs it, and belongs to it.

    ==========================  ================================================================
    name                        what becomes of it
    ==========================  ================================================================
    ``run_forever()``           set on the class: while it runs, what Python keeps for it per OS
                                thread is the goroutine's (see `gopoll._running`)
    ``_set_running_loop()``     the same, for loops that run in their own way
    selector event loops        made without a selector they get one that is registered once with
                                the scheduler's poller (see `gopoll._selector`)
    what ``set_event_loop()``   each goroutine has one, also if the policy was made before
    has set
    ==========================  ================================================================

All else builds on what other rooms patch: threads, sockets, subprocesses and signals.
"""

from asyncio import base_events, events, selector_events
from functools import wraps
from typing import Any, ClassVar, Final

from gopoll import _running
from gopoll._selector import Selector
from gopoll.monkey._builtin import Builtin
from gopoll.monkey._local import Local
from gopoll.monkey.registry import Room
from gopoll.runtime.guard import calls_user_code

__all__ = ["ROOM"]

_run_forever: Final = base_events.BaseEventLoop.run_forever
_init: Final[Any] = selector_events.BaseSelectorEventLoop.__init__
_POLICY: Final = next(name for name in vars(events) if name.endswith("BaseDefaultEventLoopPolicy"))
_init_policy: Final[Any] = getattr(events, _POLICY).__init__


@wraps(_run_forever)
@calls_user_code
def run_forever(self: Any) -> None:
    """Run until stop() is called."""
    _running.run_forever(self, _run_forever)


@wraps(_init)
def init(self: Any, selector: Any = None) -> None:
    """Make a loop that waits in `selector`."""
    _init(self, Selector() if selector is None else selector)


@Builtin.of("_asyncio")  # type: ignore[untyped-decorator]
def set_running_loop(loop: Any, /) -> None:
    """Set the running loop.

    This is a low-level function intended to be used by event loops.
    """
    _running.set_running_loop(loop)


set_running_loop.__name__ = set_running_loop.__qualname__ = "_set_running_loop"


class _Current(Local):
    """The event loop of a goroutine, as a policy keeps it that was there before threads were."""

    _loop: ClassVar[Any] = None
    _set_called: ClassVar[bool] = False


@wraps(_init_policy)
def init_policy(self: Any) -> None:
    """Make a policy that keeps a loop for each goroutine."""
    _init_policy(self)
    _adopt(self)


def _adopt(policy: Any) -> None:
    local = getattr(policy, "_local", None)
    if local is not None and not isinstance(local, Local):
        _keep_in(policy, _Current())


def _give_back(policy: Any) -> None:
    if isinstance(getattr(policy, "_local", None), _Current):
        _keep_in(policy, policy._Local())


def _keep_in(policy: Any, local: Any) -> None:
    local._loop, local._set_called = policy._local._loop, policy._local._set_called
    policy._local = local


ROOM = Room(
    "asyncio",
    replaces={
        "asyncio.base_events:BaseEventLoop.run_forever": run_forever,
        "asyncio.selector_events:BaseSelectorEventLoop.__init__": init,
        f"asyncio.events:{_POLICY}.__init__": init_policy,
        "asyncio.events:_set_running_loop": set_running_loop,
        "asyncio:_set_running_loop": set_running_loop,
    },
    leaves={
        "asyncio:get_running_loop": "reads what is the goroutine's while it runs",
        "asyncio:current_task": "the same",
        "asyncio:to_thread": "asks an executor, whose threads are goroutines if those are patched",
        "asyncio:ThreadedChildWatcher": "waits in a thread, likewise",
    },
    on_patch=lambda: _adopt(events._event_loop_policy),  # type: ignore[attr-defined]
    on_restore=lambda: _give_back(events._event_loop_policy),  # type: ignore[attr-defined]
)
