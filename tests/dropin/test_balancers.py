"""Behind real HAProxy and nginx, configured as docs/senders shows: the client comes through."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, contextmanager

import pytest
from asgi_servers import HYPERCORN, PASSTHROUGH, counters
from clients import HTTP1, WebSocket
from credentials import SERVER_NAME
from http2 import HTTP2
from quoted import adapted, quoted
from servers import IPV4, POLL_INTERVAL, TIMEOUT, haproxy, nginx, reserved_port
from started import LOOPS

CLIENT = "127.0.0.3"
FORWARDED, ENDED = quoted("senders/haproxy.md", "haproxy")
(FORWARDED_BY_NGINX,) = quoted("senders/nginx.md", "nginx")
V1 = {"send-proxy-v2": "send-proxy"}
HAPROXY = {
    "haproxy-v1": (FORWARDED, V1),
    "haproxy-v2": (FORWARDED, {}),
    "haproxy-v1-tls": (FORWARDED, V1),
    "haproxy-v2-tls": (FORWARDED, {}),
    "haproxy-ends-tls": (ENDED, {}),
}
NGINX = dict.fromkeys(["nginx", "nginx-tls"], FORWARDED_BY_NGINX.replace("listen ", "listen :"))
TLS = {"haproxy-v1-tls", "haproxy-v2-tls", "nginx-tls"}  # where the server ends it
FORWARDING = [*list(HAPROXY)[:-1], *NGINX]


@pytest.fixture(scope="module")
def frontends(server, credentials, tmp_path_factory):
    """The ports where HAProxy and nginx take connections for the server."""
    server.plain.connect().close()
    server.tls.connect(server.tls_port).close()
    with ExitStack() as stack:
        ports = {name: stack.enter_context(reserved_port()) for name in (*HAPROXY, *NGINX)}

        def places(name):
            """What stands on the pages for addresses of this machine."""
            port = server.tls_port if name in TLS else server.plain.address[1]
            return {":443": f"{IPV4}:{ports[name]}", "10.0.0.11:8000": f"{IPV4}:{port}"}

        sections = ""
        for name, (text, changes) in HAPROXY.items():
            own = {"frontend web": f"frontend {name}", "backend application": f"backend to-{name}"}
            sections += adapted(text, {**own, **places(name), **changes})
        sections = sections.replace("/etc/haproxy/site.pem", str(credentials.certificate))
        servers = "".join([adapted(text, places(name)) for name, text in NGINX.items()])
        stack.enter_context(haproxy(tmp_path_factory.mktemp("haproxy"), sections))
        stack.enter_context(nginx(tmp_path_factory.mktemp("nginx"), stream=servers))
        yield ports


@contextmanager
def connection(port, context=None):
    """A client's connection to the frontend, and its true address."""
    with socket.create_connection((IPV4, port), TIMEOUT, (CLIENT, 0)) as sock:
        client = list(sock.getsockname())
        if context is None:
            yield sock, client
            return
        with context.wrap_socket(sock, server_hostname=SERVER_NAME) as secure:
            yield secure, client


@pytest.mark.parametrize("name", FORWARDING)
def test_the_client_comes_through(server, frontends, name):
    context = server.trusting() if name in TLS else None
    with connection(frontends[name], context) as (sock, client):
        http = HTTP1(sock)
        for _ in range(2):
            seen = http.get()
            assert seen["client"] == client
            assert seen["server"] == [IPV4, frontends[name]]
            assert seen["proxy_protocol"]["version"] == (2 if "v2" in name else 1)
    with connection(frontends[name], context) as (sock, client):
        websocket = WebSocket(sock)
        assert websocket.get()["client"] == client
        websocket.close()


@pytest.mark.parametrize("server", HYPERCORN, indirect=True)
def test_http2_through_haproxy(server, frontends):
    with connection(frontends["haproxy-v2-tls"], server.trusting("h2")) as (sock, client):
        seen = HTTP2(sock).get()
        assert seen["http_version"] == "2"
        assert seen["client"] == client


def test_haproxy_ends_tls_and_tells_of_it(server, frontends):
    with connection(frontends["haproxy-ends-tls"], server.trusting()) as (sock, client):
        http = HTTP1(sock)
        for _ in range(2):
            seen = http.get("/secure")
            assert seen["client"] == client
            assert seen["scheme"] == "https"
            said = seen["proxy_protocol"]["ssl"]
            assert said["version"] == sock.version()
            assert not said["verified"]
        assert http.get("/")["scheme"] == "http"
    with connection(frontends["haproxy-ends-tls"], server.trusting()) as (sock, _):
        websocket = WebSocket(sock, "/secure")
        assert websocket.get()["scheme"] == "wss"
        websocket.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_health_checks_are_no_clients(started, tmp_path, loop):
    program = started.uvicorn("--loop", LOOPS[loop], **PASSTHROUGH)
    section = f"""\
backend application
    server one {IPV4}:{program.address[1]} send-proxy-v2 check check-send-proxy inter 50ms
"""
    deadline = time.monotonic() + TIMEOUT
    with haproxy(tmp_path, section):
        while (counted := counters(program))["local"] < 3:
            assert time.monotonic() < deadline, counted
            time.sleep(POLL_INTERVAL)
    assert counted["accepted"] == 0
    assert set(counted["refused"].values()) == {0}
