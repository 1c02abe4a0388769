"""``ssl`` under the patch: what waits lets the others run, and says what it says without it."""

import pytest

from tests.support.tls import run

pytestmark = pytest.mark.network


def test_reading_lets_the_others_run():
    assert run(
        "client, server = pair()\n"
        "later(server.send, b'hello')\n"
        "print(client.recv(100))\n"
        "later(server.send, b'again')\n"
        "print(client.read(3), client.pending(), client.recv(100))\n"
        "buffer = bytearray(10)\n"
        "later(server.send, b'into')\n"
        "print(client.recv_into(buffer), bytes(buffer[:4]))\n"
        "close(client, server)\n"
    ) == ["b'hello'", "b'aga' 2 b'in'", "4 b'into'"]


def test_shaking_hands_lets_the_others_run():
    assert run(
        "listener = serving.wrap_socket(socket.create_server(('127.0.0.1', 0)), server_side=True)\n"
        "def serve():\n"
        "    with listener.accept()[0] as conn:\n"
        "        while data := conn.recv(100): conn.sendall(data.upper())\n"
        "def visit(n):\n"
        "    with socket.create_connection(listener.getsockname()) as sock:\n"
        "        with trusting.wrap_socket(sock, server_hostname='localhost') as conn:\n"
        "            conn.sendall(f'visit {n}'.encode())\n"
        "            return conn.recv(100)\n"
        "servers = [gopoll.go(serve) for _ in range(5)]\n"
        "visits = [gopoll.go(visit, n) for n in range(5)]\n"
        "print(*(v.result(10) for v in visits))\n"
        "for s in servers: s.join(10)\n"
        "listener.close()\n"
    ) == ["b'VISIT 0' b'VISIT 1' b'VISIT 2' b'VISIT 3' b'VISIT 4'"]


def test_connecting_a_wrapped_socket_shakes_hands():
    assert run(
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "def serve():\n"
        "    sock, _ = listener.accept()\n"
        "    with serving.wrap_socket(sock, server_side=True) as conn: conn.sendall(b'welcome')\n"
        "for how in ('connect', 'connect_ex'):\n"
        "    g = gopoll.go(serve)\n"
        "    with trusting.wrap_socket(socket.socket(), server_hostname='localhost') as conn:\n"
        "        print(getattr(conn, how)(listener.getsockname()), conn.recv(100))\n"
        "    g.join(10)\n"
        "listener.close()\n"
    ) == ["None b'welcome'", "0 b'welcome'"]


def test_a_slow_client_holds_up_only_the_goroutine_that_accepted_it():
    assert run(
        "listener = serving.wrap_socket(socket.create_server(('127.0.0.1', 0)), server_side=True)\n"
        "accepting = [gopoll.go(listener.accept) for _ in range(2)]\n"
        "slow = socket.create_connection(listener.getsockname())\n"
        "quick = trusting.wrap_socket(\n"
        "    socket.create_connection(listener.getsockname()), server_hostname='localhost')\n"
        "wait_idle()\n"
        "print(sorted(g.done for g in accepting))\n"
        "slow = trusting.wrap_socket(slow, server_hostname='localhost')\n"
        "close(listener, slow, quick, *(g.result(10)[0] for g in accepting))\n"
    ) == ["[False, True]"]


def test_writing_waits_for_who_reads():
    assert run(
        "client, server = pair()\n"
        "data = os.urandom(2_000_000)\n"
        "g = gopoll.go(client.sendall, data)\n"
        "wait_idle()\n"
        "print(g.done, take(server, len(data)) == data, g.result(10))\n"
        "import tempfile\n"
        "with tempfile.TemporaryFile() as file:\n"
        "    file.write(data); file.seek(0)\n"
        "    g = gopoll.go(client.sendfile, file)\n"
        "    print(take(server, len(data)) == data, g.result(10) == len(data))\n"
        "close(client, server)\n"
    ) == ["False True None", "True True"]


def test_both_directions_of_both_ends_at_once():
    assert run(
        "client, server = pair()\n"
        "up, down = os.urandom(3_000_000), os.urandom(3_000_000)\n"
        "writing = [gopoll.go(client.sendall, up), gopoll.go(server.sendall, down)]\n"
        "reading = [gopoll.go(take, server, len(up)), gopoll.go(take, client, len(down))]\n"
        "print([g.result(20) for g in reading] == [up, down], [g.result(5) for g in writing])\n"
        "close(client, server)\n"
    ) == ["True [None, None]"]


