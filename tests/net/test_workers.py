"""Several processes behind one listener: who serves, who is replaced, how it all ends.

Each test starts a server of its own and talks to it through plain sockets. The workers say when
they begin, on the standard output that all share: its end is the end of all of them.
"""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Self

import pytest

import gopoll
from gopoll import net
from gopoll.net._workers import Share, next_pause
from gopoll.testing import fake_clock, wait_idle
from tests.support.pairs import echo, roundtrip
from tests.support.plain import plain_env
from tests.support.script import _KQUEUE, ROOT
from tests.support.threads import SOON, running

pytestmark = pytest.mark.network

_SERVER = """
import atexit, os, signal, sys
if 'patched' in sys.argv:
    import gopoll.monkey
    gopoll.monkey.patch_all()
import gopoll
from gopoll import net

def say(*words):
    os.write(1, ' '.join(map(str, words)).encode() + b'\\n')

def compute_for_ever():
    while True:
        pass

def handle(conn):
    word = None
    try:
        while data := conn.read():
            word, _, rest = data.decode().partition(' ')
            if word == 'pid':
                conn.write(str(os.getpid()).encode())
            elif word == 'python':
                exec(rest)
                conn.write(b'done')
            else:
                conn.write(data)
    finally:
        if word is not None:
            say('handled', os.getpid())

options = eval(sys.argv[2])
listener = net.listen('unix' if '/' in sys.argv[1] else 'tcp', sys.argv[1])
boss = os.getpid()
print('once', flush=False, end='')
atexit.register(say, 'atexit of', boss)
os.register_at_fork(after_in_child=lambda: say('worker', os.getpid()))

def main():
    try:
        say('listening', '' if listener.closed else listener.addr)
        serve()
    finally:
        say('served')
        assert os.getpid() == boss
        if not listener.closed:
            listener.close()

def serve():
    net.serve(listener, handle, **options)

"""

_RUN = """
main() if 'launcher' in sys.argv else gopoll.run(main)
"""


class Talk:
    """One connection to a server."""

    def __init__(self, address: str) -> None:
        if "/" in address:
            self.sock = socket.socket(socket.AF_UNIX)
            peer: object = address
        else:
            self.sock = socket.socket()
            peer = net.split_host_port(address)
            peer = (peer[0], int(peer[1]))
        self.sock.settimeout(SOON)
        try:
            self.sock.connect(peer)
        except OSError:
            self.sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.sock.close()

    def tell(self, message: str) -> None:
        self.sock.sendall(message.encode())

    def hear(self) -> str:
        """Return what comes next; nothing if that is the end, however it came."""
        try:
            return self.sock.recv(4096).decode()
        except ConnectionResetError:
            return ""

    def ask(self, message: str) -> str:
        self.tell(message)
        return self.hear()


class Server:
    """A server in a process of its own."""

    def __init__(self, popen: "subprocess.Popen[bytes]") -> None:
        self.popen = popen
        self.pid = popen.pid
        self.lines: list[str] = []
        self.address = "".join(self.next("listening"))

    def line(self) -> str:
        line = self.popen.stdout.readline().decode()
        self.lines.append(line.removesuffix("\n"))
        return line

    def next(self, word: str) -> list[str]:
        """Wait for the next line that begins so; return its other words."""
        while line := self.line():
            first, *words = line.split()
            if first.removeprefix("once") == word:
                return words
        raise AssertionError(f"no {word!r} in {self.lines}\n{self.errors()}")

    def workers(self, count: int) -> set[int]:
        """Wait until so many more have begun."""
        return {int(self.next("worker")[0]) for _ in range(count)}

    def talk(self) -> Talk:
        return Talk(self.address)

    def ask(self, message: str) -> str:
        with self.talk() as talk:
            return talk.ask(message)

    def kill(self, signum: int, pid: int | None = None) -> None:
        os.kill(self.pid if pid is None else pid, signum)

    def is_gone(self, *pids: int) -> None:
        """Wait until these have ended, and the supervisor has seen that."""
        for pid in pids:
            with suppress(ProcessLookupError):
                while True:
                    os.kill(pid, 0)

    def errors(self) -> str:
        return self.popen.stderr.read().decode()

    def refuses(self) -> bool:
        """Wait until nobody listens any more."""
        while True:
            try:
                self.talk().sock.close()
            except (ConnectionRefusedError, FileNotFoundError):
                return True
            except ConnectionResetError:
                continue

    def end(self, status: int = 0, *, errors: str = "") -> str:
        """Wait for the end of all; return what the server has printed since."""
        rest = []
        while line := self.line():
            rest.append(line.removesuffix("\n"))
        assert self.errors() == errors
        assert self.popen.wait(SOON) == status
        return "\n".join(rest)


