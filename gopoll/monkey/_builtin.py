"""What stands for a function that was written in C, and how such a one complains.

Such a function, kept as an attribute of a class, is called as it is and never becomes a method, and
it is pickled by its name; classes and process pools of many programs rely on both.
"""

import sys
from typing import Any

from gopoll.runtime.guard import calls_user_code

__all__ = ["Builtin", "complain"]


class Builtin(staticmethod):  # type: ignore[type-arg]
    """A decorator: makes a function behave like the builtin function whose place it takes."""

    def __repr__(self) -> str:
        return f"<built-in function {self.__name__}>"

    def __reduce__(self) -> Any:
        return self.__qualname__  # a string: whoever unpickles looks it up in `__module__`

    @classmethod
    def of(cls, module: str) -> Any:
        """Return the decorator for a function of that module."""

        def decorate(function: Any) -> Any:
            function.__module__ = module
            return cls(function)

        return decorate


@calls_user_code
def complain(exc: BaseException, message: str, about: object = None) -> None:
    """Tell of an exception that nobody can be raised to, as the interpreter does."""
    hook: Any = sys.unraisablehook
    hook = sys.__unraisablehook__ if hook is None else hook
    hook(_hook_arguments()((type(exc), exc, exc.__traceback__, message, about)))


def _hook_arguments() -> Any:
    """Return the type of what the hook gets, which Python gives to hooks only."""
    found: list[type] = []

    class Raises:
        def __del__(self) -> None:
            raise SystemExit

    hook, sys.unraisablehook = sys.unraisablehook, lambda args: found.append(type(args))
    try:
        Raises()
    finally:
        sys.unraisablehook = hook
    return found[0]