def test_several_who_read_or_write_at_once_wait_for_their_turn():
    assert run(
        "client, server = pair()\n"
        "readers = [gopoll.go(client.recv, 100) for _ in range(5)]\n"
        "wait_idle()\n"
        "for n in range(5): server.send(str(n).encode())\n"
        "print(*(g.result(5) for g in readers))\n"
        "writers = [gopoll.go(client.send, bytes([n]) * 300_000) for n in range(4)]\n"
        "wait_idle()\n"
        "print([take(server, 300_000) == bytes([n]) * 300_000 for n in range(4)])\n"
        "print([g.result(5) for g in writers])\n"
        "close(client, server)\n"
    ) == [
        "b'0' b'1' b'2' b'3' b'4'",
        "[True, True, True, True]",
        "[300000, 300000, 300000, 300000]",
    ]


def test_timeouts_are_those_of_the_standard_library():
    assert run(
        "client, server = pair()\n"
        "client.settimeout(0.02)\n"
        "for call in (client.recv, client.read, client.unwrap): print(said(call))\n"
        "client.close(); server.close()\n"
        "client, server = pair()\n"
        "client.settimeout(0.02)\n"
        "print(said(client.send, bytes(9_000_000)))\n"
        "close(client, server)\n"
        "a, b = socket.socketpair()\n"
        "a.settimeout(0.02)\n"
        "print(said(trusting.wrap_socket, a, server_hostname='localhost')[-33:])\n"
        "close(a, b)\n"
    ) == [
        "TimeoutError: The read operation timed out",
        "TimeoutError: The read operation timed out",
        "TimeoutError: The read operation timed out",
        "TimeoutError: The write operation timed out",
        "The handshake operation timed out",
    ]


def test_a_timeout_covers_the_wait_for_ones_turn():
    assert run(
        "client, server = pair()\n"
        "g = gopoll.go(client.recv, 10)\n"
        "wait_idle()\n"
        "client.settimeout(0.02)\n"
        "print(said(client.recv, 10))\n"
        "server.send(b'x')\n"
        "print(g.result(5))\n"
        "close(client, server)\n"
    ) == ["TimeoutError: The read operation timed out", "b'x'"]


def test_the_mode_of_a_socket_is_what_was_asked_for():
    assert run(
        "client, server = pair()\n"
        "def seen(): return client.gettimeout(), client.timeout, client.getblocking()\n"
        "print(*seen())\n"
        "for t in (5, 0, None):\n"
        "    client.settimeout(t)\n"
        "    print(*seen())\n"
        "client.setblocking(False)\n"
        "print(*seen())\n"
        "close(client, server)\n"
        "socket.setdefaulttimeout(7)\n"
        "client, server = pair()\n"
        "print(*seen())\n"
        "close(client, server)\n"
    ) == [
        "None None True",
        "5.0 5.0 True",
        "0.0 0.0 False",
        "None None True",
        "0.0 0.0 False",
        "7.0 7.0 True",
    ]


def test_whoever_does_not_want_to_wait_does_not():
    assert run(
        "a, b = socket.socketpair()\n"
        "a.setblocking(False); b.setblocking(False)\n"
        "client = trusting.wrap_socket(\n"
        "    a, server_hostname='localhost', do_handshake_on_connect=False)\n"
        "server = serving.wrap_socket(b, server_side=True, do_handshake_on_connect=False)\n"
        "print(said(server.do_handshake))\n"
        "left, wants = [client, server], []\n"
        "while left:\n"
        "    for end in tuple(left):\n"
        "        try: end.do_handshake(); left.remove(end)\n"
        "        except ssl.SSLWantReadError: wants.append('r')\n"
        "        except ssl.SSLWantWriteError: wants.append('w')\n"
        "print('r' in wants)\n"
        "print(said(server.recv, 10), said(client.send, bytes(9_000_000)))\n"
        "print(said(server._sendfile_use_send, None))\n"
        "close(client, server)\n"
        "a, b = socket.socketpair()\n"
        "a.setblocking(False)\n"
        "print(said(trusting.wrap_socket, a, server_hostname='localhost'))\n"
        "close(a, b)\n"
    ) == [
        "SSLWantReadError",
        "True",
        "SSLWantReadError SSLWantWriteError",
        "ValueError: non-blocking sockets are not supported",
        "ValueError: do_handshake_on_connect should not be specified for non-blocking sockets",
    ]


