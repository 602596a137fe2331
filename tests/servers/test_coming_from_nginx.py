"""docs/coming-from/nginx.md: its configurations, and the rows of its table."""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import ExitStack, contextmanager
from functools import partial
from http.client import HTTPConnection

import pytest
from coming_from import check_that_all_is_shown
from credentials import SERVER_NAME, Credentials
from programs import HOST
from quoted import adapted, quoted
from servers import TIMEOUT, nginx, reserved_port
from serving import get, started
from sockets import CLIENT, FRONTEND, NAMELESS, NAMING, V2, ended
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from fastppv2 import build
from fastppv2.cloud import aws_vpce_id_tlv

PAGE = "coming-from/nginx.md"
(CONFIG,) = quoted(PAGE, "nginx")
BEFORE, AFTER = quoted(PAGE, "console")
BALANCER = "127.0.0.2"
SILENCE = 1.0  # seconds, in which nothing comes
MEGABYTE = 1 << 20
APP = """
import json

from fastppv2.asgi import ProxyProtocolMiddleware


async def http(scope, receive, send):
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message["more_body"]
    said = (scope.get("extensions") or {}).get("proxy_protocol")
    seen = {name: scope[name] for name in ("client", "server", "scheme")}
    seen.update(size=size, endpoint=said and said["cloud"]["aws_vpce_id"])
    body = json.dumps(seen).encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/pieces":
        await send({"type": "http.response.body", "body": body[:1], "more_body": True})
        await receive()  # until the client is gone
    await send({"type": "http.response.body", "body": body})


async def websocket(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": scope["client"][0]})
    await receive()


async def dispatch(scope, receive, send):
    if scope["type"] != "lifespan":
        await {"http": http, "websocket": websocket}[scope["type"]](scope, receive, send)


app = ProxyProtocolMiddleware(dispatch)
"""


@contextmanager
def old(directory, **changes):
    """Connections to nginx before uvicorn."""
    (directory / "app.py").write_text(APP)
    with ExitStack() as stack:
        port = stack.enter_context(reserved_port())
        server = stack.enter_context(started(directory, adapted(BEFORE, {"8001": "{port}"})))
        server.connect().close()
        there = {"listen 8000": f"listen {HOST}:{port}", "8001": str(server.address[1])}
        stack.enter_context(nginx(directory, http=adapted(CONFIG, {**changes, **there})))
        yield partial(connection, server, port)


@contextmanager
def new(directory, *options, balancer=BALANCER):
    """Connections to uvicorn by itself."""
    (directory / "app.py").write_text(APP)
    changes = {"0.0.0.0": HOST, "8000": "{port}", "10.0.0.7": balancer}
    with started(directory, adapted(AFTER, changes) + " " + " ".join(options)) as server:
        server.connect().close()
        yield partial(connection, server, server.address[1])


def connection(server, port, header):
    """One from the balancer, which has sent the header."""
    sock = server.connect(port, source=BALANCER)
    sock.sendall(header)
    return sock


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    with old(tmp_path_factory.mktemp("before")) as server:
        yield server


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    with new(tmp_path_factory.mktemp("after")) as server:
        yield server


def seen(server, header):
    with server(header) as sock:
        return get(sock)


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_the_configurations(before, after, name):
    header, client, _ = NAMING[name]
    assert seen(before, header)["client"][0] == seen(after, header)["client"][0] == client[0]


def test_row_trust(before, tmp_path):
    """who is believed"""
    assert seen(before, V2)["client"][0] == CLIENT[0]
    with new(tmp_path, balancer="10.0.0.7") as after, after(V2) as sock:
        assert ended(sock)


def test_set_real_ip_from_does_not_change_that(tmp_path):
    listed = "listen 8000 proxy_protocol; set_real_ip_from 10.0.0.7; real_ip_header proxy_protocol"
    with old(tmp_path, **{"listen 8000 proxy_protocol": listed}) as server:
        assert seen(server, V2)["client"][0] == CLIENT[0]


