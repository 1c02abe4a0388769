"""One program of the standard library's, patched by whom it is told: ``stdlib LIBRARY KIND``.

LIBRARY is gopoll, gevent or eventlet; threads leaves the program as it is. KIND is socketserver,
tls (the same in TLS) or http. No line of the program knows by whom it is patched.
"""

import sys

from tests.bench.servers.patch import patch

if __name__ == "__main__":
    patch(sys.argv[1])

import http.server
import socketserver
import ssl
from pathlib import Path

CERTIFICATE = Path(__file__).parents[2] / "support" / "localhost.pem"


class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 4096
    daemon_threads = True


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)


class SecureEcho(Echo):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def setup(self):
        self.request = self.context.wrap_socket(self.request, server_side=True)

    def finish(self):
        self.request.close()


class Hello(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # the head and the body are two sends

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args):
        pass


def main(kind):
    if kind == "tls":
        SecureEcho.context.load_cert_chain(CERTIFICATE)
    handler = {"socketserver": Echo, "tls": SecureEcho, "http": Hello}[kind]
    with Server(("127.0.0.1", 0), handler) as serving:
        print(serving.server_address[1], flush=True)
        serving.serve_forever()


if __name__ == "__main__":
    main(sys.argv[2])
