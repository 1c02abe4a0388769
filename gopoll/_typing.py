"""The words of `typing`, for rooms that shall not load it: that costs as much as the runtime.

A type checker finds the words themselves here. A program finds stand-ins, which bear what is done
to words while modules load and mean nothing: each is a class, so it can be subscripted, be one of a
union and be a base. They print as their bare names.
"""

from types import GenericAlias

__all__ = [
    "TYPE_CHECKING",
    "Any",
    "Buffer",
    "ClassVar",
    "Final",
    "Generic",
    "Literal",
    "NoReturn",
    "ParamSpec",
    "Protocol",
    "Self",
    "TypeAlias",
    "TypeVar",
    "final",
    "overload",
]

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import (
        Any,
        ClassVar,
        Final,
        Generic,
        Literal,
        NoReturn,
        ParamSpec,
        Protocol,
        Self,
        TypeAlias,
        TypeVar,
        final,
        overload,
    )
else:

    def TypeVar(name: str, **_: object) -> type:  # noqa: N802 - the words' own spelling
        """Make a word; what has it for a base is subscripted as it is: ``Chan[int]``."""
        body = {"__slots__": (), "__class_getitem__": classmethod(GenericAlias)}
        return type(name, (), {"__module__": "builtins", **body})

    class ParamSpec(list):
        """Parameters: up to Python 3.13, ``Callable[P, T]`` wants a list for them."""

        def __init__(self, name: str) -> None:
            super().__init__([TypeVar(name)])
            self.args = TypeVar(f"{name}.args")
            self.kwargs = TypeVar(f"{name}.kwargs")

    def overload(fn: object) -> object:
        """Leave it: the last definition stands."""
        return fn

    final = overload

    class Literal:
        """Bear even a string, which in another word would be the name of something."""

        __module__ = "builtins"

        def __class_getitem__(cls, _: object) -> type:
            return cls

    Any = TypeVar("Any")
    ClassVar = TypeVar("ClassVar")
    Final = TypeVar("Final")
    Generic = TypeVar("Generic")
    NoReturn = TypeVar("NoReturn")
    Protocol = TypeVar("Protocol")
    Self = TypeVar("Self")
    TypeAlias = TypeVar("TypeAlias")

# From Python 3.12 on the standard library has a word for it.
Buffer: TypeAlias = bytes | bytearray | memoryview
