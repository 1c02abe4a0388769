"""What tests of file watching have in common: deeds, and the events that come of them."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import gopoll
from gopoll.os.watch import Event, Op, Watcher
from gopoll.runtime.sched import this

__all__ = ["Witness", "is_kqueue", "must_be_told", "needs_inotify", "touch", "witness"]

_PATIENCE = 20.0


def is_kqueue() -> bool:
    """Whether files are watched by kqueue, as the poller of this run is one."""
    return this.sched.need_poller().name == "kqueue"


needs_inotify = pytest.mark.skipif(
    os.environ.get("GOPOLL_POLLER") == "kqueue",
    reason="about the limits and the queue of inotify, which a kqueue has not",
)


def touch(path: Path) -> None:
    """Make an empty file, if there is none, and do nothing else to it."""
    os.close(os.open(path, os.O_CREAT))


class Witness:
    """A watcher, and a place outside of what is watched whose events mark where others end."""

    def __init__(self, watcher: Watcher, mark: Path, root: Path) -> None:
        self.watcher = watcher
        self.mark = mark
        self.root = str(root)
        watcher.add(mark.parent)

    def add(self, path: Path | str, **options: Any) -> None:
        self.watcher.add(path, **options)

    def events(self) -> list[Event]:
        """All that is told of what was done up to now."""
        came: list[Event] = []
        touch(self.mark)
        with gopoll.timeout(_PATIENCE):
            for event in self.watcher.events:
                if event.path != str(self.mark):
                    came.append(event)
                elif event.op is Op.CREATE:
                    self.mark.unlink()
                elif event.op is Op.REMOVE:
                    return came
        raise AssertionError(f"the watcher was closed after {came}")

    def told(self) -> list[str]:
        """The same as text, with paths below the root."""
        return [
            f"{event.op.name} {event.path.removeprefix(self.root) or '/'}"
            for event in self.events()
        ]

    def sees(self, deed: Callable[[], object]) -> list[str]:
        """What is told of a deed."""
        deed()
        return self.told()


@contextmanager
def witness(root: Path) -> Iterator[Witness]:
    """A new witness of what happens below `root`."""
    place = root.with_name(f"{root.name}-mark")
    place.mkdir()
    with Watcher() as watcher:
        yield Witness(watcher, place / "mark", root)


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write("data")


DEEDS: dict[str, Callable[..., object]] = {
    "touch": touch,
    "echo": append,
    "truncate": lambda path: os.truncate(path, 0),
    "mkdir": lambda path: path.mkdir(),
    "rmdir": lambda path: path.rmdir(),
    "mkfifo": os.mkfifo,
    "rm": lambda path: path.unlink(),
    "rm -r": shutil.rmtree,
    "mv": lambda old, new: old.replace(new),
    "ln": lambda target, link: link.hardlink_to(target),
}


def do(root: Path, watcher: Watcher, command: str, arguments: list[str]) -> None:
    """Do what one line says; `watched` looks instead."""
    paths = [root / argument.lstrip("/") for argument in arguments]
    if command == "watched":
        assert [p for p in watcher.watched() if p.startswith(f"{root}/") or p == str(root)] == [
            str(path) for path in paths
        ]
    elif command.startswith("watch"):
        watcher.add(paths[0], recursive=command == "watch -r")
    elif command == "unwatch":
        watcher.remove(paths[0])
    elif command == "chmod":
        paths[1].chmod(int(arguments[0], 8))
    elif command == "ln -s":
        target = arguments[0] if arguments[0] == "." else paths[0]
        paths[1].symlink_to(target)
    else:
        DEEDS[command](*paths)


def must_be_told(scene: str, tmp_path: Path) -> None:
    """Do what a scene says, line by line, and see that it tells what happens.

    Everything up to the first ``watch`` happens before; from there on, each line is followed, after
    an arrow, by all events that come of it. ``~`` precedes those whose order is not told.
    """
    root = tmp_path / "root"
    root.mkdir()
    with witness(root) as w:
        for line in filter(None, map(str.strip, scene.splitlines())):
            deed, _, outcome = (part.strip() for part in line.partition("->"))
            words = deed.split()
            n = 2 if words[1:2] and words[1].startswith("-") else 1
            do(root, w.watcher, " ".join(words[:n]), words[n:])
            told = w.told()
            expected = [event.removeprefix("~ ") for event in outcome.split(", ") if event]
            if outcome.startswith("~"):
                told.sort()
                expected.sort()
            assert told == expected, line
