"""``python -m gopoll [-m MODULE | -c CODE | PROGRAM] ARGS``: a program on goroutines.

The standard library is patched before the program's first import; then the program runs as the main
goroutine, and sees what it would see if Python itself had started it:

    ==============  ===============================  ==========================================
    started as      sys.argv[0]                      sys.path[0]
    ==============  ===============================  ==========================================
    PROGRAM         as it was given                  the directory of the file; a directory or
                                                     zip file itself
    ``-m MODULE``   the file of the module           the current directory
    ``-c CODE``     ``-c``                           empty: the current directory at any time
    ``-``           ``-``                            the same
    ==============  ===============================  ==========================================

Its module is a fresh ``__main__``; tracebacks begin with its own first frame; how it ends is left
to the interpreter: exit status, exceptions and their hooks, Ctrl-C, and ``python -i``.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from types import CodeType, ModuleType, TracebackType
from typing import Any, Final, NamedTuple, NoReturn

__all__ = ["main"]

_USAGE: Final = "usage: python -m gopoll [--patch MODULES] [-m MODULE | -c CODE | PROGRAM] [ARGS]"
_HELP: Final = f"""{_USAGE}

Run a Python program with the standard library on goroutines.

  PROGRAM           a script, a directory or zip file with a __main__.py, or - for standard input
  -m MODULE         run a module or package
  -c CODE           run a string
  --patch MODULES   patch only these, or leave some out: time,socket or -ssl,-asyncio
  --report          say on standard error what is patched and what is not, when the program ends
  --version, -V     print the version
  --help, -h        print this

