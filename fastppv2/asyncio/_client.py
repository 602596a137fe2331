"""Connections that tell the server who the client is: the header is their first bytes."""

from __future__ import annotations

import asyncio
import ssl as tls
from typing import TYPE_CHECKING, Any

from fastppv2.asyncio._connect import introduce
from fastppv2.asyncio._tls import Securing, check_context, hand_over
from fastppv2.header import Header

if TYPE_CHECKING:
    from collections.abc import Callable

_TLS_OPTIONS = ("ssl_handshake_timeout", "ssl_shutdown_timeout")


class _Sender(asyncio.Protocol):
    """Sends the header; the application is next, unless it waits for TLS."""

    def __init__(self, header: bytes, protocol: asyncio.BaseProtocol, secured: bool) -> None:
        self._header = header
        self.protocol = protocol
        self._secured = secured
        self.early = b""

    def connection_made(self, transport: Any) -> None:
        transport.write(self._header)
        if not self._secured:
            introduce(transport, lambda: self.protocol)

    def data_received(self, data: bytes) -> None:
        """The server speaks before TLS starts: that is nothing for the application."""
        self.early += data


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
    data = header.raw if isinstance(header, Header) else bytes(memoryview(header))
    options_of_tls = _of_tls(host, ssl, server_hostname, options) if ssl else None
    transport, sender = await asyncio.get_running_loop().create_connection(
        lambda: _Sender(data, protocol_factory(), options_of_tls is not None), host, port, **options
    )
    if options_of_tls is None:
        return transport, sender.protocol
    secured = await _secure(transport, sender, options_of_tls)
    if secured is None:
        raise ConnectionResetError("the connection was lost before TLS had begun")
    return secured, sender.protocol


async def _secure(transport: Any, sender: _Sender, options: dict[str, Any]) -> Any:
    """The transport over TLS, once the application is connected to it."""
    result = asyncio.get_running_loop().create_future()

    def finish(secured: Any, error: Exception | None = None, **arrived: Any) -> None:
        if secured is not None:
            hand_over(secured, lambda: sender.protocol, **arrived)
        if error is None:
            result.set_result(secured)
        else:
            result.set_exception(error)

    securing = Securing(transport, sender.early, finish, **options)
    try:
        return await result
    except asyncio.CancelledError:
        securing.stop()
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