@contextmanager
def served(
    options: str = "dict(workers=2)", *args: str, address: str = "127.0.0.1:0", code: str = ""
) -> Iterator[Server]:
    """Start a server, with `code` after the definitions: plain, "patched" or by the "launcher"."""
    program = _SERVER + textwrap.dedent(code) + _RUN
    launcher, env = [], {**os.environ, "PYTHONPATH": str(ROOT)}
    if "launcher" in args:
        launcher, env = ["-m", "gopoll"], plain_env()
    elif os.environ.get("GOPOLL_POLLER") == "kqueue":
        program = _KQUEUE + program
    popen = subprocess.Popen(
        [sys.executable, "-X", "dev", *launcher, "-c", program, address, options, *args],
        cwd=ROOT,
        env={**env, "PYTHONUNBUFFERED": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with popen:
        try:
            yield Server(popen)
        finally:
            popen.kill()  # and the workers see it


# -- serving -------------------------------------------------------------------------------------


def test_all_workers_serve_and_the_supervisor_does_not():
    with served("dict(workers=3)") as server, ExitStack() as stack:
        workers = server.workers(3)
        seen = set()
        while seen != workers:
            seen.add(int(stack.enter_context(server.talk()).ask("pid")))
            assert seen <= workers
        assert server.pid not in seen


@pytest.mark.parametrize("args", [(), ("patched",), ("launcher",)])
def test_one_worker_is_enough(args):
    with served("dict(workers=1)", *args) as server:
        (worker,) = server.workers(1)
        assert server.ask("pid") == str(worker)
        server.kill(signal.SIGTERM)
        assert "served" in server.end()


def test_without_workers_nothing_is_forked():
    with served("dict(workers=None)") as server:
        assert server.ask("pid") == str(server.pid)
        assert not any(line.startswith("worker") for line in server.lines)


def test_unix_sockets_and_their_path(tmp_path):
    path = tmp_path / "s"
    with served(address=str(path)) as server:
        first, second = server.workers(2)
        assert server.ask("hello") == "hello"
        server.kill(signal.SIGTERM, first)
        (third,) = server.workers(1)
        assert path.exists()  # it is the supervisor's
        with server.talk() as talk:
            assert int(talk.ask("pid")) in {second, third}
        server.kill(signal.SIGTERM)
        server.end(0)
        assert not path.exists()


def test_a_worker_with_much_more_than_another_waits_before_it_takes_the_next():
    def step_back():
        began = gopoll.time.now()
        mine.step_back()
        return gopoll.time.now() - began

    def step():
        stepping = gopoll.go(step_back)
        clock.advance(0.001)
        return stepping.result()

    def one_more(share):
        gopoll.go(share.count(lambda _: wait.recv()), None)
        wait_idle()

    wait = gopoll.Chan()
    numbers = memoryview(bytearray(3 * 8)).cast("q")
    mine, other, nobody = (Share(numbers, place) for place in range(3))
    nobody.end()
    with fake_clock() as clock:
        one_more(other)
        for _ in range(5):
            one_more(mine)
            assert step() == 0
        one_more(mine)
        assert step() == pytest.approx(0.001)
        assert step() == 0  # nobody made use of it, so not again for a while
        clock.advance(0.01)
        stepping = gopoll.go(step_back)
        wait_idle()
        one_more(other)
        clock.advance(0.001)
        assert stepping.result() == pytest.approx(0.001)
        assert step() == 0  # it is even enough
        one_more(mine)
        other.end()
        assert step() == 0  # there is nobody else
        assert numbers[0] == 7
        wait.close()
        wait_idle()
    assert numbers[0] == 0


# -- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [(), ("patched",)])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_when_their_handlers_have_ended(signum, args):
    with served("dict(workers=2)", *args) as server, server.talk() as talk:
        workers = server.workers(2)
        assert int(talk.ask("pid")) in workers
        server.kill(signum)
        assert server.refuses()
        assert talk.ask("still here?") == "still here?"
        talk.sock.close()
        server.end()
        for word in ("handled", "served", "atexit", "once"):
            assert "\n".join(server.lines).count(word) == 1


def test_ctrl_c_in_a_terminal_reaches_all_and_ends_nobody_at_once():
    with served() as server, server.talk() as talk:
        server.workers(2)
        talk.ask("pid")
        os.killpg(server.pid, signal.SIGINT)
        assert server.refuses()
        assert talk.ask("still here?") == "still here?"
        talk.sock.close()
        assert "handled" in server.end()


@pytest.mark.parametrize("grace", [0.1, 0])
def test_after_the_grace_connections_are_closed_and_finally_blocks_run(grace):
    with served(f"dict(workers=2, grace={grace})") as server, server.talk() as talk:
        server.workers(2)
        talk.ask("pid")
        server.kill(signal.SIGTERM)
        assert talk.hear() == ""
        assert "handled" in server.end()


_IMPATIENT = """
from gopoll.net import _workers
_workers._LAST_WORDS = 0.1
"""


def test_who_does_not_end_is_killed():
    with served("dict(workers=1, grace=0)", code=_IMPATIENT) as server, server.talk() as talk:
        (worker,) = server.workers(1)
        talk.tell("python say('busy'); compute_for_ever()")
        server.next("busy")
        server.kill(signal.SIGTERM)
        assert talk.hear() == ""
        server.end(errors=f"gopoll: worker {worker} did not end in time, and is killed\n")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("work", ["hello", "python compute_for_ever()"])
def test_a_second_signal_ends_all_at_once(signum, work):
    with served("dict(workers=2, grace=None)") as server, server.talk() as talk:
        workers = server.workers(2)
        busy = int(talk.ask("pid"))
        talk.tell(work)
        if work == "hello":
            assert talk.hear() == "hello"
        server.kill(signal.SIGTERM)
        server.is_gone(*(workers - {busy}))  # so it has heard of the first
        server.kill(signum)
        assert talk.hear() == ""
        assert server.end().startswith("served")


def test_closing_the_listener_ends_all():
    code = """
    def close():
        gopoll.wait_read(0)
        listener.close()
    gopoll.go(close)
    """
    with served(code=code) as server, server.talk() as talk:
        server.workers(2)
        assert talk.ask("hello") == "hello"
        server.popen.stdin.close()
        assert server.refuses()
        assert talk.ask("still here?") == "still here?"
        talk.sock.close()
        assert "served" in server.end()


def test_a_listener_that_is_closed_has_no_workers():
    with served(code="listener.close()") as server:
        assert server.end().startswith("served")
        assert not any(line.startswith("worker") for line in server.lines)


def test_a_scope_around_it_ends_all_and_leaves_the_listener_open():
    code = """
    def serve():
        try:
            with gopoll.timeout(None) as scope:
                gopoll.go(lambda: (gopoll.wait_read(0), scope.shoot()))
                net.serve(listener, handle, **options)
        except TimeoutError:
            say('timed out', listener.closed)
        gopoll.go(net.serve, listener, handle)
        with net.dial('tcp', str(listener.addr)) as conn:
            conn.write(b'pid')
            assert conn.read() == str(boss).encode()
    """
    code = code.replace("gopoll.timeout(None)", "gopoll.timeout(1000)")
    with served(code=code) as server, server.talk() as talk:
        server.workers(2)
        assert talk.ask("hello") == "hello"
        talk.sock.close()
        server.popen.stdin.close()
        server.next("timed")
        assert "served" in server.end()


def test_when_main_returns_the_workers_end_soon():
    code = """
    def serve():
        gopoll.go(net.serve, listener, handle, **options)
        gopoll.wait_read(0)
    """
    with served("dict(workers=2, grace=None)", code=code) as server, server.talk() as talk:
        server.workers(2)
        busy = talk.ask("pid")
        server.popen.stdin.close()
        assert talk.hear() == ""
        complaint = f"gopoll: worker {busy} did not end in time, and is killed\n"
        assert "served" in server.end(errors=complaint)


@pytest.mark.parametrize("args", [(), ("patched",)])
def test_workers_do_not_outlive_a_supervisor_that_was_killed(args):
    """Nor do they if something else lives on that it has forked."""
    code = """
    def serve():
        gopoll.go(fork)
        net.serve(listener, handle, **options)

    def fork():
        gopoll.wait_read(0)
        if not os.fork():
            for number in range(3):
                os.close(number)
            conn = net.dial('tcp', str(listener.addr))
            listener.close()
            conn.write(b'x')
            while conn.read():
                pass
            compute_for_ever()
    """
    with served("dict(workers=2, grace=0.1)", *args, code=code) as server, server.talk() as talk:
        server.workers(2)
        assert talk.ask("hello") == "hello"
        server.popen.stdin.close()
        (other,) = server.workers(1)
        try:
            server.kill(signal.SIGKILL)
            assert talk.hear() == ""
            assert server.refuses()
            assert "served" not in server.end(-signal.SIGKILL)
        finally:
            os.kill(other, signal.SIGKILL)


# -- replacing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "how"),
    [
        ("os._exit(7)", "ended with status 7"),
        ("sys.exit(3)", "ended with status 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL"),
        ("os.kill(os.getpid(), signal.SIGRTMIN + 1)", f"was ended by signal {signal.SIGRTMIN + 1}"),
        ("os._exit(0)", ""),
    ],
)
def test_who_dies_is_replaced(ending, how):
    with served("dict(workers=1)") as server:
        (worker,) = server.workers(1)
        assert server.ask(f"python {ending}") == ""
        (another,) = server.workers(1)
        assert server.ask("pid") == str(another)
        server.kill(signal.SIGTERM)
        complaint = f"gopoll: worker {worker} {how}; another one takes its place\n" if how else ""
        server.end(errors=complaint)


@pytest.mark.parametrize("network", ["tcp", "unix"])
def test_who_waits_to_be_accepted_is_served_by_the_next_worker(network, tmp_path):
    address = str(tmp_path / "s") if network == "unix" else "127.0.0.1:0"
    with served("dict(workers=1)", address=address) as server, ExitStack() as stack:
        (worker,) = server.workers(1)
        stack.enter_context(server.talk()).tell("python say('busy'); compute_for_ever()")
        server.next("busy")
        talks = [stack.enter_context(server.talk()) for _ in range(20)]
        for talk in talks:
            talk.tell("pid")
        server.kill(signal.SIGKILL, worker)
        (another,) = server.workers(1)
        assert [talk.hear() for talk in talks] == [str(another)] * 20


def test_a_worker_that_gets_sigterm_finishes_and_is_replaced():
    with served("dict(workers=1)") as server, server.talk() as talk:
        (worker,) = server.workers(1)
        assert talk.ask("pid") == str(worker)
        for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGTERM):
            server.kill(signum, worker)
        assert talk.ask("pid") == str(worker)
        talk.sock.close()
        (another,) = server.workers(1)
        assert server.ask("pid") == str(another)
        server.kill(signal.SIGTERM)
        server.end()


