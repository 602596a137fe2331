"""anyio's listeners behind a PROXY header, on asyncio and on trio.

listener = await anyio.create_tcp_listener(local_port=8080)
await MultiListener([Listener(each, policy) for each in listener.listeners]).serve(handler)
"""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import SocketAttribute, SocketStream

from fastppv2.servers._listening import Listening

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anyio.abc import SocketListener, TaskGroup

    from fastppv2.policy import Policy

__all__ = ["Listener", "ProxyAttribute"]


class ProxyAttribute(anyio.TypedAttributeSet):
    """For ``stream.extra(...)``: the Header (or None), and the balancer's own address."""

    header: Any = anyio.typed_attribute()
    peername: Any = anyio.typed_attribute()


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
                    connection, client = self._socket.accept()
                except BlockingIOError:
                    with anyio.move_on_after(self._socket.sweep()):
                        await anyio.wait_readable(self._socket)
                else:
                    task_group.start_soon(_handle, handler, connection, client)
        raise anyio.ClosedResourceError

    async def aclose(self) -> None:
        """Ends those who wait for their header, too."""
        anyio.notify_closing(self._socket)
        self._socket.close()
        await self._taken.aclose()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._taken.extra_attributes


async def _handle(handler: Callable[[Any], Any], connection: Any, client: Any) -> None:
    local, family = connection.getsockname(), connection.family
    ends = {
        SocketAttribute.family: family,
        SocketAttribute.remote_address: client[:2] if isinstance(client, tuple) else client,
        SocketAttribute.local_address: local[:2] if isinstance(local, tuple) else local,
        ProxyAttribute.header: connection.proxy_header,
        ProxyAttribute.peername: connection.proxy_peername,
    }
    try:
        stream: Any = await SocketStream.from_socket(socket.socket(fileno=connection.detach()))
    except ValueError:  # reset meanwhile
        return
    stream.__class__ = _behind_header(type(stream))
    stream.ends = {attribute: partial(_same, value) for attribute, value in ends.items()}
    await handler(stream)


def _same(value: Any) -> Any:
    return value


@cache
def _behind_header(stream: Any) -> Any:
    return type(stream.__name__, (_Stream, stream), {})


class _Stream(anyio.TypedAttributeProvider):
    ends: dict[Any, Callable[[], Any]]

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {**super().extra_attributes, **self.ends}
