"""SIGTERM ends a server at once whose peers are silent in their header or in TLS behind it."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest
from asgi_servers import HYPERCORN, UVICORN, hypercorn, uvicorn
from clients import PAUSE, connection
from clouds import NLB
from programs import TIMEOUT

HALF_A_CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00"
SILENT = [b"", NLB[:1], NLB[:-1]]
SILENT_IN_TLS = [*SILENT, NLB, NLB + HALF_A_CLIENT_HELLO]


@pytest.mark.parametrize("kind", UVICORN[::2] + HYPERCORN)
def test_silent_peers_do_not_hold_a_server_up(started, credentials, trusting, monkeypatch, kind):
    monkeypatch.setenv("FASTPPV2_TIMEOUT", str(10 * TIMEOUT))
    name, *options = kind
    start = {"uvicorn": uvicorn, "hypercorn": hypercorn}[name]
    server = start(started, str(credentials.certificate), trusting, *options)
    for tls in (False, True):
        server.get(NLB, tls=tls)
    with ExitStack() as stack:
        for sent in SILENT:
            stack.enter_context(connection(server.plain, sent))
        for sent in SILENT_IN_TLS:
            stack.enter_context(connection(server.tls, sent, port=server.tls_port))
        time.sleep(PAUSE)
        programs = {server.plain, server.tls}
        for program in programs:
            program.process.terminate()
        for program in programs:
            program.process.wait(TIMEOUT)
            assert "Traceback" not in program.said()
