"""Clients whose first bytes are a header: what a plain server receives from them."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from application import CLIENT, HEADER, HOST, PAYLOAD, POLICY, SERVER, Connection, Recorder, serve
from certificates import NAME, contexts

import fastppv2.asyncio
from fastppv2 import Header, Policy, build, parse
from fastppv2.asyncio import create_connection, open_connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SOON = 0.05


@asynccontextmanager
async def plain_server(handle: Any) -> AsyncIterator[tuple[str, int]]:
    """Knows nothing of PROXY."""

    async def handle_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        with suppress(OSError):
            await handle(reader, writer)
            writer.close()
            await writer.wait_closed()

    handlers: list[Any] = []
    server = await asyncio.start_server(handle_and_close, HOST, 0)
    yield server.sockets[0].getsockname()
    server.close()
    await server.wait_closed()
    await asyncio.gather(*handlers)


@pytest.mark.parametrize(
    "header",
    [HEADER, bytearray(HEADER), memoryview(HEADER), parse(HEADER), b"", build(version=1)],
    ids=lambda header: type(header).__name__,
)
async def test_the_header_is_the_first_bytes(header: Any) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read())

    received: list[bytes] = []
    async with plain_server(handle) as address:
        reader, writer = await open_connection(*address, header=header)
        writer.write(PAYLOAD)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
    raw = header.raw if isinstance(header, Header) else bytes(header)
    assert received == [raw + PAYLOAD]


async def test_a_header_passes_through_a_second_hop() -> None:
    """As it was received, TLVs and all."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        header = writer.get_extra_info("proxy_header")
        _, upstream = await open_connection(*served.address, header=header)
        upstream.write(await reader.read())
        upstream.close()
        writer.close()

    raw = build(CLIENT, SERVER, tlvs=[(2, b"example.org"), (0xEA, b"\1vpce-1")], checksum=True)
    async with serve() as served:
        first = await fastppv2.asyncio.start_server(relay, HOST, 0, policy=POLICY)
        async with first:
            address = first.sockets[0].getsockname()
            _, writer = await open_connection(*address, header=raw)
            writer.write(PAYLOAD)
            writer.close()
            seen = await served.connection()
            await seen.lost
    assert seen.peername == CLIENT
    assert bytes(seen.data) == PAYLOAD


async def test_protocols() -> None:
    connections: list[Connection] = []
    async with serve() as served:
        transport, protocol = await create_connection(
            lambda: Recorder(connections), *served.address, header=HEADER
        )
        assert isinstance(protocol, Recorder)
        assert connections[0].transport is transport
        transport.abort()
        await connections[0].lost


async def test_tls_comes_behind_the_header() -> None:
    connections: list[Connection] = []
    async with serve(ssl=contexts()[0]) as served:
        transport, protocol = await create_connection(
            lambda: Recorder(connections),
            *served.address,
            header=HEADER,
            ssl=contexts()[1],
            server_hostname=NAME,
            ssl_handshake_timeout=5,
        )
        assert isinstance(protocol, Recorder)
        assert transport.get_extra_info("ssl_object") is not None
        assert (await served.connection()).peername == CLIENT
        transport.abort()
        await connections[0].lost


async def test_tls_names_the_host_unless_told_otherwise() -> None:
    async with serve(ssl=contexts()[0]) as served:
        for context in (contexts()[1], True):  # True: what the system trusts
            with pytest.raises(ssl.SSLCertVerificationError):
                await open_connection(*served.address, header=HEADER, ssl=context)
        assert served.counted() == {"accepted": 2}


async def test_a_server_over_tls_that_speaks_first() -> None:
    """What it says comes with the end of the handshake."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        assert await reader.readline() == b"bye\n"
        writer.close()

    server = await fastppv2.asyncio.start_server(greet, HOST, 0, policy=POLICY, ssl=contexts()[0])
    async with server:
        for _ in range(10):
            reader, writer = await open_connection(
                *server.sockets[0].getsockname(),
                header=HEADER,
                ssl=contexts()[1],
                server_hostname=NAME,
            )
            assert await reader.readline() == b"hello\n"
            writer.write(b"bye\n")
            assert await reader.read() == b""
            writer.close()


@pytest.mark.parametrize("said", [b"200 injected\n", b""])
async def test_what_a_server_says_before_tls_is_nothing_for_the_application(said: bytes) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await reader.read(1)
        await asyncio.sleep(SOON)

    connections: list[Connection] = []
    async with plain_server(handle) as address:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await create_connection(
                lambda: Recorder(connections),
                *address,
                header=HEADER,
                ssl=contexts()[1],
                server_hostname=NAME,
            )
    assert not connections[0].data
    assert connections[0].transport is None


async def test_cancelled_in_the_handshake() -> None:
    ended = asyncio.get_running_loop().create_future()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionResetError):
            await reader.read()
        ended.set_result(None)

    async with plain_server(handle) as address:
        connecting = asyncio.ensure_future(
            open_connection(*address, header=HEADER, ssl=contexts()[1], server_hostname=NAME)
        )
        await asyncio.sleep(SOON)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await ended


async def test_a_reset_in_any_step_behind_the_header() -> None:
    """Told to the caller, or to nobody if it was cancelled."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async with plain_server(handle) as address:
        for steps in range(8):
            connecting = asyncio.ensure_future(
                open_connection(*address, header=HEADER, ssl=contexts()[1], server_hostname=NAME)
            )
            if steps:
                for _ in range(2 * steps):
                    await asyncio.sleep(0)
                connecting.cancel()
            with pytest.raises((OSError, asyncio.CancelledError)):
                await connecting


async def test_what_cannot_be_connected() -> None:
    async with serve() as served:
        address = served.address
    with pytest.raises(ConnectionRefusedError):
        await open_connection(*address, header=HEADER)
    with pytest.raises(TypeError, match="expected a bytes-like object, got str"):
        await open_connection(*address, header="PROXY UNKNOWN\r\n")
    with pytest.raises(ValueError, match="server_hostname: must be given with ssl and no host"):
        await open_connection(header=HEADER, ssl=contexts()[1])
    with pytest.raises(TypeError, match="ssl: expected an SSLContext, got 'yes'"):
        await open_connection(*address, header=HEADER, ssl="yes")


async def test_an_untrusted_client() -> None:
    async with serve(policy=Policy("192.0.2.1")) as served:
        reader, writer = await open_connection(*served.address, header=HEADER)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        assert served.counted() == {"untrusted": 1}
