"""The servers of docs/servers, as the pages say: on either loop, plain and over TLS."""

from __future__ import annotations

import shlex
import smtplib
import sys

import pytest
from clients import HTTP1, connection, websocket_on
from clouds import CLIENT, NLB
from credentials import SERVER_NAME
from programs import HOST
from quoted import adapted, quoted
from servers import TIMEOUT

VARIANTS = ["asyncio", "asyncio-tls", "uvloop", "uvloop-tls"]
TOLD = f"{CLIENT[0]}:{CLIENT[1]}"
CONTEXT = """\
import ssl

certificate = {certificate!r}
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate)
"""


class Shown:
    """The program of a page, started by the page's command, and connections to it."""

    def __init__(self, variant, started, credentials, trusting):
        self._started = started
        self._certificate = str(credentials.certificate)
        self._loop = "uvloop_loop_factory" if "uvloop" in variant else "loop_factory"
        self._trusting = trusting if "tls" in variant else None

    def script(self, page, port, tls):
        """The page's one script; ``port``: as it stands there; ``tls``: what else TLS changes."""
        (text,) = quoted(page, "python")
        own_port = self._started.port()
        changes = {"import loop_factory": f"import {self._loop} as loop_factory"}
        if self._trusting:
            text = CONTEXT.format(certificate=self._certificate) + text
            changes.update(tls)
        changes[port] = str(own_port)
        self._start(page, {"serve.py": adapted(text, changes)}, own_port, [], {})

    def command(self, page, app, options, *, tls, uvloop):
        """The page's command, with options; what else TLS adds, what is another on uvloop."""
        port = self._started.port()
        options = options + tls if self._trusting else options
        options = options.format(port=port, certificate=self._certificate)
        changes = uvloop if self._loop == "uvloop_loop_factory" else {}
        self._start(page, {"app.py": app}, port, options.split(), changes)

    def _start(self, page, files, port, options, changes):
        directory = self._started.directory()
        for name, text in files.items():
            (directory / name).write_text(text)
        (console,) = quoted(page, "console")
        trusted, *command = shlex.split(adapted(console, changes))
        assert trusted == "FASTPPV2_TRUSTED=10.0.0.0/8"  # the tests trust loopback instead
        self._program = self._started.program([*command, *options], port, cwd=directory)

    def connection(self, *, tls=True):
        context = self._trusting() if tls and self._trusting else None
        return connection(self._program, NLB, context)

    def logged(self, text):
        self._program.wait_until_said(text)


@pytest.fixture(params=VARIANTS)
def shown(request, started, credentials, trusting):
    return Shown(request.param, started, credentials, trusting)


def check_http(shown):
    with shown.connection() as sock:
        http = HTTP1(sock)
        for _ in range(2):
            assert http.read() == f"{TOLD}\n".encode()


APP, FACTORY = quoted("servers/uvicorn.md", "python")


# All ways to run these two are in test_asgi_servers.
HERE_SOME = pytest.mark.parametrize("shown", ["asyncio", "uvloop-tls"], indirect=True)


@HERE_SOME
def test_uvicorn(shown):
    shown.command(
        "servers/uvicorn.md",
        APP,
        "--port {port}",
        tls=" --ssl-certfile {certificate} --ssl-keyfile {certificate}",
        uvloop={":loop_factory": ":uvloop_loop_factory"},
    )
    check_http(shown)
    shown.logged(TOLD)


def test_uvicorn_with_settings_in_code(started):
    directory, port = started.directory(), started.port()
    (directory / "app.py").write_text(APP + adapted(FACTORY, {"10.0.0.0/8": HOST}))
    command = ["uvicorn", "app:app", "--port", str(port), "--loop", "app:loop_factory"]
    program = started.program(command, port, cwd=directory, FASTPPV2_TRUSTED="")
    with connection(program, NLB) as sock:
        assert HTTP1(sock).read() == f"{TOLD}\n".encode()


def test_the_header_in_the_scope(started):
    """docs/asgi.md."""
    (text,) = quoted("asgi.md", "python")
    directory, port = started.directory(), started.port()
    (directory / "app.py").write_text(text)
    command = ["uvicorn", "app:app", "--port", str(port), "--loop", "fastppv2.asyncio:loop_factory"]
    program = started.program(command, port, cwd=directory)
    with connection(program, NLB) as sock:
        balancer, endpoint = sock.getsockname(), "vpce-0a1b2c3d4e5f60718"
        told = HTTP1(sock).read().decode()
    assert told == f"{CLIENT} by {balancer}, endpoint {endpoint}\n"


def test_gunicorn(shown):
    shown.command(
        "servers/gunicorn.md",
        APP,
        "--bind 127.0.0.1:{port} --access-logfile -",
        tls=" --certfile {certificate} --keyfile {certificate}",
        uvloop={".UvicornWorker": ".UvloopWorker"},
    )
    check_http(shown)
    shown.logged(TOLD)


@HERE_SOME
def test_hypercorn(shown):
    config = "config = Config()\n"
    tls = "config.certfile = config.keyfile = certificate\n"
    shown.script("servers/hypercorn.md", "8000", {config: config + tls})
    check_http(shown)


def test_aiohttp(shown):
    loop = "loop=loop_factory()"
    shown.script("servers/aiohttp.md", "8000", {loop: f"{loop}, ssl_context=context"})
    check_http(shown)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the page uses asyncio.Runner")
def test_websockets(shown):
    shown.script("servers/websockets.md", "8000", {"8000)": "8000, ssl=context)"})
    with shown.connection() as sock, websocket_on(sock) as websocket:
        assert websocket.recv(TIMEOUT) == TOLD


class SMTP(smtplib.SMTP):
    """On an open connection, to a server that speaks first."""

    def __init__(self, sock):
        super().__init__(local_hostname="client.example")
        self.sock = sock
        code, _ = self.getreply()
        assert code == 220

    def told(self):
        code, answer = self.ehlo()
        assert code == 250
        return answer.decode().partition("\n")[0]


def test_aiosmtpd(shown):
    loop = "loop=loop)"
    shown.script("servers/aiosmtpd.md", "8025", {loop: "loop=loop, ssl_context=context)"})
    with shown.connection() as sock:
        smtp = SMTP(sock)
        for _ in range(2):
            assert smtp.told() == f"hello {TOLD}"


@pytest.mark.parametrize("shown", ["asyncio-tls", "uvloop-tls"], indirect=True)
def test_aiosmtpd_starts_tls_later(shown, trusting):
    loop = "loop=loop)"
    shown.script("servers/aiosmtpd.md", "8025", {loop: "loop=loop, tls_context=context)"})
    with shown.connection(tls=False) as sock:
        smtp = SMTP(sock)
        assert smtp.told() == f"hello {TOLD}"
        smtp._host = SERVER_NAME
        smtp.starttls(context=trusting())
        assert smtp.told() == f"hello {TOLD}"
        smtp.close()
