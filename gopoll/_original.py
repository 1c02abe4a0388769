"""The standard library as it was before anybody patched it: the only holder of such callables.

gopoll must wait, lock, poll and start threads with the real things even after a program made the
standard library cooperative. So the rooms below the patching one take them from here, and this
module is imported before any patch is made.

Invariant: names are bound once, at import; nobody assigns to them later.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import _thread
import errno
import os
import select
import sys
import threading
import time
from types import SimpleNamespace

from gopoll._typing import Any

AF_INET = _socket.AF_INET
AF_INET6 = _socket.AF_INET6

# Threads and locks.
allocate_lock = _thread.allocate_lock
RLock = _thread.RLock
ThreadLocal = _thread._local
get_ident = _thread.get_ident
start_new_thread = _thread.start_new_thread
thread_count = _thread._count
current_frames = sys._current_frames
ThreadHandle: Any = getattr(_thread, "_ThreadHandle", None)  # since 3.13
thread_set_name: Any = getattr(_thread, "set_name", None)  # since 3.14
thread_shutdown: Any = getattr(_thread, "_shutdown", None)  # since 3.13
interrupt_main = _thread.interrupt_main
main_thread = threading.main_thread

# Time.
monotonic = time.monotonic
sleep = time.sleep

# Signals. The C module, since `signal` wraps each of these in Python code.
getsignal = _signal.getsignal
set_signal = _signal.signal
thread_kill = _signal.pthread_kill
pthread_sigmask: Any = getattr(_signal, "pthread_sigmask", None)
set_wakeup_fd = _signal.set_wakeup_fd
default_int_handler = _signal.default_int_handler
SIGINT = _signal.SIGINT
SIGQUIT = _signal.SIGQUIT
SIGURG = _signal.SIGURG
valid_signals = _signal.valid_signals

# Descriptors.
os_read = os.read
os_write = os.write
os_close = os.close
os_pipe = os.pipe
os_dup = os.dup
os_fstat = os.fstat
os_strerror = os.strerror
set_blocking = os.set_blocking
fork_exit = os._exit

# Readiness. A copy of the module, since each system has other names in it.
select_module: Any = SimpleNamespace(**vars(select))
select_select = select.select
epoll_poll: Any = getattr(getattr(select, "epoll", None), "poll", None)

# Sockets: the C class, without the Python layer that patching replaces.
Socket = _socket.socket
socket_module = _socket
getaddrinfo = _socket.getaddrinfo
gaierror = _socket.gaierror

__all__ = [
    "AF_INET",
    "AF_INET6",
    "SIGINT",
    "SIGQUIT",
    "SIGURG",
    "RLock",
    "Socket",
    "ThreadHandle",
    "ThreadLocal",
    "allocate_lock",
    "current_frames",
    "default_int_handler",
    "epoll_poll",
    "errno",
    "fork_exit",
    "gaierror",
    "get_ident",
    "getaddrinfo",
    "getsignal",
    "interrupt_main",
    "main_thread",
    "monotonic",
    "os_close",
    "os_dup",
    "os_fstat",
    "os_pipe",
    "os_read",
    "os_strerror",
    "os_write",
    "pthread_sigmask",
    "select_module",
    "select_select",
    "set_blocking",
    "set_signal",
    "set_wakeup_fd",
    "sleep",
    "socket_module",
    "start_new_thread",
    "thread_count",
    "thread_kill",
    "thread_set_name",
    "thread_shutdown",
    "valid_signals",
]
