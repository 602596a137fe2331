"""Connections that end before their header does; what is refused; a server that is closed."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
from typing import Any

import pytest
from application import (
    CLIENT,
    HEADER,
    HOST,
    PAYLOAD,
    POLICY,
    SERVER,
    Client,
    Recorder,
    serve,
)

import fastppv2.asyncio
from fastppv2 import Policy, build

V1 = build(CLIENT, SERVER, version=1)
HTTP = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
# Longer than it takes to be served, shorter than any test.
SOON = 0.2
SILENT = 2000  # connections


def outcome_of(at: int) -> str:
    return "eof" if at else "empty"


@pytest.mark.parametrize("raw", [V1, HEADER], ids=["v1", "v2"])
async def test_the_end_at_every_byte(raw: bytes) -> None:
    async with serve() as served:
        for at in range(len(raw)):
            with Client(served.address) as client:
                await client.send(raw[:at])
                client.end()
                assert await client.receive(1) == b""
        assert served.counted() == {"empty": 1, "eof": len(raw) - 1}
        assert not served.connections


@pytest.mark.parametrize("raw", [V1, HEADER], ids=["v1", "v2"])
async def test_a_reset_at_every_byte(raw: bytes) -> None:
    async with serve() as served:
        for at in range(len(raw)):
            client = Client(served.address)
            await client.send(raw[:at])
            client.reset()
        await served.until(empty=1, eof=len(raw) - 1)
        assert not served.connections


async def test_a_reset_before_the_loop_looks() -> None:
    """Who it was: see test_asyncio_resets."""
    async with serve() as served:
        client = Client(served.address)
        client.reset()
        while not served.counted():
            await asyncio.sleep(0.001)
        assert sum(served.counted().values()) == 1
        assert not served.connections


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (HTTP, "missing"),
        (b"\x16\x03\x01\2\0\1", "missing"),
        (V1.replace(b"198", b"0198"), "invalid"),
        (HEADER[:-1] + b"\0", "checksum"),
        (HEADER[:14] + b"\x7f\xff", "too_large"),
        (HEADER + HEADER, "nested"),
    ],
)
async def test_what_is_refused_ends_without_an_answer(
    sent: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve() as served:
        with Client(served.address) as client:
            await client.send(sent)
            assert await client.receive(1) == b""
            host, port = client.socket.getsockname()
        assert served.counted() == {reason: 1}
        assert not served.connections
        with Client(served.address) as client:  # others are served as before
            await client.exchange(HEADER + PAYLOAD)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("fastppv2", logging.WARNING)
    assert record.message.startswith(f"{host}:{port} refused: ")


async def test_who_is_not_trusted_is_refused_before_a_byte() -> None:
    async with serve(policy=Policy("192.0.2.1")) as served:
        with Client(served.address) as client:
            assert await client.receive(1) == b""
        assert served.counted() == {"untrusted": 1}


async def test_a_silent_peer_ends_at_its_time_and_no_later_one() -> None:
    async with serve(policy=Policy(HOST, timeout=SOON)) as served:
        with Client(served.address) as early:
            await early.send(HEADER)
            with Client(served.address) as silent:
                started = time.monotonic()
                await silent.send(HEADER[:1])
                assert await silent.receive(1) == b""
                assert SOON / 2 < time.monotonic() - started < 10 * SOON
            await asyncio.sleep(SOON)
            await early.exchange(PAYLOAD)  # the header disarmed its timeout
        assert served.counted() == {"accepted": 1, "timeout": 1}


async def test_a_silent_peer_ends_at_its_time_though_the_log_waits_longer() -> None:
    async with serve(policy=Policy(HOST, timeout=SOON)) as served:
        for _ in range(2):
            with Client(served.address) as client:
                await client.send(HTTP)
                assert await client.receive(1) == b""
        await asyncio.sleep(2 * SOON)
        with Client(served.address) as silent:
            assert await silent.receive(1) == b""
        assert served.counted() == {"missing": 2, "timeout": 1}


async def test_one_byte_now_and_then_gains_no_time() -> None:
    async with serve(policy=Policy(HOST, timeout=SOON)) as served:
        with Client(served.address) as client:
            started = time.monotonic()
            try:
                for byte in HEADER:
                    await client.send(bytes([byte]))
                    await asyncio.sleep(SOON / 10)
            except OSError:
                pass
            assert await client.receive(1) == b""
            assert time.monotonic() - started < 2 * SOON
        assert served.counted() == {"timeout": 1}


async def test_closing_ends_at_once_what_is_pending_and_nothing_else() -> None:
    async with serve() as served:
        with Client(served.address) as silent, Client(served.address) as started:
            await started.send(HEADER[:5])
            with Client(served.address) as client:
                await client.exchange(HEADER + PAYLOAD)
                await served.until(accepted=1, pending=2)
                served.server.close()
                for other in (silent, started):
                    assert await other.receive(1) == b""
                await client.exchange(PAYLOAD)
        await served.server.wait_closed()
        assert served.counted() == {"accepted": 1, "closed": 2}


async def test_cancelling_serve_forever_ends_what_is_pending() -> None:
    async with serve() as served:
        serving = asyncio.ensure_future(served.server.serve_forever())
        with Client(served.address) as silent:
            await served.until(pending=1)
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
            assert await silent.receive(1) == b""
        assert served.counted() == {"closed": 1}
        assert not served.server.is_serving()


async def test_a_server_that_does_not_start_yet() -> None:
    async with serve(start_serving=False) as served:
        assert not served.server.is_serving()
        await served.server.start_serving()
        assert served.server.is_serving()
        assert repr(served.server).startswith("<PROXY ")
        with Client(served.address) as client:
            await client.exchange(HEADER + PAYLOAD)


async def test_many_malformed_connections_are_counted_and_few_lines_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    count = 10_000
    async with serve() as served:
        for _ in range(count // 100):
            clients = [Client(served.address) for _ in range(100)]
            for client in clients:
                client.socket.send(HTTP)
            for client in clients:
                assert await client.receive(1) == b""
                client.socket.close()
        assert served.counted() == {"missing": count}
        assert len(caplog.records) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert f"{count - 1:,} more" in caplog.messages[1]


async def test_silent_connections_shut_nobody_out(record_property: Any) -> None:
    """With the default policy: those that have waited longest make room."""
    good = 200
    room_for_descriptors(2 * SILENT)
    idle, seconds = [], []
    async with serve() as served:
        for number in range(SILENT):
            idle.append(Client(served.address))
            await idle[-1].send(HEADER[: number % 2])  # none, or a byte
            if number >= SILENT - good:
                started = time.perf_counter()
                with Client(served.address) as client:
                    await client.exchange(HEADER + PAYLOAD)
                seconds.append(time.perf_counter() - started)
        assert served.counted()["accepted"] == len(seconds) == good
        # Those whose time was over meanwhile, on a busy machine, made room as well.
        refused = served.server.proxy_counters.refused
        assert refused["evicted"] + refused["timeout"] >= SILENT - POLICY.max_pending
        for client in idle:
            client.socket.close()
    record_property("p99 of 200 good clients, seconds", sorted(seconds)[good * 99 // 100])


async def test_what_a_silent_connection_costs(record_property: Any) -> None:
    """Beyond what a plain server keeps for one, which has sent nothing or a byte."""
    if sys.implementation.name != "cpython":
        pytest.skip("PyPy does not tell how much is allocated")
    policy = Policy(HOST, max_pending=SILENT, timeout=60)
    plain = await asyncio.get_running_loop().create_server(asyncio.Protocol, HOST, 0)
    ours = await fastppv2.asyncio.create_server(asyncio.Protocol, HOST, 0, policy=policy)
    taken = {server: await taken_by_silent_connections(server) for server in (plain, ours)}
    assert sum(ours.proxy_counters.refused.values()) == SILENT
    beyond = (taken[ours] - taken[plain]) / SILENT
    assert beyond <= 4096
    record_property("bytes that a silent connection costs beyond a plain server's", beyond)


async def taken_by_silent_connections(server: Any) -> int:
    """Bytes, with those of the clients, which are in this process."""
    import tracemalloc

    room_for_descriptors(2 * SILENT)
    asyncio.get_running_loop().set_debug(False)  # or it keeps a traceback of each step
    idle = []
    gc.collect()
    tracemalloc.start()
    try:
        async with server:
            for number in range(SILENT):
                idle.append(Client(server.sockets[0].getsockname()))
                idle[-1].socket.send(HEADER[: number % 2])
                await asyncio.sleep(0)  # uvloop accepts one in each step
            await idle[-1].send()
            gc.collect()
            taken, _ = tracemalloc.get_traced_memory()
            for client in idle:
                client.socket.close()
            await asyncio.sleep(SOON)  # the server reads that they are gone
    finally:
        tracemalloc.stop()
    return taken


def room_for_descriptors(count: int) -> None:
    """Both ends of each connection are in this process."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, count + 256)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"{wanted} descriptors are needed, {hard} allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def test_silent_peers_of_an_optional_header_are_passed_through() -> None:
    policy = Policy(HOST, header="optional", wait=SOON)
    async with serve(policy=policy) as served:
        with Client(served.address) as client:
            await served.until(passthrough=1)
            await client.exchange(PAYLOAD)
            assert (await served.connection()).info("peername") == client.socket.getsockname()


