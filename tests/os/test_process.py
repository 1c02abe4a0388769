"""Running programs: their arguments, streams, status and environment; Go's os/exec scenarios."""

import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

import gopoll
from gopoll import go
from gopoll.os import _start, file, process
from gopoll.os.process import DEVNULL, PIPE, STDOUT, Process, run
from tests.support.pairs import attempt, open_descriptors
from tests.support.parking import in_thread, parked

pytestmark = pytest.mark.network

ECHO_BY_LETTER = """
while IFS= read -r line; do
    case $line in
        O:*) echo "$line" ;;
        E:*) echo "$line" >&2 ;;
        *) exit 1 ;;
    esac
done
"""
EXPECTS = '[ "$(cat)" = "Some test string." ]'


def test_echo():
    """Go: TestEcho."""
    done = run(["echo", "foo bar", "baz"], capture=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"foo bar baz\n", b"")
    assert done.args == ["echo", "foo bar", "baz"]


def test_a_program_alone_and_a_line_for_the_shell():
    assert run("true").returncode == 0
    assert run(Path("/bin/false")).returncode == 1
    assert run("echo $((6 * 7))", shell=True, capture=True).stdout == b"42\n"


def test_the_output_is_not_taken_unless_asked_for(capfd):
    done = run(["sh", "-c", "echo out; echo err >&2"])
    assert (done.stdout, done.stderr) == (None, None)
    assert capfd.readouterr() == ("out\n", "err\n")


def test_input_comes_back():
    """Go: TestCatStdin."""
    text = b"Input string\nLine 2"
    assert run(["cat"], input=text, capture=True).stdout == text


def test_more_input_and_output_than_the_pipes_hold():
    data = os.urandom(1 << 20)
    script = "tee /dev/stderr"
    done = run(["sh", "-c", script], input=bytearray(data), capture=True)
    assert done.stdout == data
    assert done.stderr == data


def test_output_and_errors_in_one():
    """Go: TestCatGoodAndBadFile."""
    done = run(["cat", "/bogus/file.foo", __file__], stdout=PIPE, stderr=STDOUT)
    complaint, _, body = done.stdout.partition(b"\n")
    assert done.returncode == 1
    assert b"/bogus/file.foo" in complaint
    assert b"TestCatGoodAndBadFile" in body


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_exit_status(status: int):
    """Go: TestExitStatus, TestExitCode."""
    assert run(["sh", "-c", f"exit {status}"]).returncode == status


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGPIPE])
def test_a_status_below_zero_is_a_signal(signum: int):
    assert run(["sh", "-c", f"kill -{int(signum)} $$"]).returncode == -signum


def test_check():
    """Go: TestOutputStderrCapture."""
    with pytest.raises(process.CalledProcessError) as caught:
        run(["sh", "-c", "echo some stderr text >&2; exit 3"], capture=True, check=True)
    assert caught.value.returncode == 3
    assert caught.value.stderr == b"some stderr text\n"
    assert run(["true"], check=True).returncode == 0


def test_a_relative_name_counts_from_the_directory_of_the_child(tmp_path: Path):
    """Go: TestCommandRelativeName."""
    script = tmp_path / "bin" / "tell"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\npwd\n")
    script.chmod(0o755)
    done = run(["bin/tell"], cwd=tmp_path, capture=True)
    assert done.stdout.decode().strip() == os.path.realpath(tmp_path)


def test_environment():
    """Go: TestDedupEnvEcho, in which the last one of a name counts."""
    done = run(
        ["/bin/sh", "-c", "echo $FOO; env"], env={"FOO": "bad"} | {"FOO": "good"}, capture=True
    )
    assert done.stdout.startswith(b"good\n")
    assert b"HOME=" not in done.stdout


def test_what_cannot_be_started(tmp_path: Path):
    """Go: TestNoExistExecutable, TestNoPath, TestPipeLookPathLeak, TestEnvNULCharacter."""
    plain = tmp_path / "plain"
    plain.write_text("")
    before = open_descriptors()
    for _ in range(6):
        for args, options, error in (
            (["/no-exist-executable"], {}, FileNotFoundError),
            (["no-exist-executable"], {}, FileNotFoundError),
            ([plain], {}, PermissionError),
            ([tmp_path], {}, PermissionError),
            (["true"], {"cwd": "/no/such/directory"}, FileNotFoundError),
            (["true"], {"cwd": plain}, NotADirectoryError),
            ([], {}, ValueError),
            ("", {}, ValueError),
            (["true", "\0"], {}, ValueError),
            (["true", 7], {}, TypeError),
            (7, {}, TypeError),
            (["true"], {"env": {"A=B": "C"}}, ValueError),
            (["true"], {"env": {"A": "B\0C=D"}}, ValueError),
            (["true"], {"stdin": STDOUT}, ValueError),
            (["true"], {"pass_fds": [-1]}, ValueError),
            (["true"], {"grace": "soon"}, TypeError),
            (["true"], {"grace": float("nan")}, ValueError),
        ):
            with pytest.raises(error):
                Process(args, **{"stdin": PIPE, "stdout": PIPE, "stderr": PIPE} | options)
    assert open_descriptors() == before


def test_the_error_names_what_is_missing():
    with pytest.raises(FileNotFoundError, match="/no/such/directory"):
        run(["true"], cwd="/no/such/directory")
    with pytest.raises(FileNotFoundError, match="no-exist-executable"):
        run(["no-exist-executable"])


def test_arguments_of_run_that_contradict_each_other():
    for options in (
        {"input": b"", "stdin": DEVNULL},
        {"capture": True, "stdout": DEVNULL},
        {"capture": True, "stderr": STDOUT},
    ):
        with pytest.raises(ValueError, match="either"):
            run(["true"], **options)
    with pytest.raises(TypeError):
        run(["true"], input="text")
    with pytest.raises(TypeError):
        run(["true"], timeout="soon")


