"""trio's listeners behind a PROXY header.

listeners = await trio.open_tcp_listeners(8080)
await trio.serve_listeners(handler, [Listener(each, policy) for each in listeners])
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import trio

from fastppv2._endpoint import SocketView
from fastppv2.servers._listening import Listening

if TYPE_CHECKING:
    from fastppv2.header import Header
    from fastppv2.policy import Policy
    from fastppv2.sync import Connection

__all__ = ["Listener", "Socket"]


class Socket(SocketView):
    """``stream.socket``: ``getpeername()`` and ``getsockname()`` say what the header does."""

    __slots__ = ("proxy_header", "proxy_peername")

    proxy_header: Header | None
    """None for a peer that was let through as itself."""
    proxy_peername: Any
    """The balancer's own address."""


def _stream(connection: Connection, client: Any) -> trio.SocketStream:
    names = connection.family, client, connection.getsockname()
    header, balancer = connection.proxy_header, connection.proxy_peername
    plain = socket.socket(fileno=connection.detach())
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(plain))
    shown: Any = Socket(stream.socket, *names)
    shown.proxy_header, shown.proxy_peername = header, balancer
    stream.socket = shown
    return stream


class Listener(trio.abc.Listener[trio.SocketStream]):
    """Takes over a ``SocketListener``; ``trio.SSLListener`` around it puts TLS after the header."""

    def __init__(self, listener: trio.SocketListener, policy: Policy) -> None:
        if policy.header == "optional":
            raise ValueError("policy: expected header='required', trio has no place for bytes")
        taken = socket.socket(fileno=listener.socket.detach())
        self.socket = Listening(taken, policy)

    async def accept(self) -> trio.SocketStream:
        """The next connection whose header is whole."""
        await trio.lowlevel.checkpoint()
        while self.socket.fileno() >= 0:
            try:
                return _stream(*self.socket.accept())
            except BlockingIOError:
                with trio.move_on_after(self.socket.sweep()):
                    await trio.lowlevel.wait_readable(self.socket)
        raise trio.ClosedResourceError

    async def aclose(self) -> None:
        """Ends those who wait for their header, too."""
        trio.lowlevel.notify_closing(self.socket)
        self.socket.close()
        await trio.lowlevel.checkpoint()
