"""docs/coming-from/gunicorn.md: its commands, its settings, and the rows of its table."""

from __future__ import annotations

import json
import shlex
import socket
import ssl
from functools import partial

import pytest
from coming_from import check_that_all_is_shown
from credentials import SERVER_NAME, Credentials
from programs import HOST
from quoted import adapted, quoted
from serving import read, started
from sockets import CLIENT, ELB, FRONTEND, NAMELESS, NAMING, V2, connected, ended, receive

from fastppv2 import TLVType, build

PAGE = "coming-from/gunicorn.md"
BALANCER = {"10.0.0.7": HOST}
COMMANDS = BEFORE, AFTER = [adapted(text, BALANCER) for text in quoted(PAGE, "console")]
SETTINGS = [adapted(text, BALANCER) for text in quoted(PAGE, "python")]
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
SILENCE = 2.0  # seconds, in which nobody else is served
APP = """
import json


def app(environ, start_response):
    names = ("REMOTE_ADDR", "REMOTE_PORT")
    header = environ.get("fastppv2.header")
    body = json.dumps([*map(environ.get, names), header and len(header.tlvs)]).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
ASGI = """
import json


async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(scope["client"]).encode()})
"""


def gunicorn(directory, command, *options, app=APP, **changes):
    """What the page's command starts, with an application that tells of its client."""
    directory.mkdir(exist_ok=True)
    (directory / "app.py").write_text(app)
    command = adapted(command, changes)
    command += " --bind 127.0.0.1:{port} --no-control-socket --graceful-timeout 1 "
    return started(directory, command + shlex.join(options))


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    with gunicorn(tmp_path_factory.mktemp("before"), BEFORE) as server:
        server.connect().close()
        yield server


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    with gunicorn(tmp_path_factory.mktemp("after"), AFTER) as server:
        server.connect().close()
        yield server


def seen(server, header):
    """REMOTE_ADDR, REMOTE_PORT and the number of TLVs; the address that it was asked from."""
    with connected(server.address, header) as sock:
        return json.loads(read(sock)), sock.getsockname()


def told(client, tlvs=None):
    return [client[0], str(client[1]), tlvs]


def refused(server, header):
    with connected(server.address, header + REQUEST) as sock:
        return ended(sock)


def bad_request(server, header):
    with connected(server.address, header + REQUEST) as sock:
        return receive(sock, 12) == b"HTTP/1.1 400"


@pytest.mark.parametrize("command", COMMANDS, ids=["before", "after"])
@pytest.mark.parametrize("header", [ELB, V2], ids=["v1", "v2"])
def test_the_commands(request, command, header):
    server = request.getfixturevalue("before" if command is BEFORE else "after")
    assert seen(server, header)[0][:2] == told(CLIENT)[:2]


@pytest.mark.parametrize("settings", SETTINGS, ids=["before", "after"])
def test_the_settings(tmp_path, settings):
    (tmp_path / "gunicorn.conf.py").write_text(settings)
    trusting = "FASTPPV2_TRUSTED= gunicorn app:app"  # what the settings say alone counts
    with gunicorn(tmp_path, trusting) as server:
        server.connect().close()
        assert seen(server, V2)[0][:2] == told(CLIENT)[:2]


def test_row_keep_alive(before, after):
    """the second request of a connection (gthread)"""
    for server, second in ((before, HOST), (after, CLIENT[0])):
        with connected(server.address, V2) as sock:
            assert [json.loads(read(sock))[0] for _ in range(2)] == [CLIENT[0], second]


def test_row_local(before, after):
    """LOCAL, as the health checks of AWS NLB have it"""
    assert seen(before, NAMELESS["local"])[0] == [None, "None", None]
    said, real = seen(after, NAMELESS["local"])
    assert said == told(real, 0)


def test_row_unknown(before, after):
    """`PROXY UNKNOWN`, as HAProxy's v1 health checks have it"""
    assert bad_request(before, NAMELESS["unknown"])
    said, real = seen(after, NAMELESS["unknown"])
    assert said == told(real, 0)


def test_row_missing(before, after):
    """a balancer that sends no header"""
    said, real = seen(before, b"")
    assert said == told(real)
    assert refused(after, b"")
    after.wait_until_said("not a PROXY header (looks like an HTTP request): is send-proxy enabled")


def test_row_silence(tmp_path):
    """a peer that sends nothing, and a sync worker"""
    for command, (gthread, sync) in ((BEFORE, ("gthread", "sync")), (AFTER, ("Thread", "Sync"))):
        directory = tmp_path / sync
        with gunicorn(directory, command, **{gthread: sync}) as server:
            server.connect().close()
            with connected(server.address), connected(server.address, V2) as sock:
                if command is BEFORE:
                    sock.settimeout(SILENCE)
                    with pytest.raises(socket.timeout):
                        read(sock)
                else:
                    assert json.loads(read(sock))[0] == CLIENT[0]


def test_row_tls(tmp_path):
    """TLS behind the header, `--certfile`"""
    credentials = Credentials(tmp_path)
    trusting = ssl.create_default_context(cafile=str(credentials.ca))
    secure = partial(trusting.wrap_socket, server_hostname=SERVER_NAME)
    file = str(credentials.certificate)
    for command in COMMANDS:
        with gunicorn(tmp_path, command, "--certfile", file, "--keyfile", file) as server:
            server.connect().close()
            with connected(server.address, V2) as sock:
                if command is BEFORE:
                    with pytest.raises((ssl.SSLError, ConnectionError)):
                        secure(sock)
                else:
                    with secure(sock) as tls:
                        assert json.loads(read(tls))[0] == CLIENT[0]


def test_row_grammar(before, after):
    """`PROXY TCP4 192.0.2.1 198.51.100.2 5_6 +80`"""
    line = b"PROXY TCP4 192.0.2.1 198.51.100.2 5_6 +80\r\n"
    assert seen(before, line)[0] == told(("192.0.2.1", 56))
    assert refused(after, line)


def test_row_long(before, after):
    """a v1 line of 1,000 bytes"""
    line = ELB.replace(b" 56324", b" " + b"0" * (1000 - len(ELB)) + b"56324")
    assert len(line) == 1000
    assert seen(before, line)[0] == told(CLIENT)
    with connected(after.address, line[:107]) as sock:
        assert ended(sock)


def test_row_checksum(before, after):
    """a wrong checksum"""
    right = NAMING["v2-checksum"][0]
    wrong = right[:-1] + bytes([right[-1] ^ 1])
    assert seen(before, wrong)[0] == told(CLIENT)
    assert seen(after, right)[0] == told(CLIENT, 1)
    assert refused(after, wrong)


def test_row_tlvs(before, after):
    """TLVs"""
    header = build(CLIENT, FRONTEND, tlvs=[(TLVType.AUTHORITY, b"example.org")])
    assert seen(before, header)[0] == told(CLIENT)
    assert seen(after, header)[0] == told(CLIENT, 1)


def test_row_uvicorn(tmp_path):
    """uvicorn's worker"""
    old = {"gthread": "uvicorn_worker.UvicornWorker"}
    new = {"gunicorn.ThreadWorker": "uvicorn_worker.UvicornWorker"}
    for command, changes in ((BEFORE, old), (AFTER, new)):
        with gunicorn(tmp_path, command, app=ASGI, **changes) as server:
            server.connect().close()
            if command is BEFORE:
                assert bad_request(server, V2)
            else:
                with connected(server.address, V2) as sock:
                    assert json.loads(read(sock)) == [*CLIENT]


def test_all_is_shown():
    check_that_all_is_shown(PAGE, globals())
