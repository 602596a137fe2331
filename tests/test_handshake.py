"""The way of a connection through a Listener: states, ends, time, order, counters."""

from __future__ import annotations

import gc
import logging
import sys
import time
import weakref
from typing import Any

import pytest
from backends import Api, load
from handshake import BALANCER, CLIENT, INET, INET6, SERVER, SOCKNAME, UNIX, Owner, Server
from make import CRC, V2, v2

from fastppv2 import build
from fastppv2._queue import State
from fastppv2.handshake import OUTCOMES, Counters
from fastppv2.refusal import REASONS

TCP4 = build(CLIENT, SERVER)
TCP6 = build(("2001:db8::1", 1), ("2001:db8::2", 2))
V1_TCP4 = build(CLIENT, SERVER, version=1)
V1_TCP6 = build(("2001:db8::1", 1), ("2001:db8::2", 2), version=1)
UNIX_HEADER = build("/run/client", b"\0server")
LOCAL = build()
UNKNOWN = b"PROXY UNKNOWN\r\n"
HTTP = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

# What the application sees: of each header the source, the destination and what it is counted as.
ACCEPTED = {
    "v2 TCP4": (TCP4, CLIENT, SERVER, "accepted"),
    "v1 TCP4": (V1_TCP4, CLIENT, SERVER, "accepted"),
    "v2 TCP6": (TCP6, ("2001:db8::1", 1, 0, 0), ("2001:db8::2", 2, 0, 0), "accepted"),
    "v1 TCP6": (V1_TCP6, ("2001:db8::1", 1, 0, 0), ("2001:db8::2", 2, 0, 0), "accepted"),
    "v2 UNIX": (UNIX_HEADER, "/run/client", b"\0server", "accepted"),
    "v2 UNIX, unnamed": (v2(0x21, 0x31, bytes(216)), "", "", "accepted"),
    "v1 UNKNOWN": (UNKNOWN, BALANCER, SOCKNAME, "accepted"),
    "v2 UNSPEC": (v2(0x21, 0x00, b""), BALANCER, SOCKNAME, "accepted"),
    "v2 LOCAL": (LOCAL, BALANCER, SOCKNAME, "local"),
    "v2 LOCAL, with addresses": (v2(0x20, 0x11, TCP4[16:]), BALANCER, SOCKNAME, "local"),
}


@pytest.fixture(params=list(ACCEPTED))
def case(request: pytest.FixtureRequest) -> tuple[bytes, Any, Any, str]:
    return ACCEPTED[request.param]


@pytest.mark.parametrize("payload", [b"", b"x", HTTP])
def test_accepted(api: Api, case: tuple[bytes, Any, Any, str], payload: bytes) -> None:
    raw, source, destination, counted = case
    server = Server(api)
    handshake = server.connect()
    assert handshake.state is State.PENDING
    assert handshake.feed(raw + payload) is State.ACCEPTED
    assert handshake.state is State.ACCEPTED
    assert handshake.header is not None
    assert handshake.header.raw == raw
    assert handshake.source == source
    assert handshake.destination == destination
    assert handshake.peername == BALANCER
    assert handshake.sockname == SOCKNAME
    assert handshake.family == INET
    assert handshake.trailing_data == payload
    assert (handshake.reason, handshake.message, handshake.owner) == ("", "", None)
    assert server.counted() == {counted: 1}
    assert server.owners[0].told == []
    with pytest.raises(RuntimeError, match=r"^there is a decision already: these bytes are"):
        handshake.feed(b"x")
    assert handshake.eof() is State.ACCEPTED
    assert server.counted() == {counted: 1}


def test_in_pieces_of_one_byte(api: Api, case: tuple[bytes, Any, Any, str]) -> None:
    raw, source, destination, counted = case
    server = Server(api)
    handshake = server.connect()
    for at in range(len(raw) - 1):
        assert handshake.feed(raw[at : at + 1]) is State.PENDING
        assert handshake.header is None
        assert (handshake.source, handshake.destination) == (BALANCER, SOCKNAME)
    assert server.counted() == {"pending": 1}
    assert handshake.feed(raw[-1:] + b"rest") is State.ACCEPTED
    assert (handshake.source, handshake.destination) == (source, destination)
    assert handshake.trailing_data == b"rest"
    assert server.counted() == {counted: 1}


