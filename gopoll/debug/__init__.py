"""Looking into a running program: what every goroutine does, and since when; and stopping it."""

from gopoll.debug.dump import dump, install
from gopoll.debug.world import stop_world

__all__ = ["dump", "install", "stop_world"]
