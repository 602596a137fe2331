"""What threads may share, each value looked at; tests/tsan runs it under ThreadSanitizer, too.

With the GIL threads change so often here that each finds the others in the middle of things.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from threading import Barrier, Lock, Thread
from time import sleep
from typing import Any, Callable

import pytest
from backends import Api, load
from handshake import BALANCER, INET, Owner
from loops import NAMES, new_loop
from make import CRC, tlv, v2

from fastppv2 import Header, IncompleteHeaderError, InvalidHeaderError, Policy, build
from fastppv2._queue import State
from fastppv2.asyncio import Acceptor, counters, create_server, start_server

WITHOUT_GIL = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
THREADS = 4
ROUNDS = 400
CLIENTS = 40  # of each server
LOCKED = 50  # to wait for a lock takes long on a busy machine
ENDS = b"\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb"
SSL = tlv(0x20, b"\1\0\0\0\0" + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"client"))
HEADERS = (
    v2(0x21, 0x11, ENDS),
    v2(0x21, 0x11, ENDS + CRC + SSL + tlv(2, b"example.com") + tlv(5, b"id"), checksum=True),
    v2(0x21, 0x21, bytes(range(32)) + b"\1\2\3\4"),
    v2(0x21, 0x31, b"/run/a".ljust(108, b"\0") + b"\0abstract".ljust(108, b"\0")),
    v2(0x20, 0x00, b""),
    b"PROXY TCP6 2001:db8::1 ::1 56324 443\r\n",
    b"PROXY UNKNOWN\r\n",
)
LOADED = "fastppv2, fastppv2.asgi, fastppv2.asyncio, fastppv2.sync, fastppv2.udp, fastppv2.relay"


@pytest.fixture(autouse=True)
def _often() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def at_once(*works: Callable[[], None]) -> None:
    """Each in a thread of its own, all from the same moment on; the first failure is raised."""
    ready = Barrier(len(works))
    failures: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        ready.wait()
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        raise failure


def everything(header: Header) -> tuple[object, ...]:
    """All that it can be asked for."""
    rest = (header.source, header.destination, header.ssl, header.encode(1), header.raw)
    return header.as_dict(), repr(header), hash(header), header.tlvs, *rest


@pytest.mark.skipif(not WITHOUT_GIL, reason="this Python has the GIL")
def test_the_import_leaves_the_gil_off() -> None:
    program = f"import sys, {LOADED}; print(fastppv2.backend, sys._is_gil_enabled())"
    command = [sys.executable, "-P", "-W", "error::RuntimeWarning", "-c", program]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.stderr == ""
    assert process.stdout.split() == ["cython", "False"]


def test_headers_are_read_by_all(api: Api) -> None:
    """Nothing in a header is computed late and kept: what one thread reads, all read."""
    headers = [api.parse(raw) for raw in HEADERS]
    expected = [everything(header) for header in headers]

    def work() -> None:
        for _ in range(ROUNDS // 10):
            for header, what in zip(headers, expected):
                assert everything(header) == what

    at_once(*[work] * THREADS)


def test_the_same_bytes_are_parsed_by_all(api: Api) -> None:
    """From ``bytes``, which the headers share, and from views of them, out of which it is copied.

    Each thread has views of its own: CPython 3.13 counts those of a shared buffer wrong.
    """
    sources = [api.parse(raw).source for raw in HEADERS]

    def work() -> None:
        views = [memoryview(raw + b"payload") for raw in HEADERS]
        for _ in range(ROUNDS // 4):
            for raw, view, source in zip(HEADERS, views, sources):
                for data in (raw, view):
                    header = api.parse(data)
                    assert (header.raw, header.source) == (raw, source)
                    assert api.detect(data) == header.version
                with pytest.raises(IncompleteHeaderError):
                    api.parse(raw[:-1])

    at_once(*[work] * THREADS)


def test_each_parses_what_it_built(api: Api) -> None:
    def work(seed: int) -> None:
        for number in range(ROUNDS):
            host = f"10.{seed}.{number >> 8}.{number & 255}"
            raw = api.build((host, number), ("192.0.2.1", seed), tlvs=[(5, host.encode())])
            parser = api.Parser()
            assert parser.feed(raw[:20]) is None
            header = parser.feed(memoryview(raw)[20:])
            assert header.source == (host, number)
            assert header.unique_id == host.encode()
            with pytest.raises(InvalidHeaderError, match="TCP4") as caught:
                api.parse(b"PROXY TCP%d \r\n" % (7 + seed % 2))
            assert caught.value.offset == 6

    at_once(*[lambda seed=seed: work(seed) for seed in range(THREADS)])  # type: ignore[misc]


def test_a_policy_is_asked_by_all(api: Api) -> None:
    networks = [f"10.{number}.0.0/16" for number in range(0, 200, 2)]
    policy = api.policy.Policy(trusted=[*networks, "2001:db8::/32"])

    def work() -> None:
        for number in range(ROUNDS):
            assert (f"10.{number % 200}.1.2" in policy.trusted) is (number % 2 == 0)
            assert f"2001:db8::{number:x}" in policy.trusted
            assert hash(policy) == expected

    expected = hash(policy)
    at_once(*[work] * THREADS)


def test_a_listener_with_a_lock(api: Api) -> None:
    """As the adapter for threads drives it; the counters are read by anyone, at any time."""
    outcomes: list[str] = []
    policy = api.policy.Policy("10.0.0.0/8", max_pending=THREADS)
    listener = api.handshake.Listener(policy, metrics=outcomes.append)
    lock = Lock()
    done: list[bool] = []

    def serve() -> None:
        for _ in range(LOCKED):
            owner = Owner()
            with lock:
                handshake = listener.receive(owner, INET, BALANCER, HEADERS[0] + b"GET")
            assert handshake.source == ("192.0.2.1", 56324)
            assert handshake.trailing_data == b"GET"
            with lock:
                handshake = listener.connect(owner, INET, BALANCER)
                assert handshake.feed(HEADERS[1][:20]) is State.PENDING
            with lock:
                assert handshake.feed(HEADERS[1][20:]) is State.ACCEPTED
            assert handshake.header.authority == "example.com"
            with lock:
                refused = listener.connect(owner, INET, ("192.0.2.9", 1))
            assert (refused.state, refused.reason) == (State.REFUSED, "untrusted")
        done.append(True)

    def watch() -> None:
        accepted = 0
        while len(done) < THREADS:
            counters = listener.counters
            assert accepted <= counters.accepted <= 2 * THREADS * LOCKED
            assert 0 <= counters.pending <= THREADS
            accepted = counters.accepted
            sleep(0.001)

    at_once(*[serve] * THREADS, watch)
    counters = listener.counters
    assert (counters.accepted, counters.pending) == (2 * THREADS * LOCKED, 0)
    assert {key: number for key, number in counters.refused.items() if number} == {
        "untrusted": THREADS * LOCKED
    }
    assert outcomes.count("accepted") == 2 * THREADS * LOCKED


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="Cython is for CPython")
def test_a_listener_without_a_lock_stays_whole() -> None:
    """Not what the documentation allows; but memory is safe, and the queue is empty in the end."""
    api = load("cython")
    listener = api.handshake.Listener(api.policy.Policy("10.0.0.0/8"))

    def serve() -> None:
        for _ in range(LOCKED):
            waiting = [listener.connect(Owner(), INET, BALANCER) for _ in range(3)]
            for handshake in (waiting[1], waiting[0], waiting[2]):
                assert handshake.feed(HEADERS[0]) is State.ACCEPTED
            assert listener._snapshot() is not None

    at_once(*[serve] * THREADS)
    assert listener.counters.pending == 0
    assert listener._oldest() is None


class Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"%a" % (self.transport.get_extra_info("peername"),) + data)
        self.transport.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"%a" % (writer.get_extra_info("peername"),) + await reader.read(100))
    writer.close()


@pytest.mark.parametrize("kind", NAMES)
def test_event_loops_with_servers(kind: str) -> None:
    """Each thread has a loop; what they share is the policy, and all that the modules hold."""
    policy = Policy("127.0.0.0/8")

    async def ask(port: int, client: tuple[str, int], size: int) -> None:
        """A header, with more bytes in its segment or cut off after some."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        data = build(client, ("198.51.100.2", 443)) + b" ping"
        writer.write(data[:size])
        await asyncio.sleep(0)
        writer.write(data[size:])
        assert (await reader.read()).startswith(b"%a" % (client,))
        writer.close()

    async def serve(seed: int) -> None:
        start = start_server(echo, "127.0.0.1", 0, policy=policy)
        create = create_server(Echo, "127.0.0.1", 0, policy=policy)
        async with await start as streams, await create as protocols:
            for number in range(CLIENTS):
                for server in (streams, protocols):
                    port = server.sockets[0].getsockname()[1]
                    await ask(port, (f"192.0.2.{seed}", number), 100 if number % 2 else 20)
            for server in (streams, protocols):
                assert server.proxy_counters.accepted == CLIENTS

    def work(seed: int) -> None:
        loop = new_loop(kind)
        loop.run_until_complete(serve(seed))
        loop.close()

    at_once(*[lambda seed=seed: work(seed) for seed in range(THREADS)])  # type: ignore[misc]


def test_servers_come_and_go_while_their_counters_are_summed_up() -> None:
    policy = Policy("127.0.0.0/8")
    done: list[bool] = []

    def work() -> None:
        for _ in range(2):
            assert len({Acceptor(Echo, policy) for _ in range(ROUNDS)}) == ROUNDS
        done.append(True)

    def watch() -> None:
        while len(done) < THREADS:
            assert counters().pending == 0

    at_once(*[work] * THREADS, watch)