Options of Python itself come before -m gopoll: python -X dev -m gopoll program.py
GOPOLL_PATCH=1 in the environment patches programs that something else starts.
"""


class _Order(NamedTuple):
    """What the command line asks for."""

    patch: str
    report: bool
    how: str  # "-m", "-c" or "file"
    what: str
    args: list[str]


def main() -> None:
    """Patch the standard library, and run the program that the command line names."""
    order = _parse(sys.argv[1:])
    from gopoll import monkey
    from gopoll.integrations.startup import asked_for, switches

    if sys.gettrace() is not None:
        from gopoll.monkey._tracing import tell_coverage

        tell_coverage(at_start=True)
    try:
        monkey.patch_all(**switches(order.patch or asked_for() or "1"))
    except (ValueError, RuntimeError) as exc:
        _refuse(str(exc))
    if order.report:
        import atexit

        atexit.register(monkey.report, sys.stderr)
    run = _prepare(order)
    module = ModuleType("__main__")
    names = module.__dict__
    names["__builtins__"] = sys.modules["builtins"]
    if sys.version_info < (3, 14):
        names["__annotations__"] = {}
    ours, sys.modules["__main__"] = sys.modules["__main__"], module
    try:
        run(names)
    except SystemExit:
        raise
    except BaseException as exc:
        _hide_ourselves(exc)
        raise
    finally:
        del ours  # which had to live until here


def _parse(args: list[str]) -> _Order:
    patch, report = "", False
    while args:
        option, *args = args
        how, attached = option[:2], option[2:]
        if how in {"-m", "-c"}:
            if not attached and not args:
                _refuse(f"argument expected for the {how} option")
            what, rest = (attached, args) if attached else (args[0], args[1:])
            return _Order(patch, report, how, what, rest)
        if option in {"-h", "--help"}:
            sys.stdout.write(_HELP)
            sys.exit()
        elif option in {"-V", "--version"}:
            version = sys.modules["gopoll"].__version__
            sys.stdout.write(f"gopoll {version}\n")
            sys.exit()
        elif option == "--report":
            report = True
        elif option == "--patch" and args:
            patch, *args = args
        elif option.startswith("--patch="):
            patch = option.removeprefix("--patch=")
        elif option == "--":
            return _parse_program(patch, report, args)
        elif option.startswith("-") and option != "-":
            _refuse(f"unknown option {option}")
        else:
            return _parse_program(patch, report, [option, *args])
    return _parse_program(patch, report, args)


def _parse_program(patch: str, report: bool, args: list[str]) -> _Order:
    if not args:
        _refuse("there is no program to run")
    return _Order(patch, report, "file", args[0], args[1:])


def _refuse(why: str) -> NoReturn:
    sys.stderr.write(f"gopoll: {why}\n{_USAGE}\n")
    sys.exit(2)


# -- the ways to run a program --------------------------------------------------------------------

_Run = Callable[[dict[str, Any]], None]


def _prepare(order: _Order) -> _Run:
    """Set `sys` up as the program expects it; return what runs the program in a namespace."""
    how, what, args = order.how, order.what, order.args
    if how == "-m":
        sys.argv = [how, *args]
        _set_first_path(os.getcwd())
        return partial(_run_module, what)
    if how == "-c":
        sys.argv = [how, *args]
        _set_first_path("")
        return partial(_run_source, what, "<string>")
    sys.argv = [what, *args]
    if what == "-":
        _set_first_path("")
        return _run_input
    if _is_importable(what):
        _set_first_path(os.path.abspath(what), always=True)
        return _run_container
    _set_first_path(os.path.dirname(os.path.realpath(what)))
    return partial(_run_file, what)


def _set_first_path(first: str, *, always: bool = False) -> None:
    """Put `first` where Python put the place that it found gopoll in, if it may do so."""
    if not sys.flags.safe_path:
        sys.path[0] = first
    elif always:
        sys.path.insert(0, first)


def _is_importable(path: str) -> bool:
    """Whether modules are found in `path`: a directory, or a zip file."""
    for hook in sys.path_hooks:
        try:
            hook(path)
        except ImportError:
            continue
        return True
    return False


def _run_module(name: str, _namespace: dict[str, Any]) -> None:
    import runpy

    runpy._run_module_as_main(name)  # type: ignore[attr-defined]


def _run_container(_namespace: dict[str, Any]) -> None:
    import runpy

    runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]


def _run_input(namespace: dict[str, Any]) -> None:
    namespace.update(__file__="<stdin>", __cached__=None)
    _run_source(sys.stdin.read(), "<stdin>", namespace)


def _run_source(source: str, name: str, namespace: dict[str, Any]) -> None:
    from importlib.machinery import BuiltinImporter

    namespace["__loader__"] = BuiltinImporter
    exec(compile(source, name, "exec", dont_inherit=True), namespace)


def _run_file(path: str, namespace: dict[str, Any]) -> None:
    path = os.path.abspath(path)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as exc:
        sys.stderr.write(f"{sys.executable}: can't open file {path!r}: [Errno {exc.errno}] ")
        sys.stderr.write(f"{exc.strerror}\n")
        sys.exit(2)
    loader, code = _load(path, data)
    namespace.update(__file__=path, __cached__=None, __loader__=loader)
    exec(code, namespace)


def _load(path: str, data: bytes) -> tuple[object, CodeType]:
    """Return the loader and the code of a script, or of a compiled one."""
    from importlib import machinery, util

    if not data.startswith(util.MAGIC_NUMBER):
        source = machinery.SourceFileLoader("__main__", path)
        return source, compile(data, path, "exec", dont_inherit=True)
    import marshal

    return machinery.SourcelessFileLoader("__main__", path), marshal.loads(data[16:])


# -- the end of a program -------------------------------------------------------------------------


def _hide_ourselves(exc: BaseException) -> None:
    """Let the traceback that the interpreter is going to print begin with the program.

    On its way out the exception gathers our frames and those below; whoever shows it gets it as it
    is now, without them.
    """
    traceback = exc.__traceback__
    while (
        traceback is not None and traceback.tb_frame.f_code.co_filename == main.__code__.co_filename
    ):
        traceback = traceback.tb_next
    hook = sys.excepthook

    def show(kind: type[BaseException], value: BaseException, tb: TracebackType | None) -> None:
        sys.excepthook = hook
        if value is exc:
            tb = sys.last_traceback = value.__traceback__ = traceback
        hook(kind, value, tb)

    sys.excepthook = show
