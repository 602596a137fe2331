"""HTTP/2 under twist web, whose TLS has to offer it whether the header is before TLS or inside."""

from __future__ import annotations

import random
import ssl
from contextlib import ExitStack, contextmanager

import pytest
from credentials import SERVER_NAME, Credentials
from http2 import HTTP2
from quoted import adapted, quoted
from servers import IPV4, haproxy, reserved_port
from serving import ELSEWHERE, FRONTEND, read, started
from sockets import NAMING, V2, connected

_, TWIST = quoted("twisted.md", "console")
LARGE = random.Random(9).randbytes(1 << 20)


class Served:
    """A server of files, and TLS connections to it that begin with a header."""

    def __init__(self, program, tls, ca):
        self.program = program
        self._tls = tls
        self._ca = str(ca)

    @contextmanager
    def connection(self, header, *alpn, address=None, source=""):
        context = ssl.create_default_context(cafile=self._ca)
        context.set_alpn_protocols(list(alpn))
        outside = self._tls == "outside"
        with ExitStack() as stack:
            first = header if outside else b""
            sock = stack.enter_context(
                connected(address or self.program.address, first, source=source)
            )
            secure = context.wrap_socket(sock, server_hostname=SERVER_NAME)
            stack.enter_context(secure)
            if not outside:
                secure.sendall(header)
            yield secure


@pytest.fixture(scope="module", params=["outside", "inside"])
def served(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("twist")
    credentials = Credentials(directory)
    (directory / "hello").write_text("hello")
    (directory / "large").write_bytes(LARGE)
    file = credentials.certificate
    tls = f"ssl:{{port}}:privateKey={file}:certKey={file}:interface=127.0.0.1:tls={request.param}"
    command = adapted(TWIST, {"tcp:8080": tls, "10.0.0.0/8": IPV4})
    with started(directory, command, "--log-format=text") as program:
        program.connect().close()
        yield Served(program, request.param, credentials.ca)


@pytest.mark.parametrize("name", NAMING)
def test_the_log_shows_the_client_of_every_stream(served, name):
    header, client, _ = NAMING[name]
    line = f'"{client[0]}" - - ['
    before = served.program.said().count(line)
    with served.connection(header, "h2", "http/1.1") as sock:
        assert sock.selected_alpn_protocol() == "h2"
        http = HTTP2(sock)
        assert [http.read("/hello") for _ in range(3)] == [b"hello"] * 3
    served.program.wait_until_said(line, before + 3)
    assert '"GET /hello HTTP/2"' in served.program.said()


def test_what_is_more_than_a_window_takes(served):
    with served.connection(V2, "h2") as sock:
        http = HTTP2(sock)
        for _ in range(2):
            assert http.read("/large") == LARGE


@pytest.mark.parametrize("alpn", [["http/1.1"], []], ids=["http/1.1", "none"])
def test_who_does_not_ask_for_it_has_http1(served, alpn):
    with served.connection(V2, *alpn) as sock:
        assert read(sock, "/hello") == b"hello"


@pytest.mark.parametrize("served", ["outside"], indirect=True)
def test_behind_haproxy(served, tmp_path):
    with ExitStack() as stack:
        port = stack.enter_context(reserved_port())
        to = {"name": "web", "port": port, "server": served.program.address[1]}
        frontend = FRONTEND.format(**to, option="send-proxy-v2")
        stack.enter_context(haproxy(tmp_path, frontend))
        client = served.connection(b"", "h2", address=(IPV4, port), source=ELSEWHERE)
        sock = stack.enter_context(client)
        assert sock.selected_alpn_protocol() == "h2"
        http = HTTP2(sock)
        assert [http.read("/hello") for _ in range(2)] == [b"hello"] * 2
    served.program.wait_until_said(f'"{ELSEWHERE}" - - [', 2)
