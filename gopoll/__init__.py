"""gopoll: goroutines for Python.

You write ``data = conn.read(4096)`` as if it blocked. Underneath, the socket is non-blocking, was
registered once with epoll or kqueue, and the goroutine is parked until the kernel says it is ready.

This is the front door: the runtime is loaded here, the other rooms when they are first named.
"""

from importlib import import_module
from os import environ

from gopoll._original import get_ident, main_thread
from gopoll._typing import TYPE_CHECKING, Any
from gopoll.errors import ChannelClosed, Deadlock
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.netpoll import wait_read, wait_write
from gopoll.runtime.offload import offload
from gopoll.runtime.panic import set_panic
from gopoll.runtime.proc import current, go, goexit, gosched, num_goroutine, run, sleep
from gopoll.runtime.scope import timeout

if TYPE_CHECKING:
    from gopoll import aio, context, debug, errgroup, monkey, native, net, sync, testing, time
    from gopoll import os as os  # not in `__all__`: a star import shall not hide Python's own
    from gopoll._select import default, select
    from gopoll.chan import Chan, nil_chan

__version__ = "0.1.0"

__all__ = [
    "Chan",
    "ChannelClosed",
    "Deadlock",
    "Goroutine",
    "aio",
    "context",
    "current",
    "debug",
    "default",
    "errgroup",
    "go",
    "goexit",
    "gosched",
    "monkey",
    "native",
    "net",
    "nil_chan",
    "num_goroutine",
    "offload",
    "run",
    "select",
    "set_panic",
    "sleep",
    "sync",
    "testing",
    "time",
    "timeout",
    "wait_read",
    "wait_write",
]

_rooms = (
    "aio",
    "context",
    "debug",
    "errgroup",
    "monkey",
    "native",
    "net",
    "os",
    "sync",
    "testing",
    "time",
)
_homes = {
    "Chan": "gopoll.chan",
    "nil_chan": "gopoll.chan",
    "default": "gopoll._select",
    "select": "gopoll._select",
}


def __getattr__(name: str) -> Any:
    if name in _rooms:
        return import_module(f"gopoll.{name}")
    if name == "pytest_plugins":  # pytest was started with -p gopoll, and looks for more to load
        return ("gopoll.integrations.pytest_patch",)
    if name in _homes:
        value = globals()[name] = getattr(import_module(_homes[name]), name)
        return value
    msg = f"module 'gopoll' has no attribute {name!r}"
    raise AttributeError(msg)


if environ.get("GOPOLL_TRACEBACK") == "1" and get_ident() == main_thread().ident:
    import_module("gopoll.debug").install()


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
