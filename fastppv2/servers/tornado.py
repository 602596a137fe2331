"""tornado's servers behind a PROXY header.

class Server(ProxyServerMixin, HTTPServer):
    policy = Policy("10.0.0.0/8")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tornado.ioloop import IOLoop
from tornado.tcpserver import TCPServer

from fastppv2.policy import policy_of
from fastppv2.servers._listening import Listening

if TYPE_CHECKING:
    from collections.abc import Iterable
    from socket import socket

    from tornado.httputil import HTTPServerRequest

    from fastppv2.header import Header
    from fastppv2.policy import Policy

__all__ = ["ProxyServerMixin", "proxy_header"]


class ProxyServerMixin(TCPServer):
    """For ``TCPServer`` and ``HTTPServer``; comes first in the bases.

    ``request.remote_ip``, the address that ``handle_stream`` is given, and the log name the client.
    With ``ssl_options`` TLS comes after the header.
    """

    policy: Policy

    def add_sockets(self, sockets: Iterable[socket]) -> None:
        policy = policy_of(self)
        call_later = IOLoop.current().call_later
        listening: list[Any] = [Listening(sock, policy, call_later) for sock in sockets]
        super().add_sockets(listening)


def proxy_header(request: HTTPServerRequest) -> Header | None:
    """What came in front of the request's connection; None for a peer let through as itself."""
    address = request.connection.context.address  # type: ignore[union-attr]
    host = address[0] if isinstance(address, tuple) else address
    return getattr(host, "proxy_header", None)
