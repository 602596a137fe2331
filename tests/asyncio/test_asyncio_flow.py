"""What applications do with their connection, with first bytes behind the header and without."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any, Callable

import pytest
from application import (
    CLIENT,
    HEADER,
    HOST,
    PAYLOAD,
    POLICY,
    Client,
    Connection,
    Recorder,
    serve,
)
from certificates import contexts
from test_asyncio_tls import TLSClient

import fastppv2.asyncio
from fastppv2 import Policy
from fastppv2.asyncio import loop_factory_for

SOON = 0.05


class Server:
    """A server whose application is made by the test."""

    def __init__(self, factory: Callable[[], asyncio.BaseProtocol], **options: Any) -> None:
        self.factory, self.options = factory, {"policy": POLICY, **options}

    async def __aenter__(self) -> Any:
        self.server = await fastppv2.asyncio.create_server(self.factory, HOST, 0, **self.options)
        return self.server.sockets[0].getsockname()

    async def __aexit__(self, *exc_info: object) -> None:
        self.server.close()
        await self.server.wait_closed()


class Paused(Recorder):
    """Pauses reading when it is connected, and has what resumes it."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.pause_reading()
        self.resume = transport.resume_reading


@pytest.fixture(params=["plain", "TLS", "inside"])
def secure(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The options of a server."""
    if request.param == "plain":
        return {}
    return {"ssl": contexts()[0], "tls": "inside" if request.param == "inside" else "outside"}


async def connect(address: Any, secure: dict[str, Any], payload: bytes) -> Any:
    """A client whose payload comes as early as can be."""
    if not secure:
        client = Client(address)
        await client.send(HEADER + payload)
        return client
    inside = secure["tls"] == "inside"
    tls = TLSClient(address)
    await tls.send((b"" if inside else HEADER) + tls.hello())
    await tls.send(await tls.finish((HEADER if inside else b"") + payload))
    return tls


async def send(client: Any, data: bytes) -> None:
    if isinstance(client, TLSClient):
        client.tls.write(data)
        data = client.outgoing.read()
    await client.send(data)


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def test_nothing_comes_while_reading_is_paused(secure: dict[str, Any]) -> None:
    connections: list[Connection] = []
    protocols: list[Paused] = []

    def factory() -> Paused:
        protocols.append(Paused(connections))
        return protocols[-1]

    async with Server(factory, **secure) as address:
        with await connect(address, secure, PAYLOAD) as client:
            await until(lambda: protocols and connections[0].transport)
            (seen,), (protocol,) = connections, protocols
            await send(client, b"more")
            await asyncio.sleep(SOON)
            assert not seen.data
            assert not seen.transport.is_reading()
            protocol.resume()
            assert seen.transport.is_reading()
            seen.transport.pause_reading()  # before anything could come
            assert not seen.transport.is_reading()
            await asyncio.sleep(SOON)
            assert not seen.data
            protocol.resume()
            protocol.resume()
            await until(lambda: len(seen.data) == len(PAYLOAD) + 4)
            assert seen.data == PAYLOAD + b"more"
            await send(client, b"last")
            await until(lambda: len(seen.data) == len(PAYLOAD) + 8)
            assert seen.data == PAYLOAD + b"more" + b"last"
            assert seen.peername == CLIENT
            seen.transport.abort()
            await seen.lost


async def test_paused_while_the_first_bytes_come(secure: dict[str, Any]) -> None:
    """By the first delivery; what is behind waits."""

    class Sipping(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.connection.transport.pause_reading()
            self.connection.transport.resume_reading()
            self.connection.transport.pause_reading()

    connections: list[Connection] = []
    async with Server(lambda: Sipping(connections), **secure) as address:
        with await connect(address, secure, PAYLOAD) as client:
            await until(lambda: connections and connections[0].data)
            (seen,) = connections
            await send(client, b"more")
            await asyncio.sleep(SOON)
            assert seen.data == PAYLOAD
            seen.transport.resume_reading()
            await until(lambda: len(seen.data) == len(PAYLOAD) + 4)
            seen.transport.abort()
            await seen.lost


async def test_the_first_bytes_are_dropped_with_the_connection(secure: dict[str, Any]) -> None:
    class Closing(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.abort()

    for kind in (Closing, Paused):
        connections: list[Connection] = []
        async with Server(lambda kind=kind, seen=connections: kind(seen), **secure) as address:
            with await connect(address, secure, PAYLOAD):
                await until(lambda seen=connections: seen and seen[0].transport)
                (seen,) = connections
                if kind is Paused:
                    seen.transport.resume_reading()
                    seen.transport.abort()
                await seen.lost
            assert not seen.data


async def test_a_transport_has_all_names_that_the_loops_own_has(secure: dict[str, Any]) -> None:
    connections: list[Connection] = []
    async with Server(lambda: Recorder(connections), **secure) as address:
        with await connect(address, secure, PAYLOAD):
            await until(lambda: connections and connections[0].transport)
            (seen,) = connections
            own = getattr(seen.transport, "transport", seen.transport)
            for name in dir(own):
                assert hasattr(seen.transport, name) >= hasattr(own, name), name
            with pytest.raises(AttributeError, match="no_such_name"):
                seen.transport.no_such_name  # noqa: B018
        await seen.lost


async def test_another_protocol_takes_over(secure: dict[str, Any]) -> None:
    """As servers do when a connection becomes a WebSocket: at once, or when bytes came."""

    class Switching(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            if early:
                self.switch()

        def switch(self) -> None:
            recorder = Recorder(connections)
            self.transport.set_protocol(recorder)
            assert self.transport.get_protocol() is recorder
            recorder.connection_made(self.transport)

        def data_received(self, data: bytes) -> None:
            assert data == PAYLOAD
            self.switch()

    for early in (True, False):
        connections: list[Connection] = []
        async with Server(Switching, **secure) as address:
            with await connect(address, secure, PAYLOAD) as client:
                await until(lambda seen=connections: seen and seen[0].transport)
                (seen,) = connections
                await send(client, b"more")
                expected = (PAYLOAD if early else b"") + b"more"
                await until(lambda seen=seen, data=expected: seen.data == data)
                assert seen.info("peername") == CLIENT
            await seen.lost


async def test_the_application_has_the_loop_to_itself(loop_kind: str) -> None:
    """From the bytes behind the first ones on; until then uvloop is not told of it."""
    async with serve() as served:
        with Client(served.address) as client:
            await client.exchange(HEADER + PAYLOAD)
            transport = (await served.connection()).transport
            recorder = transport.get_protocol()
            assert isinstance(recorder, Recorder)
            own = transport if loop_kind == "asyncio" else transport.transport
            assert (own.get_protocol() is recorder) == (loop_kind == "asyncio")
            if loop_kind == "asyncio":  # of which that is known which attributes this sets
                before = dict(vars(own))
                own.set_protocol(recorder)
                assert vars(own) == before
            await client.exchange(PAYLOAD)
            assert own.get_protocol() is transport.get_protocol() is recorder
            other = Recorder(served.connections)
            transport.set_protocol(other)
            assert own.get_protocol() is transport.get_protocol() is other
        await other.connection.lost
        assert transport.get_protocol() is own.get_protocol()


async def test_half_closed_connections() -> None:
    """The peer sends no more and waits for the answer."""

    class Answering(Recorder):
        def eof_received(self) -> bool:
            super().eof_received()
            asyncio.get_running_loop().call_later(SOON, self.answer)
            return True

        def answer(self) -> None:
            transport = self.connection.transport
            assert transport.can_write_eof()
            transport.write(b"answer")
            transport.write_eof()

    connections: list[Connection] = []
    async with Server(lambda: Answering(connections)) as address:
        with Client(address) as client:
            client.socket.send(HEADER + PAYLOAD)
            client.end()
            expected = PAYLOAD + b"answer"
            assert await client.receive(len(expected) + 1) == expected
        connections[0].transport.close()
        await connections[0].lost


async def test_writing_is_paused_and_resumed() -> None:
    class Flooding(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.set_write_buffer_limits(high=10)
            assert transport.get_write_buffer_limits() == (2, 10)
            transport.write(bytes(8 << 20))
            transport.writelines([b"e", b"nd"])
            told.append(transport.get_write_buffer_size() > 0)

        def pause_writing(self) -> None:
            told.append("pause")

        def resume_writing(self) -> None:
            told.append("resume")

    connections: list[Connection] = []
    told: list[Any] = []
    async with Server(lambda: Flooding(connections)) as address:
        with Client(address) as client:
            await client.send(HEADER)
            assert len(await client.receive((8 << 20) + 3)) == (8 << 20) + 3
            await until(lambda: "resume" in told)
        await connections[0].lost
    assert sorted(told, key=str) == [True, "pause", "resume"]


async def test_the_socket_of_the_connection() -> None:
    async with serve() as served:
        with Client(served.address) as client:
            await client.exchange(HEADER + PAYLOAD)
            sock = (await served.connection()).info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.fileno() > 0


@pytest.mark.parametrize("where", ["factory", "connection_made", "data_received"])
async def test_an_application_that_fails(
    where: str, reported: list[dict[str, Any]], secure: dict[str, Any]
) -> None:
    class Failing(asyncio.Protocol):
        def __init__(self) -> None:
            self.fail("factory")

        def fail(self, here: str) -> None:
            if here == where:
                raise ValueError(here)

        def connection_made(self, transport: Any) -> None:
            self.fail("connection_made")

        def data_received(self, data: bytes) -> None:
            self.fail("data_received")

    async with Server(Failing, **secure) as address:
        with await connect(address, secure, PAYLOAD) as client:
            while await client.receive(1 << 16):
                pass
    (context,) = reported
    assert str(context["exception"]) == where
    assert context["message"].startswith("Fatal error")
    reported.clear()


async def test_an_application_that_fails_at_the_end_of_a_peer_without_header(
    reported: list[dict[str, Any]],
) -> None:
    class Failing(asyncio.Protocol):
        def eof_received(self) -> None:
            raise ValueError("eof_received")

    async with Server(Failing, policy=Policy(HOST, header="optional", wait=1)) as address:
        with Client(address) as client:
            client.socket.send(b"PRO")
            client.end()
            assert await client.receive(1) == b""
    assert [str(context["exception"]) for context in reported] == ["eof_received"]
    reported.clear()


async def test_a_buffer_without_room(reported: list[dict[str, Any]]) -> None:
    class Empty(asyncio.BufferedProtocol):
        def get_buffer(self, sizehint: int) -> bytearray:
            return bytearray()

    async with Server(Empty) as address:
        with Client(address) as client:
            await client.send(HEADER + PAYLOAD)
            assert await client.receive(1) == b""
    assert "empty buffer" in str(reported[0]["exception"])
    reported.clear()


class StartingTLS(asyncio.Protocol):
    """Asks for TLS when it is connected, or when the client asks for it."""

    early = True
    paused = False

    def __init__(self, connections: list[Connection]) -> None:
        self.connections = connections

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        if self.paused:
            transport.pause_reading()
        if self.early:
            self.task = asyncio.ensure_future(self.start())

    def data_received(self, data: bytes) -> None:
        assert data == b"STARTTLS\n"
        self.task = asyncio.ensure_future(self.start())

    async def start(self) -> None:
        recorder = Recorder(self.connections)
        loop = asyncio.get_running_loop()
        secured = await loop.start_tls(self.transport, recorder, contexts()[0], server_side=True)
        assert secured is not None
        recorder.connection_made(secured)


class AskedForTLS(StartingTLS):
    early = False


class PausedForTLS(StartingTLS):
    paused = True


async def start_tls_with(
    kind: type[StartingTLS], create_server: Callable[..., Any], *first: bytes
) -> None:
    connections: list[Connection] = []
    server = await create_server(lambda: kind(connections), HOST, 0)
    with TLSClient(server.sockets[0].getsockname()) as client:
        await client.send(*first[:-1], first[-1] + client.hello())
        await client.send(await client.finish())
        client.tls.write(PAYLOAD)
        await client.send(client.outgoing.read())
        assert await client.read(len(PAYLOAD)) == PAYLOAD
        (seen,) = connections
        assert seen.peername == CLIENT
        assert seen.info("proxy_header").raw == HEADER
        assert isinstance(seen.info("ssl_object"), ssl.SSLObject) or seen.info("ssl_object")
    server.close()
    await seen.lost
    await server.wait_closed()


@pytest.mark.parametrize("kind", [AskedForTLS, PausedForTLS])
def test_start_tls_on_our_loops(kind: type[StartingTLS], loop_kind: str, loop: Any) -> None:
    ours: Any = loop_factory_for(POLICY, uvloop=loop_kind == "uvloop")()
    first = (HEADER + b"STARTTLS\n", b"") if kind is AskedForTLS else (HEADER,)
    try:
        ours.run_until_complete(start_tls_with(kind, ours.create_server, *first))
    finally:
        ours.close()


@pytest.mark.parametrize("kind", [StartingTLS, AskedForTLS, PausedForTLS])
async def test_start_tls_on_asyncio(kind: type[StartingTLS], loop_kind: str) -> None:
    """uvloop's own loop cannot do it: it takes no transport but its own."""
    if loop_kind == "uvloop":
        return
    first = (HEADER + b"STARTTLS\n", b"") if kind is AskedForTLS else (HEADER,)

    def create_server(*args: Any) -> Any:
        return fastppv2.asyncio.create_server(*args, policy=POLICY)

    await start_tls_with(kind, create_server, *first)
