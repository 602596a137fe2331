"""Bytes that the transport did not read itself, for the protocol that it has."""

from __future__ import annotations

import asyncio
from typing import Any


def feed(transport: Any, data: bytes) -> None:
    """The protocol receives the bytes as if the transport had just read them."""
    protocol = transport.get_protocol()
    # uvloop's protocol for TLS is no BufferedProtocol, and is one in all but name.
    if isinstance(protocol, asyncio.Protocol) or not hasattr(protocol, "get_buffer"):
        if data:
            protocol.data_received(data)
        return
    rest = memoryview(data)
    while rest:
        buffer = protocol.get_buffer(len(rest))
        size = min(len(buffer), len(rest))
        if not size:
            raise RuntimeError("get_buffer() returned an empty buffer")
        buffer[:size] = rest[:size]
        protocol.buffer_updated(size)
        rest = rest[size:]


def deliver(transport: Any, data: bytes) -> None:
    """The application receives the bytes, unless it has closed the connection."""
    if transport.is_closing():
        return
    try:
        feed(transport, data)
    except Exception as error:
        fail(transport, error)


def fail(transport: Any, error: Exception) -> None:
    """The application raised: reported, and its connection ended, as asyncio's transports do."""
    context = {
        "message": "Fatal error: the application failed on a connection's first bytes",
        "exception": error,
        "transport": transport,
        "protocol": transport.get_protocol(),
    }
    asyncio.get_running_loop().call_exception_handler(context)
    transport.abort()
