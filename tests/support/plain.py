"""The environment of a program that a test starts without `run_script`."""

import os

from tests.support.script import ROOT

__all__ = ["plain_env"]


def plain_env(**env: str) -> dict[str, str]:
    """Return ours, less the poller that only exists where a stand-in for it was installed."""
    ours = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    if ours.get("GOPOLL_POLLER") == "kqueue":
        del ours["GOPOLL_POLLER"]
    return ours