@pytest.mark.parametrize("buffer", [bytearray, memoryview])
def test_other_buffers(api: Api, buffer: Any) -> None:
    handshake = Server(api).receive(buffer(TCP4 + b"rest"))
    assert (handshake.source, handshake.trailing_data) == (CLIENT, b"rest")
    assert type(handshake.trailing_data) is bytes


def test_what_is_no_buffer(api: Api) -> None:
    server = Server(api)
    handshake = server.connect()
    with pytest.raises(TypeError, match="expected a bytes-like object, got str"):
        handshake.feed("PROXY")  # type: ignore[arg-type]
    assert handshake.feed(TCP4) is State.ACCEPTED


@pytest.mark.parametrize("data", [TCP4 + b"rest", V1_TCP4, LOCAL, TCP4[:5], HTTP, b"", TCP4 + TCP4])
@pytest.mark.parametrize("peername", [BALANCER, ("203.0.113.9", 9), None])
@pytest.mark.parametrize("untrusted", ["refuse", "passthrough"])
def test_the_first_bytes_in_hand(api: Api, data: bytes, peername: Any, untrusted: str) -> None:
    """``receive`` is ``connect`` and ``feed``."""
    one, two = Server(api, untrusted=untrusted), Server(api, untrusted=untrusted)
    owner = Owner()
    first = one.listener.receive(owner, INET, peername, data, SOCKNAME)
    second = two.connect(peername)
    if second.state is State.PENDING:
        second.feed(data)
    assert first.owner in (None, owner)
    names = ("state", "reason", "message", "header", "source", "destination", "trailing_data")
    for name in names:
        assert getattr(first, name) == getattr(second, name)
    assert one.counted() == two.counted()
    if first.state is State.PENDING:
        assert first.eof() is second.eof()
    assert one.counted() == two.counted()


class Named(tuple):
    """An address with attributes."""


@pytest.mark.parametrize(
    "data",
    [TCP4 + b"rest", TCP4, TCP6 + b"rest", V1_TCP4, UNIX_HEADER, UNKNOWN, LOCAL,
     TCP4[:5], HTTP, b"", TCP4 + TCP4],
)  # fmt: skip
@pytest.mark.parametrize("peername", [BALANCER, ("203.0.113.9", 9), None])
def test_the_usual_datagram(api: Api, data: bytes, peername: Any) -> None:
    """It says what ``receive`` would, or leaves it to that: all but the usual one, compiled."""
    told: list[str] = []
    one, two = Server(api, metrics=told.append), Server(api)
    found = one.listener.datagram(INET, peername, data, Named)
    if found is None:
        assert not one.counted()
    else:
        payload, client = found
        handshake = two.receive(data, peername)
        assert type(client) is Named
        assert client == handshake.source
        assert payload == handshake.trailing_data
        assert vars(client) == {"header": handshake.header, "balancer": peername}
        assert one.counted() == two.counted()
        assert told == ["accepted"]
    is_usual = peername == BALANCER and data in (TCP4 + b"rest", TCP4, TCP6 + b"rest", V1_TCP4)
    assert (found is not None) == (is_usual and api.name == "cython")


def test_the_usual_datagram_is_refused_after_the_end(api: Api) -> None:
    server = Server(api)
    server.listener.close()
    assert server.listener.datagram(INET, BALANCER, TCP4, Named) is None


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="Cython is for CPython")
def test_the_usual_datagram_and_no_tuple() -> None:
    """Only what is compiled makes the client itself."""
    listener = Server(load("cython")).listener
    for kind in (object, list, None):
        with pytest.raises(TypeError):
            listener.datagram(INET, BALANCER, TCP4, kind)


def test_the_first_bytes_in_hand_when_many_wait(api: Api) -> None:
    server = Server(api, max_pending=1)
    waiting = server.connect()
    assert server.listener.receive(None, INET, BALANCER, TCP4).source == CLIENT
    assert waiting.reason == "evicted"


