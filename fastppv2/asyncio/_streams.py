"""asyncio's streams behind a header, received or sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastppv2.asyncio._client import create_connection
from fastppv2.asyncio._server import create_server, create_unix_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastppv2.asyncio._server import Server
    from fastppv2.header import Header
    from fastppv2.policy import Policy

    Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]

_LIMIT = 1 << 16  # bytes that a stream holds, as asyncio has it


async def start_server(
    client_connected_cb: Connected,
    host: Any = None,
    port: int | None = None,
    *,
    policy: Policy,
    limit: int = _LIMIT,
    **options: Any,
) -> Server:
    """``asyncio.start_server`` for connections that begin with a PROXY header.

    Options as of ``create_server``; what it says of ``get_extra_info`` holds for the writer's.
    """
    factory = _streams(client_connected_cb, limit)
    return await create_server(factory, host, port, policy=policy, **options)


async def start_unix_server(
    client_connected_cb: Connected,
    path: Any = None,
    *,
    policy: Policy,
    limit: int = _LIMIT,
    **options: Any,
) -> Server:
    """``asyncio.start_unix_server``, as ``start_server`` is."""
    factory = _streams(client_connected_cb, limit)
    return await create_unix_server(factory, path, policy=policy, **options)


async def open_connection(
    host: Any = None,
    port: Any = None,
    *,
    header: Header | bytes,
    limit: int = _LIMIT,
    **options: Any,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """``asyncio.open_connection`` whose first bytes are the header, as ``create_connection``."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await create_connection(lambda: protocol, host, port, header=header, **options)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def _streams(
    client_connected_cb: Connected, limit: int
) -> Callable[[], asyncio.StreamReaderProtocol]:
    loop = asyncio.get_running_loop()

    def factory() -> asyncio.StreamReaderProtocol:
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        return asyncio.StreamReaderProtocol(reader, client_connected_cb, loop=loop)

    return factory
