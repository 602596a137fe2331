"""Applications behind a server under test, and what each connection showed them; clients."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from typing import Any

import fastppv2.asyncio
from fastppv2 import Policy, build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

HOST = "127.0.0.1"
POLICY = Policy(HOST)
CLIENT, SERVER = ("198.51.100.1", 56324), ("203.0.113.1", 443)
HEADER = build(CLIENT, SERVER, checksum=True)
PAYLOAD = b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256))
# Of the loop: enough to accept a connection and to read from it.
STEPS = 8


class Connection:
    """What one connection showed the application."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.peername: Any = None
        self.data = bytearray()
        self.ended = False
        self.lost = asyncio.get_running_loop().create_future()

    def connected(self, transport: Any) -> None:
        self.transport = transport
        self.peername = self.info("peername")

    def info(self, name: str) -> Any:
        return self.transport.get_extra_info(name)


class Recorder(asyncio.Protocol):
    """Keeps what comes, and sends it back."""

    def __init__(self, connections: list[Connection]) -> None:
        self.connection = Connection()
        connections.append(self.connection)

    def connection_made(self, transport: Any) -> None:
        assert not self.connection.data
        self.connection.connected(transport)

    def data_received(self, data: bytes) -> None:
        assert data
        self.connection.data += data
        self.connection.transport.write(data)

    def eof_received(self) -> None:
        self.connection.ended = True

    def connection_lost(self, exc: Exception | None) -> None:
        if self.connection.transport is not None:
            self.connection.transport.close()  # or Python 3.9 warns of it, over TLS
        self.connection.lost.set_result(exc)


class Buffered(asyncio.BufferedProtocol):
    """The same by a buffer that is shorter than most of what comes."""

    SIZE = 7

    def __init__(self, connections: list[Connection]) -> None:
        self.recorder = Recorder(connections)
        self.buffer = bytearray(self.SIZE)
        self.connection_made = self.recorder.connection_made  # type: ignore[method-assign]
        self.eof_received = self.recorder.eof_received  # type: ignore[method-assign]
        self.connection_lost = self.recorder.connection_lost  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.recorder.data_received(bytes(self.buffer[:nbytes]))


class Served:
    """A server under test."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.server: Any = None

    @property
    def address(self) -> Any:
        return self.server.sockets[0].getsockname()

    def counted(self) -> dict[str, int]:
        """All outcomes that were counted at all."""
        counters = self.server.proxy_counters._asdict()
        counters.update(counters.pop("refused"))
        return {outcome: count for outcome, count in counters.items() if count}

    async def until(self, **counted: int) -> None:
        """Waits for these outcomes, and no others."""
        while self.counted() != counted:
            await asyncio.sleep(0.001)

    async def connection(self, number: int = 0) -> Connection:
        while len(self.connections) <= number or self.connections[number].transport is None:
            await asyncio.sleep(0.001)
        return self.connections[number]

    async def record(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As ``Recorder``, for streams."""
        connection = Connection()
        connection.connected(writer.transport)
        self.connections.append(connection)
        while True:
            data = await reader.read(1 << 16)
            if not data:
                break
            connection.data += data
            writer.write(data)
            await writer.drain()
        connection.ended = True
        writer.close()
        connection.lost.set_result(None)

    async def start(self, kind: str, *args: Any, **options: Any) -> Any:
        if kind == "streams":
            return await fastppv2.asyncio.start_server(self.record, *args, **options)
        recorder: Callable[..., Any] = {"protocol": Recorder, "buffered": Buffered}[kind]
        return await fastppv2.asyncio.create_server(
            lambda: recorder(self.connections), *args, **options
        )


KINDS = ("protocol", "buffered", "streams")


@asynccontextmanager
async def serve(
    kind: str = "protocol", *, policy: Policy = POLICY, host: str = HOST, **options: Any
) -> AsyncIterator[Served]:
    served = Served()
    served.server = await served.start(kind, host, 0, policy=policy, **options)
    async with served.server:
        yield served


class Client:
    """A socket that sends without waiting, so that a piece is a segment."""

    def __init__(self, address: Any, family: int = socket.AF_INET) -> None:
        self.socket = socket.socket(family)
        self.socket.connect(address)
        self.socket.setblocking(False)
        if family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    async def send(self, *pieces: bytes) -> None:
        """Each is read before the next is sent; it is accepted, too, without any."""
        for piece in pieces or (b"",):
            await asyncio.get_running_loop().sock_sendall(self.socket, piece)
            for _ in range(STEPS):
                await asyncio.sleep(0)

    async def receive(self, size: int) -> bytes:
        """So many bytes, or fewer if the connection ends before."""
        received = b""
        while len(received) < size:
            data = await self._receive()
            if not data:
                break
            received += data
        return received

    async def _receive(self) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self.socket, 1 << 16)
        except ConnectionResetError:
            return b""

    def end(self) -> None:
        """Sends no more."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    async def exchange(self, *pieces: bytes) -> None:
        """Sends the pieces, which end in ``PAYLOAD``; it comes back."""
        await self.send(*pieces)
        assert await self.receive(len(PAYLOAD)) == PAYLOAD
