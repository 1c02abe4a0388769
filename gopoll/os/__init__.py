"""What the kernel pushes: signals, processes, changes of files, pipes and terminals.

A goroutine waits for any of them as it waits for a socket. Each is a module of this room, named as
Go's package of the same purpose, and is loaded when it is first named::

    gopoll.os.signal     signals, on channels
    gopoll.os.process    children: run them, wait for them, end them
    gopoll.os.watch      changes of files and directories
    gopoll.os.file       pipes, FIFOs, terminals and devices, with deadlines
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gopoll.os import file, process, signal, watch

_modules = ("file", "process", "signal", "watch")

__all__ = ["file", "process", "signal", "watch"]


def __getattr__(name: str) -> Any:
    if name in _modules:
        return import_module(f"gopoll.os.{name}")
    msg = f"module 'gopoll.os' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
