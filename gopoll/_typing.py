"""Names for types that the standard library gives only from Python 3.12 on."""

from typing import TypeAlias

__all__ = ["Buffer"]

Buffer: TypeAlias = bytes | bytearray | memoryview