def test_row_client(before, after):
    """`scope["client"]`"""
    assert seen(before, V2)["client"] == [CLIENT[0], 0]
    assert seen(after, V2)["client"] == [*CLIENT]


def test_row_server(before, after):
    """`scope["server"]`"""
    host, port = seen(before, V2)["server"]
    assert host == HOST
    assert port != FRONTEND[1]
    assert seen(after, V2)["server"] == [*FRONTEND]


def test_row_nameless(before, after):
    """health checks (LOCAL, UNKNOWN)"""
    for name in ("local", "unknown"):
        assert seen(before, NAMELESS[name])["client"][0] == HOST
        assert seen(after, NAMELESS[name])["client"][0] == BALANCER


def test_row_tlvs(before, after):
    """TLVs, such as the VPC endpoint of AWS PrivateLink"""
    endpoint = "vpce-0a1b2c3d4e5f60718"
    header = build(CLIENT, FRONTEND, tlvs=[aws_vpce_id_tlv(endpoint)])
    assert seen(before, header)["endpoint"] is None
    assert seen(after, header)["endpoint"] == endpoint


def test_row_checksum(before, after):
    """a wrong checksum"""
    right = NAMING["v2-checksum"][0]
    wrong = right[:-1] + bytes([right[-1] ^ 1])
    assert seen(before, wrong)["client"][0] == CLIENT[0]
    assert seen(after, right)["client"][0] == CLIENT[0]
    with after(wrong) as sock:
        assert ended(sock)


def test_row_websocket(before, after):
    """a WebSocket"""
    open_on = partial(connect, f"ws://{SERVER_NAME}/", proxy=None)
    with before(V2) as sock, pytest.raises(InvalidStatus):
        open_on(sock=sock)
    with after(V2) as sock, open_on(sock=sock) as websocket:
        assert websocket.recv(TIMEOUT) == CLIENT[0]


def test_row_upload(before, after):
    """an upload of 2 MB"""
    for server, status in ((before, 413), (after, 200)):
        with server(V2) as sock:
            http = HTTPConnection(SERVER_NAME)
            http.sock = sock
            http.request("POST", "/", bytes(2 * MEGABYTE))
            answer = http.getresponse()
            assert answer.status == status
            if status == 200:
                assert json.loads(answer.read())["size"] == 2 * MEGABYTE


def test_row_pieces(before, after):
    """an answer in pieces"""
    request = f"GET /pieces HTTP/1.1\r\nHost: {SERVER_NAME}\r\n\r\n".encode()
    with after(V2 + request) as sock:
        assert read_until(sock, b"\r\n\r\n{")
    with before(V2 + request) as sock:
        sock.settimeout(SILENCE)
        with pytest.raises(socket.timeout):
            read_until(sock, b"\r\n\r\n{")


def read_until(sock, ending):
    received = b""
    while not received.endswith(ending):
        piece = sock.recv(4096)
        assert piece, received
        received += piece
    return received


def test_row_tls(tmp_path):
    """TLS behind the header"""
    credentials = Credentials(tmp_path)
    trusting = ssl.create_default_context(cafile=str(credentials.ca))
    file = credentials.certificate
    tls = f"listen 8000 ssl proxy_protocol; ssl_certificate {file}; ssl_certificate_key {file}"
    options = ("--ssl-certfile", str(file), "--ssl-keyfile", str(file))
    servers = (old(tmp_path, **{"listen 8000 proxy_protocol": tls}), new(tmp_path, *options))
    for number, server in enumerate(servers):
        with server as connections, connections(V2) as sock:
            with trusting.wrap_socket(sock, server_hostname=SERVER_NAME) as secure:
                told = get(secure)
            assert told["client"][0] == CLIENT[0]
            assert told["scheme"] == ["http", "https"][number]


def test_all_is_shown():
    check_that_all_is_shown(PAGE, globals())