def test_pipes():
    """Go: TestPipes."""
    with Process(["sh", "-c", ECHO_BY_LETTER], stdin=PIPE, stdout=PIPE, stderr=PIPE) as child:
        child.stdin.write(b"O:I am output\n")
        assert child.stdout.read() == b"O:I am output\n"
        child.stdin.write(b"E:I am error\n")
        assert child.stderr.read() == b"E:I am error\n"
        lines = child.stdout.makefile("r", encoding="ascii")
        child.stdin.write(b"O:I am output2\n")
        assert lines.readline() == "O:I am output2\n"
        child.stdin.close()
        assert child.wait() == 0
        assert (child.stdout.read(), child.stderr.read()) == (b"", b"")


def test_closing_the_input_while_somebody_waits():
    """Go: TestStdinClose, TestEchoFileRace."""
    with Process(["sh", "-c", EXPECTS], stdin=PIPE) as child:

        def feed():
            child.stdin.write(b"Some test string.")
            child.stdin.close()

        feeder = go(feed)
        assert child.wait() == 0
        feeder.result()


def test_killed_while_its_input_is_written():
    """Go: TestStdinCloseRace."""
    with Process(["sh", "-c", EXPECTS], stdin=PIPE) as child:
        killer = go(child.kill)
        feeder = go(attempt, child.stdin.write, b"unexpected string")
        assert child.wait() != 0
        assert killer.result() is None
        assert feeder.result() == 17 or isinstance(feeder.result(), BrokenPipeError)


def test_who_does_not_read_its_input_is_no_failure():
    """Go: TestIgnorePipeErrorOnSuccess."""
    done = run(["echo", "foo"], input=bytes(10 << 20), capture=True)
    assert (done.returncode, done.stdout) == (0, b"foo\n")


def test_who_writes_to_a_pipe_that_nobody_reads_any_more():
    """Go: TestClosePipeOnCopyError."""
    with Process(["yes"], stdout=PIPE) as child:
        assert child.stdout.read(2) == b"y\n"
        child.stdout.close()
        assert child.wait() == -signal.SIGPIPE


@pytest.mark.skipif(sys.platform != "linux", reason="lists /proc")
def test_descriptors_that_the_child_keeps():
    """Go: TestExtraFiles, TestExtraFilesRace: those, and no others of gopoll or of the program."""
    with tempfile.TemporaryFile() as extra:
        extra.write(b"Hello, fd!\n")
        extra.flush()
        number = extra.fileno()
        script = f"cat /proc/self/fd/{number}; exec ls /proc/self/fd"
        done = run(["sh", "-c", script], capture=True, pass_fds=[number])
        text, *numbers = done.stdout.splitlines()
        assert text == b"Hello, fd!"
        of_ls = {4 if number == 3 else 3}  # the directory
        assert {int(n) for n in numbers} - of_ls <= {0, 1, 2, number}
        assert number in map(int, numbers)


def test_a_child_gets_a_blocking_copy_of_a_file():
    """Both ends of a pipe in two children, as a shell does it; here it stays non-blocking."""
    reader, writer = file.pipe()
    with reader, writer:
        with Process(["sh", "-c", "sleep 0.01; echo through; exit 0"], stdout=writer):
            assert run(["head", "-n", "1"], stdin=reader, capture=True).stdout == b"through\n"
        waiting = parked(reader.read)  # and not the thread
        writer.write(b"still here")
        assert waiting.result() == b"still here"


def test_a_file_that_is_closed_while_a_child_gets_it(monkeypatch):
    """The child gets that file, not what has its number next."""

    def closed_meanwhile(number):
        in_thread(reader.close)
        return copy_for_child(number)

    reader, writer = file.pipe()
    with writer:
        writer.write(b"for the child")
    copy_for_child = _start.copy_for_child
    monkeypatch.setattr(_start, "copy_for_child", closed_meanwhile)
    assert run(["cat"], stdin=reader, stdout=PIPE).stdout == b"for the child"
    assert reader.closed


def test_a_closed_file_is_refused():
    reader, writer = file.pipe()
    reader.close()
    writer.close()
    with pytest.raises(OSError, match="closed"):
        Process(["true"], stdin=reader)


def test_many_at_once():
    """Go: TestConcurrentExec: some wait for ever, some end; stopping the former ends all."""
    with gopoll.testing.no_leaks():
        hanging = [Process(["cat"], stdin=PIPE, stdout=DEVNULL) for _ in range(5)]
        ending = [go(run, ["sh", "-c", f"exit {n}"]) for n in range(5)]
        waiting = [go(child.wait) for child in hanging]
        assert [g.result().returncode for g in ending] == [0, 1, 2, 3, 4]
        assert not any(g.done for g in waiting)
        for child in hanging:
            child.kill()
        assert [g.result() for g in waiting] == [-9] * 5
        for child in hanging:
            child.close()


def test_communicate_twice_and_what_it_refuses():
    with Process(["cat"], stdin=PIPE, stdout=PIPE) as child:
        assert child.communicate(b"once") == (b"once", None)
        assert child.communicate() == (b"once", None)
        with pytest.raises(ValueError, match="before"):
            child.communicate(b"again")
    with Process(["true"]) as child, pytest.raises(ValueError, match="no pipe"):
        child.communicate(b"x")


def test_repr():
    with Process(["cat"], stdin=PIPE) as child:
        assert repr(child) == f"<Process {child.pid} ['cat'] running>"
    assert repr(child) == f"<Process {child.pid} ['cat'] returned 0>"
