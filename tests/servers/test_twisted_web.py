"""twist and daphne, unchanged, and the programs of docs/twisted.md: over HTTP, behind HAProxy."""

from __future__ import annotations

import ssl
import sys
from contextlib import ExitStack
from functools import partial

import pytest
from credentials import SERVER_NAME, Credentials
from quoted import adapted, quoted
from servers import IPV4, haproxy, reserved_port
from serving import ELSEWHERE, FRONTEND, read, script, serving, started, through
from sockets import ELB, NAMELESS, NAMING, V2, connected, ended, single_bytes

PROGRAM, TLS_PROGRAM, CLIENT_PROGRAM = quoted("twisted.md", "python")
_, TWIST = quoted("twisted.md", "console")
(DAPHNE,) = quoted("servers/daphne.md", "console")
(DAPHNE_APP,) = quoted("servers/daphne.md", "python")
PORT = {"tcp:8080": "tcp:{port}:interface=127.0.0.1"}
NETWORK = {"10.0.0.0/8": IPV4}


def twist(directory, command, **changes):
    (directory / "hello").write_text("hello")
    return started(directory, adapted(command, changes), "--log-format=text")


def daphne(directory, *options, endpoint="tcp:{port}:interface=127.0.0.1", trusted=NETWORK):
    (directory / "app.py").write_text(DAPHNE_APP)
    changes = {"tcp:8000:interface=0.0.0.0": endpoint, **trusted}
    return started(directory, adapted(DAPHNE, changes), "--access-log", "-", *options)


@pytest.fixture(scope="module")
def twist_web(tmp_path_factory):
    directory = tmp_path_factory.mktemp("twist")
    with twist(directory, TWIST, **PORT, **NETWORK) as server:
        server.connect().close()
        yield server


@pytest.fixture(scope="module")
def daphne_server(tmp_path_factory):
    with daphne(tmp_path_factory.mktemp("daphne")) as server:
        server.connect().close()
        yield server


@pytest.fixture(params=["twist_web", "daphne_server"])
def server(request):
    return request.getfixturevalue(request.param)


def path_of(server):
    return "/hello" if "twist" in str(server.log) else "/"


@pytest.mark.parametrize("name", NAMING)
def test_the_access_log_shows_the_client_of_every_request(server, name):
    header, client, _ = NAMING[name]
    before = server.said().count("GET ")
    with connected(server.address, header) as sock:
        for _ in range(2):
            read(sock, path_of(server))
    server.wait_until_said("GET ", before + 2)
    lines = [line for line in server.said().splitlines() if "GET " in line][before:]
    assert all(client[0] in line and IPV4 not in line for line in lines), lines


@pytest.mark.parametrize("name", NAMELESS)
def test_a_header_that_names_nobody_leaves_the_real_peer(server, name):
    before = server.said().count(IPV4)
    with connected(server.address, NAMELESS[name]) as sock:
        read(sock, path_of(server))
    server.wait_until_said(IPV4, before + 1)


