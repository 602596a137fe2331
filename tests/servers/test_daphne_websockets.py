"""WebSockets under daphne: the client and the header, from the first message to the last."""

from __future__ import annotations

import json
import random
import ssl
from contextlib import ExitStack

import pytest
from credentials import SERVER_NAME, Credentials
from quoted import adapted, quoted
from servers import IPV4, haproxy, reserved_port
from serving import ELSEWHERE, FRONTEND, started
from sockets import (
    CLIENT,
    NAMELESS,
    NAMING,
    THREADS_MAY_SHARE,
    TIMEOUT,
    V2,
    connected,
    single_bytes,
)
from websockets.sync.client import connect

(DAPHNE,) = quoted("servers/daphne.md", "console")
LARGE = random.Random(9).randbytes(1 << 20)
APP = """
import json

from fastppv2.asgi import ProxyProtocolMiddleware


async def application(scope, receive, send):
    said = scope["extensions"]["proxy_protocol"]
    seen = {"client": scope["client"], "header": said["header"].raw.hex()}
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("bytes"):
            await send({"type": "websocket.send", "bytes": message["bytes"]})
        else:
            await send({"type": "websocket.send", "text": json.dumps(seen)})


app = ProxyProtocolMiddleware(application)
"""


@pytest.fixture(scope="module")
def credentials(tmp_path_factory):
    return Credentials(tmp_path_factory.mktemp("credentials"))


@pytest.fixture(scope="module", params=["plain", "outside", "inside"])
def tls(request):
    return request.param


@pytest.fixture(scope="module")
def daphne(tls, tmp_path_factory, credentials):
    directory = tmp_path_factory.mktemp("daphne")
    (directory / "app.py").write_text(APP)
    file = credentials.certificate
    endpoint = "tcp:{port}:interface=127.0.0.1"
    if tls != "plain":
        endpoint = f"ssl:{{port}}:privateKey={file}:certKey={file}:interface=127.0.0.1:tls={tls}"
    changes = {"tcp:8000:interface=0.0.0.0": endpoint, "10.0.0.0/8": IPV4}
    with started(directory, adapted(DAPHNE, changes), "--access-log", "-") as server:
        server.connect().close()
        yield server


@pytest.fixture
def websocket(tls, daphne, credentials):
    """Opens one on a connection that begins with the pieces of a header."""
    with ExitStack() as stack:

        def opened(*pieces, address=daphne.address, source=""):
            before = pieces if tls != "inside" else ()
            sock = stack.enter_context(connected(address, *before, source=source))
            real = sock.getsockname()
            if tls != "plain":
                context = ssl.create_default_context(cafile=str(credentials.ca))
                context.maximum_version = THREADS_MAY_SHARE
                sock = context.wrap_socket(sock, server_hostname=SERVER_NAME)
                stack.enter_context(sock)
                for piece in pieces if tls == "inside" else ():
                    sock.sendall(piece)
            uri = f"ws://{SERVER_NAME}/"
            return stack.enter_context(connect(uri, sock=sock, proxy=None, max_size=None)), real

        yield opened


def seen(opened):
    opened.send("and now?")
    return json.loads(opened.recv(TIMEOUT))


@pytest.mark.parametrize("name", NAMING)
def test_the_client_and_the_header_with_every_message(websocket, daphne, name):
    header, client, _ = NAMING[name]
    opened, _ = websocket(header)
    for _ in range(3):
        assert seen(opened) == {"client": list(client[:2]), "header": header.hex()}
    daphne.wait_until_said(f"{client[0]}:{client[1]} - - [")


@pytest.mark.parametrize("name", NAMELESS)
def test_a_header_that_names_nobody_leaves_the_real_peer(websocket, name):
    opened, real = websocket(NAMELESS[name])
    assert seen(opened) == {"client": list(real), "header": NAMELESS[name].hex()}


def test_the_header_in_pieces_of_one_byte(websocket):
    opened, _ = websocket(*single_bytes(V2))
    assert seen(opened)["client"] == list(CLIENT)


def test_large_messages_come_back_whole(websocket):
    opened, _ = websocket(V2)
    for _ in range(3):
        opened.send(LARGE)
        assert opened.recv(TIMEOUT) == LARGE
    assert seen(opened)["client"] == list(CLIENT)


@pytest.mark.parametrize("tls", ["plain", "outside"], indirect=True)
def test_behind_haproxy(websocket, daphne, tmp_path):
    with reserved_port() as port:
        to = {"name": "web", "port": port, "server": daphne.address[1], "option": "send-proxy-v2"}
        with haproxy(tmp_path, FRONTEND.format(**to)):
            opened, real = websocket(address=(IPV4, port), source=ELSEWHERE)
            for _ in range(2):
                assert seen(opened)["client"] == list(real)
            opened.close()
        daphne.wait_until_said(f"{ELSEWHERE}:{real[1]} - - [")
