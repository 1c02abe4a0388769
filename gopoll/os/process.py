"""Processes: run them, talk to them, wait for their end, and see that it comes.

Go's ``os/exec`` in the words of Python's `subprocess`, which starts the child and whose return
codes these are: the exit status, or minus the number of the signal that ended it. There is no
handler for SIGCHLD, so children may be started and waited for in any thread, beside `subprocess`.

    ======================================  =====================================================
    what ends the use of a child            then
    ======================================  =====================================================
    ``run``: timeout, end of `ctx`, any     SIGTERM; its output is still read; after `grace`
    interruption, of whatever kind          seconds SIGKILL. It is reaped before this raises
    ``with Process(...)``: an exception     its pipes are closed; then the same
    ``with Process(...)``: the block ends   its pipes are closed, and its end is waited for
    the end of the `ctx` of a `Process`     SIGTERM, after `grace` seconds SIGKILL; whoever waits
                                            for it learns how it ended
    a `Process` that nobody has any more    ResourceWarning; it goes on, and is reaped at its end
    ======================================  =====================================================

Where a child leads a process group of its own (``process_group=0``, ``start_new_session=True``) the
signals of this table go to the group, and whoever is left in it is killed with the leader.

A child that somebody else has reaped (``os.wait()``, SIGCHLD ignored) has ended with 0, as far as
`subprocess` and this know; `wait_pid` raises ChildProcessError.
"""

import errno
from collections.abc import Collection, Iterable, Sequence
from typing import TypedDict, Unpack

from gopoll._typing import Buffer
from gopoll.context import Context
from gopoll.os._child import Child
from gopoll.os._command import GRACE, Process, in_haste
from gopoll.os._start import Env, HasFileno, Program, Stream
from gopoll.os._system import DEVNULL, PIPE, STDOUT, CalledProcessError, CompletedProcess
from gopoll.runtime.scope import timeout as time_limit
from gopoll.runtime.scope import until
from gopoll.runtime.timers import check_seconds

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "CalledProcessError",
    "CompletedProcess",
    "HasFileno",
    "Options",
    "Process",
    "run",
    "wait_pid",
]

_LAST_WORDS = 0.5  # seconds to read what a killed child left in a pipe that others hold open


class Options(TypedDict, total=False):
    """How `run` starts the child: what `Process` takes, less `ctx` and `grace`."""

    stdin: Stream
    stdout: Stream
    stderr: Stream
    env: Env
    cwd: Program | None
    shell: bool
    executable: Program | None
    process_group: int | None
    start_new_session: bool
    pass_fds: Collection[int]
    umask: int
    user: str | int | None
    group: str | int | None
    extra_groups: Iterable[str | int] | None


def run(
    args: Program | Sequence[Program],
    *,
    input: Buffer | None = None,
    capture: bool = False,
    timeout: float | None = None,
    check: bool = False,
    ctx: Context | None = None,
    grace: float | None = GRACE,
    **options: Unpack[Options],
) -> "CompletedProcess[bytes]":
    """Run a program to its end; mirrors ``exec.CommandContext`` and ``subprocess.run``.

    Args:
        args: The program and its arguments; or the program alone.
        input: What it reads from its standard input.
        capture: Whether its output is returned, as `stdout` and `stderr` of the result.
        timeout: How many seconds it may take.
        check: Whether ending with anything but 0 is an error.
        ctx: When this is done, the program is ended.
        grace: The seconds between SIGTERM and SIGKILL then; 0 kills at once, None never.
        options: How it is started; see `Process`.

    Returns:
        What ``subprocess.run`` returns; `stdout` and `stderr` are None unless asked for.

    Raises:
        TimeoutError: It took longer.
        CalledProcessError: It did not end with 0, and `check` is set.
        Canceled, DeadlineExceeded: `ctx` was done.
        OSError, ValueError, TypeError: As `Process`.

    What interrupts a run, be it Ctrl-C, carries `returncode`, and as `stdout` and `stderr` what was
    captured by then.
    """
    check_seconds(timeout, "timeout")
    check_seconds(grace, "grace")
    _add_pipes(options, input, capture=capture)
    if ctx is not None and (error := ctx.err()) is not None:
        raise error
    with Process(args, grace=grace, **options) as process:
        try:
            with until(ctx), time_limit(timeout):
                out, err = process.communicate(input)
        except BaseException as exc:
            exc.returncode = process.end(in_haste(grace, exc), process.exchange)  # type: ignore[attr-defined]
            exc.stdout, exc.stderr = _last_words(process)  # type: ignore[attr-defined]
            raise
    code = process.wait()
    if check and code != 0:
        raise CalledProcessError(code, process.args, out, err)
    return CompletedProcess(process.args, code, out, err)


def _add_pipes(options: Options, input: Buffer | None, *, capture: bool) -> None:
    """Ask for the pipes that `input` and `capture` need."""
    if input is not None:
        memoryview(input)
        if options.get("stdin") is not None:
            msg = "there can be either input or stdin"
            raise ValueError(msg)
        options["stdin"] = PIPE
    if capture:
        if options.get("stdout") is not None or options.get("stderr") is not None:
            msg = "there can be either capture or stdout and stderr"
            raise ValueError(msg)
        options["stdout"] = options["stderr"] = PIPE


def wait_pid(pid: int, timeout: float | None = None) -> int:
    """Wait for the end of a child that something else has started; reap it, return how it ended.

    At most `timeout` seconds. Mirrors ``os.FindProcess`` and ``Process.Wait``.

    Raises:
        ChildProcessError: It is no child of this process, or somebody else has reaped it.
        TimeoutError: It has not ended by then.
        ValueError: `pid` is not positive: a child is waited for by its number.
        TypeError: `pid` is no integer.
    """
    if not isinstance(pid, int):
        msg = f"a process is waited for by its number, got {pid!r}"
        raise TypeError(msg)
    if pid <= 0:
        msg = f"no process has the number {pid}"
        raise ValueError(msg)
    child = Child(pid)
    try:
        code = child.poll(reap=False)
        if not child.lost:
            code = child.wait(timeout)
    finally:
        child.close()
    if child.lost or code is None:
        raise ChildProcessError(errno.ECHILD, f"process {pid} is no child of this process")
    return code


def _last_words(process: Process) -> tuple[bytes | None, bytes | None]:
    """Read what a process that has ended left in its pipes; others may hold them open."""
    try:
        with time_limit(_LAST_WORDS):
            process.exchange()
    except TimeoutError:
        process.close()
    return process.communicate()
