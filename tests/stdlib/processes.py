"""Start a child in a session of its own, and end whatever came of it.

A child's processes are found by their session and, where they began one of their own, by the
``TMPDIR`` in their environment, which is different for each run. Nothing is ended by its name.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

__all__ = ["default_signals", "end_all", "has_ended", "start"]

_PROC = Path("/proc")
_KEPT = ("PATH", "GOPOLL_POLLER", "GOPOLL_LIBKQUEUE", "LD_LIBRARY_PATH")


def default_signals():
    """Stop ignoring what a shell lets its background jobs ignore: children would inherit it."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind


def _clean_environment(directory):
    """What a child sees: nothing of the caller's but where programs are and which poller to use."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", "HOME": str(directory), "TMPDIR": str(directory)}


def start(arguments, *, cwd, directory, log):
    """Run this Python with `arguments`; its output goes to the file `log`."""
    with Path(log).open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-W", "default", "-bb", *map(str, arguments)],
            cwd=cwd,
            env=_clean_environment(directory),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def has_ended(child):
    """Whether the child has ended; its number stays taken until `end_all`."""
    flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
    return os.waitid(os.P_PID, child.pid, flags) is not None


def end_all(child, directory):
    """End the child and all that it started; return the child's status."""
    for pid in _group(child.pid) | _strays(directory):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:  # nobody is left
        pass
    return child.wait()


def _numbers():
    return [int(path.name) for path in _PROC.iterdir() if path.name.isdigit()] if _linux() else []


def _linux():
    return sys.platform == "linux"


def _group(session):
    """The processes of a session."""
    found = set()
    for pid in _numbers():
        try:
            if os.getsid(pid) == session:
                found.add(pid)
        except ProcessLookupError:
            pass
    return found


def _strays(directory):
    """The processes whose ``TMPDIR`` is `directory`."""
    mark = f"TMPDIR={directory}".encode()
    found = set()
    for pid in _numbers():
        try:
            if mark in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                found.add(pid)
        except OSError:  # it has ended, or is somebody else's
            pass
    return found - {os.getpid()}
