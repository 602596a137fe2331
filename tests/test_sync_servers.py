"""The servers of the standard library, and Werkzeug's, with ``ProxyServerMixin``."""

from __future__ import annotations

import json
import logging
import socketserver
import ssl
from contextlib import ExitStack
from http.server import HTTPServer

import pytest
from credentials import SERVER_NAME, Credentials
from sockets import (
    CLIENT,
    ELB,
    NAMELESS,
    NAMING,
    V2,
    connected,
    ended,
    receive,
    running,
    single_bytes,
)
from sync_servers import (
    HTTP,
    KEEP_ALIVE,
    LOOPBACK,
    POLL_INTERVAL,
    TCP,
    ForkingTCP,
    Lines,
    Plain,
    Tells,
    address_of,
    get,
    serving,
)

from fastppv2 import Policy, build
from fastppv2.sync import ProxyServerMixin

PATIENCE = 0.2  # seconds, where a test waits until they are over


@pytest.mark.parametrize("split", [False, True], ids=["whole", "bytes"])
@pytest.mark.parametrize("header", NAMING)
@pytest.mark.parametrize("name", KEEP_ALIVE)
def test_http_shows_the_client_in_every_request(name, header, split, capsys):
    raw, client, frontend = NAMING[header]
    pieces = single_bytes(raw) if split else [raw]
    with serving(*HTTP[name]) as server, connected(address_of(server), *pieces) as sock:
        for _ in range(2):
            seen = get(sock)
            assert seen["client"] == seen["peername"] == list(client[:2])
            assert seen["sockname"] == list(frontend[:2])
    assert capsys.readouterr().err.count(f"{client[0]} - - [") == 2


@pytest.mark.parametrize("split", [False, True], ids=["whole", "bytes"])
@pytest.mark.parametrize("header", NAMING)
@pytest.mark.parametrize("name", ["wsgiref", "werkzeug"])
def test_wsgi_shows_the_client_and_the_header(name, header, split, caplog, capsys):
    caplog.set_level(logging.INFO)
    raw, client, _ = NAMING[header]
    pieces = single_bytes(raw) if split else [raw]
    with serving(*HTTP[name]) as server, connected(address_of(server), *pieces) as sock:
        assert get(sock) == {"client": list(client[:2]), "header": raw.hex()}
    assert f"{client[0]} - - [" in capsys.readouterr().err + caplog.text


@pytest.mark.parametrize("header", NAMELESS)
@pytest.mark.parametrize("name", HTTP)
def test_a_header_that_names_nobody_leaves_the_real_peer(name, header):
    raw = NAMELESS[header]
    with serving(*HTTP[name]) as server, connected(address_of(server), raw) as sock:
        real = list(sock.getsockname())
        seen = get(sock)
        assert seen["client"] == real
        assert seen.get("header", raw.hex()) == raw.hex()


@pytest.mark.parametrize("name", HTTP)
def test_who_is_not_trusted_is_not_believed(name):
    with serving(*HTTP[name], Policy("192.0.2.1")) as server:
        with connected(address_of(server), V2) as sock:
            assert ended(sock)
        assert server.listening.counters.refused["untrusted"] == 1
    passing = Policy("192.0.2.1", untrusted="passthrough")
    with serving(*HTTP[name], passing) as server, connected(address_of(server)) as sock:
        real = list(sock.getsockname())
        seen = get(sock)
        assert seen["client"] == real
        assert seen.get("header") is None


@pytest.mark.parametrize("name", HTTP)
def test_silent_peers_hold_up_nobody_and_are_ended(name):
    with ExitStack() as stack:
        server = stack.enter_context(serving(*HTTP[name], Policy("127.0.0.1", timeout=PATIENCE)))
        starts = ([], [b"PROXY TCP4"], [V2[:15]])
        silent = [stack.enter_context(connected(address_of(server), *start)) for start in starts]
        with connected(address_of(server), V2) as sock:
            assert get(sock)["client"] == list(CLIENT)
        assert all(map(ended, silent))
        assert server.listening.counters.refused["timeout"] == len(silent)


@pytest.fixture(scope="session")
def credentials(tmp_path_factory):
    return Credentials(tmp_path_factory.mktemp("credentials"))


@pytest.mark.parametrize("name", HTTP)
def test_tls_comes_after_the_header(name, credentials):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(credentials.certificate))
    trusting = ssl.create_default_context(cafile=str(credentials.ca))
    with serving(*HTTP[name], context=context) as server, ExitStack() as stack:
        _, sock = [stack.enter_context(connected(address_of(server), V2)) for _ in range(2)]
        with trusting.wrap_socket(sock, server_hostname=SERVER_NAME) as secure:
            assert get(secure)["client"] == list(CLIENT)


@pytest.mark.parametrize("server_class", [TCP, ForkingTCP])
def test_socketserver_behind_aws_classic_elb(server_class):
    sent = ELB + b"hello\n"
    with serving(server_class, Lines) as server, connected(address_of(server), sent) as sock:
        assert receive(sock, 99) == b"%a hello\n" % (CLIENT,)


def test_a_unix_socket(tmp_path):
    class Server(ProxyServerMixin, socketserver.UnixStreamServer):
        policy = Policy("unix")

    path = str(tmp_path / "socket")
    with Server(path, Lines) as server, running(server.serve_forever, POLL_INTERVAL):
        with connected(path, ELB + b"hello\n") as sock:
            assert receive(sock, 99) == b"%a hello\n" % (CLIENT,)
        server.shutdown()


def test_a_header_that_names_unix_paths():
    """A path has no port."""
    with serving(*HTTP["wsgiref"]) as server:
        server.set_app(names)
        with connected(address_of(server), build("/client", "/frontend")) as sock:
            assert get(sock) == ["/client", None]


def names(environ, start_response):
    start_response("200 OK", [])
    return [json.dumps([environ["fastppv2.header"].source, environ.get("REMOTE_PORT")]).encode()]


def test_one_request_at_a_time():
    """Waits for the first whose header is whole, not for the first who comes."""
    with Plain(LOOPBACK, Tells) as server:
        for _ in range(2):
            with connected(address_of(server)), connected(address_of(server), V2) as sock:
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
                server.handle_request()
                assert b'"client": ["198.51.100.1", 56324]' in receive(sock, 999)


def test_one_request_that_does_not_come():
    class Server(Plain):
        timeout = PATIENCE
        waited = 0

        def handle_timeout(self):
            self.waited += 1

    with Server(LOOPBACK, Tells) as server, connected(address_of(server)):
        server.handle_request()
        assert server.waited == 1


def test_the_end_of_the_server_is_that_of_all_who_wait():
    with Plain(LOOPBACK, Tells) as server:
        with pytest.raises(BlockingIOError):
            server.get_request()
        with connected(address_of(server)) as silent:
            server.timeout = PATIENCE
            server.handle_request()
            server.server_close()
            assert ended(silent)
        assert server.listening.counters.refused["closed"] == 1


@pytest.mark.parametrize("policy", [None, "127.0.0.1"])
def test_nobody_listens_without_a_policy(policy):
    class Server(ProxyServerMixin, HTTPServer):
        pass

    if policy is not None:
        Server.policy = policy
    with pytest.raises(TypeError, match=r"Server\.policy: expected a Policy"):
        Server(LOOPBACK, Tells)
