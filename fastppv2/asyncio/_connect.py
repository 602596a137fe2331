"""The application is connected, and receives what was read before it was there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastppv2.asyncio._backend import FirstBytes
from fastppv2.asyncio._deliver import fail, feed
from fastppv2.asyncio._view import View, view_of

if TYPE_CHECKING:
    from collections.abc import Callable


def connect(
    transport: Any, protocol_factory: Callable[[], Any], data: bytes, at_once: bool = False
) -> None:
    """The application is connected, and receives what was read too far.

    Unless it is to be at once, or is on a loop that may read on before, that is not before all that
    the application started meanwhile took a step.
    """
    first = None
    if data and not isinstance(transport, View):
        try:
            first = FirstBytes(transport, data)
        except AttributeError:  # uvloop's, of a peer that is passed through
            transport = view_of(transport, None)
    loop = asyncio.get_running_loop()
    ready = getattr(loop, "_ready", None)  # asyncio's, of what is to take a step
    steps = None if ready is None else len(ready)
    try:
        introduce(transport, protocol_factory)
    except Exception as error:
        fail(transport, error)
        return
    if first is None:
        if data:
            transport.deliver(data)
    elif at_once or (ready is not None and len(ready) == steps):
        first.deliver()
    else:
        loop.call_soon(first.deliver)


def connect_ended(transport: Any, protocol_factory: Callable[[], Any], data: bytes) -> Any:
    """As ``connect``, to a peer that sends no more; gives what ``eof_received`` says to that."""
    try:
        protocol = introduce(transport, protocol_factory)
        feed(transport, data)
        return protocol.eof_received()
    except Exception as error:
        fail(transport, error)
        return None


def introduce(transport: Any, protocol_factory: Callable[[], Any]) -> Any:
    """The application's protocol, connected."""
    protocol = protocol_factory()
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    return protocol