def test_shaking_hands_may_be_asked_to_wait():
    assert run(
        "a, b = socket.socketpair()\n"
        "g = later(lambda: serving.wrap_socket(b, server_side=True))\n"
        "a.setblocking(False)\n"
        "client = trusting.wrap_socket(\n"
        "    a, server_hostname='localhost', do_handshake_on_connect=False)\n"
        "client.do_handshake(block=True)\n"
        "print(client.version(), client.getblocking())\n"
        "close(client, g.result(5))\n"
    ) == ["TLSv1.3 False"]


def test_the_end_of_the_stream():
    assert run(
        "client, server = pair()\n"
        "leaving = later(server.unwrap)\n"
        "print(client.recv(10), client.read(10))\n"
        "close(client.unwrap(), leaving.result(5))\n"
        "for suppress in (True, False):\n"
        "    client, server = pair(suppress_ragged_eofs=suppress)\n"
        "    later(server.close)\n"
        "    print(said(client.recv, 10), said(client.recv_into, bytearray(10)))\n"
        "    client.close()\n"
        "client, server = pair()\n"
        "client.close()\n"
        "print(said(client.recv, 10)); print(said(client.read)); print(said(client.write, b'x'))\n"
        "server.close()\n"
    ) == [
        "b'' b''",
        "b'' 0",
        "SSLEOFError SSLEOFError",
        "OSError: [Errno 9] Bad file descriptor",
        "ValueError: Read on closed or unwrapped SSL socket.",
        "ValueError: Write on closed or unwrapped SSL socket.",
    ]


def test_back_to_plain_text():
    assert run(
        "client, server = pair()\n"
        "g = gopoll.go(server.unwrap)\n"
        "wait_idle()\n"
        "print(g.done, client.unwrap() is client, g.result(5) is server)\n"
        "later(server.sendall, b'in the clear')\n"
        "print(client.recv(100), client.pending(), client.version())\n"
        "client.settimeout(0.02)\n"
        "print(said(client.recv, 100))\n"
        "client.setblocking(True)\n"
        "print(said(client.unwrap)[:36], os.get_blocking(client.fileno()))\n"
        "later(client.shutdown, socket.SHUT_WR)\n"
        "print(server.recv(10))\n"
        "close(client, server)\n"
    ) == [
        "False True True",
        "b'in the clear' 0 None",
        "TimeoutError: timed out",
        "ValueError: No SSL wrapper around <s True",
        "b''",
    ]


def test_files_over_a_connection():
    assert run(
        "client, server = pair()\n"
        "with client.makefile('rwb') as there, server.makefile('rw', newline='\\n') as here:\n"
        "    later(lambda: (here.write('one\\ntwo\\n'), here.flush()))\n"
        "    print(there.readline(), there.readline())\n"
        "    later(lambda: (there.write(b'three\\n'), there.flush()))\n"
        "    print(here.readline())\n"
        "close(client, server)\n"
    ) == ["b'one\\n' b'two\\n'", "three", ""]


def test_a_session_is_used_again_and_a_client_proves_itself_late():
    assert run(
        "client, server = pair()\n"
        "server.send(b'x'); client.recv(1)\n"
        "session = client.session\n"
        "close(client, server)\n"
        "client, server = pair(session=session)\n"
        "server.send(b'x'); client.recv(1)\n"
        "print(client.session_reused)\n"
        "close(client, server)\n"
        "trusting.load_cert_chain(sys.argv[1]); trusting.post_handshake_auth = True\n"
        "serving.load_verify_locations(sys.argv[1])\n"
        "serving.verify_mode = ssl.CERT_REQUIRED; serving.post_handshake_auth = True\n"
        "client, server = pair()\n"
        "print(server.getpeercert())\n"
        "server.verify_client_post_handshake()\n"
        "reading = gopoll.go(client.recv, 10)\n"
        "later(client.send, b'y')\n"
        "server.send(b'x')\n"
        "print(server.recv(1), reading.result(5), server.getpeercert()['notAfter'][-8:])\n"
        "close(client, server)\n",
        "tests/support/localhost.pem",
    ) == ["True", "None", "b'y' b'x' 2120 GMT"]


def test_certificates_are_fetched_within_a_time_limit():
    assert run(
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "def serve():\n"
        "    sock, _ = listener.accept()\n"
        "    serving.wrap_socket(sock, server_side=True).close()\n"
        "gopoll.go(serve)\n"
        "print(ssl.get_server_certificate(listener.getsockname(), timeout=10)[:27])\n"
        "print(said(ssl.get_server_certificate, listener.getsockname(), timeout=0.02)[-9:])\n"
        "listener.close()\n"
    ) == ["-----BEGIN CERTIFICATE-----", "timed out"]


