"""Fan out, fan in: a few workers share many jobs, and one channel gathers their results.

    python examples/worker_pool.py                    checks the files of this directory
    python examples/worker_pool.py --workers 8 *.py   or any others

Each job reads a file, which truly blocks, so it is offloaded to an OS thread.
"""

import argparse
import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import gopoll
from gopoll import Chan, go


def checksum(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        return error.strerror or "cannot be read"


def work(jobs: Chan[Path], results: Chan[tuple[Path, str]]) -> None:
    for path in jobs:  # until the channel is closed and drained
        results.send((path, gopoll.offload(checksum, path)))


def hand_out(paths: Iterable[Path], jobs: Chan[Path]) -> None:
    for path in paths:
        jobs.send(path)
    jobs.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the checksums of files.")
    parser.add_argument("--workers", type=int, default=4, help="(%(default)s)")
    parser.add_argument("files", type=Path, nargs="*", help="those beside this program")
    options = parser.parse_args()
    paths = options.files or sorted(Path(__file__).parent.glob("*.py"))

    jobs, results = Chan[Path](), Chan[tuple[Path, str]]()
    go(hand_out, paths, jobs)
    for _ in range(options.workers):
        go(work, jobs, results)
    for _ in paths:
        path, digest = results.recv()
        print(digest, path)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        gopoll.run(main)
