"""Outcomes of whole modules in a JSON file, which belongs to one release of Python."""

import json
import platform
import threading
from dataclasses import asdict
from pathlib import Path

from tests.stdlib.run import Outcome

__all__ = ["Store"]


class Store:
    """Module -> case -> outcome; kept in `path` if there is one, written after each module."""

    def __init__(self, path=None):
        self.path = Path(path) if path else None
        self.python = f"{platform.python_implementation()} {platform.python_version()}"
        self._modules = {}
        self._lock = threading.Lock()
        if self.path and self.path.exists():
            held = json.loads(self.path.read_text("utf-8"))
            if held["python"] != self.python:
                raise SystemExit(f"{path} is of {held['python']}, this is {self.python}")
            self._modules = held["modules"]

    def get(self, module):
        """The outcomes of a module, or None if it has not been run."""
        held = self._modules.get(module)
        return held and {case: Outcome(**outcome) for case, outcome in held.items()}

    def put(self, module, results):
        """Keep the outcomes of a module, instead of those from before."""
        with self._lock:
            self._modules[module] = {case: asdict(outcome) for case, outcome in results.items()}
            if self.path is None:
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"python": self.python, "modules": self._modules}, indent=1)
            new = self.path.with_suffix(".new")
            new.write_text(text, "utf-8")
            new.replace(self.path)
