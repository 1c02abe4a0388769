"""When ``ssl`` is patched, and given back: nothing is replaced, and what exists already follows."""

import pytest

from tests.support.tls import PATCH, run

pytestmark = pytest.mark.network

EARLIER = """
import socket, ssl, threading
from ssl import SSLContext, SSLSocket
methods = {name: vars(SSLSocket)[name] for name in vars(SSLSocket)}
own = dict(vars(SSLContext))
CERTIFICATE = 'tests/support/localhost.pem'
def connect(**options):
    serving = SSLContext(ssl.PROTOCOL_TLS_SERVER); serving.load_cert_chain(CERTIFICATE)
    trusting = ssl.create_default_context(cafile=CERTIFICATE)
    a, b = socket.socketpair()
    ends = []
    t = threading.Thread(
        target=lambda: ends.append(serving.wrap_socket(b, server_side=True)))
    t.start()
    client = trusting.wrap_socket(a, server_hostname='localhost')
    t.join()
    return client, ends[0]
early_context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
class Context(SSLContext):
    '''Sets properties of its base as the standard library and others do.'''
    @property
    def minimum_version(self): return super().minimum_version
    @minimum_version.setter
    def minimum_version(self, value):
        super(SSLContext, SSLContext).minimum_version.__set__(self, value)
"""

CONNECTED = EARLIER + "early_client, early_server = connect()\n"


@pytest.mark.parametrize("before", [PATCH, EARLIER + PATCH], ids=["early", "late"])
def test_properties_of_a_context_can_be_set(before):
    assert run(
        "from ssl import SSLContext\n"
        "class Later(SSLContext):\n"
        "    @property\n"
        "    def options(self): return super().options\n"
        "    @options.setter\n"
        "    def options(self, value):\n"
        "        super(ssl.SSLContext, ssl.SSLContext).options.__set__(self, value)\n"
        "kinds = [SSLContext, Later, *([Context] if 'Context' in globals() else [])]\n"
        "contexts = [kind(ssl.PROTOCOL_TLS_CLIENT) for kind in kinds]\n"
        "if 'early_context' in globals(): contexts.append(early_context)\n"
        "for context in contexts:\n"
        "    for name in ('minimum_version', 'maximum_version'):\n"
        "        setattr(context, name, ssl.TLSVersion.TLSv1_2)\n"
        "        super(SSLContext, SSLContext).minimum_version.__set__(\n"
        "            context, ssl.TLSVersion.TLSv1_2)\n"
        "    context.options |= ssl.OP_NO_COMPRESSION\n"
        "    context.verify_flags |= ssl.VERIFY_X509_STRICT\n"
        "    context.check_hostname = False\n"
        "    context.verify_mode = ssl.CERT_NONE\n"
        "    print(context.minimum_version.name, context.verify_mode.name)\n",
        before=before,
    ) == ["TLSv1_2 CERT_NONE"] * (2 if before is PATCH else 4)


def test_no_class_is_replaced():
    assert run(
        "print(ssl.SSLContext is SSLContext, ssl.SSLSocket is SSLSocket,\n"
        "    SSLContext.sslsocket_class is SSLSocket, dict(vars(SSLContext)) == own)\n"
        "import inspect\n"
        "changed = [name for name in methods if vars(SSLSocket)[name] is not methods[name]]\n"
        "print('read' in changed, 'pending' in changed)\n"
        "for name in changed:\n"
        "    new, old = vars(SSLSocket)[name], methods[name]\n"
        "    same = all(getattr(new, a) == getattr(old, a)\n"
        "        for a in ('__name__', '__qualname__', '__module__', '__doc__'))\n"
        "    if not same or inspect.signature(new) != inspect.signature(old): print(name)\n",
        before=EARLIER + PATCH,
    ) == ["True True True True", "True False"]


def test_a_connection_from_before_follows():
    assert run(
        "later(early_server.send, b'hello')\n"
        "print(early_client.recv(10), early_client.gettimeout(), early_client.getblocking())\n"
        "early_client.settimeout(0.02)\n"
        "print(said(early_client.recv, 10))\n"
        "close(early_client, early_server)\n",
        before=CONNECTED + PATCH,
    ) == ["b'hello' None True", "TimeoutError: The read operation timed out"]


def test_the_patch_can_be_taken_back():
    assert run(
        "client, server = pair()\n"
        "client.settimeout(5)\n"
        "server.send(b'x'); print(client.recv(1))\n"
        "for room in ('ssl', 'socket', 'selectors', 'select', 'time'): registry.leave(room)\n"
        "print({name: vars(SSLSocket)[name] for name in vars(SSLSocket)} == methods)\n"
        "print(client.gettimeout(), server.gettimeout(), os.get_blocking(server.fileno()))\n"
        "def answer(): server.sendall(server.recv(10).upper())\n"
        "t = threading.Thread(target=answer); t.start()\n"
        "client.send(b'plain'); print(client.recv(10)); t.join()\n"
        "close(client, server, early_client, early_server)\n"
        "close(*connect())\n",
        before=CONNECTED + PATCH,
    ) == ["b'x'", "True", "5.0 None True", "b'PLAIN'"]


def test_subclasses_follow():
    assert run(
        "class Socket(ssl.SSLSocket):\n"
        "    def recv(self, *args): return super().recv(*args).upper()\n"
        "serving.sslsocket_class = trusting.sslsocket_class = Socket\n"
        "client, server = pair()\n"
        "later(server.send, b'hello')\n"
        "print(type(client).__name__, client.recv(10))\n"
        "close(client, server)\n"
    ) == ["Socket b'HELLO'"]
