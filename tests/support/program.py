"""What programs that get signals, fork and start threads have in common."""

import textwrap

from tests.support.script import run_script

__all__ = ["PRELUDE", "must_succeed"]

PRELUDE = """
import os, signal, socket, sys, threading
import gopoll
from gopoll import Chan, default, go, net, select, testing
from gopoll.runtime.sched import this

sched = this.sched
main_ident = threading.get_ident()

def ring(signum=signal.SIGINT):
    'Send a signal as a terminal does, once the scheduler sleeps.'
    def kill():
        while not sched.sleeping:
            os.sched_yield()
        signal.pthread_kill(main_ident, signum)
    threading.Thread(target=kill).start()

def depth(n=0):
    'How deep may somebody call who stands here?'
    try:
        return depth(n + 1)
    except RecursionError:
        return n

regular = os.open(sys.executable, os.O_RDONLY)

class Rings:
    'A file that is always ready; asked for its number, inside of gopoll, it is interrupted.'
    def __init__(self, signum=signal.SIGINT):
        self.signum = signum
    def fileno(self):
        signal.raise_signal(self.signum)
        return regular

def echo(conn):
    with conn:
        while data := conn.read():
            conn.write(data)

def ping(address, n, rounds):
    'One client of an echo server: every message must come back.'
    with net.dial('tcp', address) as conn:
        for i in range(rounds):
            message = b'%d.%d' % (n, i)
            conn.write(message)
            assert conn.read_exactly(len(message)) == message
"""


def must_succeed(code: str, *args: str, says: str, timeout: float = 30.0, **env: str) -> None:
    """Run the program; it must end by itself, silently on stderr, with `says` as its last line."""
    done = run_script(PRELUDE + textwrap.dedent(code), *args, timeout=timeout, **env)
    assert not done.stderr, done.stderr
    assert done.returncode == 0, done.returncode
    assert done.stdout.splitlines()[-1:] == [says], done.stdout