def test_a_worker_may_close_its_listener_to_be_replaced():
    with served("dict(workers=1)") as server, server.talk() as talk:
        (worker,) = server.workers(1)
        assert talk.ask("python listener.close()") == "done"
        assert talk.ask("pid") == str(worker)
        talk.sock.close()
        (another,) = server.workers(1)
        assert server.ask("pid") == str(another)


def test_sighup_replaces_all_and_nobody_is_lost():
    with served() as server, server.talk() as talk:
        old = new = server.workers(2)
        busy = int(talk.ask("pid"))
        assert busy in old
        failures, stop = [], threading.Event()

        def client():
            while not stop.is_set():
                if server.ask("hello") != "hello":
                    failures.append("hello")

        with running(client, client):
            for _ in range(3):
                before = new
                server.kill(signal.SIGHUP)
                new = server.workers(2)
                server.is_gone(*(before - {busy}))
            stop.set()
        assert not failures
        assert int(talk.ask("pid")) == busy
        assert int(server.ask("pid")) in new
        talk.sock.close()
        server.kill(signal.SIGTERM)
        server.end()


def test_who_dies_at_once_is_replaced_ever_more_slowly():
    pauses = [0.0]
    while len(pauses) < 12:
        pauses.append(next_pause(pauses[-1], 0.1))
    assert pauses[1:] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0]
    assert next_pause(5.0, 10.0) == 0.0


