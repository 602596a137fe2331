"""Datagrams with a header each: by parse and build, and through an endpoint on real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Callable

import pytest
from make import V2, v2

from fastppv2 import (
    Command,
    Family,
    IncompleteHeaderError,
    InvalidHeaderError,
    MissingHeaderError,
    Policy,
    Transport,
    build,
    udp,
)

TIMEOUT = 10.0
CLIENT = ("198.51.100.1", 56324)
SERVER = ("203.0.113.1", 443)
CLIENT6 = ("2001:db8::1", 56324)
SERVER6 = ("2001:db8::2", 443)
MAPPED = bytes(10) + b"\xff\xff"
# As Cloudflare's C structure has it.
SIMPLE = struct.pack(
    "!H16s16sHH",
    0x56EC,
    MAPPED + bytes([198, 51, 100, 1]),
    MAPPED + bytes([203, 0, 113, 1]),
    56324,
    443,
)
SIMPLE6 = struct.pack(
    "!H16s16sHH",
    0x56EC,
    bytes.fromhex("20010db8000000000000000000000001"),
    bytes.fromhex("20010db8000000000000000000000002"),
    56324,
    443,
)


# One datagram.


@pytest.mark.parametrize("ends", [(CLIENT, SERVER), (CLIENT6, SERVER6)])
@pytest.mark.parametrize("payload", [b"", b"query", b"\0" * 1400])
def test_proxy_there_and_back(ends, payload):
    datagram = udp.build_datagram(payload, *ends, tlvs=[(2, b"example.org")], checksum=True)
    header, rest = udp.parse_datagram(datagram)
    assert rest == payload
    assert (header.source, header.destination) == ends
    assert header.transport == Transport.DGRAM
    assert header.authority == "example.org"
    assert header.checksum is not None
    assert datagram == header.raw + payload


def test_proxy_without_addresses():
    header, payload = udp.parse_datagram(udp.build_datagram(b"check"))
    assert (header.command, header.source, payload) == (Command.LOCAL, None, b"check")


def test_any_buffer():
    datagram = udp.build_datagram(memoryview(b"query"), CLIENT, SERVER)
    assert udp.parse_datagram(bytearray(datagram))[1] == b"query"
    assert udp.parse_datagram(memoryview(SIMPLE + b"query"), format="simple")[1] == b"query"


def test_what_parse_raises():
    datagram = udp.build_datagram(b"", CLIENT, SERVER)
    with pytest.raises(IncompleteHeaderError):
        udp.parse_datagram(datagram[:-1])
    with pytest.raises(MissingHeaderError):
        udp.parse_datagram(SIMPLE)
    with pytest.raises(InvalidHeaderError, match="max_size"):
        udp.parse_datagram(datagram, max_size=16)


@pytest.mark.parametrize(
    ("ends", "header"), [((CLIENT, SERVER), SIMPLE), ((CLIENT6, SERVER6), SIMPLE6)]
)
def test_simple_there_and_back(ends, header):
    assert len(header) == 38
    datagram = udp.build_datagram(b"query", *ends, format="simple")
    assert datagram == header + b"query"
    parsed, payload = udp.parse_datagram(datagram, format="simple")
    assert payload == b"query"
    assert (parsed.source, parsed.destination) == ends
    assert parsed.transport == Transport.DGRAM
    assert parsed == udp.parse_datagram(udp.build_datagram(b"", *ends))[0]


def test_simple_of_both_families():
    """Addresses of two families stay what they are: IPv6 addresses, one of them mapped."""
    header, _ = udp.parse_datagram(SIMPLE[:18] + SIMPLE6[18:], format="simple")
    assert header.family == Family.INET6
    assert header.source == ("::ffff:198.51.100.1", 56324)
    assert header.destination == SERVER6


@pytest.mark.parametrize("size", [0, 1, 2, 37])
def test_simple_that_is_cut(size):
    with pytest.raises(IncompleteHeaderError, match=f"{size} bytes, 38 needed") as caught:
        udp.parse_datagram(SIMPLE[:size], format="simple")
    assert caught.value.needed == 38


def test_simple_that_is_none():
    with pytest.raises(MissingHeaderError, match="starts with b'GET /': is it enabled"):
        udp.parse_datagram(b"GET /", format="simple")
    with pytest.raises(MissingHeaderError, match=r"a PROXY header, which is format='proxy'"):
        udp.parse_datagram(udp.build_datagram(b"", CLIENT, SERVER), format="simple")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "v2"}, r"format: expected 'proxy' or 'simple', got 'v2'"),
        ({"format": "simple"}, "source: the Simple Proxy Protocol carries IP addresses alone"),
        ({"format": "simple", "tlvs": [(2, b"")]}, "tlvs: the Simple Proxy Protocol has none"),
        ({"format": "simple", "checksum": True}, "checksum: the Simple Proxy Protocol has none"),
    ],
)
def test_what_cannot_be_built(arguments, message):
    with pytest.raises(ValueError, match=message):
        udp.build_datagram(b"", **arguments)


def test_unknown_format():
    with pytest.raises(ValueError, match="format: expected 'proxy' or 'simple', got 'auto'"):
        udp.parse_datagram(SIMPLE, format="auto")


# An endpoint.

LOOPS = [
    "asyncio",
    pytest.param(
        "uvloop",
        marks=pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is for CPython"),
    ),
]


@pytest.fixture(params=LOOPS)
def new_loop(request) -> Callable[[], asyncio.AbstractEventLoop]:
    if request.param == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    return asyncio.new_event_loop


class Application(asyncio.DatagramProtocol):
    """Answers each datagram, and keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, Any]] = []
        self.errors: list[Exception] = []
        self.lost = threading.Event()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.seen.append((data, addr))
        self.reply(b"re: " + data, addr)

    def reply(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)

    def error_received(self, exc: Exception) -> None:
        self.errors.append(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


class PlainReplies(Application):
    """Knows clients by their plain addresses alone."""

    def reply(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, tuple(addr))


class Endpoint:
    """An endpoint whose loop runs in a thread, and what it is asked from here."""

    def __init__(self, loop: asyncio.AbstractEventLoop, application: Application) -> None:
        self.loop = loop
        self.application = application
        self.transport: udp.Transport = application.transport
        self.address = self.transport.get_extra_info("sockname")

    def call(self, function: Callable[[], Any]) -> Any:
        """What the function returns in the loop's thread."""
        future: Future[Any] = Future()
        self.loop.call_soon_threadsafe(lambda: future.set_result(function()))
        return future.result(TIMEOUT)

    def refused(self) -> dict[str, int]:
        counters = self.call(lambda: self.transport.proxy_counters)
        return {reason: count for reason, count in counters.refused.items() if count}


@pytest.fixture
def serve(new_loop):
    @contextmanager
    def serve(
        application: Application,
        address: Any = ("127.0.0.1", 0),
        trusted: Any = "127.0.0.1",
        **options: Any,
    ):
        settings = {
            name: options.pop(name)
            for name in ("untrusted", "header", "wait", "nested")
            if name in options
        }
        loop = new_loop()
        made = loop.run_until_complete(
            in_loop(application, address, Policy(trusted, **settings), options)
        )
        assert made[1] is application
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield Endpoint(loop, application)
        finally:
            loop.call_soon_threadsafe(made[0].close)
            assert application.lost.wait(TIMEOUT)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(TIMEOUT)
            loop.close()

    async def in_loop(application, address, policy, options):
        return await udp.create_datagram_endpoint(
            lambda: application, address, policy=policy, **options
        )

    return serve


@contextmanager
def balancer(host: str = "127.0.0.1"):
    """A socket that datagrams with headers come from."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.settimeout(TIMEOUT)
        yield sock


def ask(sock: socket.socket, datagram: bytes, address: Any) -> bytes:
    sock.sendto(datagram, address)
    reply, peer = sock.recvfrom(65536)
    assert peer == address
    return reply


@pytest.mark.parametrize("application", [Application, PlainReplies])
@pytest.mark.parametrize(
    ("ends", "seen"), [((CLIENT, SERVER), CLIENT), ((CLIENT6, SERVER6), (*CLIENT6, 0, 0))]
)
def test_endpoint_sees_the_client(serve, application, ends, seen):
    with serve(application()) as endpoint, balancer() as sock:
        datagram = udp.build_datagram(b"query", *ends, tlvs=[(5, b"id")])
        assert ask(sock, datagram, endpoint.address) == b"re: query"
        ((payload, client),) = endpoint.application.seen
        assert (payload, client) == (b"query", seen)
        assert client.header.unique_id == b"id"
        assert client.balancer == sock.getsockname()
        assert endpoint.call(lambda: endpoint.transport.proxy_counters.accepted) == 1


@pytest.mark.parametrize("application", [Application, PlainReplies])
def test_endpoint_of_the_simple_protocol(serve, application):
    """A reply carries the header of the datagram that it answers."""
    with serve(application(), format="simple") as endpoint, balancer() as sock:
        assert ask(sock, SIMPLE + b"query", endpoint.address) == SIMPLE + b"re: query"
        assert ask(sock, SIMPLE6, endpoint.address) == SIMPLE6 + b"re: "
        assert endpoint.application.seen == [(b"query", CLIENT), (b"", (*CLIENT6, 0, 0))]


def test_endpoint_over_ipv6(serve):
    with serve(Application(), ("::1", 0), "::1") as endpoint, balancer("::1") as sock:
        datagram = udp.build_datagram(b"query", CLIENT, SERVER)
        assert ask(sock, datagram, endpoint.address) == b"re: query"
        assert endpoint.application.seen == [(b"query", CLIENT)]


def test_replies_go_to_the_balancer_that_the_client_came_by(serve):
    """Two balancers, and later the client comes by the other one."""
    with serve(PlainReplies()) as endpoint, balancer() as first, balancer() as second:
        a = udp.build_datagram(b"a", CLIENT, SERVER)
        b = udp.build_datagram(b"b", ("198.51.100.2", 1), SERVER)
        for sock, datagram, reply in (
            (first, a, b"re: a"),
            (second, b, b"re: b"),
            (second, a, b"re: a"),
            (first, b, b"re: b"),
        ):
            assert ask(sock, datagram, endpoint.address) == reply


def test_a_late_reply_goes_to_the_balancer_of_its_own_query(serve):
    """The same client at the same time by two balancers: what was given knows which."""

    class Late(Application):
        def reply(self, data: bytes, addr: Any) -> None:
            if len(self.seen) == 2:
                for payload, client in self.seen:
                    self.transport.sendto(payload, client)

    with serve(Late()) as endpoint, balancer() as first, balancer() as second:
        first.sendto(udp.build_datagram(b"1", CLIENT, SERVER), endpoint.address)
        assert ask(second, udp.build_datagram(b"2", CLIENT, SERVER), endpoint.address) == b"2"
        assert first.recv(100) == b"1"


@pytest.mark.parametrize(
    "datagram", [build() + b"check", b"PROXY UNKNOWN\r\ncheck", build("/run/client", "") + b"check"]
)
def test_headers_without_an_address(serve, datagram):
    """The balancer itself is the client."""
    with serve(PlainReplies()) as endpoint, balancer() as sock:
        assert ask(sock, datagram, endpoint.address) == b"re: check"
        assert endpoint.application.seen == [(b"check", sock.getsockname())]


REFUSED = [
    ("missing", b"query", "proxy"),
    ("missing", SIMPLE, "proxy"),
    ("empty", b"", "proxy"),
    ("eof", build(CLIENT, SERVER)[:20], "proxy"),
    ("invalid", v2(0x21, 0x13, bytes(12)), "proxy"),
    ("nested", build(CLIENT, SERVER) + V2, "proxy"),
    ("missing", b"query", "simple"),
    ("missing", build(CLIENT, SERVER), "simple"),
    ("empty", b"", "simple"),
    ("eof", SIMPLE[:37], "simple"),
    ("nested", SIMPLE + V2, "simple"),
]


@pytest.mark.parametrize(("reason", "datagram", "format"), REFUSED)
def test_refused(serve, reason, datagram, format):
    good = SIMPLE if format == "simple" else build(CLIENT, SERVER)
    with serve(Application(), format=format) as endpoint, balancer() as sock:
        sock.sendto(datagram, endpoint.address)
        assert ask(sock, good + b"good", endpoint.address).endswith(b"re: good")
        assert endpoint.application.seen == [(b"good", CLIENT)]
        assert endpoint.refused() == {reason: 1}


@pytest.mark.parametrize(
    ("datagram", "format"), [(build(CLIENT, SERVER), "proxy"), (SIMPLE, "simple")]
)
def test_who_is_not_trusted_is_refused(serve, caplog, datagram, format):
    with serve(Application(), format=format) as endpoint, balancer("127.0.0.2") as other:
        other.sendto(datagram + b"forged", endpoint.address)
        with balancer() as sock:
            assert ask(sock, datagram + b"good", endpoint.address).endswith(b"re: good")
        assert endpoint.application.seen == [(b"good", CLIENT)]
        assert endpoint.refused() == {"untrusted": 1}
        name = "{}:{}".format(*other.getsockname())
    (record,) = caplog.records
    assert record.message.startswith(f"{name} refused: not one of trusted (127.0.0.1)")


@pytest.mark.parametrize("application", [Application, PlainReplies])
@pytest.mark.parametrize(
    "settings",
    [
        {"trusted": "127.0.0.2", "untrusted": "passthrough"},
        {"header": "optional", "wait": 1},
    ],
)
def test_who_passes_through_as_itself(serve, application, settings):
    with serve(application(), **settings) as endpoint, balancer() as sock:
        assert ask(sock, b"query", endpoint.address) == b"re: query"
        ((payload, client),) = endpoint.application.seen
        assert (payload, client) == (b"query", sock.getsockname())
        assert client.header is None
        assert client.balancer == client


def test_a_header_is_payload_of_who_passes_through(serve):
    datagram = build(CLIENT, SERVER) + b"query"
    settings = {"trusted": "127.0.0.2", "untrusted": "passthrough"}
    with serve(Application(), **settings) as endpoint, balancer() as sock:
        assert ask(sock, datagram, endpoint.address) == b"re: " + datagram
        assert endpoint.application.seen == [(datagram, sock.getsockname())]


def test_a_million_sources(caplog):
    """As many as a forger likes: the table stays at its bound, and the latest client is known.

    They are given to the protocol as the loop does, for a socket would lose some.
    """
    size, count = 1000, 1_000_000
    datagram = bytearray(build(CLIENT, SERVER))

    class Counting(PlainReplies):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            if data:
                self.reply(b"re: " + data, addr)

    async def flood() -> None:
        transport, _ = await udp.create_datagram_endpoint(
            Counting, ("127.0.0.1", 0), policy=Policy("127.0.0.1"), max_flows=size
        )
        receiver = transport._receiver
        most = 0
        with balancer() as sock:
            address = sock.getsockname()
            for number in range(count):
                datagram[16:20] = number.to_bytes(4, "big")
                receiver.datagram_received(bytes(datagram), address)
                most = max(most, receiver.flows.count)
            receiver.datagram_received(bytes(datagram) + b"query", address)
            assert sock.recv(100) == b"re: query"
        assert size // 2 < most <= size
        assert transport.proxy_counters.accepted == count + 1
        transport.close()

    asyncio.run(flood())
    (record,) = caplog.records
    assert "more clients than max_flows" in record.message


def test_a_client_that_is_forgotten(serve):
    """Silent for twice the timeout; what datagram_received was given still says where to reply."""
    with serve(PlainReplies(), flow_timeout=0.05) as endpoint, balancer() as sock:
        assert ask(sock, build(CLIENT, SERVER) + b"query", endpoint.address) == b"re: query"
        forgotten = threading.Event()

        def look() -> None:
            if endpoint.transport._receiver.flows.count:
                endpoint.loop.call_later(0.01, look)
            else:
                forgotten.set()

        endpoint.call(look)
        assert forgotten.wait(TIMEOUT)
        client = endpoint.application.seen[0][1]
        endpoint.call(lambda: endpoint.transport.sendto(b"late", CLIENT))
        (error,) = endpoint.application.errors
        assert isinstance(error, OSError)
        assert "no balancer is known for 198.51.100.1:56324" in str(error)
        endpoint.call(lambda: endpoint.transport.sendto(b"later", client))
        assert sock.recv(100) == b"later"


def test_what_was_kept_back_is_told_after_a_while(serve, caplog):
    """With no client in the table the timer runs on for the log alone."""
    from fastppv2 import _log

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_log, "INTERVAL", 0.1)
        with serve(Application(), flow_timeout=0.05) as endpoint, balancer() as sock:
            for _ in range(3):
                sock.sendto(b"query", endpoint.address)
            told = threading.Event()

            def look() -> None:
                if any("2 more" in record.getMessage() for record in caplog.records):
                    told.set()
                else:
                    endpoint.loop.call_later(0.01, look)

            endpoint.call(look)
            assert told.wait(TIMEOUT)


def test_metrics(serve):
    outcomes: list[str] = []
    with serve(Application(), metrics=outcomes.append) as endpoint, balancer() as sock:
        sock.sendto(b"query", endpoint.address)
        ask(sock, build() + b"check", endpoint.address)
        ask(sock, build(CLIENT, SERVER) + b"query", endpoint.address)
    assert outcomes == ["missing", "local", "accepted"]


def test_the_transport_is_the_loops(serve):
    with serve(Application()) as endpoint:
        transport = endpoint.transport
        assert transport.get_extra_info("socket").family == socket.AF_INET
        assert transport.get_extra_info("nothing", "else") == "else"
        assert not transport.is_closing()
        assert transport.get_write_buffer_size() == 0
        transport.set_write_buffer_limits(1000, 10)
        assert sorted(transport.get_write_buffer_limits()) == [10, 1000]
        assert transport.get_protocol() is endpoint.application
        assert repr(transport).startswith("<PROXY <")
        with pytest.raises(AttributeError):
            transport.nothing  # noqa: B018
        endpoint.call(transport.abort)
        assert endpoint.application.lost.wait(TIMEOUT)


def test_another_protocol(serve):
    with serve(Application()) as endpoint, balancer() as sock:
        other = Application()
        other.transport = endpoint.transport
        endpoint.call(lambda: endpoint.transport.set_protocol(other))
        assert ask(sock, build(CLIENT, SERVER) + b"query", endpoint.address) == b"re: query"
        assert other.seen
        assert not endpoint.application.seen
        endpoint.call(lambda: endpoint.transport.set_protocol(endpoint.application))


def test_the_protocol_is_told_of_the_socket(serve):
    """What the loop tells a protocol reaches the application's."""
    told: list[Any] = []

    class Told(Application):
        def pause_writing(self) -> None:
            told.append("pause")

        def resume_writing(self) -> None:
            told.append("resume")

        def error_received(self, exc: Exception) -> None:
            told.append(exc)

    with serve(Told()) as endpoint:
        receiver = endpoint.transport._receiver
        error = OSError("unreachable")
        for call in (receiver.pause_writing, receiver.resume_writing):
            endpoint.call(call)
        endpoint.call(lambda: receiver.error_received(error))
    assert told == ["pause", "resume", error]


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({}, {"format": "v2"}, "format: expected"),
        ({}, {"max_flows": 1}, "max_flows: expected 2 or more, got 1"),
        ({}, {"flow_timeout": 0}, "flow_timeout: expected seconds, more than 0, got 0"),
        ({"header": "optional", "wait": 1}, {"format": "simple"}, "policy: header='optional'"),
        ({"require_checksum": True}, {"format": "simple"}, "policy: format='simple' has no"),
        ({"versions": [1]}, {"format": "simple"}, "policy: format='simple' has no versions"),
    ],
)
def test_wrong_options(settings, options, message):
    policy = Policy("127.0.0.1", **settings)
    with pytest.raises(ValueError, match=message):
        asyncio.run(udp.create_datagram_endpoint(Application, policy=policy, **options))


def test_many_clients_at_once(serve):
    """Every reply comes to the socket that asked, whatever else is on its way."""
    count = 50
    with serve(PlainReplies()) as endpoint:
        socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        try:
            for number, sock in enumerate(socks):
                sock.settimeout(TIMEOUT)
                client = (f"198.51.100.{number}", number)
                sock.sendto(udp.build_datagram(b"%d" % number, client, SERVER), endpoint.address)
            for number, sock in enumerate(socks):
                assert sock.recv(100) == b"re: %d" % number
        finally:
            for sock in socks:
                sock.close()
