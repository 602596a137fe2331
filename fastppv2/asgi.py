"""The header in an ASGI application: ``ProxyProtocolMiddleware``.

It works under unchanged servers whose loop is ours (``fastppv2.asyncio``). They ask the transport
for its addresses, and the host among them is a ``Host``, a str that carries the Header; it comes
to the application in ``scope["server"]``, with the connection that it belongs to. Not by
``scope["client"]``, which servers rewrite after X-Forwarded-For.
"""

from __future__ import annotations

from fastppv2 import cloud
from fastppv2._endpoint import Host
from fastppv2._spec import SSL_CLIENT_SSL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from typing import Any

    from fastppv2.header import Header

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

EXTENSION = "proxy_protocol"
_SECURE = {"http": "https", "ws": "wss"}


class ProxyProtocolMiddleware:
    """Puts what the PROXY header says into ``scope["extensions"]["proxy_protocol"]``, a dict:

    - ``version``: 1 or 2; ``is_local``: the header names no client, as in health checks
    - ``source``, ``destination``: (host, port), a UNIX path, or None
    - ``tlvs``: (type, value) pairs in wire order; ``ssl``: an ``SSL`` or None
    - ``cloud``: the clouds' identifiers by the names of their readers in ``fastppv2.cloud``
    - ``peername``: the balancer's own address, as the socket module gives it
    - ``header``: the ``Header`` itself

    A connection without a header has no such extension. The host in ``scope["server"]`` is a plain
    str behind it.

    With ``scheme=True``, ``scope["scheme"]`` is "https" or "wss" where the SSL TLV (2.2.6) says
    that the client came over TLS. It never becomes "http": a balancer that passes TLS through
    says that it ended none.
    """

    def __init__(self, app: Application, *, scheme: bool = False) -> None:
        self.app = app
        self.scheme = scheme

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        server = scope.get("server")
        if server and isinstance(server[0], Host):
            scope = self._with_header(scope, server[0], server[1])
        await self.app(scope, receive, send)

    def _with_header(self, scope: Scope, host: Host, port: int) -> Scope:
        """A copy, as the ASGI specification asks of a middleware that changes the scope."""
        header = host.proxy_header
        said = _said(header, host.proxy_peername)
        scope = {
            **scope,
            "server": (host[:], port),
            "extensions": {**(scope.get("extensions") or {}), EXTENSION: said},
        }
        if self.scheme and header.ssl is not None and header.ssl.client & SSL_CLIENT_SSL:
            scope["scheme"] = _SECURE.get(scope["scheme"], scope["scheme"])
        return scope


def _said(header: Header, peername: Any) -> dict[str, Any]:
    return {
        "version": header.version,
        "is_local": header.is_local,
        "source": header.source,
        "destination": header.destination,
        "tlvs": header.tlvs,
        "ssl": header.ssl,
        "cloud": cloud.as_dict(header),
        "peername": peername,
        "header": header,
    }