def test_pieces_silence_and_what_is_no_header(server):
    with ExitStack() as stack:
        silent = [stack.enter_context(connected(server.address)) for _ in range(3)]
        with connected(server.address, *single_bytes(V2)) as sock:
            assert read(sock, path_of(server))
        assert silent
    with connected(server.address, b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n") as sock:
        assert ended(sock)
    server.wait_until_said("not a PROXY header (looks like an HTTP request)")


def test_the_application_under_daphne_sees_the_client_and_the_header(daphne_server):
    with connected(daphne_server.address, ELB) as sock:
        for _ in range(2):
            assert read(sock) == b"198.51.100.1:56324 by version 1\n"
    daphne_server.wait_until_said("198.51.100.1:56324 - - [")


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2", "send-proxy-v2 check"])
def test_behind_haproxy(server, option, tmp_path):
    with reserved_port() as port:
        to = {"name": "web", "port": port, "server": server.address[1], "option": option}
        before = server.said().count(ELSEWHERE)
        with haproxy(tmp_path, FRONTEND.format(**to)), through((IPV4, port)) as sock:
            client = sock.getsockname()
            for _ in range(2):
                said = read(sock, path_of(server))
            if path_of(server) == "/":
                version = 2 if "v2" in option else 1
                assert said == f"{ELSEWHERE}:{client[1]} by version {version}\n".encode()
        server.wait_until_said(ELSEWHERE, before + 2)


# HAProxy sends the header before TLS.
@pytest.mark.parametrize(
    ("tls", "through_haproxy"), [("outside", False), ("outside", True), ("inside", False)]
)
def test_daphne_with_tls(tmp_path, tls, through_haproxy):
    credentials = Credentials(tmp_path)
    context = ssl.create_default_context(cafile=str(credentials.ca))
    file = credentials.certificate
    endpoint = f"ssl:{{port}}:privateKey={file}:certKey={file}:interface=127.0.0.1:tls={tls}"
    with ExitStack() as stack:
        server = stack.enter_context(daphne(tmp_path, endpoint=endpoint))
        server.connect().close()
        address, header = server.address, ELB
        told = "198.51.100.1:56324 by version 1\n"
        if through_haproxy:
            port = stack.enter_context(reserved_port())
            to = {"name": "web", "port": port, "server": address[1], "option": "send-proxy-v2"}
            stack.enter_context(haproxy(tmp_path, FRONTEND.format(**to)))
            address, header = (IPV4, port), b""
        source = ELSEWHERE if through_haproxy else ""
        first = header if tls == "outside" else b""
        sock = stack.enter_context(connected(address, first, source=source))
        if through_haproxy:
            told = f"{ELSEWHERE}:{sock.getsockname()[1]} by version 2\n"
        secure = stack.enter_context(context.wrap_socket(sock, server_hostname=SERVER_NAME))
        if tls == "inside":
            secure.sendall(header)
        for _ in range(2):
            assert read(secure) == told.encode()
        server.wait_until_said(f"{told.partition(' ')[0]} - - [", 2)


@pytest.mark.parametrize("name", ["twist", "daphne"])
def test_who_is_not_trusted_is_not_believed(tmp_path, name):
    """What the pages trust is 10.0.0.0/8."""
    start = {
        "twist": partial(twist, tmp_path, TWIST, **PORT),
        "daphne": partial(daphne, tmp_path, trusted={}),
    }
    with start[name]() as server:
        server.connect().close()
        with connected(server.address, V2) as sock:
            assert ended(sock)
        server.wait_until_said("add 127.0.0.1 to trusted")


def test_what_does_not_start(tmp_path):
    command = adapted(TWIST, {**PORT, ":trusted=10.0.0.0/8": ""})
    with started(tmp_path, f"FASTPPV2_TRUSTED= {command}") as server:
        assert server.process.wait(20) != 0
        assert "FASTPPV2_TRUSTED: must name the load balancers" in server.said()


def test_the_program_of_the_page(tmp_path):
    with script(tmp_path, PROGRAM, "8080", **NETWORK) as server:
        with server.connect() as sock:
            sock.sendall(V2)
            assert read(sock) == b"198.51.100.1:56324 by 127.0.0.1\n"
            sock.close()
        client = tmp_path / "client"
        client.mkdir()
        changes = {"8080": str(server.address[1])}
        (client / "client.py").write_text(adapted(CLIENT_PROGRAM, changes))
        with serving(client, sys.executable, "client.py", PYTHONWARNINGS="default") as asking:
            asking.wait_until_said("192.0.2.1:56324 by 127.0.0.1")
            assert asking.process.wait(20) == 0


def test_the_program_of_the_page_with_tls(tmp_path):
    credentials = Credentials(tmp_path)
    context = ssl.create_default_context(cafile=str(credentials.ca))
    files = {"key_and_certificate.pem": str(credentials.certificate)}
    (tmp_path / "hello").write_text("hello")
    with ExitStack() as stack:
        server = stack.enter_context(script(tmp_path, TLS_PROGRAM, "8443", **files, **NETWORK))
        sock = stack.enter_context(server.connect())
        sock.sendall(V2)
        secure = stack.enter_context(context.wrap_socket(sock, server_hostname=SERVER_NAME))
        assert read(secure, "/hello") == b"hello"
