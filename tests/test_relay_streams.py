"""Connections through a relay, on both loops, over real sockets."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import time
from contextlib import ExitStack, contextmanager

import pytest
from loops import NAMES, TIMEOUT, running
from scripted import scripted, until_end

from fastppv2 import Command, Family, Header, Policy, Transport, build, parse
from fastppv2.relay import Place, Sender, StreamRelay
from fastppv2.relay._streams import _Connection

HOST = "127.0.0.1"
CLIENT, SERVER = ("192.0.2.1", 56324), ("198.51.100.2", 443)
CLIENT6, SERVER6 = ("2001:db8::1", 56324), ("2001:db8::2", 443)
TLVS = [(1, b"h2"), (2, b"example.org"), (0xEA, b"\1vpce-0a1b"), (0xEA, b"\1other")]
RECEIVED = build(CLIENT, SERVER, tlvs=TLVS, checksum=True)
TRUSTED = Policy(HOST)
V2 = Sender(2)


class Relay:
    """One that runs, and what its access log says."""

    def __init__(self, loop, relay: StreamRelay, lines: list[str], address) -> None:
        self.loop = loop
        self.relay = relay
        self.lines = lines
        self.address = address

    def connect(self) -> socket.socket:
        if isinstance(self.address, str):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(self.address)
        else:
            connection = socket.create_connection(self.address)
        connection.settimeout(TIMEOUT)
        return connection

    def line(self, number: int = 0) -> str:
        """Once it is there, from the client on."""
        deadline = time.monotonic() + TIMEOUT
        while len(self.lines) <= number:
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.01)
        when, _, rest = self.lines[number].partition(" ")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", when)
        return re.sub(r"\d+\.\d{3} s", "T s", rest)


@pytest.fixture(params=NAMES)
def start(request):
    with ExitStack() as stack:
        loop = stack.enter_context(running(request.param))

        def start(*upstreams, listen: Place | None = None, **options) -> Relay:
            lines: list[str] = []
            places = [Place(*u) if isinstance(u, tuple) else Place(u, 0, False) for u in upstreams]
            relay = StreamRelay(places, access=lines.append, **options)
            (name,) = loop.run(relay.listen(listen or Place(HOST, 0)))
            stack.callback(lambda: loop.run(relay.close(0)))
            return Relay(loop, relay, lines, name)

        yield start


def echo(connection: socket.socket) -> bytes:
    """What came goes back once it has ended."""
    received = until_end(connection)
    connection.sendall(b"re: " + received)
    return received


def exchange(relay: Relay, data: bytes) -> bytes:
    """Half a connection ends, and the answer comes on the other half."""
    with relay.connect() as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return until_end(connection)


# Bytes.


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_bytes_go_both_ways(start, size):
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    with scripted(echo) as upstream:
        relay = start(upstream.address)
        with relay.connect() as connection:
            name = connection.getsockname()
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            assert until_end(connection) == b"re: " + data
        assert upstream.received == [data]
        assert relay.line() == (
            f"{HOST}:{name[1]} to {upstream.target}: {size} bytes sent, {size + 4} received, "
            "T s, ok"
        )


def test_the_upstream_speaks_first_and_ends_first(start):
    def serve(connection: socket.socket) -> bytes:
        connection.sendall(b"220 hello\r\n")
        connection.shutdown(socket.SHUT_WR)
        return until_end(connection)

    with scripted(serve) as upstream:
        relay = start(upstream.address)
        with relay.connect() as connection:
            assert until_end(connection) == b"220 hello\r\n"
            connection.sendall(b"I am still here")
        assert relay.line().endswith("15 bytes sent, 11 received, T s, ok")
    assert upstream.received == [b"I am still here"]


@contextmanager
def held_upstream():
    """Accepts, and hands the connection over."""
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(TIMEOUT)
        yield listener


def stuff(connection: socket.socket) -> int:
    """Sends until nothing more goes for half a second; how many bytes went."""
    connection.setblocking(False)
    sent, piece, since = 0, bytes(1 << 16), time.monotonic()
    while time.monotonic() - since < 0.5:
        try:
            sent += connection.send(piece)
            since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    connection.settimeout(TIMEOUT)
    return sent


def drain(connection: socket.socket, size: int) -> int:
    """Reads so many bytes; how many there were up to the end."""
    received = 0
    while received < size and (piece := connection.recv(1 << 20)):
        received += len(piece)
    return received


@pytest.mark.parametrize("direction", ["up", "down"])
def test_who_does_not_read_stops_who_sends(start, direction):
    """What waits in between is bounded by the buffers of two sockets and of the loop."""
    with held_upstream() as listener:
        relay = start(listener.getsockname())
        with relay.connect() as client:
            server, _ = listener.accept()
            with server:
                server.settimeout(TIMEOUT)
                sender, reader = (client, server) if direction == "up" else (server, client)
                sent = stuff(sender)
                assert sent < 32 << 20
                (connection,) = relay.relay._connections
                sizes = relay.loop.call(buffered, connection)
                assert 0 < max(sizes) <= 1 << 20
                assert drain(reader, sent) == sent
                more = stuff(sender)  # it goes on once there is room again
                assert more > 0
                assert drain(reader, more) == more


def buffered(connection: _Connection) -> list[int]:
    return [
        side.transport.get_write_buffer_size() for side in (connection.client, connection.server)
    ]


def test_an_upstream_that_breaks_off(start):
    def serve(connection: socket.socket) -> bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return connection.recv(100)

    with scripted(serve) as upstream:
        relay = start(upstream.address)
        with relay.connect() as connection:
            connection.sendall(b"hello")
            with pytest.raises(ConnectionResetError):
                connection.recv(100)
        assert relay.line().endswith("T s, upstream: Connection reset by peer")


def test_a_client_that_breaks_off(start):
    with held_upstream() as listener:
        relay = start(listener.getsockname())
        with relay.connect() as client:
            server, _ = listener.accept()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with server:
            server.settimeout(TIMEOUT)
            with pytest.raises(ConnectionResetError):
                server.recv(100)
        assert relay.line().endswith("T s, client: Connection reset by peer")


# Upstreams.


def name_of(number: int):
    def serve(connection: socket.socket) -> bytes:
        connection.sendall(b"%d" % number)
        return until_end(connection)

    return serve


def test_upstreams_take_turns(start):
    with scripted(name_of(1)) as first, scripted(name_of(2)) as second:
        relay = start(first.address, second.address)
        assert [exchange(relay, b"") for _ in range(4)] == [b"1", b"2", b"1", b"2"]


def test_an_upstream_that_is_not_there_is_passed_over(start, caplog):
    with socket.socket() as nobody, scripted(name_of(2)) as second:
        nobody.bind((HOST, 0))
        relay = start(nobody.getsockname(), second.address)
        assert exchange(relay, b"") == b"2"
    assert "onnection refused" in caplog.text


def test_no_upstream_at_all(start):
    with socket.socket() as nobody:
        nobody.bind((HOST, 0))
        relay = start(nobody.getsockname())
        with relay.connect() as connection, pytest.raises(ConnectionResetError):
            connection.sendall(b"hello")
            connection.recv(100)
        assert "onnection refused" in relay.line()
        time.sleep(0.05)
        assert len(relay.lines) == 1


def test_an_upstream_that_does_not_answer(start, monkeypatch):
    monkeypatch.setattr("fastppv2.relay._streams.CONNECT_TIMEOUT", 0.2)
    with socket.socket() as deaf:
        deaf.bind((HOST, 0))
        deaf.listen(0)
        with ExitStack() as stack:  # its queue is full
            for _ in range(4):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(deaf.getsockname())
            relay = start(deaf.getsockname())
            with relay.connect() as connection, pytest.raises(ConnectionResetError):
                connection.recv(100)
            assert relay.line().endswith("in 0.2 s")


def test_a_client_that_is_gone_before_the_upstream_answers(start):
    with socket.socket() as deaf:
        deaf.bind((HOST, 0))
        deaf.listen(0)
        with ExitStack() as stack:
            for _ in range(4):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(deaf.getsockname())
            relay = start(deaf.getsockname())
            with relay.connect():
                deadline = time.monotonic() + TIMEOUT
                while not relay.relay._connections:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                relay.loop.call(relay.relay.abort_all)
                assert relay.line().endswith("0 bytes sent, 0 received, T s, shutdown")


def test_unix_sockets(start, tmp_path):
    with scripted(echo, tmp_path / "upstream") as upstream:
        relay = start(
            upstream.address,
            listen=Place(str(tmp_path / "front"), 0, False),
            policy=Policy("unix"),
            sender=V2,
        )
        assert exchange(relay, RECEIVED + b"hello") == b"re: " + RECEIVED + b"hello"
        assert relay.line() == (
            f"192.0.2.1:56324 by unix socket to {upstream.address}: 5 bytes sent, "
            f"{len(RECEIVED) + 9} received, T s, ok"
        )


# Headers.


def through(start, data: bytes, **options) -> tuple[Header, bytes]:
    """What the upstream gets for it: the header, and what is behind it."""
    with scripted(echo) as upstream:
        exchange(start(upstream.address, **options), data)
    (received,) = upstream.received
    header = parse(received)
    return header, received[header.size :]


@pytest.mark.parametrize("version", [1, 2])
def test_a_header_for_the_client(start, version):
    with scripted(echo) as upstream:
        relay = start(upstream.address, sender=Sender(version))
        with relay.connect() as connection:
            connection.sendall(b"hello")
            connection.shutdown(socket.SHUT_WR)
            until_end(connection)
            name = connection.getsockname()
    header = parse(upstream.received[0])
    assert header.version == version
    assert (header.source, header.destination) == (name, relay.address)
    assert upstream.received[0][header.size :] == b"hello"


@pytest.mark.parametrize("version", [1, 2])
def test_a_client_on_a_unix_socket_has_no_address(start, tmp_path, version):
    header, _ = through(
        start, b"", listen=Place(str(tmp_path / "front"), 0, False), sender=Sender(version)
    )
    assert (header.command, header.family) == (Command.PROXY, Family.UNSPEC)


@pytest.mark.parametrize(
    "raw",
    [
        RECEIVED,
        build(CLIENT, SERVER),
        build(CLIENT6, SERVER6, tlvs=[(4, b"")], checksum=True),
        build("/run/client", "/run/server"),
        build(),
        build(checksum=True),
    ],
)
def test_what_came_is_what_goes(start, raw):
    header, rest = through(start, raw + b"hello", policy=TRUSTED, sender=V2)
    assert (header.raw, rest) == (raw, b"hello")


@pytest.mark.parametrize(
    ("raw", "version", "sent"),
    [
        (RECEIVED, 1, build(CLIENT, SERVER, version=1)),
        (build(CLIENT6, SERVER6, version=1), 2, build(CLIENT6, SERVER6)),
        (build(), 1, build(version=1)),
        (build("/run/client", ""), 1, build(version=1)),
        (build(version=1), 2, build(command=Command.PROXY)),
    ],
)
def test_one_version_becomes_the_other(start, raw, version, sent):
    header, rest = through(start, raw + b"hello", policy=TRUSTED, sender=Sender(version))
    assert (header.raw, rest) == (sent, b"hello")


@pytest.mark.parametrize(
    ("sender", "tlvs", "has_checksum"),
    [
        (Sender(2, dropped=frozenset({0xEA})), TLVS[:2], True),
        (Sender(2, dropped=frozenset(range(256))), [], False),
        (Sender(2, added=((5, b"id"),)), [*TLVS, (5, b"id")], True),
        (Sender(2, dropped=frozenset({3}), added=((5, b"id"),)), [*TLVS, (5, b"id")], False),
        (Sender(2, dropped=frozenset(range(256)), checksum=True), [], True),
    ],
)
def test_tlvs_dropped_and_added(start, sender, tlvs, has_checksum):
    header, _ = through(start, RECEIVED, policy=TRUSTED, sender=sender)
    assert (header.source, header.destination) == (CLIENT, SERVER)
    assert [tlv for tlv in header.tlvs if tlv.type != 3] == tlvs
    assert (header.checksum is not None) == has_checksum  # parse() verified it


def test_a_checksum_where_there_was_none(start):
    header, _ = through(
        start, build(CLIENT, SERVER), policy=TRUSTED, sender=Sender(2, checksum=True)
    )
    assert header.checksum is not None
    assert header.source == CLIENT


def test_a_header_taken_off(start):
    with scripted(echo) as upstream:
        relay = start(upstream.address, policy=TRUSTED)
        assert exchange(relay, RECEIVED + b"hello") == b"re: hello"
        assert relay.line().startswith(f"192.0.2.1:56324 by {HOST}:")
        assert exchange(relay, build() + b"check") == b"re: check"
        assert " with a header that names no client to " in relay.line(1)


def test_two_relays_in_a_row(start):
    """The header passes through a second hop, TLVs and all."""
    with scripted(echo) as upstream:
        second = start(upstream.address, policy=TRUSTED, sender=V2)
        first = start(second.address, policy=TRUSTED, sender=V2)
        assert exchange(first, RECEIVED + b"hello") == b"re: " + RECEIVED + b"hello"
        assert second.line().startswith(f"192.0.2.1:56324 by {HOST}:")


def test_a_scanner_without_header(start, caplog):
    with scripted(echo) as upstream:
        relay = start(upstream.address, policy=TRUSTED)
        with relay.connect() as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert connection.recv(100) == b""
    assert upstream.received == []
    assert "refused: not a PROXY header (looks like an HTTP request)" in caplog.text


def test_a_header_that_would_grow_too_large(start):
    sender = Sender(2, added=((0xE0, bytes(65535)),))
    with scripted(echo) as upstream:
        relay = start(upstream.address, sender=sender)
        with relay.connect() as connection, pytest.raises(ConnectionResetError):
            connection.recv(100)
        assert "tlvs: a header has room for 65535 bytes" in relay.line()
    assert upstream.received == []


def test_transport_of_the_header():
    made = Sender(2).header(None, CLIENT, SERVER, Transport.DGRAM)
    assert parse(made).transport == Transport.DGRAM


# The end.


def test_connections_that_are_left_are_waited_for(start):
    with held_upstream() as listener:
        relay = start(listener.getsockname())
        with relay.connect() as client:
            server, _ = listener.accept()
            closing = asyncio.run_coroutine_threadsafe(relay.relay.close(TIMEOUT), relay.loop.loop)
            relay.loop.call(lambda: None)  # behind its first step
            assert not closing.done()
            with pytest.raises(ConnectionRefusedError):
                relay.connect()
            with server:
                server.sendall(b"the last word")
            assert until_end(client) == b"the last word"
        closing.result(TIMEOUT)
        assert relay.line().endswith("13 received, T s, ok")


def test_and_not_for_ever(start):
    with held_upstream() as listener:
        relay = start(listener.getsockname())
        with relay.connect() as client:
            server, _ = listener.accept()
            with server:
                relay.loop.run(relay.relay.close(0.05))
                with pytest.raises(ConnectionResetError):
                    client.recv(100)
        assert relay.line().endswith("T s, shutdown")


def test_many_connections(start):
    """Nothing is left of them."""
    with scripted(echo) as upstream:
        relay = start(upstream.address, policy=TRUSTED, sender=V2)
        for number in range(200):
            data = build((HOST, number), SERVER) + b"%d" % number
            assert exchange(relay, data) == b"re: " + data
        relay.line(199)
        assert not relay.relay._connections


def test_connections_at_once(start):
    """Each ends for itself."""
    with ExitStack() as stack, scripted(echo) as upstream:
        relay = start(upstream.address)
        connections = [stack.enter_context(relay.connect()) for _ in range(5)]
        for number, connection in enumerate(connections):
            connection.sendall(b"%d" % number)
        for number, connection in enumerate(connections):
            connection.shutdown(socket.SHUT_WR)
            assert until_end(connection) == b"re: %d" % number
            connection.close()
        relay.line(4)