def test_the_clock_is_time_monotonic(api: Api) -> None:
    listener = api.handshake.Listener(api.policy.Policy("10.0.0.0/8", timeout=7))
    before = time.monotonic()
    handshake = listener.connect(None, INET, BALANCER)
    after = time.monotonic()
    behind = 0.1  # a tick of the coarse clock, with room
    assert before - behind <= listener.deadline(handshake) - 7 <= after
    assert 6.9 - behind < listener.delay <= 7
    listener.sweep()
    assert handshake.state is State.PENDING


def test_made_by_a_listener_alone(api: Api) -> None:
    kind = type(Server(api).connect())
    with pytest.raises(TypeError):
        kind()


def test_without_sockname(api: Api) -> None:
    server = Server(api)
    handshake = server.listener.connect(None, INET, BALANCER)
    assert handshake.feed(LOCAL) is State.ACCEPTED
    assert handshake.source == BALANCER
    assert handshake.destination is None


PEERS: list[tuple[Any, int, bool]] = [
    (("10.1.2.3", 1), INET, True),
    (("::ffff:10.1.2.3", 1, 0, 0), INET6, True),
    (("11.1.2.3", 1), INET, False),
    (("2001:db8::1", 1, 0, 0), INET6, False),
    ("", UNIX, True),
    ("/run/balancer", UNIX, True),
    (b"\0abstract", UNIX, True),
    (("11.1.2.3", 1), UNIX, False),  # as uvicorn --fd says it
    (("10.1.2.3", 1), UNIX, True),
]


@pytest.mark.parametrize(("peername", "family", "trusted"), PEERS)
def test_who_is_trusted(api: Api, peername: Any, family: int, trusted: bool) -> None:
    handshake = Server(api).connect(peername, family)
    assert handshake.state is (State.PENDING if trusted else State.REFUSED)
    assert handshake.reason == ("" if trusted else "untrusted")
    if trusted:
        handshake.feed(TCP4)
        assert (handshake.source, handshake.peername) == (CLIENT, peername)


def test_unix_only_if_it_is_named(api: Api) -> None:
    assert Server(api, trusted="10.0.0.0/8").connect("", UNIX).reason == "untrusted"
    named = Server(api, trusted="unix")
    assert named.connect("", UNIX).state is State.PENDING
    assert named.connect(BALANCER).reason == "untrusted"


UNREADABLE: list[tuple[Any, int]] = [
    (None, INET),
    (None, UNIX),
    ("", INET),
    ("", INET6),
    ("10.0.0.7", INET),
    ((), INET),
    (("10.0.0.7",), INET),
    ((b"10.0.0.7", 1), INET),
    (("localhost", 1), INET),
    (["10.0.0.7", 1], INET),
    (("", 1), INET),
    (7, UNIX),
]


@pytest.mark.parametrize("everyone", [False, True])
@pytest.mark.parametrize("untrusted", ["refuse", "passthrough"])
@pytest.mark.parametrize(("peername", "family"), UNREADABLE)
def test_who_cannot_be_read(
    api: Api, peername: Any, family: int, untrusted: str, everyone: bool
) -> None:
    trusted = api.policy.Networks.of_everyone() if everyone else "10.0.0.0/8, unix"
    server = Server(api, trusted=trusted, untrusted=untrusted)
    handshake = server.connect(peername, family)
    assert (handshake.state, handshake.reason) == (State.REFUSED, "unreadable")
    assert server.counted() == {"unreadable": 1}


def test_everyone(api: Api) -> None:
    server = Server(api, trusted=api.policy.Networks.of_everyone())
    for peername, family, _ in PEERS:
        handshake = server.receive(TCP4, peername, family)
        assert handshake.source == CLIENT
    assert server.counted() == {"accepted": len(PEERS)}


def test_passthrough(api: Api) -> None:
    server = Server(api, untrusted="passthrough")
    handshake = server.connect(("203.0.113.9", 9))
    assert handshake.state is State.ACCEPTED
    assert handshake.header is None
    assert handshake.source == ("203.0.113.9", 9)
    assert handshake.destination == SOCKNAME
    assert handshake.trailing_data == b""
    assert server.counted() == {"passthrough": 1}
    with pytest.raises(RuntimeError):
        handshake.feed(TCP4)