def test_workers_that_cannot_live_do_not_make_the_supervisor_spin():
    code = """
    from gopoll.net import _workers
    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 5:
            listener.close()
    _workers.sleep, pauses = sleep, []
    os.register_at_fork(after_in_child=lambda: os._exit(1))
    atexit.register(lambda: say(*pauses))
    """
    with served("dict(workers=1)", code=code) as server:
        workers = server.workers(5)
        assert "0.05 0.1 0.2 0.4 0.8\n" in iter(server.line, "")
        assert len(workers) == 5
        assert server.errors().count("ended with status 1; another one takes its place") == 5


def test_the_end_does_not_wait_for_a_pause():
    code = """
    from gopoll.net import _workers
    _workers._FIRST_PAUSE = _workers._LONGEST_PAUSE = 1000.0
    """
    with served("dict(workers=1)", code=code) as server:
        server.workers(1)
        server.ask("python os._exit(0)")
        server.kill(signal.SIGTERM)
        assert "served" in server.end()


def test_no_process_can_be_had():
    code = """
    def fork():
        forks.append(None)
        if len(forks) < 3:
            raise BlockingIOError(11, 'Resource temporarily unavailable')
        return really()
    forks, really, os.fork = [], os.fork, fork
    """
    with served("dict(workers=1)", code=code) as server:
        server.workers(1)
        assert server.ask("hello") == "hello"
        server.kill(signal.SIGTERM)
        complaint = (
            "gopoll: no worker could be started: [Errno 11] Resource temporarily unavailable"
        )
        server.end(errors=2 * f"{complaint}\n")