@pytest.mark.parametrize("kind", ["protocol", "buffered", "streams"])
@pytest.mark.parametrize("sent", [b"", b"PRO", PAYLOAD])
async def test_the_end_of_a_peer_without_header_reaches_the_application(
    kind: str, sent: bytes
) -> None:
    policy = Policy(HOST, header="optional", wait=1)
    async with serve(kind, policy=policy) as served:
        with Client(served.address) as client:
            client.socket.send(sent)
            client.end()
            assert await client.receive(len(sent)) == sent
            if sent:
                seen = await served.connection()
                assert seen.ended
                assert bytes(seen.data) == sent
                assert await client.receive(1) == b""


async def test_metrics() -> None:
    told: list[str] = []
    async with serve(metrics=told.append) as served:
        for sent in (HEADER + PAYLOAD, build() + PAYLOAD, HTTP):
            with Client(served.address) as client:
                await client.send(sent)
                await client.receive(1)
        assert told == ["accepted", "local", "missing"]


async def test_a_metrics_callback_that_raises_hurts_no_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def metrics(outcome: str) -> None:
        raise RuntimeError(outcome)

    async with serve(metrics=metrics) as served:
        for _ in range(2):
            with Client(served.address) as client:
                await client.exchange(HEADER + PAYLOAD)
    assert len(caplog.records) == 1


