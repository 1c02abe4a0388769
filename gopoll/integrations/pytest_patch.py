"""``pytest -p gopoll``: the standard library is patched before anything is collected.

To be imported is all that this plugin does. pytest itself was imported before, so what it has
imported by name follows late; conftest files, tests and what they import come after.

Processes that pytest starts, such as the workers of pytest-xdist, are patched by ``GOPOLL_PATCH``
in their environment: by the ``.pth`` file, or else by `pytest_plugin`, which every pytest loads
before it looks for conftest files.
"""

import os

import pytest

from gopoll import monkey
from gopoll.integrations.startup import asked_for, switches

try:
    monkey.patch_all(**switches(asked_for() or "1"))
except (ValueError, RuntimeError) as exc:
    raise pytest.UsageError(str(exc)) from None
os.environ.setdefault("GOPOLL_PATCH", "1")
