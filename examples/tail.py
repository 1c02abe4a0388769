"""Print what is appended to a file, also after it was rotated: `tail -F`.

    python examples/tail.py server.log

The directory is watched, not the file: a rotated file gets another name, and a watch on it ends
there. Ctrl-C ends it.
"""

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import gopoll
from gopoll.os.watch import Op, Watcher


def print_rest(file: BinaryIO) -> None:
    if os.fstat(file.fileno()).st_size < file.tell():  # it was cut short: it begins anew
        file.seek(0)
    sys.stdout.buffer.write(file.read())
    sys.stdout.flush()


def follow(path: Path, lines: int, watcher: Watcher) -> None:
    watcher.add(path.parent)
    file = path.open("rb")
    try:
        sys.stdout.buffer.writelines(file.readlines()[-lines:] if lines else [])
        print_rest(file)
        for event in watcher.events:
            if event.path != str(path) and event.op is not Op.OVERFLOW:
                continue
            print_rest(file)
            with suppress(FileNotFoundError):
                if not os.path.samestat(path.stat(), os.fstat(file.fileno())):
                    old, file = file, path.open("rb")
                    print_rest(old)  # it may have been written to until there was a new one
                    old.close()
                    print_rest(file)
    finally:
        file.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Print what is appended to a file.")
    parser.add_argument("file", type=Path)
    parser.add_argument("-n", "--lines", type=int, default=10, help="to begin with (%(default)s)")
    options = parser.parse_args()
    with Watcher() as watcher:
        follow(options.file.absolute(), options.lines, watcher)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        gopoll.run(main)