def test_memory_bios_are_left_alone():
    assert run(
        "inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()\n"
        "end = trusting.wrap_bio(inward, outward, server_hostname='localhost')\n"
        "print(type(end) is ssl.SSLObject, said(end.do_handshake), outward.pending > 100)\n"
    ) == ["True SSLWantReadError True"]


def test_a_callback_in_a_handshake_may_wait():
    assert run(
        "r, w = os.pipe()\n"
        "def choose(sock, name, context):\n"
        "    later(os.write, w, b'x')\n"
        "    gopoll.wait_read(r)\n"
        "    print(name)\n"
        "serving.sni_callback = choose\n"
        "client, server = pair()\n"
        "later(server.send, b'x')\n"
        "print(client.recv(1))\n"
        "close(client, server)\n"
    ) == ["localhost", "b'x'"]


def test_fifty_slow_answers_come_together():
    assert run(
        "def answer(server):\n"
        "    data = server.recv(100); time.sleep(0.2); server.sendall(data); server.close()\n"
        "pairs = [pair() for _ in range(50)]\n"
        "start = time.monotonic()\n"
        "for _, server in pairs: gopoll.go(answer, server)\n"
        "def ask(client, n):\n"
        "    client.sendall(b'%d' % n)\n"
        "    with client: return client.recv(100)\n"
        "asking = [gopoll.go(ask, client, n) for n, (client, _) in enumerate(pairs)]\n"
        "print(all(g.result(10) == b'%d' % n for n, g in enumerate(asking)))\n"
        "print(time.monotonic() - start < 5)\n"
        "import threading; print(threading.active_count())\n"
    ) == ["True", "True", "1"]


def test_questions_and_answers_cost_no_reads_that_find_nothing():
    assert run(
        "client, server = pair()\n"
        "class Counting:\n"
        "    calls = 0\n"
        "    def __init__(self, real): self.real = real\n"
        "    def __getattr__(self, name): return getattr(self.real, name)\n"
        "    def read(self, *args): self.calls += 1; return self.real.read(*args)\n"
        "client._sslobj = engine = Counting(client._sslobj)\n"
        "def answer():\n"
        "    while data := server.recv(10): server.send(data)\n"
        "g = gopoll.go(answer)\n"
        "for _ in range(10): client.send(b'x'); client.recv(10)\n"
        "print(engine.calls <= 13 or engine.calls)\n"
        "client._sslobj = engine.real\n"
        "client.shutdown(socket.SHUT_WR); g.join(5)\n"
        "close(client, server)\n"
    ) == ["True"]


def test_what_comes_after_questions_and_answers_is_seen():
    assert run(
        "def alternating():\n"
        "    client, server = pair()\n"
        "    for _ in range(3): later(server.send, b'x'); client.recv(10)\n"
        "    return client, server\n"
        "client, server = alternating()\n"
        "later(lambda: (server.send(b'one'), server.send(b'two')))\n"
        "print(client.recv(2), client.recv(10), client.recv(10))\n"
        "close(client, server)\n"
        "client, server = alternating()\n"
        "print(client.recv(0), client.recv_into(bytearray()), said(client.read, -1))\n"
        "leaving = gopoll.go(server.unwrap)\n"
        "print(client.recv(10), client.recv(10))\n"
        "close(client.unwrap(), leaving.result(5))\n"
        "for end in ('close', 'shutdown'):\n"
        "    for early in (True, False):\n"
        "        client, server = alternating()\n"
        "        stop = lambda: server.close() if end == 'close' else server.shutdown(2)\n"
        "        stop() if early else later(stop)\n"
        "        if early: gopoll.sleep(0.001)\n"
        "        print(client.recv(10), client.recv(10))\n"
        "        close(client, server)\n"
        "client, server = alternating()\n"
        "client.settimeout(0.02)\n"
        "print(said(client.recv, 10))\n"
        "client.settimeout(0)\n"
        "print(said(client.recv, 10))\n"
        "close(client, server)\n"
    ) == [
        "b'on' b'e' b'two'",
        "b'' 0 ValueError: size should not be negative",
        *["b'' b''"] * 5,
        "TimeoutError: The read operation timed out",
        "SSLWantReadError",
    ]