# -- what a worker is ----------------------------------------------------------------------------


def test_an_exception_of_a_handler_ends_the_handler_only():
    with served("dict(workers=1)") as server:
        (worker,) = server.workers(1)
        assert server.ask("python 1/0") == ""
        assert server.ask("pid") == str(worker)
        server.kill(signal.SIGTERM)
        while server.line():
            pass
        assert "ZeroDivisionError" in server.errors()


def test_a_worker_has_nothing_of_the_programs_but_the_handler():
    """No goroutine, no finally block, no handler of signals; its own output is flushed."""
    code = """
    def other():
        try:
            gopoll.Chan().recv()
        finally:
            say('finally', os.getpid())

    def serve():
        gopoll.go(other)
        gopoll.gosched()
        heard = gopoll.Chan(1)
        gopoll.os.signal.notify(heard, signal.SIGUSR1)
        net.serve(listener, handle, **options)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
        gopoll.os.signal.stop(heard)
    """
    with served("dict(workers=1)", code=code) as server:
        server.workers(1)
        assert server.ask("python print('printed')") == "done"
        assert server.ask("python assert gopoll.current() is not this.sched.main") == ""
        assert server.ask("python assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL") == (
            "done"
        )
        server.kill(signal.SIGTERM)
        said = ""
        while line := server.line():
            said += line
        assert "printed" in said
        assert said.count("finally") == 1
        assert f"finally {server.pid}" in said


def test_two_listeners_at_a_time():
    """The workers of one do not keep the other's port."""
    code = """
    second = net.listen('tcp', '127.0.0.1:0')
    def close():
        gopoll.wait_read(0)
        second.close()
    def serve():
        gopoll.go(close)
        other = gopoll.go(net.serve, second, handle, workers=1)
        say('second', second.addr)
        net.serve(listener, handle, **options)
        other.join()
    """
    with served("dict(workers=1)", code=code) as server:
        (address,) = server.next("second")
        server.workers(2)
        assert server.ask("hello") == "hello"
        with Talk(address) as talk:
            assert talk.ask("hello") == "hello"
        first, server.address = server.address, address
        server.popen.stdin.close()
        assert server.refuses()
        server.address = first
        assert server.ask("hello") == "hello"
        server.kill(signal.SIGTERM)
        server.end()


# -- at the door ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "error"),
    [(0, ValueError), (-1, ValueError), (True, TypeError), (2.0, TypeError), ("2", TypeError)],
)
def test_there_can_be_no_such_number(workers, error):
    with net.listen("tcp", "127.0.0.1:0") as listener, pytest.raises(error, match="workers"):
        net.serve(listener, echo, workers=workers)


def test_what_else_is_refused(monkeypatch):
    with net.listen("tcp", "127.0.0.1:0") as listener:
        with pytest.raises(ValueError, match="grace"):
            net.serve(listener, echo, workers=2, grace=float("nan"))
        with pytest.raises(TypeError, match="something to call"):
            net.serve(listener, None, workers=2)
        with pytest.raises(TypeError, match="Listener"):
            net.serve([], echo, workers=2)
        with pytest.raises(RuntimeError, match="main thread"):
            gopoll.offload(net.serve, listener, echo, workers=2)
        monkeypatch.delattr(os, "fork")
        with pytest.raises(NotImplementedError, match="fork"):
            net.serve(listener, echo, workers=2)


# -- threads -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
def test_several_threads_serve(shared):
    """Each has a scheduler of its own; one listener, or one each on the same port."""
    served_by = {}

    def handle(conn):
        served_by.setdefault(threading.get_ident(), []).append(conn)
        echo(conn)

    with ExitStack() as stack:
        first = stack.enter_context(net.listen("tcp", "127.0.0.1:0", reuse_port=not shared))
        address = str(first.addr)
        more = [
            first if shared else stack.enter_context(net.listen("tcp", address, reuse_port=True))
            for _ in range(2)
        ]
        threads = [
            gopoll.go(gopoll.offload, net.serve, one, handle, grace=None) for one in (first, *more)
        ]
        while len(served_by) < 3:
            with net.dial("tcp", address) as client:
                roundtrip(client)
        for one in {first, *more}:
            one.close()
        assert [thread.result(SOON) for thread in threads] == [None] * 3
    assert all(conn.closed for conns in served_by.values() for conn in conns)
