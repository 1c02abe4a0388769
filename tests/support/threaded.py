"""Programs written for threads, which patch the standard library first thing, or late."""

import textwrap

from tests.support.script import run_script

__all__ = ["COMMON", "PATCH", "run", "run_late"]

PATCH = """
from gopoll import monkey
monkey.patch_all()
"""
COMMON = """
import gopoll, threading, time
from gopoll import testing
"""


def _lines(code, args, env):
    done = run_script(code, *args, **env)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


def run(code, *args, **env):
    """Run `code` patched; return what it prints. It must end well, and silently on stderr."""
    return _lines(PATCH + COMMON + textwrap.dedent(code), args, env)


def run_late(before, code, *args, **env):
    """Run `before`, patch, run `code`."""
    late = COMMON + textwrap.dedent(before) + PATCH + textwrap.dedent(code)
    return _lines(late, args, env)
