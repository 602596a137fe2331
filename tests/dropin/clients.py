"""Clients that put a PROXY header before what they say, as a balancer does."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection

from credentials import SERVER_NAME
from servers import TIMEOUT
from websockets.sync.client import connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from typing import Any

    from programs import Program

PAUSE = 0.02  # after which the server has read what was sent


@contextmanager
def connection(
    server: Program,
    header: bytes,
    context: ssl.SSLContext | None = None,
    *,
    port: int | None = None,
    at: int = 0,
) -> Iterator[socket.socket]:
    """A connection whose first bytes are the header; with ``context``, TLS comes behind it.

    The first ``at`` bytes are a segment of their own.
    """
    with server.connect(port) as sock:
        sock.settimeout(TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if at:
            sock.sendall(header[:at])
            time.sleep(PAUSE)
        sock.sendall(header[at:])
        if context is None:
            yield sock
            return
        with context.wrap_socket(sock, server_hostname=SERVER_NAME) as secure:
            yield secure


class HTTP1:
    """HTTP/1.1 on an open connection, which is kept alive."""

    def __init__(self, sock: socket.socket) -> None:
        self._http = HTTPConnection(SERVER_NAME)
        self._http.sock = sock

    def read(
        self, path: str = "/", *, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> bytes:
        """The answer to a GET, or to a POST where there is a body to send."""
        self._http.request("POST" if body else "GET", path, body or None, headers or {})
        answer = self._http.getresponse()
        said = answer.read()
        assert answer.status == 200, said
        return said

    def get(self, path: str = "/", **options: Any) -> Any:
        """The answer of ``applications``, which is JSON."""
        return json.loads(self.read(path, **options))

    def close(self) -> None:
        self._http.close()


def websocket_on(sock: socket.socket, path: str = "/") -> connect:
    """A WebSocket on an open connection, as a context manager."""
    return connect(f"ws://{SERVER_NAME}{path}", sock=sock, proxy=None)


class WebSocket:
    """One to ``applications``, which answer each message."""

    def __init__(self, sock: socket.socket, path: str = "/") -> None:
        self._stack = ExitStack()
        self._websocket = self._stack.enter_context(websocket_on(sock, path))

    def get(self) -> dict[str, Any]:
        self._websocket.send("and now?")
        return json.loads(self._websocket.recv(TIMEOUT))

    def close(self) -> None:
        self._stack.close()
