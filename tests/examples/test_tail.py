"""`tail -F` as its user runs it: no line is missing, and none comes twice."""

import shutil

import pytest

from tests.support.example import started

pytestmark = pytest.mark.network


def append(path, *lines):
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "server.log"
    append(path, *range(20))
    return path


def expect(tail, *lines):
    got = [tail.process.stdout.readline().removesuffix("\n") for _ in lines]
    assert got == [str(line) for line in lines]


def test_it_begins_with_the_last_lines(log):
    with started("tail.py", "-n", "3", str(log)) as tail:
        expect(tail, 17, 18, 19)
        append(log, "new")
        expect(tail, "new")
        assert tail.interrupt() == (0, "")


def test_it_may_begin_with_none(log):
    with started("tail.py", str(log)) as tail:
        expect(tail, *range(10, 20))
        assert tail.interrupt() == (0, "")


def test_rotation_by_another_name(log):
    with started("tail.py", "-n", "1", str(log)) as tail:
        expect(tail, 19)
        for n in range(5):
            append(log, f"old {n}")
            old = log.rename(log.with_suffix(f".{n}"))
            append(old, f"last {n}")
            append(log, f"new {n}")
            expect(tail, f"old {n}", f"last {n}", f"new {n}")
        assert tail.interrupt() == (0, "")


def test_rotation_by_copy_and_cut(log):
    with started("tail.py", "-n", "1", str(log)) as tail:
        expect(tail, 19)
        shutil.copy(log, log.with_suffix(".1"))
        with log.open("w"):
            pass
        append(log, "new")
        expect(tail, "new")
        assert tail.interrupt() == (0, "")


def test_a_file_that_is_replaced(log):
    with started("tail.py", "-n", "1", str(log)) as tail:
        expect(tail, 19)
        new = log.with_suffix(".tmp")
        append(new, "one", "two")
        new.replace(log)
        expect(tail, "one", "two")
        append(log, "three")
        expect(tail, "three")
        assert tail.interrupt() == (0, "")


def test_a_file_that_is_away_for_a_while(log):
    with started("tail.py", "-n", "1", str(log)) as tail:
        expect(tail, 19)
        log.unlink()
        append(log.with_name("other.log"), "not this")
        append(log, "back")
        expect(tail, "back")
        assert tail.interrupt() == (0, "")
