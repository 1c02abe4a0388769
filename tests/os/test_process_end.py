"""How the use of a child ends: contexts, grace, groups, interruptions; nothing is left of it."""

import os
import signal

import pytest

import gopoll
from gopoll import context, go, testing
from gopoll.os import _child, file
from gopoll.os.process import DEVNULL, PIPE, Process, run
from tests.support.pairs import PAST, attempt, open_descriptors
from tests.support.parking import end, in_thread, outcome, parked
from tests.support.program import must_succeed

pytestmark = pytest.mark.network

TERM, KILL = -signal.SIGTERM, -signal.SIGKILL
STUBBORN = "trap '' TERM; echo ready; exec sleep 1000"
POLITE = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done"
CHATTY = (
    "trap 'head -c 300000 /dev/zero; exit 3' TERM; echo ready >&2; while :; do sleep 0.01; done"
)
# What it starts tells its number, ignores SIGTERM, and holds the pipes open when it has ended.
HAUNTED = """(trap '' TERM; exec sh -c 'echo $$ >&2; exec sleep 1000') & wait"""


@pytest.fixture
def cancellable():
    with context.with_cancel(context.background()) as ctx:
        yield ctx


class Watched:
    """A run of a shell script of which one output is watched, so that it is known to be ready."""

    def __init__(self, script, by="stdout", **options):
        self.reader, writer = file.pipe()
        with writer:
            self.g = go(outcome, run, ["sh", "-c", script], **{by: writer}, **options)
            testing.wait_idle()
        self.lines = self.reader.makefile("r")

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.reader.close()


def test_the_end_of_a_context(cancellable):
    """Go: TestContext."""
    child = Process(["cat"], stdin=PIPE, stdout=PIPE, ctx=cancellable)
    child.stdin.write(b"O:hi\n")
    assert child.stdout.read() == b"O:hi\n"
    waiting = parked(child.wait)
    cancellable.cancel()
    assert waiting.result() == TERM
    child.close()


def test_the_end_of_a_context_ends_a_child_for_which_nobody_waits(cancellable):
    """Go: TestContextCancel: what is written to it fails, then."""
    reader, writer = file.pipe()
    child = Process(["cat"], stdin=reader, stdout=DEVNULL, ctx=cancellable)
    reader.close()
    writer.write(b"echo")
    cancellable.cancel()
    with writer, pytest.raises(BrokenPipeError):
        while True:
            writer.write(bytes(4096))
    assert child.wait() == TERM


def test_a_context_that_is_done_starts_nothing(cancellable):
    cancellable.cancel()
    before = open_descriptors()
    for call in (run, Process):
        with pytest.raises(context.Canceled):
            call(["true"], ctx=cancellable)
    assert open_descriptors() == before


def test_a_context_that_ends_in_another_thread(cancellable):
    with Process(["cat"], stdin=PIPE, ctx=cancellable) as child:
        waiting = parked(child.wait)
        in_thread(cancellable.cancel)
        assert waiting.result() == TERM


def test_a_context_that_ends_after_the_child(cancellable):
    child = Process(["true"], ctx=cancellable)
    assert child.wait() == 0
    assert not cancellable._dependents  # it was called off
    cancellable.cancel()
    assert child.returncode == 0


def test_grace(cancellable):
    """Go: TestWaitInterrupt, SIGKILL: who does not end by SIGTERM ends by SIGKILL."""
    with Process(["sh", "-c", STUBBORN], stdout=PIPE, ctx=cancellable, grace=0.01) as child:
        assert child.stdout.read() == b"ready\n"
        cancellable.cancel()
        assert child.wait() == KILL


def test_no_grace(cancellable):
    child = Process(["sh", "-c", POLITE], stdout=PIPE, ctx=cancellable, grace=0)
    with child.stdout:
        assert child.stdout.read() == b"ready\n"
        cancellable.cancel()
        assert child.wait() == KILL


