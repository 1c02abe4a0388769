"""``GOPOLL_PATCH`` in the environment: the standard library is patched as the interpreter starts.

A ``.pth`` file beside the installed package (``gopoll_patch.pth``) asks for the variable whenever a
Python of that environment starts, and comes here if it is set. In a virtual environment it is read
twice. What it says:

    ====================  =====================================================================
    GOPOLL_PATCH          effect
    ====================  =====================================================================
    not set, empty, 0     nothing; not even gopoll is imported
    1, all                everything is patched
    time,socket           only these modules are
    -ssl,-asyncio         all but these are
    ====================  =====================================================================

What goes wrong is said on stderr in one line, and the interpreter starts without the patch. With
``python -E`` or ``-I`` the environment is not to be heeded, and is not; with ``-S`` there are no
``.pth`` files.
"""

import os
import sys

__all__ = ["asked_for", "patch", "switches"]


def switches(text: str) -> dict[str, bool]:
    """Return what such a text means for `patch_all`.

    Raises:
        ValueError: It names a module that gopoll does not patch, or makes no sense.
    """
    from gopoll.monkey import MODULES, is_patched

    words = [word.strip() for word in text.split(",") if word.strip()]
    if words in (["1"], ["all"]):
        return {}
    left_out = [word.startswith("-") for word in words]
    if any(left_out) and not all(left_out):
        msg = f"modules are either chosen or left out, not both: {text!r}"
        raise ValueError(msg)
    names = [word.removeprefix("-") for word in words]
    for name in names:
        is_patched(name)  # which refuses what it does not know
    wanted = not any(left_out)
    return {**(dict.fromkeys(MODULES, False) if wanted else {}), **dict.fromkeys(names, wanted)}


def asked_for() -> str:
    """Return what the environment asks for; empty if nothing."""
    text = "" if sys.flags.ignore_environment else os.environ.get("GOPOLL_PATCH", "")
    return "" if text == "0" else text


def patch() -> None:
    """Patch this process as the environment says.

    Raises:
        Exception: Something is wrong with that; the ``.pth`` file says what, in one line.
    """
    text = asked_for()
    if text:
        from gopoll import monkey

        monkey.patch_all(**switches(text))