class TestOptional:
    def server(self, api: Api, **settings: Any) -> Server:
        return Server(api, header="optional", wait=1.0, **settings)

    @pytest.mark.parametrize("data", [HTTP, b"\x16\3\1", b"PROXZ", b"\r\n\r\n\0\r\nQUIX", b"\xff"])
    def test_no_header(self, api: Api, data: bytes) -> None:
        for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
            server = self.server(api)
            handshake = server.connect()
            fed = b""
            for piece in pieces:
                if handshake.state is State.PENDING:
                    handshake.feed(piece)
                    fed += piece
            server.clock.now += 1.0
            server.listener.sweep()
            assert handshake.state is State.ACCEPTED
            assert handshake.header is None
            assert (handshake.source, handshake.destination) == (BALANCER, SOCKNAME)
            assert handshake.trailing_data == fed
            assert server.counted() == {"passthrough": 1}

    def test_a_header(self, api: Api, case: tuple[bytes, Any, Any, str]) -> None:
        raw, source, _, counted = case
        server = self.server(api)
        assert server.receive(raw + HTTP).source == source
        assert server.counted() == {counted: 1}

    def test_a_silent_peer_is_let_through_in_time(self, api: Api) -> None:
        server = self.server(api)
        handshake = server.connect()
        assert server.listener.delay == 1.0
        assert server.listener.deadline(handshake) == server.clock.now + 1.0
        server.clock.now += 0.99
        server.listener.sweep()
        assert handshake.state is State.PENDING
        server.clock.now += 0.02
        server.listener.sweep()
        assert handshake.state is State.ACCEPTED
        assert server.owners[0].told == [handshake]
        assert (handshake.header, handshake.source) == (None, BALANCER)
        assert server.counted() == {"passthrough": 1}
        assert server.listener.delay is None

    @pytest.mark.parametrize("start", [b"P", b"PROX", b"\r", V2[:11]])
    def test_what_could_be_a_header_is_let_through_in_time(self, api: Api, start: bytes) -> None:
        server = self.server(api)
        handshake = server.receive(start)
        server.clock.now += 1.0
        server.listener.sweep()
        assert handshake.state is State.ACCEPTED
        assert (handshake.header, handshake.trailing_data) == (None, start)

    @pytest.mark.parametrize("start", [b"PROXY", b"PROXY TCP4", V2, TCP4[:-1]])
    def test_a_header_that_has_begun_gets_its_time(self, api: Api, start: bytes) -> None:
        server = self.server(api)
        first, second = server.receive(start), server.connect()
        began = server.clock.now
        assert server.listener.deadline(first) == began + 5.0
        server.clock.now = began + 4.9
        server.listener.sweep()
        assert (first.state, second.state) == (State.PENDING, State.ACCEPTED)
        server.clock.now = began + 5.0
        server.listener.sweep()
        assert (first.state, first.reason) == (State.REFUSED, "timeout")
        assert server.counted() == {"passthrough": 1, "timeout": 1}

    def test_the_end(self, api: Api) -> None:
        server = self.server(api)
        handshake = server.connect()
        assert handshake.eof() is State.REFUSED
        assert handshake.reason == "empty"
        handshake = server.receive(b"PRO")
        assert handshake.eof() is State.ACCEPTED
        assert handshake.trailing_data == b"PRO"
        handshake = server.receive(b"PROXY TCP4")
        assert handshake.eof() is State.REFUSED
        assert handshake.reason == "eof"

    def test_a_wrong_header_is_refused(self, api: Api) -> None:
        assert self.server(api).receive(V2 + b"\x31").reason == "invalid"
        assert self.server(api, versions={2}).receive(V1_TCP4).reason == "version"

    def test_others_are_refused(self, api: Api) -> None:
        assert self.server(api).connect(("203.0.113.9", 9)).reason == "untrusted"