def test_run_until_a_context_ends(cancellable):
    """Go: TestCancelErrors: the context's error is raised, and tells how the child ended."""
    with Watched(POLITE, ctx=cancellable) as watched:
        assert watched.lines.readline() == "ready\n"
        cancellable.cancel()
        error = watched.g.result()
        assert isinstance(error, context.Canceled)
        assert error.returncode == 3
        assert watched.lines.readline() == "bye\n"


def test_run_until_a_context_ends_that_the_child_ignores(cancellable):
    with Watched(STUBBORN, ctx=cancellable, grace=0.01) as watched:
        assert watched.lines.readline() == "ready\n"
        cancellable.cancel()
        assert watched.g.result().returncode == KILL


def test_run_for_some_time():
    with pytest.raises(TimeoutError) as caught:
        run(["sh", "-c", "echo some; exec sleep 1000"], timeout=0.1, capture=True)
    assert caught.value.returncode == TERM
    assert caught.value.stdout in (b"some\n", b"")  # if it came to that
    assert caught.value.stderr == b""


def test_run_in_a_scope():
    with pytest.raises(TimeoutError), gopoll.timeout(0.01):
        run(["sleep", "1000"])


def test_the_last_output_of_a_child_that_is_told_to_end(cancellable):
    """It is read while there is grace, however much it is."""
    with Watched(CHATTY, by="stderr", stdout=PIPE, ctx=cancellable) as watched:
        assert watched.lines.readline() == "ready\n"
        cancellable.cancel()
        error = watched.g.result()
        assert error.returncode == 3
        assert error.stdout == bytes(300_000)


def test_others_hold_the_pipe_when_it_is_killed(cancellable):
    """Go: TestWaitInterrupt, SIGKILL-hang: nobody waits for them for ever."""
    with Watched(HAUNTED, by="stderr", stdout=PIPE, ctx=cancellable, grace=0.01) as watched:
        ghost = int(watched.lines.readline())
        cancellable.cancel()
        error = watched.g.result()
        os.kill(ghost, signal.SIGKILL)
        assert isinstance(error, context.Canceled)
        assert (error.returncode, error.stdout, error.stderr) == (TERM, b"", None)


@pytest.mark.parametrize("how", [{"process_group": 0}, {"start_new_session": True}])
def test_a_group_ends_as_a_whole(how):
    reader, writer = file.pipe()
    with writer:
        child = Process(["sh", "-c", f"{STUBBORN} & {STUBBORN}"], stdout=writer, **how)
    with reader:
        assert reader.makefile("rb").readline() == b"ready\n"
        assert child.stop(0.01) == KILL
        while reader.read():  # until the last of them has closed it
            pass


@pytest.mark.parametrize("how", ["stop", "context"])
def test_a_group_ends_as_a_whole_whoever_reaps_its_leader(how, cancellable):
    reader, writer = file.pipe()
    with writer:
        script = f"({STUBBORN}) & exec sleep 1000"
        child = Process(["sh", "-c", script], stdout=writer, process_group=0, ctx=cancellable)
    with reader, gopoll.timeout(30):
        assert reader.read() == b"ready\n"
        waiting = parked(child.wait)
        if how == "stop":
            assert child.stop() == TERM
        else:
            cancellable.cancel()
        assert waiting.result() == TERM
        assert reader.read() == b""


def test_a_group_of_which_nobody_is_left_but_its_dead_leader(monkeypatch):
    """Some kernels forbid to signal such a group, where others do nothing."""

    def forbidden(pid, signum):
        raise PermissionError

    child = Process(["true"], process_group=0)
    assert child._child.wait(reap=False) == 0
    monkeypatch.setattr(_child, "os_killpg", forbidden)
    assert child.stop() == 0


def test_a_group_that_may_not_be_signalled(monkeypatch):
    def forbidden(pid, signum):
        raise PermissionError

    with Process(["cat"], stdin=PIPE, process_group=0) as child, monkeypatch.context() as patch:
        patch.setattr(_child, "os_killpg", forbidden)
        with pytest.raises(PermissionError):
            child.kill(group=True)


def test_a_child_that_leads_no_group():
    with Process(["true"]) as child, pytest.raises(ValueError, match="group"):
        child.kill(group=True)


