"""What the kernel pushes. A goroutine waits for it as it waits for a socket.

Each is a module of this room, named as Go's package of the same purpose, and is loaded when it is
first named::

    gopoll.os.signal     signals, on channels
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gopoll.os import signal

_modules = ("signal",)

__all__ = ["signal"]


def __getattr__(name: str) -> Any:
    if name in _modules:
        return import_module(f"gopoll.os.{name}")
    msg = f"module 'gopoll.os' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