class TestTime:
    def test_nothing_to_wait_for(self, api: Api) -> None:
        server = Server(api)
        assert server.listener.delay is None
        server.listener.sweep()
        server.connect()
        assert server.listener.delay == 5.0

    def test_the_log_alone_waits_no_longer_than_who_comes_next(self, api: Api) -> None:
        server = Server(api)
        for _ in range(2):
            server.receive(HTTP)
        assert server.listener.delay == 5.0
        handshake = server.connect()
        server.clock.now += 5.0
        server.listener.sweep()
        assert handshake.reason == "timeout"

    def test_each_is_ended_in_its_time(self, api: Api) -> None:
        server = Server(api, timeout=2.0)
        start = server.clock.now
        handshakes = []
        for _ in range(3):
            handshakes.append(server.connect())
            server.clock.now += 0.5
        handshakes[1].feed(TCP4)
        assert server.listener.delay == 0.5
        server.clock.now = start + 1.999
        server.listener.sweep()
        assert [handshake.state for handshake in handshakes] == [0, 1, 0]
        server.clock.now = start + 2.0
        server.listener.sweep()
        assert [handshake.state for handshake in handshakes] == [2, 1, 0]
        assert server.listener.delay == 1.0
        server.clock.now = start + 3.0
        server.listener.sweep()
        assert [handshake.state for handshake in handshakes] == [2, 1, 2]
        assert [len(owner.told) for owner in server.owners] == [1, 0, 1]
        assert server.owners[2].told == [handshakes[2]]
        assert handshakes[2].reason == "timeout"
        assert server.counted() == {"accepted": 1, "timeout": 2}

    def test_the_header_disarms_it(self, api: Api) -> None:
        server = Server(api)
        handshake = server.receive(TCP4)
        server.clock.now += 100
        server.listener.sweep()
        assert handshake.state is State.ACCEPTED
        assert server.owners[0].told == []

    def test_bytes_do_not_prolong_it(self, api: Api) -> None:
        server = Server(api)
        handshake = server.connect()
        for at in range(5):
            handshake.feed(TCP4[at : at + 1])
            assert handshake.state is State.PENDING
            server.clock.now += 1.0
        server.listener.sweep()
        assert handshake.reason == "timeout"

    def test_sweeps_are_not_too_close(self, api: Api) -> None:
        server = Server(api, timeout=4.0)
        server.connect()
        server.clock.now += 3.9
        assert server.listener.delay == 0.25
        server.clock.now += 100
        assert server.listener.delay == 0.25

    def test_an_owner_may_drop_another_meanwhile(self, api: Api) -> None:
        server = Server(api)
        first, second = server.connect(), server.connect()
        server.owners[0].decided = lambda handshake: second.eof()  # type: ignore[assignment]
        server.clock.now += 5.0
        server.listener.sweep()
        assert (first.reason, second.reason) == ("timeout", "empty")
        assert server.owners[1].told == []

    def test_many(self, api: Api) -> None:
        server = Server(api)
        handshakes = [server.connect() for _ in range(1000)]
        server.clock.now += 5.0
        server.listener.sweep()
        assert {handshake.reason for handshake in handshakes} == {"timeout"}
        assert server.counted() == {"timeout": 1000}


class TestEviction:
    def test_the_one_that_has_waited_longest(self, api: Api) -> None:
        server = Server(api, max_pending=3)
        handshakes = [server.connect() for _ in range(3)]
        assert server.counted() == {"pending": 3}
        handshakes.append(server.connect())
        assert [handshake.reason for handshake in handshakes] == ["evicted", "", "", ""]
        assert [len(owner.told) for owner in server.owners] == [1, 0, 0, 0]
        assert server.owners[0].told == [handshakes[0]]
        assert server.counted() == {"evicted": 1, "pending": 3}
        handshakes[1].feed(TCP4)
        handshakes.append(server.connect())
        assert server.counted() == {"accepted": 1, "evicted": 1, "pending": 3}
        handshakes.append(server.connect())
        assert [handshake.reason == "evicted" for handshake in handshakes] == [
            True, False, True, False, False, False,
        ]  # fmt: skip
        assert {handshake.feed(TCP4) for handshake in handshakes[3:]} == {State.ACCEPTED}

    def test_one(self, api: Api) -> None:
        server = Server(api, max_pending=1)
        first, second = server.connect(), server.connect()
        assert (first.reason, second.state) == ("evicted", State.PENDING)

    def test_not_for_those_who_do_not_wait(self, api: Api) -> None:
        server = Server(api, max_pending=1)
        first = server.connect()
        server.connect(("203.0.113.9", 9))
        server.connect(None)
        assert first.state is State.PENDING

    def test_the_first_in_the_queue_leaves_it(self, api: Api) -> None:
        for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)):
            server = Server(api, max_pending=3)
            handshakes = [server.connect() for _ in range(3)]
            for at in order:
                assert handshakes[at].feed(TCP4) is State.ACCEPTED
            assert server.counted() == {"accepted": 3}
            again = [server.connect() for _ in range(4)]
            assert [handshake.reason for handshake in again] == ["evicted", "", "", ""]