def test_a_group_of_which_only_the_leader_ends_by_itself():
    """The rest is killed, too, before the leader is reaped and the group's number free."""
    reader, writer = file.pipe()
    with writer:
        script = f"({STUBBORN}) & exec sleep 1000"
        child = Process(["sh", "-c", script], stdout=writer, process_group=0)
    with reader:
        assert reader.read() == b"ready\n"
        assert child.stop(60) == TERM
        assert reader.read() == b""


def test_stop():
    child = Process(["sh", "-c", POLITE], stdout=PIPE)
    with child.stdout:
        assert child.stdout.read() == b"ready\n"
        assert child.stop() == 3
        assert child.stop() == 3


@pytest.mark.parametrize(("grace", "error"), [("soon", TypeError), (float("nan"), ValueError)])
def test_bad_grace(grace, error):
    with Process(["true"]) as child, pytest.raises(error):
        child.stop(grace)
    with pytest.raises(error):
        run(["true"], grace=grace)


def test_a_block_waits():
    with Process(["sh", "-c", "exit 3"]) as child:
        assert child.returncode is None
    assert child.returncode == 3


def test_a_block_that_fails():
    with pytest.raises(ZeroDivisionError), Process(["cat"], stdin=PIPE, stdout=PIPE) as child:
        1 / 0  # noqa: B018
    assert child.returncode in (0, TERM)  # its input was closed before
    assert child.stdin.closed


def test_a_goroutine_that_is_ended_while_it_runs_a_child():
    """By goexit, as at the end of the program; the child does not outlive it."""
    before = open_descriptors()
    with Watched(STUBBORN, grace=0.01) as watched:
        assert watched.lines.readline() == "ready\n"
        end(watched.g)
        assert watched.lines.readline() == ""  # nobody holds the pipe
    assert open_descriptors() == before


def test_interrupted_communication_goes_on_where_it_stopped():
    with Process(["cat"], stdin=PIPE, stdout=PIPE, stderr=PIPE) as child:
        data = os.urandom(1 << 20)
        rounds = 0
        given = data
        while True:
            try:
                with gopoll.timeout(0.002):
                    out, err = child.communicate(given)
                break
            except TimeoutError:
                rounds += 1
                given = None
        assert (out, err) == (data, b"")
        assert rounds < 1000


def test_deadlines_of_a_pipe():
    with Process(["cat"], stdin=PIPE, stdout=PIPE) as child:
        child.stdout.set_read_deadline(PAST)
        with pytest.raises(TimeoutError):
            child.stdout.read()
        child.stdout.set_read_deadline(None)
        reading = parked(attempt, child.stdout.read)
        child.stdout.set_read_deadline(PAST)
        assert isinstance(reading.result(), TimeoutError)


def test_ctrl_c_while_main_waits_for_a_child():
    must_succeed(
        """
        from gopoll.os.process import run
        from gopoll.os import process
        def main():
            ring()
            try:
                run(['sleep', '1000'])
            except KeyboardInterrupt as exc:
                print(exc.returncode)
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                print('no children')
        gopoll.run(main)
        """,
        says="no children",
    )


def test_the_program_ends_while_a_goroutine_runs_a_child():
    must_succeed(
        """
        from gopoll.os.process import run
        go(run, ['sleep', '1000'])
        gopoll.run(testing.wait_idle)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            print('no children')
        """,
        says="no children",
    )


def test_a_fork_has_no_children():
    """In a forked child nobody waits any more; it ends by itself, and its parent goes on."""
    must_succeed(
        """
        from gopoll.os.process import Process, PIPE
        def main():
            cat = Process(['cat'], stdin=PIPE)
            waiting = go(cat.wait)
            testing.wait_idle()
            pid = os.fork()
            if pid == 0:
                code = cat.wait()
                os._exit(code)
            from gopoll.os.process import wait_pid
            assert wait_pid(pid) == 0
            assert not waiting.done
            cat.stdin.close()
            print(waiting.result())
        import warnings
        warnings.simplefilter('ignore')
        gopoll.run(main)
        """,
        says="0",
    )
