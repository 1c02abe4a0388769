"""Watchers and what they refuse: paths, arguments, rights and limits."""

import errno
import gc
import os

import pytest

from gopoll.os import _inotify
from gopoll.os.watch import Watcher
from tests.support.pairs import open_descriptors
from tests.support.script import run_script
from tests.support.watching import is_kqueue, needs_inotify, touch

pytestmark = pytest.mark.network


def test_paths_that_do_not_exist(tmp_path):
    """TestAdd: "doesn't exist"."""
    touch(tmp_path / "file")
    with Watcher() as watcher:
        for path in (tmp_path / "none", tmp_path / "none" / "none", ""):
            with pytest.raises(FileNotFoundError) as caught:
                watcher.add(path)
            assert caught.value.filename == str(path)
        with pytest.raises(NotADirectoryError) as caught:
            watcher.add(tmp_path / "file", recursive=True)
        assert caught.value.filename == f"{tmp_path}/file"
        with pytest.raises(NotADirectoryError):
            watcher.add(tmp_path / "file" / "below")
        assert watcher.watched() == []


def test_bad_arguments():
    with Watcher() as watcher:
        for path in (None, 7, ["x"]):
            with pytest.raises(TypeError):
                watcher.add(path)
        with pytest.raises(ValueError, match="null"):
            watcher.add("a\0b")
        for buffer in (-1, "many"):
            with pytest.raises((ValueError, TypeError)):
                Watcher(buffer)
    gc.collect()


def test_removing_what_is_not_watched(tmp_path):
    """TestRemove: "remove same dir twice", also through a symbolic link."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "dir")
    with Watcher() as watcher:
        watcher.add(tmp_path / "dir")
        watcher.add(tmp_path / "link")
        watcher.remove(tmp_path / "dir")
        watcher.add(".")
        with pytest.raises(ValueError, match="not watched: ''"):
            watcher.remove("")
        assert watcher.watched() == ["."]
        for name in ("dir", "link", "none"):
            with pytest.raises(ValueError, match=f"not watched: '.*{name}'"):
                watcher.remove(tmp_path / name)


def test_a_directory_without_permission(tmp_path):
    """TestAdd: "permission denied", as somebody to whom it applies."""
    done = run_script(
        """
        import os
        from gopoll.os.watch import Watcher
        Watcher().close()  # nothing is to be imported by somebody else
        os.makedirs("tree/secret")
        os.chmod("tree/secret", 0)
        os.chmod("tree", 0o755)
        os.chmod(".", 0o755)
        if os.getuid() == 0:
            os.seteuid(65534)
        with Watcher() as watcher:
            # libkqueue opens nothing in the name of somebody else.
            kqueue = os.environ.get("GOPOLL_POLLER") == "kqueue"
            for path, recursive in (("tree/secret", False), ("tree", True))[: 2 - kqueue]:
                try:
                    watcher.add(path, recursive=recursive)
                except PermissionError as exc:
                    print(exc.filename, watcher.watched())
            os.seteuid(os.getuid())
            watcher.add("tree")
            print(watcher.watched())
        """.replace("os.makedirs", f"os.chdir({str(tmp_path)!r}); os.makedirs")
    )
    assert done.stderr == ""
    refused = ["tree/secret []"] * (1 if is_kqueue() else 2)
    assert done.stdout.splitlines() == [*refused, "['tree']"]


@needs_inotify
@pytest.mark.parametrize(
    ("call", "code", "limit"),
    [
        ("_add_watch", errno.ENOSPC, "max_user_watches"),
        ("_init1", errno.EMFILE, "max_user_instances"),
    ],
)
def test_a_limit_that_is_reached(tmp_path, monkeypatch, call, code, limit):
    calls = _inotify.system_calls()
    with Watcher() as watcher:
        monkeypatch.setattr(calls, call, lambda *_: -1)
        monkeypatch.setattr(calls, "_errno", lambda: code)
        with pytest.raises(OSError, match=rf"limit fs\.inotify\.{limit} \(\d+\)") as caught:
            watcher.add(tmp_path) if call == "_add_watch" else Watcher()
        assert caught.value.errno == code
        assert watcher.watched() == []


@pytest.mark.skipif(os.environ.get("GOPOLL_POLLER") != "kqueue", reason="takes no descriptors")
def test_no_descriptor_left(tmp_path, monkeypatch):
    for name in "ab":
        touch(tmp_path / name)
    before = open_descriptors()
    real_open = os.open

    def one_too_many(path, *args, **kwargs):
        if path == "b":
            raise OSError(errno.EMFILE, "Too many open files", path)
        return real_open(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", one_too_many)
    with Watcher() as watcher:
        own = open_descriptors()
        with pytest.raises(OSError, match="each watched file takes one") as caught:
            watcher.add(tmp_path)
        assert (caught.value.errno, caught.value.filename) == (errno.EMFILE, f"{tmp_path}/b")
        assert open_descriptors() == own > before
        assert watcher.watched() == []
