"""What the application sees of a connection, by each header and each kind of server."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from application import (
    CLIENT,
    HEADER,
    KINDS,
    PAYLOAD,
    POLICY,
    SERVER,
    Client,
    Recorder,
    Served,
    serve,
)
from make import v2

import fastppv2.asyncio
from fastppv2 import Policy, build, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

V6_CLIENT, V6_SERVER = ("2001:db8::1", 56324), ("2001:db8::2", 443)
# Of each header the ends and their family; None where it names none.
NAMED: dict[str, tuple[bytes, Any, Any, int]] = {
    "v2 TCP4": (build(CLIENT, SERVER), CLIENT, SERVER, socket.AF_INET),
    "v1 TCP4": (build(CLIENT, SERVER, version=1), CLIENT, SERVER, socket.AF_INET),
    "v2 TCP6": (
        build(V6_CLIENT, V6_SERVER),
        (*V6_CLIENT, 0, 0),
        (*V6_SERVER, 0, 0),
        socket.AF_INET6,
    ),
    "v2 UNIX": (build("/run/client", b"\0server"), "/run/client", b"\0server", socket.AF_UNIX),
}
UNNAMED = {
    "v2 LOCAL": build(),
    "v2 UNSPEC": v2(0x21, 0x00, b""),
    "v1 UNKNOWN": b"PROXY UNKNOWN\r\n",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMED)
async def test_ends_of_the_header(kind: str, name: str) -> None:
    raw, source, destination, family = NAMED[name]
    async with serve(kind) as served:
        with Client(served.address) as client:
            await client.exchange(raw + PAYLOAD)
            seen = await served.connection()
            assert seen.info("peername") == source
            assert seen.info("sockname") == destination
            view = seen.info("socket")
            assert (view.getpeername(), view.getsockname()) == (source, destination)
            assert view.family == family
            assert view.type == socket.SOCK_STREAM
            assert seen.info("proxy_header") == parse(raw)
            assert seen.info("proxy_peername") == client.socket.getsockname()
            assert seen.info("no_such_info") is None


@pytest.mark.parametrize("name", UNNAMED)
async def test_real_ends_where_the_header_names_none(name: str) -> None:
    async with serve() as served:
        with Client(served.address) as client:
            await client.exchange(UNNAMED[name] + PAYLOAD)
            seen = await served.connection()
            ends = client.socket.getsockname(), client.socket.getpeername()
            assert (seen.info("peername"), seen.info("sockname")) == ends
            assert seen.info("proxy_header") == parse(UNNAMED[name])
            assert seen.info("proxy_peername") == ends[0]
            view = seen.info("socket")
            assert (view.getpeername(), view.getsockname()) == ends
            assert view.family == socket.AF_INET


async def test_the_name_of_the_socket_carries_the_header() -> None:
    """The way into the scope of an ASGI application."""
    async with serve() as served:
        for number, raw in enumerate((HEADER, build())):
            with Client(served.address) as client:
                await client.exchange(raw + PAYLOAD)
                seen = await served.connection(number)
                for name in (seen.info("sockname"), seen.info("socket").getsockname()):
                    host: Any = str(name[0])
                    assert host.proxy_header == parse(raw)
                    assert host.proxy_peername == client.socket.getsockname()


@pytest.mark.parametrize("raw", [HEADER, build()], ids=["v2", "local"])
async def test_the_ends_of_a_connection_that_is_over(raw: bytes) -> None:
    """Asked for the first time: what is not asked for may be not there yet."""
    closing: list[Any] = []

    class Closing(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            closing.append(transport)
            transport.abort()

    create = fastppv2.asyncio.create_server
    async with await create(Closing, "127.0.0.1", 0, policy=POLICY) as server:
        with Client(server.sockets[0].getsockname()) as client:
            await client.send(raw + PAYLOAD)
            assert await client.receive(1) == b""
            ends = client.socket.getsockname(), client.socket.getpeername()
    (transport,) = closing
    assert transport.get_extra_info("proxy_header") == parse(raw)
    named = parse(raw).source is not None
    assert transport.get_extra_info("peername") == (CLIENT if named else ends[0])
    assert transport.get_extra_info("sockname") == (SERVER if named else ends[1])


async def test_a_peer_that_is_passed_through_is_itself() -> None:
    policy = Policy("192.0.2.1", untrusted="passthrough")
    async with serve(policy=policy) as served:
        with Client(served.address) as client:
            await client.send(HEADER + PAYLOAD)
            assert await client.receive(len(HEADER + PAYLOAD)) == HEADER + PAYLOAD
            seen = await served.connection()
            assert seen.info("peername") == client.socket.getsockname()
            assert seen.info("socket").getpeername() == client.socket.getsockname()
            assert seen.info("proxy_header") is None
            assert seen.info("proxy_peername") is None
            assert served.counted() == {"passthrough": 1}


async def test_ipv6() -> None:
    async with serve(policy=Policy("::1"), host="::1") as served:
        with Client(served.address, socket.AF_INET6) as client:
            await client.exchange(HEADER + PAYLOAD)
            assert (await served.connection()).info("peername") == CLIENT


@pytest.mark.parametrize("kind", ["protocol", "streams"])
async def test_unix_sockets(kind: str, tmp_path: Path) -> None:
    served, path = Served(), str(tmp_path / "socket")
    unix, other = Policy("unix"), Policy("10.0.0.0/8")
    if kind == "streams":
        serving = fastppv2.asyncio.start_unix_server(served.record, path, policy=unix)
    else:
        serving = fastppv2.asyncio.create_unix_server(
            lambda: Recorder(served.connections), path, policy=unix
        )
    async with await serving as served.server:
        with Client(path, socket.AF_UNIX) as client:
            await client.exchange(HEADER + PAYLOAD)
            assert (await served.connection()).info("peername") == CLIENT
    path = str(tmp_path / "other")
    factory = asyncio.Protocol
    async with await fastppv2.asyncio.create_unix_server(factory, path, policy=other) as server:
        with Client(path, socket.AF_UNIX) as client:
            assert await client.receive(1) == b""
        assert server.proxy_counters.refused["untrusted"] == 1


async def test_a_transport_is_a_transport(loop_kind: str) -> None:
    async with serve() as served:
        with Client(served.address) as client:
            await client.exchange(HEADER + PAYLOAD)
            transport = (await served.connection()).transport
            # uvloop's own transports are none, either.
            assert isinstance(transport, asyncio.Transport) == (loop_kind == "asyncio")
            assert ("198.51.100.1" in repr(transport)) == (loop_kind == "uvloop")
            with pytest.raises(AttributeError, match="no_such_method"):
                transport.no_such_method  # noqa: B018
