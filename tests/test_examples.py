"""The examples of embedding: each as a process of its own, asked over real sockets."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import closing
from pathlib import Path

import make
import pytest
from programs import HOST, Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
NAMES = ("asyncio_protocol.py", "twisted_protocol.py")
MAX_LINES = 24

CLIENT = ("192.0.2.1", 56324)
CLIENT6 = ("2001:db8::1", 56324)
BLOCK = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + (56324).to_bytes(2, "big") + b"\x01\xbb"
HEADERS = {
    "v1": (b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", CLIENT),
    "v1-inet6": (b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n", CLIENT6),
    "v1-unknown": (b"PROXY UNKNOWN\r\n", None),
    "v2": (make.v2(0x21, 0x11, BLOCK), CLIENT),
    "v2-checksum": (make.v2(0x21, 0x11, BLOCK + make.CRC, checksum=True), CLIENT),
    "v2-local": (make.v2(0x20, 0x00, b""), None),
}
PAYLOAD = b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256))


@pytest.fixture(params=NAMES, scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Program]:
    if request.param.startswith("twisted") and not os.environ.get("CI"):
        pytest.importorskip("twisted.internet")  # a plugin alone makes a package of "twisted"
    log = tmp_path_factory.mktemp("example") / "log"
    # Bound and not listening: nobody else is given the port, and SO_REUSEADDR lets the server in.
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, 0))
        port = holder.getsockname()[1]
        command = [sys.executable, EXAMPLES / request.param, str(port)]
        with closing(Program(command, log, port)) as started:
            yield started


def exchange(server: Program, client: tuple[str, int] | None, *pieces: bytes) -> None:
    """Sends the pieces, the last of which is ``PAYLOAD`` or ends with it, and checks the answer."""
    with server.connect() as connection, connection.makefile("rb") as answer:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        expected = greeting(client, connection) + PAYLOAD
        # All of it before this end closes: Twisted drops what it has not sent by then.
        assert answer.read(len(expected)) == expected
        connection.shutdown(socket.SHUT_WR)
        assert answer.read() == b""


def greeting(client: tuple[str, int] | None, connection: socket.socket) -> bytes:
    return b"client %a\n" % (client or connection.getsockname(),)


@pytest.mark.parametrize("name", NAMES)
def test_embedding_is_short(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("name", HEADERS)
def test_payload_in_the_same_segment(server: Program, name: str) -> None:
    raw, client = HEADERS[name]
    exchange(server, client, raw + PAYLOAD)


@pytest.mark.parametrize("name", HEADERS)
def test_pieces_of_one_byte(server: Program, name: str) -> None:
    raw, client = HEADERS[name]
    exchange(server, client, *[raw[at : at + 1] for at in range(len(raw))], PAYLOAD)


@pytest.mark.parametrize("name", HEADERS)
def test_the_client_is_named_before_it_says_anything(server: Program, name: str) -> None:
    raw, client = HEADERS[name]
    with server.connect() as connection, connection.makefile("rwb") as stream:
        stream.write(raw)
        stream.flush()
        assert stream.readline() == greeting(client, connection)
        for line in (b"first\n", b"second\n"):
            stream.write(line)
            stream.flush()
            assert stream.readline() == line


@pytest.mark.parametrize(
    ("sent", "logged"),
    [
        (b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", "MissingHeaderError: not a PROXY header"),
        (b"PROXY TCP4 192.0.2.256 192.0.2.1 1 2\r\n" + PAYLOAD, "InvalidHeaderError: invalid"),
    ],
    ids=["missing", "invalid"],
)
def test_what_is_no_header_is_logged_and_closed(server: Program, sent: bytes, logged: str) -> None:
    before = server.said().count(logged)
    with server.connect() as connection:
        connection.sendall(sent)
        # Not shut down by this end: it is the server that closes.
        assert connection.recv(1) == b""
    server.wait_until_said(logged, before + 1)
    exchange(server, CLIENT, HEADERS["v1"][0] + PAYLOAD)  # others are served as before


@pytest.mark.parametrize(
    "sent", [b"", HEADERS["v1"][0][:-1], HEADERS["v2"][0][:-1]], ids=["nothing", "v1", "v2"]
)
def test_the_end_before_the_header_is_logged_and_closed(server: Program, sent: bytes) -> None:
    logged = f"IncompleteHeaderError: incomplete PROXY header: {len(sent)} bytes so far"
    before = server.said().count(logged)
    with server.connect() as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    server.wait_until_said(logged, before + 1)
