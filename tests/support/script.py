"""Programs that need a process of their own: crashes, forks, signals, exits."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

__all__ = ["ROOT", "run_script"]

ROOT = Path(__file__).parents[2]
_KQUEUE = "from tests.support import libkqueue; libkqueue.install()\n"


def run_script(
    code: str, *args: str, timeout: float = 30.0, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `code` with this interpreter; return its status and output, both streams as text."""
    if os.environ.get("GOPOLL_POLLER") == "kqueue":
        code = _KQUEUE + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(code), *args],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
