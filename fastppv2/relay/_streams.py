"""Connections: what one side sends, the other gets, as fast as it reads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from fastppv2._log import logger
from fastppv2._spec import Transport
from fastppv2.asyncio import create_server, create_unix_server
from fastppv2.relay import _access
from fastppv2.relay._headers import Sender
from fastppv2.relay._upstreams import RoundRobin, TransparencyError, client_socket, no_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastppv2._place import Place
    from fastppv2.policy import Policy

CONNECT_TIMEOUT = 5.0  # seconds
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 seconds


class StreamRelay:
    """Takes connections on any number of addresses, and hands each on to one of the upstreams.

    ``policy``: connections begin with a header, and whose is believed; None: they do not.
    ``sender``: what header goes upstream. ``transparent``: connects from the client's address.
    ``access`` is called with a line for each connection that is over.
    """

    def __init__(
        self,
        upstreams: Sequence[Place],
        *,
        policy: Policy | None = None,
        sender: Sender | None = None,
        transparent: bool = False,
        access: Callable[[str], object] = logger.info,
    ) -> None:
        self.upstreams = RoundRobin(upstreams)
        self.sender = Sender() if sender is None else sender
        self.transparent = transparent
        self.access = access
        self._policy = policy
        self._servers: list[asyncio.AbstractServer] = []
        self._connections: set[_Connection] = set()
        self._idle: asyncio.Event | None = None  # of who waits for the end

    async def listen(self, place: Place) -> Any:
        """Listens there; the names of the sockets."""
        loop, policy = asyncio.get_running_loop(), self._policy
        create: Any
        if policy is None:
            create = loop.create_server if place.is_ip else loop.create_unix_server
        else:
            create = create_server if place.is_ip else create_unix_server
            create = partial(create, policy=policy)
        where = (place.host or None, place.port) if place.is_ip else (place.host,)
        server = await create(self._accept, *where)
        self._servers.append(server)
        return [sock.getsockname() for sock in server.sockets]

    def _accept(self) -> _Side:
        return _Connection(self).client

    def opened(self, connection: _Connection) -> None:
        self._connections.add(connection)

    def over(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        if self._idle is not None and not self._connections:
            self._idle.set()

    def abort_all(self) -> None:
        """Ends every connection at once."""
        for connection in list(self._connections):
            connection.abort("shutdown")

    async def close(self, patience: float) -> None:
        """Accepts no more, and ends what is still there after so many seconds."""
        for server in self._servers:
            server.close()
        self._idle = asyncio.Event()
        if not self._connections:
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._idle.wait(), patience)
        self.abort_all()
        await self._idle.wait()


class _Side(asyncio.Protocol):
    """One end of a connection: what it receives goes to the other."""

    other: _Side

    def __init__(self, connection: _Connection, name: str) -> None:
        self.connection = connection
        self.name = name
        self.transport: Any = None
        self.received = 0
        self.ended = False
        self.gone = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        # What went away without a word must not stay for ever.
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.connection.made(self)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.other.transport is None:
            self.connection.early.append(data)
        else:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        """The other half goes on."""
        self.ended = True
        other = self.other
        if other.ended:
            self.transport.close()
            other.transport.close()
        elif other.transport is not None:
            other.transport.write_eof()
        return True

    def reset(self) -> None:
        """Breaks off, so that nobody takes what came for the whole."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self.connection.lost(self, exc)


class _Connection:
    """A client and its upstream."""

    def __init__(self, relay: StreamRelay) -> None:
        self._relay = relay
        self._began = monotonic()
        self._ending = ""
        self._is_over = False
        self._upstream: Place | None = None
        self.early: list[bytes] = []
        self._names: tuple[Any, Any] = (None, None)  # the client's, the balancer's
        self._connecting: asyncio.Task[None] | None = None
        self.client = _Side(self, "client")
        self.server = _Side(self, "upstream")
        self.client.other, self.server.other = self.server, self.client

    def made(self, side: _Side) -> None:
        if side is self.client:
            side.transport.pause_reading()  # until there is somebody to send it to
            info = side.transport.get_extra_info
            self._names = info("peername"), info("proxy_peername")
            self._relay.opened(self)
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
            self._connecting.add_done_callback(lambda _: self._settle())

    async def _connect(self) -> None:
        client = self.client.transport
        # uvloop, and asyncio in Python 3.9 and 3.10, start to read behind connection_made(), though
        # it paused: what came by now is in early.
        client.resume_reading()
        client.pause_reading()
        info = client.get_extra_info
        peername = self._names[0]
        try:
            header = self._relay.sender.header(
                info("proxy_header"), peername, info("sockname"), Transport.STREAM
            )
            await self._reach(peername)
        except (OSError, ValueError) as error:
            self.abort(str(error))
            return
        self.server.transport.write(b"".join((header, *self.early)))
        if self.client.ended:
            self.server.transport.write_eof()
        client.resume_reading()

    async def _reach(self, peername: Any) -> None:
        """Connects to the first upstream that answers; OSError if none does."""
        said = ""
        for upstream in self._relay.upstreams():
            self._upstream = upstream
            try:
                await asyncio.wait_for(self._open(upstream, peername), CONNECT_TIMEOUT)
                return
            except TransparencyError as error:
                said = str(error)
            except asyncio.TimeoutError:
                said = f"no answer from {upstream} in {CONNECT_TIMEOUT:g} s"
                if self._relay.transparent:
                    said = no_answer(peername, upstream)
            except OSError as error:
                said = f"{upstream}: {os.strerror(error.errno) if error.errno else error}"
            logger.warning("%s", said)
        raise ConnectionError(said)

    async def _open(self, upstream: Place, peername: Any) -> None:
        loop = asyncio.get_running_loop()

        def side() -> _Side:
            return self.server

        if not upstream.is_ip:
            await loop.create_unix_connection(side, upstream.host)
        elif not self._relay.transparent:
            await loop.create_connection(side, upstream.host, upstream.port)
        else:
            sock = client_socket(peername, upstream, socket.SOCK_STREAM)
            try:
                await loop.sock_connect(sock, (upstream.host, upstream.port))
                await loop.create_connection(side, sock=sock)
            except BaseException:
                sock.close()
                raise

    def lost(self, side: _Side, exc: Exception | None) -> None:
        """One end is gone: so goes the other, once it has all that came before."""
        other = side.other
        if exc is not None:
            self._note(f"{side.name}: {getattr(exc, 'strerror', None) or exc}")
        if other.transport is None:
            assert self._connecting is not None
            self._connecting.cancel()
        elif exc is None:
            other.transport.close()
        else:
            other.reset()
        self._settle()

    def abort(self, ending: str) -> None:
        """Ends both sides at once."""
        self._note(ending)
        for side in (self.client, self.server):
            if side.transport is not None:
                side.reset()

    def _note(self, ending: str) -> None:
        """The first thing that went wrong is the one that is told."""
        self._ending = self._ending or ending

    def _settle(self) -> None:
        client, server = self.client, self.server
        assert self._connecting is not None
        if self._is_over or not (client.gone and self._connecting.done()):
            return
        if server.transport is not None and not server.gone:
            server.transport.close()
            return
        self._is_over = True
        self._relay.over(self)
        self._relay.access(
            _access.line(
                *self._names,
                self._upstream,
                sent=client.received,
                received=server.received,
                seconds=monotonic() - self._began,
                ending=self._ending or "ok",
            )
        )