async def test_the_counters_of_all_servers() -> None:
    before = fastppv2.asyncio.counters()
    async with serve() as first, serve() as second:
        for served, sent in ((first, HEADER), (second, HEADER), (second, build())):
            with Client(served.address) as client:
                await client.exchange(sent + PAYLOAD)
        with Client(second.address) as client:
            await client.send(HTTP)
            assert await client.receive(1) == b""
        counters = fastppv2.asyncio.counters()
        assert counters.accepted == before.accepted + 2
        assert counters.local == before.local + 1
        assert counters.refused["missing"] == before.refused["missing"] + 1


async def test_a_factory_of_ones_own_server() -> None:
    """``Acceptor`` is for those who call the loop's ``create_server`` themselves."""
    connections: list[Any] = []
    acceptor = fastppv2.asyncio.Acceptor(lambda: Recorder(connections), POLICY)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(acceptor, HOST, 0)  # type: ignore[arg-type]
    with Client(server.sockets[0].getsockname()) as client:
        await client.exchange(HEADER + PAYLOAD)
    with Client(server.sockets[0].getsockname()) as silent:
        while not acceptor.counters.pending:
            await asyncio.sleep(0.001)
        server.close()
        acceptor.close()
        assert await silent.receive(1) == b""
    assert acceptor.counters.accepted == 1
    assert connections[0].info("peername") == CLIENT
