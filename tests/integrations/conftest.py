"""Files of tests that pytest runs in a process of its own, with the plugin."""

import pytest

from tests.support.script import ROOT

PLUGIN = "gopoll.integrations.pytest_plugin"


@pytest.fixture
def run(pytester, monkeypatch):
    """Run a file of tests, with further options; returns pytest's result."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    for name in ("GOPOLL_POLLER", "GOPOLL_TEST_SEED", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)

    def run(code, *options):
        pytester.makepyfile(f"import gopoll, pytest\nfrom gopoll import Chan, go, testing\n{code}")
        return pytester.runpytest_subprocess(
            *("-p", PLUGIN, "-p", "no:randomly", "-p", "no:cacheprovider", "--tb=short"), *options
        )

    return run
