"""``fastppv2 demo`` without a browser: its pages, its list, its log, and how it ends.

In a real browser: tests/peers/test_demo.py.
"""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from typing import Any

import pytest
from loops import TIMEOUT, running
from programs import Program
from scripted import HOST, until_end

from fastppv2 import build
from fastppv2.cli import demo, main
from fastppv2.cli.demo import page
from fastppv2.cli.demo import site as demo_site
from fastppv2.cli.demo.site import Site
from fastppv2.cli.demo.trials import _read
from fastppv2.cli.demo.visits import KEPT, Visits

SERVER = ("198.51.100.2", 443)


class Running:
    def __init__(self, loop, site: Site, lines: list[str]) -> None:
        self.loop = loop
        self.site = site
        self.lines = lines

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        with closing(HTTPConnection(*self.site.address, timeout=TIMEOUT)) as http:
            http.request(method, path)
            answer = http.getresponse()
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
            return answer.status, answer.read().decode()

    def send(self, data: bytes) -> bytes:
        """What comes back from the page's own port."""
        with socket.create_connection(self.site.backend, TIMEOUT) as connection:
            connection.sendall(data)
            return until_end(connection)

    def wait_for(self, condition) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def site():
    with ExitStack() as stack:
        loop = stack.enter_context(running("asyncio"))
        lines: list[str] = []

        async def start() -> Site:
            site = Site(lines.append)
            await site.start(HOST, 0)
            return site

        site = loop.run(start())
        stack.callback(lambda: loop.run(site.close()))
        yield Running(loop, site, lines)


def test_the_page(site):
    with closing(HTTPConnection(*site.site.address, timeout=TIMEOUT)) as http:
        http.connect()
        host, port = http.sock.getsockname()
        for _ in range(2):  # on one connection
            http.request("GET", "/?query")
            answer = http.getresponse()
            html = answer.read().decode()
        assert answer.status == 200
    assert f'<span id="client">{host}:{port}</span>' in html
    assert f"Source Port: {port}</td>" in html
    assert "Value: &#x27;vpce-0a1b2c3d4e5f60718&#x27;" in html
    assert "2 requests</td>" in html
    balancer = re.search(r'<b id="balancer">([0-9.:]+)</b>', html)[1]
    assert balancer != f"{host}:{port}"
    line = (
        rf'{host}:{port} \[\d\d/\w{{3}}/\d{{4}}:[\d:.]{{12}}\] {balancer} page \d+ 200 \d+ "GET /"'
    )
    site.wait_for(lambda: len(site.lines) == 2)
    assert re.fullmatch(line, site.lines[0])


@pytest.mark.parametrize(
    ("path", "start"), [("/style.css", ":root {"), ("/script.js", '"use strict";')]
)
def test_its_own_assets(site, path, start):
    status, text = site.get(path)
    assert (status, text[: len(start)]) == (200, start)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v1", "Accepted: the page saw <b>192.0.2.1:56324</b>."),
        ("v2", "Accepted: the page saw <b>192.0.2.1:56324</b>."),
        ("local", "Accepted, as a health check: the client is the balancer itself, <b>127.0.0.1:"),
        ("checksum", "Refused, reason <b>checksum</b>: invalid PROXY header at byte 31: "),
        ("none", "Refused, reason <b>missing</b>: not a PROXY header (looks like an HTTP request)"),
        ("twice", "Refused, reason <b>nested</b>: a second PROXY header directly behind"),
    ],
)
def test_trials(site, name, said):
    status, html = site.get(f"/send/{name}")
    assert status == 200
    assert said in html
    assert ">back</a>" in html
    assert "<h2>The bytes</h2>" in html


def test_the_list(site):
    site.send(
        build(("192.0.2.9", 9), SERVER, tlvs=[(2, b"<b>\xe2\x80\xae")])
        + b"GET /client HTTP/1.0\r\n\r\n"
    )
    site.send(b"SSH-2.0-scanner\r\n")
    site.get("/")
    _, html = site.get("/recent")
    assert "192.0.2.9:9</td>" in html
    assert "v2, for &lt;b&gt;\\u202e, 1 request</td>" in html
    assert "<b>missing</b>: not a PROXY header (looks like SSH)" in html
    assert html.isascii()


def test_the_list_is_bounded(site):
    for number in range(KEPT + 5):
        site.send(build(("192.0.2.9", number), SERVER) + b"GET /client HTTP/1.0\r\n\r\n")
    assert len(site.site.visits.recent) == KEPT


