"""Connections that tell the server who the client is: the header is their first bytes."""

from __future__ import annotations

import asyncio
import ssl as tls
from typing import TYPE_CHECKING, Any

from fastppv2.asyncio._connect import introduce
from fastppv2.asyncio._tls import Securing, check_context, hand_over
from fastppv2.header import to_send

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastppv2.header import Header

_TLS_OPTIONS = ("ssl_handshake_timeout", "ssl_shutdown_timeout")


class _Sender(asyncio.Protocol):
    """Sends the header; then the application is connected, over TLS if there are options for it."""

    def __init__(
        self,
        header: bytes,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        options: dict[str, Any] | None,
    ) -> None:
        self._header = header
        self._protocol_factory = protocol_factory
        self._options = options
        self._securing: Securing | None = None
        self.secured: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        """The transport over TLS, with the application connected to it."""

    def __call__(self) -> _Sender:
        self.protocol = self._protocol_factory()
        return self

    def connection_made(self, transport: Any) -> None:
        transport.write(self._header)
        if self._options is None:
            introduce(transport, lambda: self.protocol)
        else:
            self._securing = Securing(transport, b"", self._finish, **self._options)

    def _finish(self, transport: Any, error: Exception | None = None, **arrived: Any) -> None:
        if self.secured.cancelled():
            return
        if transport is not None:
            hand_over(transport, lambda: self.protocol, **arrived)
            self.secured.set_result(transport)
        else:
            lost = ConnectionResetError("the connection was lost before TLS had begun")
            self.secured.set_exception(error or lost)

    def cancel(self) -> None:
        """Nobody waits any more."""
        self.secured.cancel()
        if self._securing is not None:
            self._securing.stop()


async def create_connection(
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    host: Any = None,
    port: Any = None,
    *,
    header: Header | bytes,
    ssl: tls.SSLContext | bool | None = None,
    server_hostname: str | None = None,
    **options: Any,
) -> tuple[asyncio.Transport, Any]:
    """``loop.create_connection`` whose first bytes are the header, before TLS if there is any.

    ``header``: what ``build`` made, or a Header, which is sent as it was received. All else as the
    loop takes it.
    """
    data = to_send(header)
    of_tls = _of_tls(host, ssl, server_hostname, options) if ssl else None
    sender = _Sender(data, protocol_factory, of_tls)
    connect = asyncio.get_running_loop().create_connection
    try:
        transport, _ = await connect(sender, host, port, **options)
        return await sender.secured if of_tls else transport, sender.protocol
    except asyncio.CancelledError:
        sender.cancel()
        raise


def _of_tls(
    host: Any, ssl: Any, server_hostname: str | None, options: dict[str, Any]
) -> dict[str, Any]:
    """What ``loop.start_tls`` is told; taken out of the options of ``create_connection``."""
    context = tls.create_default_context() if ssl is True else ssl
    check_context(context)
    if server_hostname is None:
        if not host:
            raise ValueError("server_hostname: must be given with ssl and no host")
        server_hostname = host
    found = {name: options.pop(name) for name in _TLS_OPTIONS if name in options}
    return {"sslcontext": context, "server_hostname": server_hostname, **found}
