"""anyio's listeners behind a PROXY header, on asyncio and on trio.

listener = await anyio.create_tcp_listener(local_port=8080)
await MultiListener([Listener(each, policy) for each in listener.listeners]).serve(handler)
"""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import SocketAttribute, SocketStream

from fastppv2._endpoint import SocketView
from fastppv2.servers._anyio_stream import ProxyAttribute, Stream
from fastppv2.servers._listening import Listening

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anyio.abc import SocketListener, TaskGroup

    from fastppv2.policy import Policy

__all__ = ["Listener", "ProxyAttribute", "Stream"]


class Listener(anyio.abc.Listener[Any]):
    """Takes over a ``SocketListener``; a ``TLSListener`` around it puts TLS after the header."""

    def __init__(self, listener: SocketListener, policy: Policy) -> None:
        if policy.header == "optional":
            raise ValueError("policy: expected header='required', anyio has no place for bytes")
        self._taken = listener
        self._socket = Listening(listener.extra(SocketAttribute.raw_socket).dup(), policy)

    async def serve(
        self, handler: Callable[[Any], Any], task_group: TaskGroup | None = None
    ) -> None:
        async with AsyncExitStack() as stack:
            if task_group is None:
                task_group = await stack.enter_async_context(anyio.create_task_group())
            while self._socket.fileno() >= 0:
                try:
                    accepted = self._socket.accept()
                except BlockingIOError:
                    with anyio.move_on_after(self._socket.sweep()):
                        await anyio.wait_readable(self._socket)
                else:
                    task_group.start_soon(self._handle, handler, *accepted)
        raise anyio.ClosedResourceError

    async def _handle(self, handler: Callable[[Any], Any], connection: Any, client: Any) -> None:
        names = connection.family, client, connection.getsockname()
        ends = connection.proxy_header, connection.proxy_peername
        plain = socket.socket(fileno=connection.detach())
        try:
            stream = await SocketStream.from_socket(plain)
        except ValueError:  # reset meanwhile
            plain.close()
            return
        shown = SocketView(stream.extra(SocketAttribute.raw_socket), *names)
        await handler(Stream(stream, shown, ends))

    async def aclose(self) -> None:
        """Ends those who wait for their header, too."""
        anyio.notify_closing(self._socket)
        self._socket.close()
        await self._taken.aclose()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._taken.extra_attributes