class TestClose:
    def test_all_end(self, api: Api) -> None:
        server = Server(api)
        handshakes = [server.connect(), server.receive(TCP4[:5]), server.receive(TCP4)]
        server.listener.close()
        assert [handshake.reason for handshake in handshakes] == ["closed", "closed", ""]
        assert [len(owner.told) for owner in server.owners] == [1, 1, 0]
        assert server.counted() == {"accepted": 1, "closed": 2}
        assert server.listener.delay is None

    def test_those_that_come_later_too(self, api: Api) -> None:
        server = Server(api, untrusted="passthrough")
        server.listener.close()
        for peername in (BALANCER, ("203.0.113.9", 9), None):
            assert server.connect(peername).reason == "closed"
        server.listener.close()
        assert [len(owner.told) for owner in server.owners] == [0, 0, 0]

    def test_an_owner_may_drop_another_meanwhile(self, api: Api) -> None:
        server = Server(api)
        first, second = server.connect(), server.connect()
        server.owners[0].decided = lambda handshake: second.eof()  # type: ignore[assignment]
        server.listener.close()
        assert (first.reason, second.reason) == ("closed", "empty")


class TestEnd:
    def test_nothing_was_sent(self, api: Api) -> None:
        server = Server(api)
        handshake = server.connect()
        assert handshake.eof() is State.REFUSED
        assert handshake.eof() is State.REFUSED
        assert handshake.reason == "empty"
        handshake = server.receive(b"")
        assert handshake.eof() is State.REFUSED
        assert server.counted() == {"empty": 2}
        assert [owner.told for owner in server.owners] == [[], []]

    @pytest.mark.parametrize("raw", [TCP4, V1_TCP4, UNIX_HEADER, LOCAL])
    def test_at_every_byte(self, api: Api, raw: bytes) -> None:
        server = Server(api)
        for size in range(1, len(raw)):
            handshake = server.receive(raw[:size])
            assert handshake.state is State.PENDING
            assert handshake.eof() is State.REFUSED
            assert handshake.reason == "eof"
        assert server.counted() == {"eof": len(raw) - 1}
        assert server.listener.pending == 0

    def test_a_line_that_would_have_been_refused(self, api: Api) -> None:
        handshake = Server(api).receive(b"PROXY TCP4 1.2.3.4")
        handshake.feed(b"\n")  # less than the parser asked for
        assert handshake.state is State.PENDING
        handshake.eof()
        assert handshake.reason == "invalid"

    def test_a_version_that_is_not_taken(self, api: Api) -> None:
        handshake = Server(api, versions={2}).receive(b"PROX")
        handshake.feed(b"Y")
        assert handshake.state is State.PENDING
        handshake.eof()
        assert handshake.reason == "version"


class TestSourcePreserved:
    def check(self, api: Api, raw: bytes, peername: Any, family: int = INET) -> str:
        trusted = api.policy.Networks.of_everyone()
        server = Server(api, trusted=trusted, source_preserved=True)
        return server.receive(raw, peername, family).reason

    @pytest.mark.parametrize("raw", [TCP4, V1_TCP4])
    def test_the_peer_itself(self, api: Api, raw: bytes) -> None:
        assert self.check(api, raw, CLIENT) == ""
        assert self.check(api, raw, (CLIENT[0], 1)) == ""
        assert self.check(api, raw, ("::ffff:198.51.100.1", 1, 0, 0), INET6) == ""
        assert self.check(api, raw, ("198.51.100.2", 1)) == "source"
        assert self.check(api, raw, ("2001:db8::1", 1, 0, 0), INET6) == "source"

    def test_ipv6(self, api: Api) -> None:
        assert self.check(api, TCP6, ("2001:db8::1", 1, 0, 0), INET6) == ""
        assert self.check(api, TCP6, ("2001:db8:0::1%eth0", 1, 0, 2), INET6) == ""
        assert self.check(api, TCP6, ("2001:db8::2", 1, 0, 0), INET6) == "source"
        mapped = build(("::ffff:198.51.100.1", 1), ("::1", 2))
        assert self.check(api, mapped, CLIENT) == ""

    def test_without_addresses(self, api: Api) -> None:
        assert self.check(api, LOCAL, CLIENT) == ""
        assert self.check(api, UNKNOWN, CLIENT) == ""

    def test_unix(self, api: Api) -> None:
        assert self.check(api, UNIX_HEADER, CLIENT) == "source"
        assert self.check(api, UNIX_HEADER, "/run/client", UNIX) == "source"
        assert self.check(api, TCP4, "", UNIX) == "source"


