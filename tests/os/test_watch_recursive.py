"""Recursive watches: nothing that is made in a new directory is missed, nothing is told twice."""

import errno
import shutil
import sys
from pathlib import Path

import pytest

import gopoll
from gopoll.os import _inotify
from gopoll.os.watch import Event, Op, Watcher
from tests.support.watching import is_kqueue, needs_inotify, touch, witness

pytestmark = pytest.mark.network


@pytest.fixture
def w(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    with witness(root) as w:
        w.path = root
        yield w


def grow(path, depth):
    """A tree of 2 ** depth directories, each with a file; returns how many paths that makes."""
    touch(path / "file")
    if not depth:
        return 1
    made = 1
    for name in "ab":
        (path / name).mkdir()
        made += 1 + grow(path / name, depth - 1)
    return made


def test_what_is_made_before_anybody_looks(w):
    w.add(w.path, recursive=True)
    made = grow(w.path, 4)
    told = w.told()
    assert len(told) == made == 61
    assert len(set(told)) == made
    assert all(event.startswith("CREATE ") for event in told)
    for event in told:  # a directory before what is in it
        above = event.rpartition("/")[0]
        assert above == "CREATE " or told.index(above) < told.index(event)
    touch(w.path / "a/b/a/b/new")
    assert w.told() == ["CREATE /a/b/a/b/new"]


@needs_inotify
def test_what_is_made_between_watching_and_listing(w, monkeypatch):
    """Both the kernel and the list tell it, and it is told once, until it is made again."""
    w.add(w.path, recursive=True)
    calls = _inotify.system_calls()
    real = calls._add_watch

    def add_watch(number, path, mask):
        handle = real(number, path, mask)
        if path.endswith(b"/dir"):
            touch(w.path / "dir/file")
            (w.path / "dir/sub").mkdir()
        return handle

    with monkeypatch.context() as patch:
        patch.setattr(calls, "_add_watch", add_watch)
        (w.path / "dir").mkdir()
        assert sorted(w.told()) == ["CREATE /dir", "CREATE /dir/file", "CREATE /dir/sub"]
    (w.path / "dir/file").unlink()
    touch(w.path / "dir/file")
    touch(w.path / "dir/sub/file")
    assert w.told() == ["REMOVE /dir/file", "CREATE /dir/file", "CREATE /dir/sub/file"]


@pytest.mark.parametrize("breaks", range(1, 12, 2))
def test_what_is_made_while_others_run(w, breaks):
    """The watcher's goroutine comes in after every so many deeds, wherever it stands then."""
    w.add(w.path, recursive=True)
    here, made = w.path, []
    for n in range(12):
        if n % 3 == 2:
            touch(here / f"f{n}")
            made.append(here / f"f{n}")
        else:
            here /= f"d{n}"
            here.mkdir()
            made.append(here)
        if n % breaks == 0:
            gopoll.gosched()
    told = [event.path for event in w.events() if event.op is Op.CREATE]
    assert sorted(told) == sorted(map(str, made))


def test_what_is_moved_in_is_watched_and_told(w, tmp_path):
    away = tmp_path / "away"
    away.mkdir()
    made = grow(away, 2)
    w.add(w.path, recursive=True)
    away.rename(w.path / "in")
    assert len(w.told()) == made + 1
    touch(w.path / "in/a/b/new")
    assert w.told() == ["CREATE /in/a/b/new"]


def test_what_is_moved_out_is_forgotten(w, tmp_path):
    (w.path / "dir/sub").mkdir(parents=True)
    w.add(w.path, recursive=True)
    (w.path / "dir").rename(tmp_path / "out")
    assert w.told() == ["RENAME /dir"]
    touch(tmp_path / "out/sub/file")
    assert w.told() == []
    (tmp_path / "out").rename(w.path / "dir")
    assert sorted(w.told()) == ["CREATE /dir", "CREATE /dir/sub", "CREATE /dir/sub/file"]


def test_moves_in_a_row(w):
    """A directory goes on under its last name, whenever the watcher gets to look."""
    (w.path / "a/sub").mkdir(parents=True)
    w.add(w.path, recursive=True)
    (w.path / "a").rename(w.path / "b")
    (w.path / "b").rename(w.path / "c")
    (w.path / "a").mkdir()
    (w.path / "c").rename(w.path / "a/d")
    told = w.told()
    assert "CREATE /a" in told
    assert "CREATE /a/d" in told
    touch(w.path / "a/d/sub/file")
    assert w.told() == ["CREATE /a/d/sub/file"]
    touch(w.path / "a/file")
    assert w.told() == ["CREATE /a/file"]


def test_a_name_that_changes_hands_before_anybody_looks(w):
    w.add(w.path, recursive=True)
    (w.path / "a").mkdir()
    (w.path / "a").rename(w.path / "b")
    (w.path / "a").mkdir()
    touch(w.path / "a/1")
    touch(w.path / "b/2")
    told = w.told()
    assert {"CREATE /a", "CREATE /b", "CREATE /a/1", "CREATE /b/2"} <= set(told)
    touch(w.path / "a/3")
    touch(w.path / "b/4")
    assert sorted(w.told()) == ["CREATE /a/3", "CREATE /b/4"]


def test_one_that_becomes_recursive(w):
    (w.path / "sub/sub").mkdir(parents=True)
    w.add(w.path)
    touch(w.path / "sub/file")
    assert w.told() == []
    w.add(w.path, recursive=True)
    w.add(w.path)
    touch(w.path / "sub/sub/file")
    assert w.told() == ["CREATE /sub/sub/file"]
    assert str(w.path) in w.watcher.watched()


def test_one_inside_of_another(w):
    (w.path / "a/b/c").mkdir(parents=True)
    w.add(w.path / "a/b", recursive=True)
    w.add(w.path, recursive=True)
    touch(w.path / "a/b/c/1")
    assert w.told() == ["CREATE /a/b/c/1"]
    w.watcher.remove(w.path)
    touch(w.path / "a/2")
    touch(w.path / "a/b/c/3")
    assert w.told() == ["CREATE /a/b/c/3"]
    w.watcher.remove(w.path / "a/b")
    touch(w.path / "a/b/c/4")
    assert w.told() == []


def test_one_added_inside_and_taken_away_again(w):
    (w.path / "a/b").mkdir(parents=True)
    w.add(w.path, recursive=True)
    w.add(w.path / "a")
    w.watcher.remove(w.path / "a")
    touch(w.path / "a/b/file")
    assert w.told() == ["CREATE /a/b/file"]


def test_symbolic_links_are_not_followed(w, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (w.path / "link").symlink_to(tmp_path / "elsewhere")
    (w.path / "loop").symlink_to(w.path)
    w.add(w.path, recursive=True)
    touch(tmp_path / "elsewhere/file")
    assert w.told() == []
    touch(w.path / "file")
    assert w.told() == ["CREATE /file"]


def test_a_tree_that_comes_and_goes(w):
    w.add(w.path, recursive=True)
    for _ in range(5):
        grow(w.path, 3)
        shutil.rmtree(w.path / "a")
        gopoll.gosched()
        shutil.rmtree(w.path / "b")
        w.told()
    grow(w.path, 1)
    w.told()
    touch(w.path / "b/last")
    assert w.told() == ["CREATE /b/last"]


@needs_inotify
def test_a_new_directory_that_cannot_be_watched(w, monkeypatch):
    """The limit is reached as the tree grows: that is told, where it belongs, and goes on."""
    w.add(w.path, recursive=True)
    calls = _inotify.system_calls()
    with monkeypatch.context() as patch:
        patch.setattr(calls, "_add_watch", lambda *_: -1)
        patch.setattr(calls, "_errno", lambda: errno.ENOSPC)
        (w.path / "dir").mkdir()
        told = w.events()
    assert [(event.op, event.path.removeprefix(w.root)) for event in told] == [
        (Op.CREATE, "/dir"),
        (Op.OVERFLOW, "/dir"),
    ]
    assert told[1].error.errno == errno.ENOSPC
    assert "max_user_watches" in str(told[1])
    touch(w.path / "file")
    assert w.told() == ["CREATE /file"]


@needs_inotify
def test_adding_all_or_nothing(w, monkeypatch):
    (w.path / "a").mkdir()
    (w.path / "b").mkdir()
    calls = _inotify.system_calls()
    real, left = calls._add_watch, [2]

    def limited(*args):
        left[0] -= 1
        return real(*args) if left[0] >= 0 else -1

    with monkeypatch.context() as patch:
        patch.setattr(calls, "_add_watch", limited)
        patch.setattr(calls, "_errno", lambda: errno.ENOSPC)
        with pytest.raises(OSError, match="max_user_watches"):
            w.add(w.path, recursive=True)
    assert str(w.path) not in w.watcher.watched()
    assert len(w.watcher._feed.tree._watches) == 1  # the mark
    touch(w.path / "a/file")
    assert w.told() == []


def test_deep_trees(tmp_path):
    """Nothing recurses, however deep a tree is."""
    depth = 30 if is_kqueue() else sys.getrecursionlimit() + 100
    paths = [Path(f"{tmp_path}{'/d' * n}") for n in range(1, depth + 1)]
    file = paths[-1] / "file"
    try:
        for path in paths:
            path.mkdir()
        touch(file)
        with Watcher() as watcher:
            watcher.add(tmp_path, recursive=True)
            file.chmod(0o600)
            with gopoll.timeout(20):
                assert watcher.events.recv() == Event(str(file), Op.CHMOD)
            watcher.remove(tmp_path)
    finally:  # what removes it otherwise does recurse
        file.unlink(missing_ok=True)
        for path in filter(Path.exists, reversed(paths)):
            path.rmdir()
