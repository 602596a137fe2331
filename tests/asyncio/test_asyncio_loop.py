"""Loops from the factories: servers that know nothing of PROXY take it there."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from application import CLIENT, HEADER, HOST, PAYLOAD, POLICY, Client, Connection, Recorder
from certificates import contexts
from test_asyncio_tls import TLSClient

import fastppv2.asyncio
from fastppv2 import Policy
from fastppv2.asyncio import loop_factory, loop_factory_for, uvloop_loop_factory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTPPV2_TRUSTED", HOST)


@pytest.fixture
def factory(loop_kind: str, loop: Any) -> Callable[[], asyncio.AbstractEventLoop]:
    """That of the environment; ``loop`` says whether uvloop is there."""
    return loop_factory if loop_kind == "asyncio" else uvloop_loop_factory


def run(loop: asyncio.AbstractEventLoop, test: Any) -> None:
    try:
        loop.run_until_complete(asyncio.wait_for(test, 30))
    finally:
        loop.close()


async def exchange(address: Any, first: bytes = HEADER) -> None:
    with Client(address) as client:
        await client.exchange(first + PAYLOAD)


async def record(loop: Any, *exchanges: Any, **options: Any) -> list[Connection]:
    """What the application sees of these exchanges."""
    connections: list[Connection] = []
    server = await loop.create_server(lambda: Recorder(connections), HOST, 0, **options)
    for one in exchanges:
        await one(server.sockets[0].getsockname())
    server.close()
    await asyncio.gather(*[seen.lost for seen in connections])
    await server.wait_closed()
    return connections


def test_servers_see_the_client(factory: Any) -> None:
    async def test() -> None:
        (seen,) = await record(asyncio.get_running_loop(), exchange)
        assert seen.peername == CLIENT

    run(factory(), test())


def test_streams_see_the_client(factory: Any) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert writer.get_extra_info("peername") == CLIENT
        writer.write(await reader.read(len(PAYLOAD)))
        writer.close()

    async def test() -> None:
        async with await asyncio.start_server(handle, HOST, 0) as server:
            await exchange(server.sockets[0].getsockname())
            assert server.proxy_counters.accepted == 1

    run(factory(), test())


def test_unix_servers(factory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        connections: list[Connection] = []
        path = str(tmp_path / "socket")
        server = await loop.create_unix_server(lambda: Recorder(connections), path)
        with Client(path, 1) as client:
            await client.exchange(HEADER + PAYLOAD)
        await connections[0].lost
        server.close()
        assert connections[0].peername == CLIENT

    monkeypatch.setenv("FASTPPV2_TRUSTED", "unix")
    run(factory(), test())


@pytest.mark.parametrize("where", ["outside", "inside"])
def test_tls(factory: Any, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = where == "outside"

    async def over_tls(address: Any) -> None:
        with TLSClient(address) as client:
            await client.send((HEADER if outside else b"") + client.hello())
            await client.send(await client.finish((b"" if outside else HEADER) + PAYLOAD))
            assert await client.read(len(PAYLOAD)) == PAYLOAD

    async def test() -> None:
        loop = asyncio.get_running_loop()
        (seen,) = await record(loop, over_tls, ssl=contexts()[0])
        assert seen.peername == CLIENT

    monkeypatch.setenv("FASTPPV2_TLS", where)
    run(factory(), test())


def test_servers_with_a_policy_of_their_own(factory: Any) -> None:
    """What is ours is not wrapped again."""

    async def test() -> None:
        loop = asyncio.get_running_loop()
        connections: list[Connection] = []
        server = await fastppv2.asyncio.create_server(
            lambda: Recorder(connections),
            HOST,
            0,
            policy=Policy("192.0.2.1", untrusted="passthrough"),
        )
        acceptor = fastppv2.asyncio.Acceptor(lambda: Recorder(connections), POLICY)
        other = await loop.create_server(acceptor, HOST, 0)  # type: ignore[arg-type]
        with Client(server.sockets[0].getsockname()) as client:
            await client.exchange(PAYLOAD)
        await exchange(other.sockets[0].getsockname())
        await asyncio.gather(*[seen.lost for seen in connections])
        assert connections[0].peername != CLIENT
        assert connections[1].peername == CLIENT
        for one in (server, other):
            one.close()
            await one.wait_closed()

    run(factory(), test())


@pytest.mark.parametrize("tls", [False, True])
def test_listeners_that_take_no_headers(
    factory: Any, tls: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def plain(address: Any) -> None:
        with TLSClient(address) as client:
            if not tls:
                await client.exchange(PAYLOAD)
                return
            await client.send(client.hello())
            await client.send(await client.finish(PAYLOAD))
            assert await client.read(len(PAYLOAD)) == PAYLOAD

    async def test() -> None:
        options = {"ssl": contexts()[0]} if tls else {}
        (seen,) = await record(asyncio.get_running_loop(), plain, **options)
        assert seen.peername != CLIENT
        assert seen.data == PAYLOAD

    caplog.set_level(logging.INFO, "fastppv2")
    monkeypatch.setenv("FASTPPV2_LISTEN", "192.0.2.1:1")
    run(factory(), test())
    assert "no PROXY headers are taken on ('127.0.0.1', " in caplog.text
    assert "(FASTPPV2_LISTEN)" in caplog.text


def test_listeners_that_take_headers(
    factory: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, HOST, 0)
        server.close()
        await server.wait_closed()

    caplog.set_level(logging.INFO, "fastppv2")
    run(factory(), test())
    assert "PROXY headers of 127.0.0.1 are awaited on ('127.0.0.1', " in caplog.text


def test_one_server_on_listeners_of_both_kinds(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(ValueError, match=r"FASTPPV2_LISTEN: one server listens on .* name all"):
            await loop.create_server(asyncio.Protocol, [HOST, "127.0.0.2"], port)

    async def find_port() -> int:
        server = await asyncio.start_server(lambda *_: None, HOST, 0)
        found: int = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        return found

    port = asyncio.run(find_port())
    monkeypatch.setenv("FASTPPV2_LISTEN", f"{HOST}:{port}")
    run(factory(), test())


def test_trusted_must_be_named(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTPPV2_TRUSTED")
    with pytest.raises(ValueError, match="FASTPPV2_TRUSTED: must name the load balancers"):
        factory()


def test_settings_from_code(loop_kind: str, loop: Any) -> None:
    async def test() -> None:
        (seen,) = await record(asyncio.get_running_loop(), exchange)
        assert seen.peername == CLIENT

    told: list[str] = []
    make = loop_factory_for(POLICY, uvloop=loop_kind == "uvloop", metrics=told.append)
    run(make(), test())
    assert told == ["accepted"]


def test_sendfile(factory: Any, tmp_path: Path, loop_kind: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(PAYLOAD)

    async def test() -> None:
        loop = asyncio.get_running_loop()
        connections: list[Connection] = []
        server = await loop.create_server(lambda: Recorder(connections), HOST, 0)
        with Client(server.sockets[0].getsockname()) as client:
            await client.send(HEADER)
            while not connections or connections[0].transport is None:
                await asyncio.sleep(0.001)
            with path.open("rb") as file:
                if loop_kind == "uvloop":  # which has it for sockets alone
                    with pytest.raises(NotImplementedError):
                        await loop.sendfile(connections[0].transport, file)
                else:
                    await loop.sendfile(connections[0].transport, file)
                    assert await client.receive(len(PAYLOAD)) == PAYLOAD
        connections[0].transport.abort()
        await connections[0].lost
        server.close()
        await server.wait_closed()

    run(factory(), test())