class TestVersions:
    @pytest.mark.parametrize(("taken", "raw"), [(1, TCP4), (2, V1_TCP4)])
    def test_the_other_one(self, api: Api, taken: int, raw: bytes) -> None:
        server = Server(api, versions={taken})
        assert server.receive(raw).reason == "version"
        assert server.receive(raw[:13]).reason == "version"
        assert server.counted() == {"version": 2}

    @pytest.mark.parametrize(("taken", "raw"), [(2, TCP4), (1, V1_TCP4)])
    def test_the_right_one(self, api: Api, taken: int, raw: bytes) -> None:
        assert Server(api, versions={taken}).receive(raw).source == CLIENT


WITH_CHECKSUM = build(CLIENT, SERVER, checksum=True)
WRONG_CHECKSUM = v2(0x21, 0x11, TCP4[16:] + CRC)


class TestChecksum:
    def test_not_required(self, api: Api) -> None:
        assert Server(api).receive(TCP4).reason == ""
        assert Server(api).receive(WITH_CHECKSUM).reason == ""
        assert Server(api).receive(WRONG_CHECKSUM).reason == "checksum"

    def test_required(self, api: Api) -> None:
        server = Server(api, require_checksum=True)
        assert server.receive(WITH_CHECKSUM).source == CLIENT
        assert server.receive(build(checksum=True)).state is State.ACCEPTED
        for raw in (TCP4, V1_TCP4, LOCAL, UNKNOWN, WRONG_CHECKSUM):
            assert server.receive(raw).reason == "checksum"


class TestSize:
    def test_at_the_limit(self, api: Api) -> None:
        raw = build(CLIENT, SERVER, tlvs=[(4, bytes(4096 - 28 - 3))])
        assert len(raw) == 4096
        assert Server(api).receive(raw).source == CLIENT
        assert Server(api, max_size=4095).receive(raw).reason == "too_large"
        larger = build(CLIENT, SERVER, tlvs=[(4, bytes(4096 - 28 - 2))])
        assert Server(api).receive(larger[:16]).reason == "too_large"
        assert Server(api, max_size=65551).receive(larger).source == CLIENT


class TestNested:
    @pytest.mark.parametrize("first", [TCP4, V1_TCP4, LOCAL, UNKNOWN])
    @pytest.mark.parametrize("second", [TCP4, V1_TCP4, V2, b"PROXY ", UNKNOWN])
    def test_in_hand(self, api: Api, first: bytes, second: bytes) -> None:
        server = Server(api)
        handshake = server.receive(first + second)
        assert (handshake.state, handshake.reason) == (State.REFUSED, "nested")
        assert server.counted() == {"nested": 1}

    @pytest.mark.parametrize("first", [TCP4, V1_TCP4])
    @pytest.mark.parametrize("second", [TCP4, V1_TCP4])
    def test_left_to_the_application(self, api: Api, first: bytes, second: bytes) -> None:
        handshake = Server(api, nested="payload").receive(first + second)
        assert (handshake.source, handshake.trailing_data) == (CLIENT, second)

    @pytest.mark.parametrize("behind", [b"PROXY", b"PROXYING", V2[:11], b"xPROXY ", b"proxy "])
    def test_what_is_no_header_or_not_yet_one(self, api: Api, behind: bytes) -> None:
        for first in (TCP4, V1_TCP4):
            handshake = Server(api).receive(first + behind)
            assert (handshake.source, handshake.trailing_data) == (CLIENT, behind)

    def test_it_is_never_believed(self, api: Api) -> None:
        other = build(("192.0.2.66", 66), SERVER)
        handshake = Server(api, nested="payload").receive(LOCAL + other)
        assert (handshake.source, handshake.trailing_data) == (BALANCER, other)


