"""The plan of the house: who may import whom, and how large a piece may grow.

`HOUSE` is the plan, one list from the ground up. An import goes only to an entry that this list has
earlier: on a lower floor, or before it on the same floor. Imports for type checking are free, those
inside functions are not. An entry that ends in `.*` stands for all modules of a room whose inner
order is left open.
"""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import gopoll

PACKAGE = Path(gopoll.__file__).parent

HOUSE = """
0  _typing  errors  _original  _literal

1  runtime
1  runtime.outside  runtime.timers
1  runtime.poller.base
1  runtime.poller.epoll  runtime.poller.kqueue  runtime.poller.poll  runtime.poller.select
1  runtime.poller.waker  runtime.poller
1  runtime.guard  runtime.chain  runtime.waitq  runtime.bubble  runtime.join
1  runtime.goroutine  runtime.traceback  runtime.panic
1  runtime.lifetime  runtime.turn  runtime.sched
1  runtime.interrupt  runtime.proc  runtime.scope  runtime.fork  runtime.netpoll  runtime.offload

2  _side  fd  chan  _select  _timer  time
2  sync._primitive  sync.mutex  sync.*
3  _context  context
4  errgroup
4  net.addr  net.resolver  net.makefile  net.owner  net.conn
4  os.*
4  net._workers  net.listener  net.dial  net.packet  net.tls  net.pipe  net.copy  net
4  _running  _selector  _caller  aio
5  debug.*  testing.idle  testing.*
6  monkey.*  native
7  integrations.*
8  cli  __main__  __init__
"""

MAX_FILE = 400
MAX_FUNCTION = 60
LONG_FILES: dict[str, str] = {}  # "runtime/sched.py": the reason
LONG_FUNCTIONS: dict[str, str] = {}  # "runtime/sched.py:loop": the reason


def plan(house):
    """Each entry of the house with its floor, in order."""
    rows = [line.split() for line in house.splitlines() if line.strip()]
    return [(entry, int(floor)) for floor, *entries in rows for entry in entries]


def place(module, entries):
    """The index of a module's entry: its own, else that of its room."""
    names = [name for name, _ in entries]
    if module in names:
        return names.index(module)
    parts = module.split(".")
    rooms = [".".join([*parts[:n], "*"]) for n in range(len(parts), 0, -1)]
    return next((names.index(room) for room in rooms if room in names), None)


def modules(package):
    """Map each module's name inside the package to its path; a room's `__init__` bears its name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if len(parts) > 1 and parts[-1] == "__init__":
            parts = parts[:-1]
        found[".".join(parts)] = path
    return found


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def runtime_nodes(node):
    """Every node below `node`, except what only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        yield child
        if is_type_checking(child):
            for alternative in child.orelse:
                yield alternative
                yield from runtime_nodes(alternative)
        else:
            yield from runtime_nodes(child)


def imported_names(path, module):
    """Every dotted name that the file imports, relative imports resolved."""
    home = ["gopoll", *module.split(".")]
    if path.stem != "__init__" or module == "__init__":
        home = home[:-1]
    for node in runtime_nodes(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = home[: len(home) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports(package):
    """Map each module to the modules of the same package that it imports."""
    known = modules(package)
    graph = {}
    for module, path in known.items():
        targets = set()
        for name in imported_names(path, module):
            if name != "gopoll" and not name.startswith("gopoll."):
                continue
            inside = name.removeprefix("gopoll").removeprefix(".")
            # `from room import x`: x is a module of the room, or a name that the room offers.
            while inside and inside not in known:
                inside = inside.rpartition(".")[0]
            targets.add(inside or "__init__")
        graph[module] = targets - {module}
    return graph


def violations(graph, entries):
    for module, targets in sorted(graph.items()):
        for target in sorted(targets):
            here, there = place(module, entries), place(target, entries)
            if here is not None and there is not None and there > here:
                floors = entries[here][1], entries[there][1]
                yield f"{module} (floor {floors[0]}) imports {target} (floor {floors[1]})"


def find_cycle(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def functions(path):
    """Yield the qualified name and the number of lines of each function in a file."""

    def walk(node, prefix):
        for child in ast.iter_child_nodes(node):
            name = prefix
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{prefix}.{child.name}".lstrip(".")
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield name, child.end_lineno - child.lineno + 1
            yield from walk(child, name)

    yield from walk(ast.parse(path.read_text("utf-8")), "")


def test_every_module_has_its_place():
    entries = plan(HOUSE)
    homeless = [module for module in modules(PACKAGE) if place(module, entries) is None]
    assert not homeless, f"not in HOUSE: {homeless}"


def test_the_plan_is_in_order():
    entries = plan(HOUSE)
    floors = [floor for _, floor in entries]
    assert floors == sorted(floors)
    assert len({name for name, _ in entries}) == len(entries)


def test_imports_go_down():
    wrong = list(violations(imports(PACKAGE), plan(HOUSE)))
    assert not wrong, "\n".join(wrong)


def test_no_import_cycle():
    cycle = find_cycle(imports(PACKAGE))
    assert not cycle, " <- ".join(cycle)


def test_files_stay_small():
    sizes = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in modules(PACKAGE).values()
    }
    long = {name for name, size in sizes.items() if size > MAX_FILE}
    assert not long - set(LONG_FILES), sorted((name, sizes[name]) for name in long)
    assert not set(LONG_FILES) - long, "these are short by now"
    assert all(LONG_FILES.values()), "a long file needs a reason"


def test_functions_stay_small():
    sizes = {
        f"{path.relative_to(PACKAGE).as_posix()}:{name}": size
        for path in modules(PACKAGE).values()
        for name, size in functions(path)
    }
    long = {name for name, size in sizes.items() if size > MAX_FUNCTION}
    assert not long - set(LONG_FUNCTIONS), sorted((name, sizes[name]) for name in long)
    assert not set(LONG_FUNCTIONS) - long, "these are short by now"
    assert all(LONG_FUNCTIONS.values()), "a long function needs a reason"


def test_the_checks_find_what_they_look_for(tmp_path):
    files = {
        "__init__.py": "from gopoll.high import name",
        "low.py": "def late():\n    from .room import deep\n",
        "room/__init__.py": "",
        "room/deep.py": "from .. import low",
        "high.py": (
            "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    import gopoll\n"
            "else:\n    import gopoll.room.deep\n"
        ),
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    graph = imports(tmp_path)
    assert graph == {
        "__init__": {"high"},
        "low": {"room.deep"},
        "room": set(),
        "room.deep": {"low"},
        "high": {"room.deep"},
    }
    entries = plan("0 low\n1 room.*\n2 high __init__")
    assert list(violations(graph, entries)) == ["low (floor 0) imports room.deep (floor 1)"]
    assert place("stranger", entries) is None
    assert set(find_cycle(graph)) == {"low", "room.deep"}
    assert list(functions(tmp_path / "low.py")) == [("late", 2)]
