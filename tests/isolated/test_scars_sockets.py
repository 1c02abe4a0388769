"""Sockets and descriptors that one goroutine closes while another uses them."""

from tests.support.scars import cases, check

PAIR = """
import errno, os, socket, threading, time
import gopoll
from gopoll.testing import wait_idle
a, b = socket.socketpair()
def said(call, *args):
    try: return call(*args)
    except OSError as error: return error.errno
def background(call, *args):
    found = []
    thread = threading.Thread(target=lambda: found.append(said(call, *args)))
    thread.start()
    wait_idle()
    return lambda: (thread.join(), found[0])[1]
"""

CLOSING = {
    # The one that reads learns that the socket was closed; and after shutdown(), of the end.
    "gevent-26": PAIR
    + """
result = background(a.recv, 10)
a.close()
assert result() == errno.EBADF
c, d = socket.socketpair()
result = background(c.recv, 10)
c.shutdown(socket.SHUT_RDWR); c.close()
assert result() in (b"", errno.EBADF)
print("fine")
""",
    # The number is taken by a new socket before the one that waited has run.
    "gevent-34": PAIR
    + """
result = background(a.recv, 10)
number = a.fileno()
a.close()
c, d = socket.socketpair()
assert number in (c.fileno(), d.fileno())
other = background(c.recv, 10)
d.sendall(b"for c")
assert result() == errno.EBADF
assert other() == b"for c"
print("fine")
""",
    # Two sockets in turn have one number: whoever closes the first late must not hit the second.
    "gevent-117": PAIR
    + """
import gc
file = a.makefile("rb")
number = a.fileno()
a.close()  # the file holds it open
assert os.fstat(number)
result = background(file.read, 5)
b.sendall(b"hello")
assert result() == b"hello"
file.close()
c, d = socket.socketpair()
del file, a
gc.collect()
d.sendall(b"x")
assert c.recv(1) == b"x"
print("fine")
""",
    # A pipe is closed while somebody reads it.
    "gevent-191": PAIR
    + """
r, w = os.pipe()
result = background(os.read, r, 1)
os.close(r)
assert result() == errno.EBADF
print("fine")
""",
    # Many are closed while they are waited for in both directions, and their numbers used again.
    "gevent-2100": PAIR
    + """
results = []
for n in range(200):
    x, y = socket.socketpair()
    x.setblocking(True)
    try:
        while True: x.send(b"z" * 65536, socket.MSG_DONTWAIT)
    except BlockingIOError: pass
    results.append((background(x.recv, 1), errno.EBADF))
    results.append((background(x.sendall, b"more"), errno.EBADF))
    x.close(); y.close()
assert all(result() == expected for result, expected in results)
print("fine")
""",
    # To close is to have closed: another process sees the end before anything else happens here.
    "gevent-2177": """
import os, subprocess, sys
from multiprocessing import resource_tracker, shared_memory
r, w = os.pipe()
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=r)
os.close(r)
os.close(w)
assert os.waitpid(child.pid, 0)[1] == 0
child.returncode = 0
block = shared_memory.SharedMemory(create=True, size=100)
block.close(); block.unlink()
resource_tracker._resource_tracker._stop()
print("fine")
""",
}


@cases(CLOSING)
def test_closing(program):
    check(program, PYTHONWARNINGS="ignore::ResourceWarning")


SHARING = {
    # Several read one socket, each gets something, and nobody is told that this is forbidden.
    "celery-2755": PAIR
    + """
results = [background(a.recv, 1) for _ in range(3)]
b.sendall(b"xyz")
assert sorted(result() for result in results) == [b"x", b"y", b"z"]
print("fine")
""",
    "gunicorn-779": PAIR
    + """
server = socket.create_server(("127.0.0.1", 0))
results = [background(server.accept) for _ in range(3)]
clients = [socket.create_connection(server.getsockname()) for _ in results]
ports = sorted(client.getsockname()[1] for client in clients)
accepted = [result() for result in results]
assert sorted(address[1] for _, address in accepted) == ports
for conn in [*clients, server, *(conn for conn, _ in accepted)]: conn.close()
print("fine")
""",
}


@cases(SHARING)
def test_sharing(program):
    check(program, PYTHONWARNINGS="ignore::ResourceWarning")
