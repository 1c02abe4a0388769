"""Storms: more happens than anybody reads; nothing is lost, or it is told that something was."""

import gc
import os
import sys
from pathlib import Path

import pytest

import gopoll
from gopoll import testing
from gopoll.os.watch import Event, Op, Watcher
from tests.support.pairs import open_descriptors
from tests.support.watching import Witness, is_kqueue, needs_inotify, touch

pytestmark = pytest.mark.network

LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")


def test_ten_thousand_events(tmp_path):
    """50 files are made and removed 100 times: all of it is told, and nothing stays."""
    paths = [str(tmp_path / f"file-{n}") for n in range(50)]
    rounds = 5 if is_kqueue() else 100  # libkqueue takes 10 ms to forget a file

    def make_and_remove():
        for op, deed in ((Op.CREATE, touch), (Op.REMOVE, os.unlink)):
            for path in paths:
                deed(path)
            with gopoll.timeout(20):
                told = [watcher.events.recv() for _ in paths]
            assert sorted(event.path for event in told) == paths_in_order
            assert {event.op for event in told} == {op}

    paths_in_order = sorted(paths)
    with Watcher() as watcher:
        watcher.add(tmp_path)
        make_and_remove()
        gc.collect()
        descriptors, blocks = open_descriptors(), sys.getallocatedblocks()
        for _ in range(rounds - 1):
            make_and_remove()
        gc.collect()
        assert open_descriptors() == descriptors
        assert sys.getallocatedblocks() - blocks < 500
        assert watcher.events.try_recv() == (None, False)


@pytest.mark.skipif(
    os.environ.get("GOPOLL_POLLER") == "kqueue",
    reason="libkqueue spends an inotify instance on each file, and there are 128 of them",
)
@pytest.mark.timeout(150)
def test_ten_thousand_files_at_once(tmp_path):
    """Nobody reads until all is done: the kernel keeps it."""
    if int(LIMIT.read_text()) < 10_000:
        pytest.skip("the kernel keeps less than 10,000 events")
    with Watcher(buffer=0) as watcher:
        watcher.add(tmp_path)
        for n in range(10_000):
            touch(tmp_path / f"{n}")
        with gopoll.timeout(100):
            told = [watcher.events.recv() for _ in range(10_000)]
        assert told == [Event(f"{tmp_path}/{n}", Op.CREATE) for n in range(10_000)]
        assert watcher.events.try_recv() == (None, False)


@needs_inotify
def test_more_than_the_kernel_keeps(tmp_path):
    """TestInotifyOverflow; afterwards the tree is watched as it is."""
    limit = int(LIMIT.read_text())
    if limit > 100_000:
        pytest.skip(f"the kernel keeps {limit} events")
    root, mark = tmp_path / "root", tmp_path / "mark"
    (root / "old").mkdir(parents=True)
    (root / "gone").mkdir()
    mark.mkdir()
    with Watcher() as watcher:
        w = Witness(watcher, mark / "mark", root)
        w.add(root, recursive=True)
        w.add(root / "gone")
        for n in range(limit // 2 + 1):  # two events that the kernel cannot take for one
            (root / "old").chmod(0o700)
            touch(root / "file") if n % 2 else (root / "file").unlink(missing_ok=True)
        (root / "gone").rmdir()
        (root / "old").rename(root / "moved")
        (root / "new/sub").mkdir(parents=True)
        told = []
        with gopoll.timeout(50):
            while not told or told[-1].op is not Op.OVERFLOW:
                told.append(watcher.events.recv())
        assert told[-1] == Event("", Op.OVERFLOW)
        assert Event(f"{root}/gone", Op.REMOVE) in told
        assert w.told() == []
        for path in ("moved", "new", "new/sub"):
            touch(root / path / "file")
            assert w.told() == [f"CREATE /{path}/file"]
        assert sorted(watcher.watched()) == [str(mark), str(root)]


def test_watchers_come_and_go(tmp_path):
    touch(tmp_path / "file")

    def one():
        with Watcher() as watcher:
            watcher.add(tmp_path)
            (tmp_path / "file").chmod(0o600)
            with gopoll.timeout(20):
                assert watcher.events.recv().op is Op.CHMOD
        testing.wait_idle()

    for _ in range(3):
        one()
    gc.collect()
    descriptors, goroutines = open_descriptors(), gopoll.num_goroutine()
    for _ in range(20 if is_kqueue() else 100):
        one()
    gc.collect()
    assert open_descriptors() <= descriptors + 3  # some are given back by another thread
    assert gopoll.num_goroutine() == goroutines
