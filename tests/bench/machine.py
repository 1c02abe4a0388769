"""What the kernel says about processes and about the machine."""

import os
import platform
import resource
import sys
import sysconfig
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["ALL_CORES", "CLIENT_CORES", "SERVER_CORES", "cpu", "describe", "raise_files", "rss"]

ALL_CORES = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()
SERVER_CORES = frozenset(sorted(ALL_CORES)[:1])
CLIENT_CORES = ALL_CORES - SERVER_CORES or ALL_CORES

PACKAGES = (
    *("gopoll", "greenlet", "gevent", "eventlet", "uvloop", "trio"),
    *("gunicorn", "flask", "redis"),
)


def family(pid: int) -> list[int]:
    """A process and its living descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def cpu(pid: int) -> float:
    """The CPU seconds of a process and its living descendants, threads that have ended included.

    By the kernel's per-process clock, whose number is the process's, as clock_getcpuclockid(3) has
    it: nanoseconds, where /proc/PID/stat counts hundredths of a second.
    """
    return sum(time.clock_gettime(~one << 3 | 2) for one in family(pid))


def rss(pid: int) -> int:
    """The bytes of memory that a process and its descendants have to themselves."""
    total = 0
    for one in family(pid):
        anonymous = Path(f"/proc/{one}/status").read_text().partition("RssAnon:")[2]
        total += int(anonymous.split()[0]) * 1024
    return total


def raise_files() -> int:
    """Raise the limit of open files, which children inherit, as far as allowed; return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def describe(go: str) -> dict[str, str]:
    """What a record must say, so that its numbers mean something, at the time when it begins.

    `go` is the version of Go, if there is one.
    """
    model = Path("/proc/cpuinfo").read_text().partition("model name")[2]
    model = model.partition("\n")[0].strip(" :\t") or platform.machine()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    flags = sysconfig.get_config_var("CONFIG_ARGS") or ""
    optimized = "optimizations" if "--enable-optimizations" in flags else "no PGO"
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    if go:
        versions["Go"] = go
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{model}, {len(ALL_CORES)} cores",
        "memory": f"{memory:.0f} GiB",
        "load": f"{os.getloadavg()[0]:.1f} before it began",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{sys.version.split()[0]}, {platform.python_compiler()}, {optimized}",
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
    }
