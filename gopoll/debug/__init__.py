"""Looking into a running program: what every goroutine does, and since when."""

from gopoll.debug.dump import dump, install

__all__ = ["dump", "install"]
