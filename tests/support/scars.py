"""Programs that hung, crashed or failed under other patches, each in a process of its own."""

import textwrap

import pytest

from tests.support.script import run_script

__all__ = ["cases", "check"]

PATCH = "from gopoll import monkey; monkey.patch_all()\n"


def cases(table: dict[str, str]) -> pytest.MarkDecorator:
    """Give a test each program of a table, by the names of the issues that it stands for.

    A program is patched first, unless it says itself when; its last line is to be ``fine``.
    """
    programs = [pytest.param(textwrap.dedent(code), id=name) for name, code in table.items()]
    return pytest.mark.parametrize("program", programs)


def check(program: str, **env: str) -> None:
    """Run the program: it ends soon and well, and is silent on stderr."""
    done = run_script(program if "patch_all" in program else PATCH + program, timeout=40, **env)
    assert done.stderr == ""
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["fine"]), done.stdout
