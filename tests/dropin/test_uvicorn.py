"""Ways to run uvicorn: several workers, reloading, and where X-Forwarded-For is believed."""

from __future__ import annotations

import socket
import time
from contextlib import closing, suppress

import pytest
from clients import HTTP1, connection
from clouds import CLIENT, FRONTEND, NLB
from programs import TIMEOUT
from started import HERE, LOOPS

from fastppv2 import build

INSIDE = ("10.1.2.3", 56324)
FORGED = {"X-Forwarded-For": "203.0.113.9"}
APP = """\
async def app(scope, receive, send):
    if scope["type"] == "http":
        body = f"{scope['client']} VERSION".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""


def client_of_forged_request(program):
    with connection(program, build(INSIDE, FRONTEND)) as sock:
        seen = HTTP1(sock).get(headers=FORGED)
    assert seen["proxy_protocol"]["source"] == list(INSIDE)
    return seen["client"]


def test_clients_in_networks_that_may_forward_can_forge(started):
    """The trap that docs/x-forwarded-for.md tells of, and the warning about it."""
    program = started.uvicorn("--loop", LOOPS["asyncio"], FORWARDED_ALLOW_IPS="10.0.0.0/8")
    assert client_of_forged_request(program) == ["203.0.113.9", 0]
    program.wait_until_said("FORWARDED_ALLOW_IPS=10.0.0.0/8")


def test_without_proxy_headers_nobody_can(started):
    options = ["--loop", LOOPS["asyncio"], "--no-proxy-headers"]
    program = started.uvicorn(*options, FORWARDED_ALLOW_IPS="10.0.0.0/8")
    assert client_of_forged_request(program) == list(INSIDE)


def test_by_default_nobody_can(started):
    program = started.uvicorn("--loop", LOOPS["asyncio"])
    assert client_of_forged_request(program) == list(INSIDE)
    assert "FORWARDED_ALLOW_IPS" not in program.said()


def test_workers(started):
    program = started.uvicorn("--loop", LOOPS["uvloop"], "--workers", "2")
    for number in range(8):
        client = ("192.0.2.1", 1000 + number)
        with connection(program, build(client, FRONTEND)) as sock:
            assert HTTP1(sock).get()["client"] == list(client)


def test_reload(started):
    directory, port = started.directory(), started.port()
    app = directory / "app.py"
    app.write_text(APP.replace("VERSION", "first"))
    options = ["--port", str(port), "--loop", LOOPS["asyncio"], "--reload"]
    program = started.program(["uvicorn", "app:app", *options], port, cwd=directory)
    assert told(program) == b"('192.0.2.1', 56324) first"
    app.write_text(APP.replace("VERSION", "second"))
    deadline = time.monotonic() + TIMEOUT
    answer = b""
    while answer != b"('192.0.2.1', 56324) second":
        assert time.monotonic() < deadline, answer
        time.sleep(0.5)
        app.touch()  # the reloader may have looked for the first time behind the change
        with suppress(ConnectionError):  # from the process that just ends
            answer = told(program)


def told(program):
    with connection(program, NLB) as sock:
        return HTTP1(sock).read()


@pytest.mark.parametrize("loop", LOOPS)
def test_on_a_unix_socket(started, loop):
    directory = started.directory()
    path = str(directory / "app.sock")
    command = ["uvicorn", "applications:app", "--app-dir", str(HERE), "--loop", LOOPS[loop]]
    program = started.program([*command, "--uds", path], 0, cwd=directory, FASTPPV2_TRUSTED="unix")
    program.wait_until_said("Uvicorn running")
    with closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.connect(path)
        sock.sendall(NLB)
        seen = HTTP1(sock).get()
    assert seen["client"] == list(CLIENT)
    assert seen["server"] == list(FRONTEND)
    assert seen["proxy_protocol"]["header"] == NLB.hex()