def test_health_checks(site, monkeypatch):
    """With a LOCAL header, and without a byte; a request on one is answered, too."""
    visits = site.site.visits
    site.wait_for(lambda: visits.checks == 1)  # the balancer's own
    socket.create_connection(site.site.backend).close()
    answer = site.send(build() + b"GET / HTTP/1.0\r\n\r\n")
    assert b"This connection's header names no client." in answer
    site.wait_for(lambda: visits.checks == 3)
    assert not visits.recent
    assert "3 health checks so far, the last one at" in site.get("/recent")[1]


def test_checks_go_on(monkeypatch):
    monkeypatch.setattr(demo_site, "_CHECK_INTERVAL", 0.01)

    async def run() -> int:
        site = Site(lambda line: None)
        await site.start(HOST, 0)
        while site.visits.checks < 3:
            await asyncio.sleep(0.01)
        await site.close()
        return site.visits.checks

    assert asyncio.run(asyncio.wait_for(run(), TIMEOUT)) >= 3


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"GET /send/nothing HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"GET /../site.py HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"POST / HTTP/1.1\r\n\r\n", b"405 Method Not Allowed"),
        (b"\x1b[31m\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/2.0\r\n\r\n", b"400 Bad Request"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", b"400 Bad Request"),
    ],
)
def test_requests_that_are_none(site, request_, status):
    """And the connection ends."""
    answer = site.send(build(("192.0.2.9", 9), SERVER) + request_)
    assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n")
    site.wait_for(lambda: site.lines)
    assert site.lines[0].isprintable()


def test_head(site):
    status, text = site.get("/", "HEAD")
    assert (status, text) == (200, "")


def test_a_header_that_is_not_whole(site):
    """A browser that goes in the middle of a request."""
    data = build(("192.0.2.9", 9), SERVER) + b"GET / HT"
    with socket.create_connection(site.site.backend, TIMEOUT) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        assert until_end(connection) == b""
    assert site.lines == []


def test_a_browser_that_waits_too_long(site, monkeypatch):
    monkeypatch.setattr(demo_site, "_IDLE", 0.05)
    assert site.send(build(("192.0.2.9", 9), SERVER)) == b""


def test_a_refusal_that_comes_as_a_reset():
    """What was not read when the connection ended."""

    class Reader:
        async def read(self, size: int) -> bytes:
            raise ConnectionResetError

    reader: Any = Reader()
    assert asyncio.run(_read(reader)) == b""


def test_ending_with_connections_open(site):
    with socket.create_connection(site.site.address, TIMEOUT) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
        site.loop.run(site.site.close())


def test_before_anything_came():
    assert "0 health checks so far; they are" in page.recent(Visits())
    asyncio.run(Site(print).close())


# The command.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command(tmp_path, number):
    command = [sys.executable, "-m", "fastppv2", "demo", "--port", "0"]
    with closing(Program(command, tmp_path / "log", 0)) as program:
        program.wait_until_said("the page behind the balancer takes headers on 127.0.0.1:")
        port = int(re.search(r"^open http://127\.0\.0\.1:(\d+)/$", program.said(), re.MULTILINE)[1])
        with closing(HTTPConnection(HOST, port, timeout=TIMEOUT)) as http:
            http.request("GET", "/")
            assert http.getresponse().status == 200
        program.wait_until_said('"GET /"')
        program.process.send_signal(number)
        assert program.process.wait(TIMEOUT) == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "Address already in use"),
        (["--host", "203.0.113.1"], ""),  # asyncio words it in its own way from Python 3.13 on
        (["--host", "no.such.invalid"], ""),
    ],
)
def test_a_port_that_cannot_be_had(options, reason):
    with socket.create_server((HOST, 0)) as listener:
        port = str(listener.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "fastppv2", "demo", "--port", port, *options],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    assert (done.returncode, done.stdout) == (1, "")
    host = options[1] if options else HOST
    assert done.stderr.startswith(f"fastppv2: cannot listen on {host}:{port}: {reason}")
    assert done.stderr.endswith(": pass another --port\n")


def test_misuse(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--port", "65536"])
    assert caught.value.code == 2
    assert "--port is 0 to 65535" in capsys.readouterr().err


def test_what_is_logged_is_there_at_once(capsys):
    demo._log("line")
    assert capsys.readouterr().out == "line\n"
