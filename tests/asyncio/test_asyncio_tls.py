"""TLS behind the header, and the header inside TLS."""

from __future__ import annotations

import asyncio
import gc
import ssl
import sys
from typing import Any

import pytest
from application import CLIENT, HEADER, HOST, KINDS, PAYLOAD, POLICY, SERVER, Client, Served, serve
from certificates import NAME, contexts

import fastppv2.asyncio
from fastppv2 import Policy, build, parse

SOON = 0.2


class TLSClient(Client):
    """TLS by hand, so that what is sent can be cut anywhere."""

    def __init__(self, address: Any) -> None:
        super().__init__(address)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = contexts()[1].wrap_bio(self.incoming, self.outgoing, server_hostname=NAME)

    def hello(self) -> bytes:
        """The first flight."""
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    async def finish(self, payload: bytes = b"") -> bytes:
        """The rest of the handshake; the last flight, for whoever calls, with the payload."""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self.send(self.outgoing.read())
                self.incoming.write(await self._receive())
        if payload:
            self.tls.write(payload)
        return self.outgoing.read()

    async def read(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            try:
                received += self.tls.read(size - len(received))
            except ssl.SSLWantReadError:
                data = await self._receive()
                assert data
                self.incoming.write(data)
        return received


def serve_tls(kind: str = "protocol", **options: Any) -> Any:
    return serve(kind, ssl=contexts()[0], **options)


def check(served: Served, count: int) -> None:
    """So many connections, each as it should be."""
    assert [seen.peername for seen in served.connections] == [CLIENT] * count
    assert [bytes(seen.data) for seen in served.connections] == [PAYLOAD] * count


@pytest.mark.parametrize("kind", KINDS)
async def test_header_and_hello_in_one_segment(kind: str) -> None:
    async with serve_tls(kind) as served:
        with TLSClient(served.address) as client:
            await client.send(HEADER + client.hello())
            await client.send(await client.finish(PAYLOAD))
            assert await client.read(len(PAYLOAD)) == PAYLOAD
            seen = await served.connection()
            assert seen.info("ssl_object").version() == client.tls.version()
            assert seen.info("sockname") == SERVER
            assert seen.info("socket").getpeername() == CLIENT
            assert seen.info("proxy_header") == parse(HEADER)
            assert seen.info("proxy_peername") == client.socket.getsockname()
        check(served, 1)


@pytest.mark.parametrize("kind", KINDS)
async def test_header_and_hello_in_two_segments(kind: str) -> None:
    """The second comes in any step behind the first."""
    ends = (1, len(HEADER) - 1, len(HEADER), len(HEADER) + 1, -1)
    async with serve_tls(kind) as served:
        for at in ends:
            for steps in range(6):
                with TLSClient(served.address) as client:
                    first = HEADER + client.hello()
                    await client.send()  # it is accepted
                    client.socket.send(first[:at])
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    client.socket.send(first[at:])
                    await client.send(await client.finish(PAYLOAD))
                    assert await client.read(len(PAYLOAD)) == PAYLOAD
        check(served, 6 * len(ends))


@pytest.mark.parametrize("kind", KINDS)
async def test_pieces_of_one_byte(kind: str) -> None:
    async with serve_tls(kind) as served:
        with TLSClient(served.address) as client:
            first = HEADER + client.hello()
            await client.send(*[bytes([byte]) for byte in first])
            last = await client.finish(PAYLOAD)
            await client.send(*[bytes([byte]) for byte in last])
            assert await client.read(len(PAYLOAD)) == PAYLOAD
        check(served, 1)


@pytest.mark.parametrize("kind", ["protocol", "streams"])
async def test_the_last_flight_with_data_and_the_end_behind_it(kind: str, loop_kind: str) -> None:
    """All of it is there before the application is.

    With a BufferedProtocol of a short buffer both loops drop what they have not delivered when the
    connection ends, with a header or without.
    """
    async with serve_tls(kind) as served:
        with TLSClient(served.address) as client:
            await client.send(HEADER + client.hello())
            last = await client.finish(PAYLOAD)
            with pytest.raises(ssl.SSLWantReadError):
                client.tls.unwrap()
            client.socket.send(last + client.outgoing.read())
            client.end()
            seen = await served.connection()
            assert await asyncio.wait_for(seen.lost, 5) is None
        # asyncio's TLS before Python 3.11 tells protocols of no end.
        assert seen.ended or (loop_kind == "asyncio" and sys.version_info < (3, 11))
        check(served, 1)


async def test_the_end_behind_the_last_flight() -> None:
    async with serve_tls() as served:
        with TLSClient(served.address) as client:
            await client.send(HEADER + client.hello())
            last = await client.finish()
            with pytest.raises(ssl.SSLWantReadError):
                client.tls.unwrap()
            client.socket.send(last + client.outgoing.read())
            seen = await served.connection()
            await asyncio.wait_for(seen.lost, 5)
            assert seen.peername == CLIENT
            assert not seen.data


async def test_a_reset_in_any_step_behind_the_header() -> None:
    async with serve_tls() as served:
        for steps in range(20):
            with TLSClient(served.address) as client:
                await client.send()
                client.socket.send(HEADER + client.hello()[: 100 * (steps % 2)])
                for _ in range(steps // 2):
                    await asyncio.sleep(0)
                client.reset()
        while sum(served.counted().values()) < 20 or served.server._acceptor.securing:
            await asyncio.sleep(0.001)
        assert not served.connections


@pytest.mark.parametrize("kind", KINDS)
async def test_many_at_once(kind: str) -> None:
    count = 50

    async def exchange(served: Served) -> None:
        reader, writer = await fastppv2.asyncio.open_connection(
            *served.address, header=HEADER, ssl=contexts()[1], server_hostname=NAME
        )
        writer.write(PAYLOAD)
        assert await reader.readexactly(len(PAYLOAD)) == PAYLOAD
        writer.close()
        await writer.wait_closed()

    async with serve_tls(kind) as served:
        await asyncio.gather(*[exchange(served) for _ in range(count)])
        assert served.counted() == {"accepted": count}
        check(served, count)


async def test_what_comes_with_the_end_of_the_handshake_is_not_lost() -> None:
    """Data, an end or a reset in any step between TLS and the application."""
    count = 100
    async with serve_tls() as served:
        for number in range(count):
            with TLSClient(served.address) as client:
                await client.send(HEADER + client.hello())
                client.socket.send(await client.finish(PAYLOAD[:3]))
                for _ in range(number % 8):
                    await asyncio.sleep(0)
                if number % 2:
                    client.reset()
                else:
                    client.end()
            seen = await served.connection(number)
            await asyncio.wait_for(seen.lost, 5)
            assert number % 2 or bytes(seen.data) == PAYLOAD[:3]


@pytest.mark.parametrize("kind", ["protocol", "streams"])
async def test_the_connection_ends_anywhere_in_the_handshake(kind: str) -> None:
    async with serve_tls(kind) as served:
        with TLSClient(served.address) as client:
            first = HEADER + client.hello()
        count = 0
        for at in range(len(HEADER), len(first), 9):
            for end in (Client.end, Client.reset):
                with Client(served.address) as client:
                    await client.send(first[:at])
                    end(client)
                    if end is Client.end:
                        await client.receive(1 << 16)
                    count += 1
        while served.server._acceptor.securing:
            await asyncio.sleep(0.001)
        assert served.counted() == {"accepted": count, "empty": 1}
        assert not served.connections


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="it counts references")
async def test_a_connection_leaves_nothing_to_the_garbage_collector() -> None:
    async with serve_tls() as served:
        gc.collect()
        gc.disable()
        try:
            with TLSClient(served.address) as client:
                await client.send(HEADER + client.hello())
                await client.send(await client.finish(PAYLOAD))
                assert await client.read(len(PAYLOAD)) == PAYLOAD
            await (await served.connection()).lost
            while {"Receiver", "Securing"} & {type(each).__name__ for each in gc.get_objects()}:
                await asyncio.sleep(0.01)
        finally:
            gc.enable()


async def test_what_is_no_tls_behind_the_header() -> None:
    async with serve_tls() as served:
        with Client(served.address) as client:
            await client.send(HEADER + PAYLOAD)
            await client.receive(1 << 16)  # an alert
            assert await client.receive(1) == b""
        with TLSClient(served.address) as client:  # others are served as before
            await client.send(HEADER + client.hello())
            await client.send(await client.finish(PAYLOAD))
            assert await client.read(len(PAYLOAD)) == PAYLOAD
        check(served, 1)


async def test_tls_without_a_header_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with serve_tls() as served:
        with TLSClient(served.address) as client:
            await client.send(client.hello())
            assert await client.receive(1) == b""
        assert served.counted() == {"missing": 1}
    assert "TLS ClientHello" in caplog.text


async def test_closing_ends_at_once_what_is_in_its_handshake() -> None:
    async with serve_tls() as served:
        with TLSClient(served.address) as client:
            await client.send(HEADER + client.hello())
            await client.receive(1)
            await served.until(accepted=1)
            served.server.close()
            while await client.receive(1 << 16):
                pass
        await served.server.wait_closed()
        assert not served.connections


async def test_somebody_else_ends_the_connection_in_its_handshake() -> None:
    """As ``Server.abort_clients()`` does, since Python 3.13."""
    async with serve_tls() as served:
        with TLSClient(served.address) as client:
            await client.send(HEADER + client.hello())
            (securing,) = served.server._acceptor.securing
            securing._transport.abort()
            while await client.receive(1 << 16):
                pass
        assert not served.server._acceptor.securing
        assert not served.connections


async def test_the_handshake_has_its_own_timeout() -> None:
    async with serve_tls(ssl_handshake_timeout=SOON) as served:
        with Client(served.address) as client:
            await client.send(HEADER)
            assert await client.receive(1) == b""
        assert served.counted() == {"accepted": 1}


async def test_a_silent_peer_may_begin_tls_when_its_wait_is_over() -> None:
    async with serve_tls(policy=Policy(HOST, header="optional", wait=SOON)) as served:
        with TLSClient(served.address) as client:
            await served.until(passthrough=1)
            await client.send(client.hello())
            await client.send(await client.finish(PAYLOAD))
            assert await client.read(len(PAYLOAD)) == PAYLOAD
            assert (await served.connection()).info("peername") == client.socket.getsockname()
        with TLSClient(served.address) as client:  # that needs no wait
            await client.send(client.hello())
            await client.send(await client.finish(PAYLOAD))
            assert await client.read(len(PAYLOAD)) == PAYLOAD
        with Client(served.address) as client:
            await client.send(b"\x16")
            client.end()
            assert await client.receive(1) == b""


@pytest.mark.parametrize("kind", KINDS)
async def test_the_header_inside_tls(kind: str) -> None:
    async with serve_tls(kind, tls="inside") as served:
        for cut in (0, 1, len(HEADER), len(HEADER) + 1):
            with TLSClient(served.address) as client:
                await client.send(client.hello())
                stream = HEADER + PAYLOAD
                await client.send(await client.finish(stream[:cut]))
                client.tls.write(stream[cut:])
                await client.send(client.outgoing.read())
                assert await client.read(len(PAYLOAD)) == PAYLOAD
        check(served, 4)


async def test_a_header_before_tls_where_it_belongs_inside(reported: list[Any]) -> None:
    async with serve_tls(tls="inside") as served:
        with Client(served.address) as client:
            await client.send(HEADER + PAYLOAD)
            await client.receive(1 << 16)
            assert await client.receive(1) == b""
        assert served.counted() == {}
    reported.clear()  # asyncio's own TLS says so in its debug mode


@pytest.mark.parametrize("tls", ["", "outer", None])
async def test_where_the_header_is_must_be_known(tls: Any) -> None:
    with pytest.raises(ValueError, match="tls: expected 'outside' or 'inside', got"):
        await fastppv2.asyncio.create_server(asyncio.Protocol, HOST, 0, policy=POLICY, tls=tls)


async def test_a_context_is_looked_at_when_the_server_is_made() -> None:
    with pytest.raises(TypeError, match="ssl: expected an SSLContext, got True"):
        await fastppv2.asyncio.create_server(asyncio.Protocol, HOST, 0, policy=POLICY, ssl=True)


@pytest.mark.parametrize("raw", [build(("2001:db8::1", 1), ("2001:db8::2", 2)), build()])
async def test_other_headers(raw: bytes) -> None:
    async with serve_tls() as served:
        with TLSClient(served.address) as client:
            await client.send(raw + client.hello())
            await client.send(await client.finish(PAYLOAD))
            assert await client.read(len(PAYLOAD)) == PAYLOAD
            seen = await served.connection()
            assert seen.info("proxy_header") == parse(raw)
            expected = parse(raw).source or client.socket.getsockname()
            assert seen.info("peername")[:2] == expected
