"""Where no descriptor is left, at whatever step: a clear error, and nothing is left behind."""

import errno
import gc
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gopoll.os import file
from gopoll.os.file import File
from gopoll.os.process import PIPE, Process, wait_pid
from gopoll.os.watch import Watcher
from gopoll.runtime.sched import this
from tests.support.pairs import open_descriptors, open_numbers
from tests.support.parking import in_thread

pytestmark = pytest.mark.network

ENOUGH = 16  # more than anything takes that is tried here

needs_no_library = pytest.mark.skipif(
    os.environ.get("GOPOLL_POLLER") == "kqueue" and sys.platform == "linux",
    reason="libkqueue takes descriptors for what costs a real kqueue none, and keeps some",
)


@contextmanager
def at_most(more: int) -> Iterator[None]:
    """Let so `more` numbers be taken than are in use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    in_use = {number for number in open_numbers() if number > free}
    limit = free
    while more or limit in in_use:
        more -= limit not in in_use
        limit += 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def must_fail_clearly_or_succeed(what) -> None:
    """Try it with ever more numbers, until it succeeds with all that there can be."""
    before = open_descriptors()
    failed = {}
    for more in range(ENOUGH + 1):
        try:
            with at_most(more):
                what()
        except OSError as exc:
            failed[more] = exc.errno
        gc.collect()  # what only the error's frames still had
        assert open_descriptors() == before, f"with {more} numbers"
    assert set(failed.values()) == {errno.EMFILE}
    assert ENOUGH not in failed


def test_starting_a_child():
    own, other = file.pipe()

    def start():
        with Process(["cat"], stdin=PIPE, stdout=PIPE, stderr=other) as child:
            assert child.communicate(b"hi") == (b"hi", None)

    with own, other:
        with Process(["true"]):  # the poller is there when it has ended
            pass
        must_fail_clearly_or_succeed(start)


@needs_no_library
def test_waiting_for_a_child_of_others():
    """A descriptor of the child is of use, not needed."""
    before = open_descriptors()
    with Process(["true"]) as child:
        child.wait()
    pid = os.posix_spawn(shutil.which("true"), ["true"], {})
    with at_most(0):
        assert wait_pid(pid) == 0
    assert open_descriptors() == before


@pytest.mark.parametrize(
    "what",
    [file.pipe, lambda: [file.stdin()], lambda: [File.open("/")], lambda: [_opened_anew()]],
    ids=["pipe", "stdin", "regular", "anew"],
)
def test_files(what):
    def both():
        for f in what():
            f.close()

    must_fail_clearly_or_succeed(both)


@needs_no_library
def test_watching(tmp_path):
    with Watcher():  # the poller is there
        pass

    def watch():
        with Watcher() as watcher:
            watcher.add(tmp_path)

    must_fail_clearly_or_succeed(watch)


@needs_no_library
def test_the_first_wait_of_a_thread():
    """It needs a poller, and what wakes that."""
    must_fail_clearly_or_succeed(lambda: in_thread(_need_poller))


@needs_no_library
def test_a_poller_that_takes_no_more(monkeypatch):
    def refused(self, fd, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(this.sched.need_poller()), "register", refused)
    before = open_descriptors()
    with pytest.raises(OSError, match="No space"):
        in_thread(_need_poller)
    gc.collect()
    assert open_descriptors() == before


def _opened_anew() -> File:
    """A pipe's end; nobody who shares it may find it non-blocking, not even for want of numbers."""
    reader, writer = os.pipe()
    try:
        with os.fdopen(os.dup(writer), "wb", buffering=0) as shared:
            f = File(writer)
            assert os.get_blocking(shared.fileno()) == (sys.platform == "linux")
            return f
    except OSError:
        os.close(writer)
        raise
    finally:
        os.close(reader)


def _need_poller() -> None:
    this.sched.need_poller()
