"""The programs of docs/servers for tornado, gevent, trio and anyio, as they stand there."""

from __future__ import annotations

import sys

import pytest
from programs import HOST
from quoted import quoted
from servers import reserved_port
from serving import serving
from sockets import V2, receive

(TORNADO,) = quoted("servers/tornado.md", "python")
(GEVENT,) = quoted("servers/gevent.md", "python")
TRIO, ANYIO = quoted("servers/trio.md", "python")
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PROGRAMS = {
    "tornado": (TORNADO, REQUEST),
    "gevent": (GEVENT, REQUEST),
    "trio": (TRIO, b""),
    "anyio": (ANYIO, b""),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_page(tmp_path, name):
    """With a port of its own, and loopback in place of the balancers' network."""
    program, request = PROGRAMS[name]
    with reserved_port() as port:
        text = program.replace("8080", str(port)).replace("10.0.0.0/8", HOST)
        (tmp_path / "serve.py").write_text(text)
        with serving(tmp_path, sys.executable, "serve.py") as server, server.connect(port) as sock:
            sock.sendall(V2 + request)
            assert receive(sock, 9999).endswith(b"198.51.100.1 by version 2\n")
