"""Programs in which both ends of a TLS connection are at home, under the patch or before it."""

from pathlib import Path

from tests.support.script import run_script

__all__ = ["BOTH_ENDS", "PATCH", "run"]

_CERTIFICATE = str(Path(__file__).with_name("localhost.pem"))

PATCH = """
from gopoll.monkey import registry
for room in ("time", "select", "selectors", "socket", "ssl"): registry.enter(room, room)
"""

BOTH_ENDS = f"""
import gopoll, os, select, socket, ssl, sys, time
from gopoll.testing import wait_idle
serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
serving.load_cert_chain({_CERTIFICATE!r})
trusting = ssl.create_default_context(cafile={_CERTIFICATE!r})
def later(fn, *args):
    '''Call it once everybody else waits.'''
    return gopoll.go(lambda: (wait_idle(), fn(*args))[1])
def said(call, *args, **kwargs):
    try: return call(*args, **kwargs)
    except ssl.SSLError as exc: return type(exc).__name__
    except Exception as exc: return f"{{type(exc).__name__}}: {{exc}}"
def pair(serving=serving, **options):
    '''Two ends that have shaken hands.'''
    a, b = socket.socketpair()
    accepting = gopoll.go(serving.wrap_socket, b, server_side=True)
    client = trusting.wrap_socket(a, server_hostname='localhost', **options)
    return client, accepting.result(5)
def take(sock, n):
    data = bytearray()
    while len(data) < n and (more := sock.recv(n - len(data))): data += more
    return bytes(data)
def close(*socks):
    for sock in socks: sock.close()
"""


def run(code, *args, before=PATCH, **env):
    """Run the program; return the lines it prints. It must end well, and say nothing on stderr."""
    done = run_script(before + BOTH_ENDS + code, *args, **env)
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout.splitlines()
