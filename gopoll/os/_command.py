"""`Process`: a child, its pipes, and how both come to their end; see `gopoll.os.process`."""

import os
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

from gopoll._typing import Buffer
from gopoll.context import Context
from gopoll.errgroup import Group
from gopoll.errors import ClosedError, GoExit
from gopoll.os._child import Child
from gopoll.os._start import Ends, Env, Program, Stream, close, watch_over
from gopoll.os._system import SIGKILL, SIGTERM, Popen
from gopoll.os.file import File
from gopoll.runtime.scope import timeout as time_limit
from gopoll.runtime.scope import until
from gopoll.runtime.timers import check_seconds

__all__ = ["GRACE", "Process", "in_haste"]

GRACE = 5.0  # seconds
_HASTE = 0.5  # the most where the goroutine itself is being ended


class Process:
    """A child process; mirrors ``exec.Cmd`` once it is started.

    `stdin`, `stdout` and `stderr` are `File` objects for what was asked for as ``PIPE``, else None.
    Any number of goroutines, of any threads, may use all of it at once. ``with`` blocks end it.

    Args:
        args: The program and its arguments; or the program alone.
        stdin: None for ours, ``PIPE``, ``DEVNULL``, a descriptor or what has one. The child gets a
            blocking copy of a `File`; where the system has no such thing, the file itself becomes
            blocking, as ``Fd`` has it in Go, and is of no more use here.
        stdout: The same.
        stderr: The same, or ``STDOUT``.
        env: Its whole environment; None for ours.
        cwd: The directory in which it starts.
        shell: Whether `args` is a line for the shell.
        executable: What to run instead of ``args[0]``.
        process_group: The group it joins, 0 for one of its own.
        start_new_session: Whether it gets a session, and so a group, of its own.
        pass_fds: Descriptors that it keeps, under their numbers; all others are closed in it.
        umask: Its umask; -1 for ours.
        user: Who it is, if the program may change that.
        group: The same.
        extra_groups: The same.
        ctx: When this is done, the child gets SIGTERM.
        grace: And so many seconds later SIGKILL; None for never.

    Raises:
        FileNotFoundError, PermissionError: There is no such program, or directory to start in.
        OSError: No process or descriptor is left.
        ValueError: `args` is empty, or a value is out of its range.
        TypeError: An argument is of the wrong type.
        Canceled, DeadlineExceeded: `ctx` is done already; nothing was started.
    """

    def __init__(
        self,
        args: Program | Sequence[Program],
        *,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        env: Env = None,
        cwd: Program | None = None,
        shell: bool = False,
        executable: Program | None = None,
        process_group: int | None = None,
        start_new_session: bool = False,
        pass_fds: Collection[int] = (),
        umask: int = -1,
        user: str | int | None = None,
        group: str | int | None = None,
        extra_groups: Iterable[str | int] | None = None,
        ctx: Context | None = None,
        grace: float | None = GRACE,
    ) -> None:
        check_seconds(grace, "grace")
        if ctx is not None and (error := ctx.err()) is not None:
            raise error
        self.args = args = _check_args(args)
        self._grace = grace
        self._leads = start_new_session or process_group == 0
        ends = Ends()
        try:
            popen = cast("Any", Popen)(
                args,
                stdin=ends.of(stdin, "stdin"),
                stdout=ends.of(stdout, "stdout"),
                stderr=ends.of(stderr, "stderr"),
                env=env,
                cwd=cwd,
                shell=shell,
                executable=executable,
                process_group=process_group,
                start_new_session=start_new_session,
                pass_fds=pass_fds,
                umask=umask,
                user=user,
                group=group,
                extra_groups=extra_groups,
            )
            self._child = Child(popen.pid)
            popen.returncode = 0  # it is ours to reap: that one must neither complain nor try
        except BaseException:
            ends.close_ours()
            raise
        finally:
            ends.close_childs()
        self.stdin, self.stdout, self.stderr = ends.ours
        self._unsent: memoryview | None = None  # what `communicate` has still to write,
        self._heard: tuple[list[bytes], list[bytes]] = [], []  # and what it has read
        self._call_off = watch_over(self._child, ctx, grace, leads=self._leads)

    def __repr__(self) -> str:
        state = "running" if self.returncode is None else f"returned {self.returncode}"
        return f"<Process {self.pid} {self.args!r} {state}>"

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:  # also at the very end
        child = getattr(self, "_child", None)
        if child is not None and child.returncode is None:
            message = f"process {child.pid} is still running"
            try:
                _warn(message, ResourceWarning, stacklevel=2, source=self)
            finally:  # warnings may be errors
                child.abandon()

    @property
    def pid(self) -> int:
        """Its number; once it is reaped that may be somebody else's."""
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """How it ended, as far as is known: None if nobody has waited for it or polled it."""
        return self._child.returncode

    def poll(self) -> int | None:
        """Return how it ended, None while it runs; reap it if it has ended."""
        return self._settle(self._child.poll())

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, at most `timeout` seconds, and return how it ended.

        That is its exit status, or minus the number of the signal that ended it. A child that
        writes to a pipe which nobody reads may never end: see `communicate`.

        Raises:
            TimeoutError: It has not ended by then; it goes on.
            TypeError, ValueError: `timeout` is no number.
        """
        code = self._child.wait(timeout)
        self._settle(code)
        return code

    def send_signal(self, signum: int, *, group: bool = False) -> None:
        """Send it a signal, if it has not been reaped; never to a stranger with its old number.

        With `group` to everybody in the process group that it leads.

        Raises:
            ValueError: It leads no group of its own: that signal would go to us, too.
            OSError: There is no such signal, or it is forbidden.
        """
        if group and not self._leads:
            msg = "it leads no process group: start it with process_group=0 or start_new_session"
            raise ValueError(msg)
        self._child.send(signum, group=group)

    def terminate(self, *, group: bool = False) -> None:
        """Send SIGTERM, as by `send_signal`."""
        self.send_signal(SIGTERM, group=group)

    def kill(self, *, group: bool = False) -> None:
        """Send SIGKILL, as by `send_signal`."""
        self.send_signal(SIGKILL, group=group)

    def stop(self, grace: float | None = GRACE) -> int:
        """End it: SIGTERM, and after `grace` seconds SIGKILL (None: never); return how it ended.

        If it leads a process group, all of that ends. Its output is not read here: what would
        print a lot before it ends may have to be killed.

        Raises:
            TypeError, ValueError: `grace` is no number; the child goes on.
        """
        return self.end(grace, lambda: None)

    def communicate(self, input: Buffer | None = None) -> tuple[bytes | None, bytes | None]:
        """Write `input` and read both outputs to their end, all at once; then wait for its end.

        A child that does not read all of its input is no error. If this is interrupted, by
        ``gopoll.timeout()`` for one, nothing is lost, and another call goes on where it stopped.

        Returns:
            What came from `stdout` and from `stderr`; None for what is no pipe.

        Raises:
            ValueError: There is `input`, but no pipe for it, or input was given before.
        """
        if input is not None:
            if self.stdin is None or self._unsent is not None:
                msg = (
                    "there is no pipe for input" if self.stdin is None else "input was given before"
                )
                raise ValueError(msg)
            self._unsent = memoryview(input).cast("B")
        self.exchange()
        self.wait()
        out, err = (
            None if file is None else b"".join(heard)
            for file, heard in zip((self.stdout, self.stderr), self._heard, strict=True)
        )
        return out, err

    def close(self) -> None:
        """Close its pipes that are open; whoever waits in them wakes with ClosedError."""
        for file in (self.stdin, self.stdout, self.stderr):
            close(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()
        if exc is None:
            self.wait()
        else:
            self.stop(in_haste(self._grace, exc))

    def _settle(self, code: int | None) -> int | None:
        """After a look: if it has ended, its context need not care any more."""
        if code is not None:
            call_off, self._call_off = self._call_off, None
            if call_off is not None:
                call_off()
        return code

    def exchange(self) -> None:
        """Write and read until all pipes have come to their end; close them."""
        jobs = []
        if self.stdin is not None and not self.stdin.closed:
            jobs.append(partial(self._feed, self.stdin))
        for file, heard in zip((self.stdout, self.stderr), self._heard, strict=True):
            if file is not None and not file.closed:
                jobs.append(partial(_listen, file, heard))
        if len(jobs) == 1:
            jobs[0](None)
        elif jobs:
            with Group() as together:
                for job in jobs:
                    together.go(job, together.ctx)

    def _feed(self, stdin: File, ctx: Context | None) -> None:
        with until(ctx):
            try:
                if self._unsent:
                    stdin.write(self._unsent)
            except (BrokenPipeError, ClosedError):  # it has ended, or wants no more
                pass
            except BaseException as exc:
                assert self._unsent is not None
                self._unsent = self._unsent[getattr(exc, "written", 0) :]
                raise
            close(stdin)

    def end(self, grace: float | None, meanwhile: Callable[[], object]) -> int:
        """Terminate, give it `grace` seconds, kill, reap; it ends even if this is interrupted."""
        check_seconds(grace, "grace")
        self._child.ends_group = self._leads
        try:
            if grace is None or grace > 0:
                self.terminate(group=self._leads)
                with time_limit(grace):
                    meanwhile()
                    self._child.wait(reap=False)
        except TimeoutError:
            pass
        finally:
            # Reaped only now: until then the number of the group cannot be anybody else's.
            self.kill(group=self._leads)
            code = self.wait()
        return code


def _check_args(args: Program | Sequence[Program]) -> Program | list[Program]:
    if not isinstance(args, str | bytes | os.PathLike):
        args = list(args)
    if not args:
        msg = "no program to run: args is empty"
        raise ValueError(msg)
    return args


def _listen(file: File, heard: list[bytes], ctx: Context | None) -> None:
    with until(ctx):
        try:
            while data := file.read():
                heard.append(data)
        except ClosedError:  # by somebody who does not want to hear more
            return
        close(file)


def in_haste(grace: float | None, exc: BaseException) -> float | None:
    """Return the grace for a child whose parent goroutine is being ended by `exc`, and soon."""
    if isinstance(exc, GoExit):
        return _HASTE if grace is None else min(grace, _HASTE)
    return grace
