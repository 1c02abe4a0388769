"""Processes and descriptors as the standard library offered them before anybody patched it.

Invariant: names are bound once, at import; nobody assigns to them later. What only some systems
have is None elsewhere.
"""

import os
import signal  # noqa: TID251 - bound here, once
import subprocess  # noqa: TID251 - the same
from typing import Any, Final

SIGKILL: Final = signal.SIGKILL
SIGTERM: Final = signal.SIGTERM
DEVNULL: Final = subprocess.DEVNULL
PIPE: Final = subprocess.PIPE
STDOUT: Final = subprocess.STDOUT
CalledProcessError = subprocess.CalledProcessError
CompletedProcess = subprocess.CompletedProcess
Popen = subprocess.Popen

os_dup2 = os.dup2
os_exists = os.path.exists
os_kill = os.kill
os_killpg = os.killpg
os_lseek = os.lseek
os_open = os.open
os_readv = os.readv
os_stat = os.stat
os_waitpid = os.waitpid
os_writev = os.writev
waitstatus_to_exitcode = os.waitstatus_to_exitcode

os_waitid: Any = getattr(os, "waitid", None)
pidfd_open: Any = getattr(os, "pidfd_open", None)
pidfd_send_signal: Any = getattr(signal, "pidfd_send_signal", None)
P_PIDFD: Any = getattr(os, "P_PIDFD", None)

__all__ = [
    "DEVNULL",
    "PIPE",
    "P_PIDFD",
    "SIGKILL",
    "SIGTERM",
    "STDOUT",
    "CalledProcessError",
    "CompletedProcess",
    "Popen",
    "os_dup2",
    "os_exists",
    "os_kill",
    "os_killpg",
    "os_lseek",
    "os_open",
    "os_readv",
    "os_stat",
    "os_waitid",
    "os_waitpid",
    "os_writev",
    "pidfd_open",
    "pidfd_send_signal",
    "waitstatus_to_exitcode",
]
