"""The interface holds what it promises: names, docstrings, types, and a cheap `import gopoll`."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path

import greenlet
import pytest

import gopoll

PACKAGE = Path(gopoll.__file__).parent

# What each public module offers at least.
PUBLIC = {
    "gopoll": """
        Chan ChannelClosed Deadlock Goroutine current default go goexit gosched nil_chan
        num_goroutine offload run select set_panic sleep timeout wait_read wait_write
    """,
    "gopoll.net": """
        AddrError ClosedError Conn Listener PacketConn dial join_host_port listen listen_packet
        lookup_host pipe serve split_host_port
    """,
    "gopoll.time": "Ticker Timer after after_func now sleep tick",
    "gopoll.sync": """
        Cond Mutex Once Pool RWMutex Semaphore SingleFlight WaitGroup once_func once_value
    """,
    "gopoll.context": """
        Canceled DeadlineExceeded after_func background cause merge todo with_cancel
        with_cancel_cause with_deadline with_timeout with_value without_cancel
    """,
    "gopoll.errgroup": "Group",
    "gopoll.aio": "new_event_loop recv recv_ok result run send submit",
    "gopoll.os.file": "File open_fifo pipe stderr stdin stdout",
    "gopoll.os.process": "Process run wait_pid",
    "gopoll.os.watch": "Event Op Watcher",
    "gopoll.os.signal": "ignore ignored notify notify_context reset stop",
    "gopoll.debug": "dump install stop_world",
    "gopoll.monkey": """
        MODULES PatchWarning is_patched original patch_all patched report restore
    """,
    "gopoll.native": """
        Condition Event Lock Queue RLock Semaphore SimpleQueue Thread ThreadPoolExecutor get_ident
        local queue sleep threading
    """,
    "gopoll.testing": "bubble fake_clock no_leaks seeded wait_idle",
}

# `import gopoll` leaves these alone: rooms load on first use, and early patching stays possible.
LAZY = [
    *("gopoll.net", "gopoll.sync", "gopoll.context", "gopoll.errgroup"),
    *("gopoll.os", "gopoll.debug", "gopoll.testing", "gopoll.monkey", "asyncio", "logging"),
    *("ssl", "subprocess"),
]

# What it loads of the standard library, each with what that loads in turn. `typing` is not there,
# nor what is made with `re`, `enum` or `contextlib`: each costs as much as a good part of gopoll.
LIGHT = [
    *("_socket", "atexit", "collections.abc", "contextvars", "errno", "functools", "gc", "heapq"),
    *("importlib", "itertools", "os", "select", "stat", "sys", "threading", "time", "types"),
]


def sources():
    return sorted(PACKAGE.rglob("*.py"))


def public_modules():
    """The modules above, and every module that declares `__all__`."""
    names = set(PUBLIC)
    for path in sources():
        if re.search(r"^__all__\b", path.read_text("utf-8"), re.MULTILINE):
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            names.add(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return sorted(names)


def sort_key(name):
    """Constants, then classes, then the rest: the order that ruff gives to `__all__`."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, name


def run_python(code, *options):
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("name", public_modules())
def test_all_is_sorted_and_valid(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not name.startswith("gopoll.integrations."):
            raise
        pytest.skip(f"what it integrates with is not installed: {error.name}")
    names = list(module.__all__)
    assert names == sorted(set(names), key=sort_key)
    missing = [each for each in names if not hasattr(module, each)]
    assert not missing
    assert set(names) <= set(dir(module))


@pytest.mark.parametrize("name", PUBLIC)
def test_the_promised_names_are_there(name):
    promised = set(PUBLIC[name].split())
    assert not promised - set(importlib.import_module(name).__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_a_docstring(name):
    module = importlib.import_module(name)
    assert module.__doc__
    bare = []
    for each in module.__all__:
        value = getattr(module, each)
        if isinstance(value, str | int | float | tuple | frozenset):
            continue  # a plain constant cannot carry one
        if not inspect.getdoc(value):
            bare.append(each)
        if inspect.isclass(value):
            members = (item for item in vars(value).items() if not item[0].startswith("_"))
            bare += [
                f"{each}.{member}"
                for member, what in members
                if (inspect.isroutine(what) or isinstance(what, property))
                and not inspect.getdoc(getattr(value, member))
            ]
    assert not bare


def test_importing_gopoll_is_cheap():
    # What the interpreter itself loads at start-up (a coverage hook, say) does not count.
    code = f"""
import sys
before = set(sys.modules)
import gopoll
print([name for name in {LAZY!r} if name in sys.modules and name not in before])
"""
    child = run_python(code)
    assert (child.returncode, child.stdout.strip()) == (0, "[]"), child.stderr


def test_importing_gopoll_loads_little_of_the_standard_library():
    # Isolated and without site, which may have loaded anything.
    paths = [str(Path(module.__file__).parents[1]) for module in (gopoll, greenlet)]
    code = f"""
import sys
sys.path += {paths!r}
import greenlet, {", ".join(LIGHT)}
before = set(sys.modules)
import gopoll
print(*[name for name in set(sys.modules) - before if name.partition(".")[0] != "gopoll"])
"""
    child = run_python(code, "-I", "-S")
    assert (child.returncode, child.stdout.split()) == (0, []), child.stderr


@pytest.mark.parametrize("generic", [gopoll.Chan, gopoll.Goroutine])
def test_generic_classes_are_subscripted_and_inherited_from(generic):
    item = typing.TypeVar("item")

    class Mine(generic[item]): ...

    class Both(generic[item], typing.Generic[item]): ...

    for kind in (generic, Mine, Both):
        assert typing.get_origin(kind[int]) is kind
        assert typing.get_args(kind[int]) == (int,)


def test_signatures_can_be_read():
    assert str(inspect.signature(gopoll.sleep)) == "(seconds: float) -> None"
    shown = str(inspect.signature(gopoll.offload)).replace("collections.abc.", "")
    assert shown == "(fn: Callable[[P], T], /, *args: P.args, **kwargs: P.kwargs) -> T"


def test_rooms_load_on_first_use():
    code = "import gopoll; print(gopoll.net.__name__, gopoll.time.__name__, gopoll.debug.__name__)"
    child = run_python(code)
    assert child.stdout.split() == ["gopoll.net", "gopoll.time", "gopoll.debug"], child.stderr


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_room"):
        gopoll.no_such_room  # noqa: B018


def test_the_only_dependency_is_greenlet():
    allowed = {*sys.stdlib_module_names, "gopoll", "greenlet"}
    foreign = []
    for path in sources():
        if "integrations" in path.relative_to(PACKAGE).parts:
            continue  # the only place with optional imports
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            else:
                continue
            foreign += [(path.name, name) for name in names if name.split(".")[0] not in allowed]
    assert not foreign


def test_types_are_shipped():
    assert (PACKAGE / "py.typed").is_file()


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+([ab.]\w+)?", gopoll.__version__)
