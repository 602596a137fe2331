"""The servers of the standard library, and Werkzeug's, with ``ProxyServerMixin``, to be asked."""

from __future__ import annotations

import json
import socketserver
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from credentials import SERVER_NAME
from sockets import running
from werkzeug.serving import ThreadedWSGIServer
from werkzeug.serving import WSGIRequestHandler as WerkzeugRequestHandler

from fastppv2 import Policy
from fastppv2.sync import ProxyServerMixin

LOOPBACK = ("127.0.0.1", 0)
TRUSTING = Policy("127.0.0.1")
POLL_INTERVAL = 0.05


class Tells(BaseHTTPRequestHandler):
    """An HTTP handler that knows nothing of PROXY."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        seen = {
            "client": self.client_address[:2],
            "peername": self.request.getpeername()[:2],
            "sockname": self.request.getsockname()[:2],
        }
        body = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Lines(socketserver.StreamRequestHandler):
    """Answers a line with the client and that line."""

    def handle(self):
        line = self.rfile.readline()
        self.wfile.write(b"%a %s" % (self.client_address, line))


def application(environ, start_response):
    header = environ["fastppv2.header"]
    seen = {
        "client": [environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"])],
        "header": None if header is None else header.raw.hex(),
    }
    body = json.dumps(seen).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


class Plain(ProxyServerMixin, HTTPServer):
    policy = TRUSTING


class Threading(ProxyServerMixin, ThreadingHTTPServer):
    policy = TRUSTING


class Wsgiref(ProxyServerMixin, WSGIServer):
    policy = TRUSTING

    def __init__(self, address, handler):
        super().__init__(address, handler)
        self.set_app(application)


class Werkzeug(ProxyServerMixin, ThreadedWSGIServer):
    policy = TRUSTING

    def __init__(self, address, handler):
        super().__init__(*address, application, handler)


class TCP(ProxyServerMixin, socketserver.TCPServer):
    policy = TRUSTING


class ForkingTCP(ProxyServerMixin, socketserver.ForkingTCPServer):
    policy = TRUSTING


HTTP = {
    "http.server": (Plain, Tells),
    "threading": (Threading, Tells),
    "wsgiref": (Wsgiref, WSGIRequestHandler),
    "werkzeug": (Werkzeug, WerkzeugRequestHandler),
}
KEEP_ALIVE = ("http.server", "threading")  # the others end each connection with the answer


@contextmanager
def serving(server_class, handler, policy=TRUSTING, context=None):
    class Server(server_class):
        pass

    Server.policy = policy
    with Server(LOOPBACK, handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        with running(server.serve_forever, POLL_INTERVAL):
            try:
                yield server
            finally:
                server.shutdown()


def get(sock):
    """One request on an open connection."""
    http = HTTPConnection(SERVER_NAME)
    http.sock = sock
    http.request("GET", "/")
    answer = http.getresponse()
    said = answer.read()
    assert answer.status == 200, said
    return json.loads(said)


def address_of(server):
    return server.server_address[:2]
