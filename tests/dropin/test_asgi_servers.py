"""uvicorn and hypercorn, unchanged: the client and the header in the ASGI scope."""

from __future__ import annotations

from contextlib import ExitStack, closing
from threading import Thread

import clouds
import pytest
from asgi_servers import HYPERCORN, Server
from clients import HTTP1, WebSocket
from clouds import CLIENT, FRONTEND, NLB, NLB_CHECK
from http2 import HTTP2

from fastppv2 import TLVType, build, parse
from fastppv2.cloud import as_dict, aws_vpce_id_tlv

OVER_TLS = build(CLIENT, FRONTEND, tlvs=[(TLVType.SSL, b"\x01\0\0\0\0")])

TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
SENT = ["CLASSIC_ELB", "NLB", "AZURE", "GCP_PSC", "GCP_PROXY", "OCI", "OCI6"]


@TLS
@pytest.mark.parametrize("name", SENT)
def test_the_application_sees_the_client_in_every_request(server, name, tls):
    raw = getattr(clouds, name)
    header = parse(raw)
    with server.connection(raw, tls=tls) as sock:
        http = HTTP1(sock)
        for _ in range(2):
            seen = http.get()
            assert seen["client"] == list(header.source)
            assert seen["server"] == list(header.destination)
            assert seen["scheme"] == ("https" if tls else "http")
            assert seen["plain"]
            said = seen["proxy_protocol"]
            assert said["header"] == raw.hex()
            assert said["version"] == header.version
            assert said["source"] == list(header.source)
            assert said["destination"] == list(header.destination)
            assert said["peername"] == list(sock.getsockname())
            assert said["cloud"] == as_dict(header)


@TLS
def test_a_health_check_of_the_balancer(server, tls):
    """LOCAL: the real addresses, and a header that names nobody."""
    with server.connection(NLB_CHECK, tls=tls) as sock:
        seen = HTTP1(sock).get()
        assert seen["client"] == list(sock.getsockname())
        assert seen["server"] == list(sock.getpeername())
    assert seen["plain"]
    said = seen["proxy_protocol"]
    assert said["is_local"]
    assert (said["source"], said["destination"]) == (None, None)


@TLS
@pytest.mark.parametrize("at", [1, 15, len(NLB)])
def test_the_header_in_segments_of_its_own(server, tls, at):
    with server.connection(NLB, tls=tls, at=at) as sock:
        assert HTTP1(sock).get()["client"] == list(CLIENT)


def test_the_access_log_shows_the_client(server):
    server.get(build(("192.0.2.77", 7777), FRONTEND))
    server.plain.wait_until_said("192.0.2.77:7777")


def test_what_is_no_header_is_refused(server):
    with server.connection(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n") as sock:
        assert sock.recv(1) == b""
    server.plain.wait_until_said("looks like an HTTP request")


@TLS
def test_websockets(server, tls):
    with server.connection(NLB, tls=tls) as sock, closing(WebSocket(sock)) as client:
        for _ in range(2):
            seen = client.get()
            assert seen["client"] == list(CLIENT)
            assert seen["scheme"] == ("wss" if tls else "ws")
            assert seen["proxy_protocol"]["header"] == NLB.hex()


@pytest.mark.parametrize("server", HYPERCORN, indirect=True)
def test_http2(server):
    with server.connection(NLB, tls=True, alpn=("h2",)) as sock:
        assert sock.selected_alpn_protocol() == "h2"
        http = HTTP2(sock)
        for _ in range(2):
            seen = http.get()
            assert seen["http_version"] == "2"
            assert seen["client"] == list(CLIENT)
            assert seen["proxy_protocol"]["header"] == NLB.hex()


@TLS
@pytest.mark.parametrize("path", ["/starlette", "/fastapi", "/django"])
def test_frameworks(server, path, tls):
    with server.connection(NLB, tls=tls) as sock:
        http = HTTP1(sock)
        for _ in range(2):
            seen = http.get(path)
            assert seen["client"] == list(CLIENT)
            assert seen["proxy_protocol"]["header"] == NLB.hex()


def test_a_balancer_that_ends_tls_gives_the_scheme(server):
    """HAProxy's SSL TLV; only where the application asks for it."""
    with server.connection(OVER_TLS) as sock:
        http = HTTP1(sock)
        assert http.get("/secure")["scheme"] == "https"
        assert http.get("/")["scheme"] == "http"
    with server.connection(OVER_TLS) as sock, closing(WebSocket(sock, "/secure")) as client:
        assert client.get()["scheme"] == "wss"
    with server.connection(NLB) as sock:
        assert HTTP1(sock).get("/secure")["scheme"] == "http"


@TLS
@pytest.mark.parametrize("kind", [HTTP1, WebSocket])
def test_each_of_two_connections_sees_its_own_endpoint(server, kind, tls):
    """With the same addresses in both headers, as two VPCs may well have."""
    check_endpoints(server, kind, tls=tls)


@pytest.mark.parametrize("server", HYPERCORN, indirect=True)
def test_each_of_two_connections_sees_its_own_endpoint_by_http2(server):
    check_endpoints(server, HTTP2, tls=True, alpn=("h2",))


def test_contexts_of_their_own_keep_endpoints_apart(started, trusting):
    """--reset-contextvars: what a context variable would have carried is not there."""
    loop = ["--loop", "fastppv2.asyncio:uvloop_loop_factory"]
    program = started.uvicorn(*loop, "--reset-contextvars")
    check_endpoints(Server(program, program, program.address[1], trusting), HTTP1)


def check_endpoints(server, kind, *, tls=False, alpn=()):
    ids = endpoint_ids()
    with ExitStack() as stack:
        clients = []
        for id in ids:
            sock = stack.enter_context(server.connection(header_of(id), tls=tls, alpn=alpn))
            clients.append(stack.enter_context(closing(kind(sock))))
        for _ in range(3):
            for client, id in zip(clients, ids):
                check_endpoint(client.get(), id)


def endpoint_ids():
    return [f"vpce-{number:017x}" for number in (1, 2)]


def header_of(id):
    return build(CLIENT, FRONTEND, tlvs=[aws_vpce_id_tlv(id)])


def check_endpoint(seen, id):
    assert seen["client"] == list(CLIENT)
    assert seen["proxy_protocol"]["cloud"]["aws_vpce_id"] == id


@TLS
def test_endpoints_stay_apart_where_reading_is_paused(server, tls):
    """Two large bodies at once, which the application reads slowly."""
    body = bytes(range(256)) * 4096
    seen = {}

    def upload(id):
        with server.connection(header_of(id), tls=tls) as sock:
            http = HTTP1(sock)
            seen[id] = [http.get(body=body), http.get()]

    threads = [Thread(target=upload, args=(id,)) for id in endpoint_ids()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == set(endpoint_ids())
    for id, (uploaded, then) in seen.items():
        assert uploaded["received"] == len(body)
        check_endpoint(uploaded, id)
        check_endpoint(then, id)
