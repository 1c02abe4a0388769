"""``threading.local`` with one set of attributes for each goroutine.

The attributes are kept by the local object, by the number of the goroutine. They go when the object
goes, and when the goroutine ends: what it is tied to is `Goroutine.life`, an object that nobody
else refers to.

The object's own ``__dict__`` stays empty: so what is not among the attributes of the goroutine is
looked up by the object's own rules, which finds properties, slots, methods, class attributes, and
the right words for what is missing. As for any object, what the class has and wants to be asked
about comes before the attributes.
"""

from collections.abc import Callable
from typing import Any, Final, NoReturn, Self
from weakref import ref

from gopoll.monkey._ident import current
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.guard import calls_user_code
from gopoll.runtime.sched import this

__all__ = ["Local"]

_get: Final = object.__getattribute__
_set: Final = object.__setattr__
_delete: Final = object.__delattr__


class _Life:
    """Lives as long as a goroutine."""

    __slots__ = ("__weakref__",)


class _Dicts(dict[int, dict[str, Any]]):
    """The attributes, by goroutine, and the references that tell of the end of each."""

    __slots__ = ("__weakref__", "ends")

    def __init__(self) -> None:
        self.ends: dict[int, ref[Any]] = {}


class Local:
    """Thread-local data"""  # noqa: D415 - the words of the standard library

    __slots__ = ("__weakref__", "_local__args", "_local__dicts")

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError("Initialization arguments are not supported")
        self = super().__new__(cls)
        _set(self, "_local__args", (args, kwargs))
        _set(self, "_local__dicts", _Dicts())
        # Python calls __init__ here: only those who come later have to be told apart.
        _begin(_dicts(self), current())
        return self

    @calls_user_code
    def __getattribute__(self, name: str, /) -> Any:
        sched = this.sched
        g = sched.current or sched.main
        try:
            attributes = _dicts(self)[g.id]
        except KeyError:
            attributes = _first_look(self, g)
        if name in attributes:
            cls = type(self)
            if (cls is Local and name[:2] != "__") or not _is_data(cls, name):
                return attributes[name]
        return attributes if name == "__dict__" else _get(self, name)

    @calls_user_code
    def __setattr__(self, name: str, value: Any, /) -> None:
        attributes = _changeable(self, name)
        if attributes is None:
            _set(self, name, value)
        else:
            attributes[name] = value

    @calls_user_code
    def __delattr__(self, name: str, /) -> None:
        attributes = _changeable(self, name)
        if attributes is not None and name in attributes:
            del attributes[name]
        else:
            _delete(self, name)

    def __reduce__(self) -> NoReturn:
        name = "_thread._local" if type(self) is Local else type(self).__name__
        raise TypeError(f"cannot pickle {name!r} object")


_dicts: Final[Callable[[Local], _Dicts]] = Local.__dict__["_local__dicts"].__get__
_args: Final[Callable[[Local], Any]] = Local.__dict__["_local__args"].__get__


def _changeable(local: Local, name: str) -> dict[str, Any] | None:
    """Return the attributes of the caller, unless `name` is for the class to set."""
    g = current()
    try:
        attributes = _dicts(local)[g.id]
    except KeyError:
        attributes = _first_look(local, g)
    if name == "__dict__":
        msg = f"{type(local).__name__!r} object attribute '__dict__' is read-only"
        raise AttributeError(msg)
    return None if _is_data(type(local), name) else attributes


def _is_data(cls: type, name: str) -> bool:
    """Whether the class has a data descriptor of that name, which comes before attributes."""
    for base in cls.__mro__:
        if name in base.__dict__:
            kind = type(base.__dict__[name])
            return hasattr(kind, "__set__") or hasattr(kind, "__delete__")
    return False


def _begin(dicts: _Dicts, g: Goroutine[Any]) -> dict[str, Any]:
    life = g.life
    if life is None:
        life = g.life = _Life()
    key, held = g.id, ref(dicts)

    def end(_: object) -> None:
        dicts = held()
        if dicts is not None:
            dicts.ends.pop(key, None)
            dicts.pop(key, None)

    dicts.ends[key] = ref(life, end)
    attributes = dicts[key] = {}
    return attributes


@calls_user_code
def _first_look(local: Local, g: Goroutine[Any]) -> dict[str, Any]:
    """Make the attributes of `g`, and fill them as the class does for a new object."""
    dicts = _dicts(local)
    attributes = _begin(dicts, g)
    cls = type(local)
    if cls.__init__ is not object.__init__:
        args, kwargs = _args(local)
        try:
            cls.__init__(local, *args, **kwargs)
        except BaseException:
            dicts.pop(g.id, None)
            dicts.ends.pop(g.id, None)
            raise
    return attributes


Local.__module__ = "_thread"
Local.__name__ = Local.__qualname__ = "_local"
