"""Names under the patch: a lookup that may take its time holds nobody up."""

import pytest

from tests.support.script import run_script

pytestmark = pytest.mark.network

# A resolver that answers when it is told to, and says in which thread it was asked.
PATCHED = """
import _socket, _thread, socket
main, asked = _thread.get_ident(), []
answer = _thread.allocate_lock()
real = {name: getattr(_socket, name) for name in
        ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")}
def slow(name):
    def ask(what, *args):
        asked.append((name, what))
        if _thread.get_ident() == main: return real[name](what, *args)
        answer.acquire()
        if name == "getnameinfo": return real[name](("127.0.0.1", 80), 3)
        if what == "nobody.test": raise socket.gaierror(socket.EAI_NONAME, "nobody")
        return real[name]("127.0.0.1", *args)
    return ask
for name in real:
    setattr(_socket, name, slow(name))
    if name != "getaddrinfo": setattr(socket, name, getattr(_socket, name))
answer.acquire()
def let():
    if answer.locked(): answer.release()
from gopoll import monkey
import gopoll
monkey.patch_socket()
from gopoll.testing import wait_idle
def overlapped(fn, *args):
    '''Its result; it has waited, and the others ran meanwhile.'''
    g = gopoll.go(fn, *args); gopoll.gosched()
    waited = not g.done
    let()
    try: return g.result(10), waited
    except OSError as exc: return type(exc).__name__, waited
"""


def run(code):
    done = run_script(PATCHED + code)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


def test_a_name_is_looked_up_in_a_thread():
    assert run(
        "found, waited = overlapped(socket.getaddrinfo, 'some.test', 80, 0, socket.SOCK_STREAM)\n"
        "print([entry[4] for entry in found], waited)\n"
        "print(overlapped(socket.gethostbyname, 'some.test'))\n"
        "print(overlapped(socket.gethostbyname_ex, 'some.test'))\n"
        "print(overlapped(socket.gethostbyaddr, '127.0.0.1')[1])\n"
        "print(overlapped(socket.getfqdn, 'some.test')[1])\n"
        "print(overlapped(socket.getnameinfo, ('127.0.0.1', 80), 0))\n"
        "print(overlapped(socket.getaddrinfo, 'nobody.test', 80))\n"
        "print(overlapped(socket.getaddrinfo, '127.0.0.1', 'http')[1])\n"
    ) == [
        "[('127.0.0.1', 80)] True",
        "('127.0.0.1', True)",
        "(('127.0.0.1', [], ['127.0.0.1']), True)",
        "True",
        "True",
        "(('127.0.0.1', '80'), True)",
        "('gaierror', True)",
        "True",
    ]


def test_what_needs_no_server_stays_in_the_goroutine():
    assert run(
        "for host in ('127.0.0.1', b'127.0.0.1', '::1', None, 'localhost', 'fe80::1%1'):\n"
        "    for port in (80, '80', None):\n"
        "        if host or port: socket.getaddrinfo(host, port)\n"
        "for host in ('127.0.0.1', '', '<broadcast>', 'localhost'): socket.gethostbyname(host)\n"
        "print(socket.getnameinfo(('127.0.0.1', 80), 3))\n"
        "from gopoll._original import thread_count\n"
        "print(thread_count(), len(asked) > 10)\n"
    ) == ["('127.0.0.1', '80')", "0 True"]


def test_methods_that_take_a_name_look_it_up_in_a_thread():
    assert run(
        "import os\n"
        "def use(host):\n"
        "    with socket.socket() as listener, socket.socket() as sock:\n"
        "        listener.bind((host, 0)); listener.listen()\n"
        "        let()\n"
        "        sock.connect((host, listener.getsockname()[1]))\n"
        "        return sock.getpeername()[0]\n"
        "print(overlapped(use, 'some.test'), [a for a in asked])\n"
        "del asked[:]\n"
        "print(use(b'127.0.0.1'), asked)\n"
        "answer.acquire()\n"
        "def ship(host):\n"
        "    with socket.socket(type=socket.SOCK_DGRAM) as a:\n"
        "        a.bind(('', 0)); a.sendto(b'x', (host, a.getsockname()[1])); return a.recv(5)\n"
        "print(overlapped(ship, 'some.test'))\n"
        "def fail(host):\n"
        "    with socket.socket() as sock: return sock.connect_ex((host, 1))\n"
        "print(overlapped(fail, 'nobody.test'))\n"
    ) == [
        "('127.0.0.1', True) [('getaddrinfo', 'some.test'), ('getaddrinfo', 'some.test')]",
        "127.0.0.1 []",
        "(b'x', True)",
        "('gaierror', True)",
    ]


def test_wrong_arguments_are_told_as_ever():
    assert (
        run(
            "for wrong in (lambda: socket.getnameinfo('x', 0), lambda: socket.gethostbyname(1),\n"
            "              lambda: socket.getaddrinfo('127.0.0.1', 80, flags='x')):\n"
            "    try: wrong()\n"
            "    except TypeError: print('TypeError')\n"
            "with socket.socket() as sock:\n"
            "    for address in ('x', (1, 2, 3), ('127.0.0.1',), ('127.0.0.1', 'x'), (1, 2)):\n"
            "        try: sock.connect(address)\n"
            "        except TypeError: print('TypeError')\n"
        )
        == ["TypeError"] * 8
    )


def test_the_functions_are_what_they_seem():
    assert run(
        "import inspect, pickle\n"
        "class Keeper: find = socket.gethostbyname\n"
        "print(Keeper().find('127.0.0.1'), pickle.loads(pickle.dumps(socket.gethostbyname)))\n"
        "print(inspect.signature(socket.getaddrinfo), socket.getaddrinfo.__module__)\n"
    ) == [
        "127.0.0.1 <built-in function gethostbyname>",
        "(host, port, family=0, type=0, proto=0, flags=0) socket",
    ]