class TestWanted:
    def test_reading_up_to_it_never_reads_past_the_header(
        self, api: Api, case: tuple[bytes, Any, Any, str]
    ) -> None:
        raw = case[0]
        server = Server(api)
        handshake = server.connect()
        read = 0
        while handshake.state is State.PENDING:
            count = server.listener.wanted(handshake)
            assert count > 0
            assert read + count <= len(raw)
            handshake.feed(raw[read : read + count])
            read += count
        assert (read, handshake.trailing_data) == (len(raw), b"")


class TestCounters:
    def test_none_yet(self, api: Api) -> None:
        assert Server(api).listener.counters == Counters(0, 0, 0, 0, dict.fromkeys(REASONS, 0))

    def test_a_copy(self, api: Api) -> None:
        server = Server(api)
        server.listener.counters.refused["timeout"] = 9
        assert server.listener.counters.refused["timeout"] == 0

    def test_all(self, api: Api) -> None:
        server = Server(api, untrusted="passthrough")
        for _ in range(2):
            server.receive(TCP4)
            server.receive(LOCAL)
            server.receive(HTTP)
            server.connect()
            server.connect(("203.0.113.9", 9))
        refused = {**dict.fromkeys(REASONS, 0), "missing": 2}
        assert server.listener.counters == (2, 2, 2, 2, refused)
        assert server.listener.pending == 2


class TestMetrics:
    def test_each_outcome(self, api: Api) -> None:
        told: list[str] = []
        server = Server(api, metrics=told.append, untrusted="passthrough")
        server.receive(TCP4)
        server.receive(LOCAL)
        server.receive(HTTP)
        server.connect(("203.0.113.9", 9))
        server.connect().eof()
        server.connect(None)
        server.connect()
        assert told == ["accepted", "local", "missing", "passthrough", "empty", "unreadable"]
        server.clock.now += 5.0
        server.listener.sweep()
        assert told[6:] == ["timeout"]
        assert set(told) <= set(OUTCOMES)

    def test_one_that_raises_hurts_no_connection(
        self, api: Api, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(outcome: str) -> None:
            raise RuntimeError(outcome)

        server = Server(api, metrics=broken)
        assert server.receive(TCP4).source == CLIENT
        assert server.receive(HTTP).reason == "missing"
        assert server.receive(TCP4).source == CLIENT
        assert server.counted() == {"accepted": 2, "missing": 1}
        failures = [record for record in caplog.records if record.exc_info]
        assert [record.getMessage() for record in failures] == [
            "the metrics callback failed, which is not logged again"
        ]
        assert failures[0].name == "fastppv2"
        assert failures[0].levelno == logging.ERROR

    def test_an_interrupt_is_not_swallowed(self, api: Api) -> None:
        def interrupted(outcome: str) -> None:
            raise KeyboardInterrupt

        server = Server(api, metrics=interrupted)
        with pytest.raises(KeyboardInterrupt):
            server.receive(TCP4)


class TestMemory:
    def test_a_long_queue_is_dropped(self, api: Api) -> None:
        server = Server(api, max_pending=10**6)
        for _ in range(100_000):
            server.listener.connect(None, INET, BALANCER)
        del server
        gc.collect()

    def test_nothing_stays(self, api: Api) -> None:
        class Owner:
            handshake: Any

        server = Server(api)
        references = []
        for end in ("header", "eof", "eviction", "drop"):
            owner = Owner()
            owner.handshake = server.listener.connect(owner, INET, BALANCER)
            references.append(weakref.ref(owner))
            if end == "header":
                owner.handshake.feed(TCP4)
            elif end == "eof":
                owner.handshake.eof()
            elif end == "eviction":
                owner.decided = lambda handshake: None  # type: ignore[attr-defined]
                server.listener.close()
        del owner, server
        gc.collect()
        assert [reference() for reference in references] == [None] * 4
