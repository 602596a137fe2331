"""uvicorn and hypercorn with the applications of the tests, plain and over TLS."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from clients import HTTP1, connection
from started import HERE, LOOPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Iterator
    from typing import Any

    from programs import Program
    from started import Started

UVICORN = [
    pytest.param(("uvicorn", loop, http), id=f"uvicorn-{http}-{loop}")
    for loop in LOOPS
    for http in ("h11", "httptools")
]
HYPERCORN = [pytest.param(("hypercorn", loop), id=f"hypercorn-{loop}") for loop in LOOPS]
# For those who ask for the counters, from ``OTHER_HOST``, and have no header.
PASSTHROUGH = {"FASTPPV2_UNTRUSTED": "passthrough"}
OTHER_HOST = "127.0.0.2"


class Server(NamedTuple):
    """A server that listens plain and with TLS."""

    plain: Program
    tls: Program
    tls_port: int
    trusting: Callable[..., ssl.SSLContext]

    @contextmanager
    def connection(
        self, header: bytes, *, tls: bool = False, alpn: tuple[str, ...] = (), at: int = 0
    ) -> Iterator[socket.socket]:
        """See ``clients.connection``."""
        program = self.tls if tls else self.plain
        context = self.trusting(*alpn) if tls else None
        port = self.tls_port if tls else None
        with connection(program, header, context, port=port, at=at) as sock:
            yield sock

    def get(self, header: bytes, *, tls: bool = False) -> dict[str, Any]:
        with self.connection(header, tls=tls) as sock:
            return HTTP1(sock).get()


def counters(program: Program) -> dict[str, Any]:
    """What the process counted so far, asked for without being counted as a client."""
    with program.connect(source=OTHER_HOST) as sock:
        return HTTP1(sock).get("/counters")


def uvicorn(
    started: Started,
    certificate: str,
    trusting: Callable[..., ssl.SSLContext],
    loop: str,
    http: str,
) -> Server:
    options = ["--loop", LOOPS[loop], "--http", http, "--no-proxy-headers"]
    plain = started.uvicorn(*options, **PASSTHROUGH)
    options += ["--ssl-certfile", certificate, "--ssl-keyfile", certificate]
    tls = started.uvicorn(*options, **PASSTHROUGH)
    return Server(plain, tls, tls.address[1], trusting)


def hypercorn(
    started: Started, certificate: str, trusting: Callable[..., ssl.SSLContext], loop: str
) -> Server:
    ports = started.port(), started.port()
    command = [sys.executable, str(HERE / "hypercorn_server.py"), LOOPS[loop]]
    command += [*map(str, ports), certificate]
    program = started.program(command, ports[0], **PASSTHROUGH)
    return Server(program, program, ports[1], trusting)
