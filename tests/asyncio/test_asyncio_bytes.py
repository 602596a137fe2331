"""No byte is lost, added or reordered, however the stream is cut."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import Any

import pytest
from application import CLIENT, HEADER, HOST, KINDS, PAYLOAD, POLICY, SERVER, Client, serve
from certificates import NAME, contexts

import fastppv2.asyncio
from fastppv2 import Policy, build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

V1 = build(CLIENT, SERVER, version=1)
SECOND = build(("192.0.2.66", 666), SERVER)
MEGABYTES = 64


@pytest.mark.parametrize("raw", [V1, HEADER], ids=["v1", "v2"])
@pytest.mark.parametrize("kind", KINDS)
async def test_the_header_is_cut_at_every_position(kind: str, raw: bytes) -> None:
    async with serve(kind) as served:
        stream = raw + PAYLOAD
        for at in range(1, len(raw) + 2):
            with Client(served.address) as client:
                await client.exchange(stream[:at], stream[at:])
        assert {seen.peername for seen in served.connections} == {CLIENT}
        assert {bytes(seen.data) for seen in served.connections} == {PAYLOAD}
        assert served.counted() == {"accepted": len(raw) + 1}


@pytest.mark.parametrize("raw", [V1, HEADER], ids=["v1", "v2"])
@pytest.mark.parametrize("kind", KINDS)
async def test_pieces_of_one_byte(kind: str, raw: bytes) -> None:
    async with serve(kind) as served:
        with Client(served.address) as client:
            await client.exchange(*[bytes([byte]) for byte in raw + PAYLOAD])
        assert served.counted() == {"accepted": 1}


async def test_the_client_is_known_before_it_says_anything() -> None:
    """Servers that speak first do so when the header is over."""

    class Greeting(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.write(b"hello %a" % (transport.get_extra_info("peername"),))

    create = fastppv2.asyncio.create_server
    async with await create(Greeting, HOST, 0, policy=POLICY) as server:
        with Client(server.sockets[0].getsockname()) as client:
            expected = b"hello %a" % (CLIENT,)
            await client.send(HEADER)
            assert await client.receive(len(expected)) == expected


@pytest.mark.parametrize("raw", [SECOND, V1], ids=["v2", "v1"])
@pytest.mark.parametrize("kind", ["protocol", "streams"])
async def test_a_second_header_is_payload_wherever_it_is_cut(kind: str, raw: bytes) -> None:
    async with serve(kind, policy=Policy(HOST, nested="payload")) as served:
        for at in range(len(raw) + 1):
            with Client(served.address) as client:
                await client.send(HEADER + raw[:at])
                await client.send(raw[at:] + PAYLOAD)
                assert await client.receive(len(raw + PAYLOAD)) == raw + PAYLOAD
        assert {seen.peername for seen in served.connections} == {CLIENT}
        assert {bytes(seen.data) for seen in served.connections} == {raw + PAYLOAD}


async def test_a_second_header_that_comes_later_is_never_believed() -> None:
    """What ``nested`` refuses is what is in hand: a diagnostic, not a boundary."""
    async with serve() as served:
        for first in (HEADER, build(), b"PROXY UNKNOWN\r\n"):
            with Client(served.address) as client:
                await client.send(first, SECOND + PAYLOAD)
                assert await client.receive(len(SECOND + PAYLOAD)) == SECOND + PAYLOAD
        assert SECOND not in [seen.info("proxy_header").raw for seen in served.connections]
        assert ("192.0.2.66", 666) not in [seen.peername for seen in served.connections]


class Digest(asyncio.Protocol):
    """Answers with the hash of all that came, when it has."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.missing = MEGABYTES << 20
        self.hash = hashlib.sha256()

    def data_received(self, data: bytes) -> None:
        self.hash.update(data)
        self.missing -= len(data)
        if not self.missing:
            self.transport.write(self.hash.digest())

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport.close()  # as in Recorder


async def digest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    found, missing = hashlib.sha256(), MEGABYTES << 20
    while missing:
        data = await reader.read(1 << 16)
        found.update(data)
        missing -= len(data)
    writer.write(found.digest())
    writer.close()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("kind", ["protocol", "streams"])
async def test_megabytes_in_pieces_of_random_size(kind: str, tls: bool) -> None:
    stream = random.Random(5).randbytes(MEGABYTES << 20)
    theirs: dict[str, Any] = {"ssl": contexts()[0]} if tls else {}
    ours: dict[str, Any] = {"ssl": contexts()[1], "server_hostname": NAME} if tls else {}
    if kind == "streams":
        serving = fastppv2.asyncio.start_server(digest, HOST, 0, policy=POLICY, **theirs)
    else:
        serving = fastppv2.asyncio.create_server(Digest, HOST, 0, policy=POLICY, **theirs)
    async with await serving as server:
        address = server.sockets[0].getsockname()
        reader, writer = await fastppv2.asyncio.open_connection(*address, header=HEADER, **ours)
        for piece in pieces_of(stream):
            writer.write(piece)
            await writer.drain()
        assert await reader.readexactly(32) == hashlib.sha256(stream).digest()
        writer.close()
        await writer.wait_closed()


def pieces_of(stream: bytes) -> Iterator[bytes]:
    rng = random.Random(6)
    at = 0
    while at < len(stream):
        size = rng.choice((1, 2, 100, 1 << 10, 1 << 16, 1 << 18, 1 << 20))
        yield stream[at : at + size]
        at += size
