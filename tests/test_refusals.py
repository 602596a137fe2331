"""What the operator is told: each reason with its message, typical misconfigurations, and that
nothing from the wire reaches a log unescaped."""

from __future__ import annotations

import logging
import random
from typing import Any

import pytest
from backends import Api
from handshake import BALANCER, CLIENT, INET, INET6, SERVER, UNIX, Server
from make import CRC, V2, v2
from quoted import quoted, rows

from fastppv2 import Policy, build
from fastppv2._queue import State
from fastppv2.refusal import REASONS, looks_like
from fastppv2.settings import from_environment

TCP4 = build(CLIENT, SERVER)
V1_TCP4 = build(CLIENT, SERVER, version=1)
HELLO = bytes.fromhex("16030100f8010000f40303")
OTHER = ("203.0.113.9", 9)

SENDER = "is send-proxy enabled on the load balancer?"
REQUIRED = "(header='required', FASTPPV2_HEADER)"
UNTRUSTED = (
    "not one of trusted ({}): if it is the load balancer, add {} to trusted "
    "(FASTPPV2_TRUSTED); if it needs no header, set untrusted='passthrough' (FASTPPV2_UNTRUSTED)"
)
NLB = (
    f"{SENDER} AWS NLB sends the header with the client's first bytes: where the server speaks "
    "first, ask AWS support for header_placement on_first_ack"
)

# What a trusted peer sends, under which settings, and what is said of it.
SENT: list[tuple[str, bytes, dict[str, Any], str]] = [
    ("missing", b"GET / HTTP/1.1\r\n", {},
     f"not a PROXY header (looks like an HTTP request): {SENDER} {REQUIRED}"),
    ("missing", HELLO, {},
     f"not a PROXY header (looks like a TLS ClientHello): {SENDER} It sends the header before "
     f"TLS, or with FASTPPV2_TLS=inside within it. {REQUIRED}"),
    ("missing", b"SSH-2.0-OpenSSH_9.2\r\n", {},
     f"not a PROXY header (looks like SSH): {SENDER} {REQUIRED}"),
    ("missing", b"EHLO example.org\r\n", {},
     f"not a PROXY header (looks like SMTP): {SENDER} {REQUIRED}"),
    ("missing", b"\x00\x01\x1b[31mred\xe2\x80\xaeand more", {},
     "not a PROXY header (starts with b'\\x00\\x01\\x1b[31mred\\xe2\\x80\\xaeand'): "
     f"{SENDER} {REQUIRED}"),
    ("version", V1_TCP4, {"versions": {2}},
     "a PROXY header of version 1, and only version 2 is taken: let the load balancer send that "
     "(send-proxy-v2), or add 1 to versions (FASTPPV2_VERSIONS)"),
    ("version", TCP4, {"versions": {1}},
     "a PROXY header of version 2, and only version 1 is taken: let the load balancer send that "
     "(send-proxy), or add 2 to versions (FASTPPV2_VERSIONS)"),
    ("invalid", b"PROXY TCP4 1.2.3.4 1.2.3.4 080 1\r\n", {},
     "invalid PROXY header at byte 27: source port: expected 0 to 65535 in plain digits, and a "
     "space; got b'080 1': the sender breaks the specification, or its bytes were changed on the "
     "way"),
    ("checksum", v2(0x21, 0x11, TCP4[16:] + CRC), {},
     "invalid PROXY header at byte 31: the CRC32C checksum does not match the header; got "
     "0x00000000: the header was damaged on the way, or the sender computes wrongly: switch the "
     "checksum off there (HAProxy: no crc32c in proxy-v2-options)"),
    ("checksum", TCP4, {"require_checksum": True},
     "a PROXY header of version 2 without checksum: let the load balancer send one (HAProxy: "
     "crc32c in proxy-v2-options), or set require_checksum=False (FASTPPV2_REQUIRE_CHECKSUM)"),
    ("checksum", V1_TCP4, {"require_checksum": True},
     "a PROXY header of version 1 without checksum: let the load balancer send one (HAProxy: "
     "send-proxy-v2), or set require_checksum=False (FASTPPV2_REQUIRE_CHECKSUM)"),
    ("too_large", TCP4, {"max_size": 20},
     "invalid PROXY header at byte 14: the header is larger than max_size: raise it if the sender "
     "is right; got 12 (max_size is 20 bytes, FASTPPV2_MAX_SIZE)"),
    ("source", TCP4, {"source_preserved": True},
     "the PROXY header names another client, 198.51.100.1:56324: with source_preserved it must be "
     "the peer itself; if the load balancer connects from its own address, set "
     "source_preserved=False (FASTPPV2_SOURCE_PRESERVED) and trust that address alone"),
    ("nested", TCP4 + TCP4, {},
     "a second PROXY header directly behind the first: two balancers in a row add one each, or a "
     "client sends its own: switch it off at one of them, or leave the second to the application "
     "with nested='payload' (FASTPPV2_NESTED)"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "data", "settings", "text"), SENT)
def test_what_was_sent(
    api: Api, reason: str, data: bytes, settings: dict[str, Any], text: str
) -> None:
    handshake = Server(api, **settings).receive(data)
    assert (handshake.state, handshake.reason) == (State.REFUSED, reason)
    assert handshake.message == f"10.0.0.7:4123 refused: {text}"


def test_cut_off(api: Api) -> None:
    handshake = Server(api).receive(TCP4[:20])
    handshake.eof()
    assert handshake.reason == "eof"
    assert handshake.message == (
        "10.0.0.7:4123 refused: a truncated PROXY header, 20 bytes and then the end: the sender "
        "gave up, or it is a health check that sends less than a header (HAProxy: check-send-proxy)"
    )


def test_nothing_was_sent(api: Api) -> None:
    handshake = Server(api).connect()
    handshake.eof()
    assert handshake.reason == "empty"
    assert handshake.message == (
        "10.0.0.7:4123 refused: nothing came before the end, as from a TCP health check: to have "
        "it counted as local, let the check send a header (HAProxy: check-send-proxy)"
    )


def test_time_is_over(api: Api) -> None:
    server = Server(api, timeout=2.5)
    silent, slow = server.connect(), server.receive(TCP4[:20])
    server.clock.now += 2.5
    server.listener.sweep()
    within = "within 2.5 s (timeout, FASTPPV2_TIMEOUT)"
    assert (silent.reason, slow.reason) == ("timeout", "timeout")
    assert silent.message == f"10.0.0.7:4123 refused: nothing came {within}: {NLB}"
    assert slow.message == (
        f"10.0.0.7:4123 refused: a truncated PROXY header, 20 bytes {within}: "
        "is the way to it that slow?"
    )


def test_evicted(api: Api) -> None:
    server = Server(api, max_pending=7)
    handshakes = [server.connect() for _ in range(8)]
    assert handshakes[0].reason == "evicted"
    assert handshakes[0].message == (
        "10.0.0.7:4123 refused: it waited longest of 7 connections without a whole header: raise "
        "max_pending (FASTPPV2_MAX_PENDING) or lower timeout (FASTPPV2_TIMEOUT)"
    )


def test_closed(api: Api) -> None:
    server = Server(api)
    handshake = server.connect()
    server.listener.close()
    for each in (handshake, server.connect()):
        assert each.message == (
            "10.0.0.7:4123 refused: the server was closed before the header was whole"
        )


# Who it was, under which trusted, and how peer, trusted and what to add are written.
NOT_TRUSTED: list[tuple[Any, int, str, str, str, str]] = [
    (OTHER, INET, "10.0.0.0/8", "203.0.113.9:9", "10.0.0.0/8", "203.0.113.9"),
    (("2001:db8::1", 5, 0, 0), INET6, "unix", "[2001:db8::1]:5", "unix", "2001:db8::1"),
    (("::ffff:10.1.2.3", 5, 0, 0), INET6, "11.0.0.0/8,::1,unix,12.0.0.1,13.0.0.1",
     "[::ffff:10.1.2.3]:5", "11.0.0.0/8, 12.0.0.1, 13.0.0.1 and 2 more", "10.1.2.3"),
    ("", UNIX, "10.0.0.0/8", "unix socket", "10.0.0.0/8", "unix"),
    ("/run/x\n", UNIX, "10.0.0.0/8", "'/run/x\\n'", "10.0.0.0/8", "unix"),
]  # fmt: skip


@pytest.mark.parametrize(("peername", "family", "trusted", "peer", "named", "add"), NOT_TRUSTED)
def test_not_trusted(
    api: Api, peername: Any, family: int, trusted: str, peer: str, named: str, add: str
) -> None:
    handshake = Server(api, trusted=trusted).connect(peername, family)
    assert handshake.message == f"{peer} refused: {UNTRUSTED.format(named, add)}"


NOT_READABLE: list[tuple[Any, int, str]] = [
    (None, INET, "unknown peer"),
    ("", INET6, "unix socket"),
    (("bal\x1bancer", 1), INET, "bal\\x1bancer:1"),
    (("x" * 100, 1), INET, "x" * 64),
    (b"\0" * 100, INET, "b'" + "\\x00" * 15 + "\\x"),
]


@pytest.mark.parametrize(("peername", "family", "peer"), NOT_READABLE)
def test_not_readable(api: Api, peername: Any, family: int, peer: str) -> None:
    handshake = Server(api).connect(peername, family)
    assert handshake.message == (
        f"{peer} refused: its address cannot be read (peername {peer[:64]}, socket family "
        f"{family}), so it cannot be one of trusted; 'unix' in trusted is for sockets of family "
        "AF_UNIX alone"
    )


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"GET /", "an HTTP request"),
        (b"HEAD / HTTP/1.0", "an HTTP request"),
        (b"POST /", "an HTTP request"),
        (b"PUT /", "an HTTP request"),
        (b"DELETE /", "an HTTP request"),
        (b"OPTIONS *", "an HTTP request"),
        (b"PATCH /", "an HTTP request"),
        (b"CONNECT x:1", "an HTTP request"),
        (b"TRACE /", "an HTTP request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "an HTTP request"),
        (b"GETTING", ""),
        (b"get /", ""),
        (HELLO, "a TLS ClientHello"),
        (HELLO[:5], "a TLS ClientHello"),
        (b"\x16\3", "a TLS ClientHello"),
        (b"\x16\3\3\0\x10\2", ""),
        (b"\x16\2\1", ""),
        (b"\x15\3\1\0\2\1", ""),
        (b"SSH-2.0-x", "SSH"),
        (b"SSH", ""),
        (b"EHLO x", "SMTP"),
        (b"helo x", "SMTP"),
        (b"LHLO x", "SMTP"),
        (b"HELOX", ""),
        (b"", ""),
    ],
)
def test_what_it_looks_like(data: bytes, kind: str) -> None:
    assert looks_like(data) == kind


def refused(api: Api, data: bytes = b"", peername: Any = BALANCER, **settings: Any) -> str:
    """The message, with nothing more sent after data."""
    handshake = Server(api, **settings).connect(peername)
    if handshake.state is State.PENDING:
        handshake.feed(data)
    handshake.eof()
    assert handshake.state is State.REFUSED
    return handshake.message


class TestMisconfigurations:
    """Each message names the setting to change."""

    def test_header_demanded_but_not_sent(self, api: Api) -> None:
        message = refused(api, b"GET / HTTP/1.1\r\n")
        assert "looks like an HTTP request" in message
        assert "send-proxy" in message
        assert "FASTPPV2_HEADER" in message

    def test_sent_but_not_demanded(self, api: Api, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "fastppv2")
        Server(api, untrusted="passthrough").connect(OTHER)
        assert caplog.messages == [
            "203.0.113.9:9 passed through as itself: not one of trusted (10.0.0.0/8, unix); if it "
            "is the load balancer and sends headers, add 203.0.113.9 to trusted (FASTPPV2_TRUSTED)"
        ]

    def test_v1_where_v2_is_demanded(self, api: Api) -> None:
        message = refused(api, V1_TCP4, versions={2})
        assert "version 1, and only version 2 is taken" in message
        assert "(send-proxy-v2), or add 1 to versions (FASTPPV2_VERSIONS)" in message

    def test_tls_before_the_header(self, api: Api) -> None:
        message = refused(api, HELLO)
        assert "looks like a TLS ClientHello" in message
        assert "FASTPPV2_TLS=inside" in message

    def test_header_twice(self, api: Api) -> None:
        message = refused(api, TCP4 + V1_TCP4)
        assert "a second PROXY header directly behind the first" in message
        assert "switch it off at one of them" in message
        assert "FASTPPV2_NESTED" in message

    def test_balancer_not_in_trusted(self, api: Api) -> None:
        message = refused(api, TCP4, OTHER)
        assert "not one of trusted (10.0.0.0/8, unix)" in message
        assert "add 203.0.113.9 to trusted (FASTPPV2_TRUSTED)" in message

    def test_ipv4_network_given_for_a_mapped_peer(self, api: Api) -> None:
        mapped = ("::ffff:10.1.2.3", 1, 0, 0)
        assert Server(api, trusted="10.0.0.0/8").receive(TCP4, mapped).source == CLIENT
        assert "add 10.1.2.3 to trusted" in refused(api, TCP4, mapped, trusted="11.0.0.0/8")
        with pytest.raises(ValueError, match=r"^trusted: .* write 10\.0\.0\.0/8 or ::ffff:10\."):
            Policy("::ffff:10.0.0.0/8")

    def test_health_check_without_header(self, api: Api) -> None:
        assert "let the check send a header (HAProxy: check-send-proxy)" in refused(api)
        assert "set untrusted='passthrough' (FASTPPV2_UNTRUSTED)" in refused(api, b"", OTHER)

    def test_header_larger_than_the_limit(self, api: Api) -> None:
        message = refused(api, v2(0x21, 0x11, bytes(5000)))
        assert "larger than max_size: raise it if the sender is right" in message
        assert "FASTPPV2_MAX_SIZE" in message

    def test_wrong_checksum(self, api: Api) -> None:
        message = refused(api, v2(0x21, 0x11, TCP4[16:] + CRC))
        assert "the CRC32C checksum does not match" in message
        assert "proxy-v2-options" in message

    def test_optional_without_wait(self) -> None:
        with pytest.raises(ValueError, match=r"^wait: header='optional' needs the seconds"):
            Policy("10.0.0.0/8", header="optional")
        variables = {"FASTPPV2_TRUSTED": "unix", "FASTPPV2_HEADER": "optional"}
        with pytest.raises(ValueError, match=r"^FASTPPV2_WAIT: "):
            from_environment(variables)

    def test_unknown_variable(self) -> None:
        with pytest.raises(ValueError, match=r"^FASTPPV2_TRUST: .* known are FASTPPV2_TRUSTED, "):
            from_environment({"FASTPPV2_TRUST": "10.0.0.0/8"})


class TestLog:
    @pytest.fixture(autouse=True)
    def _level(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "fastppv2")

    def test_a_refusal_is_a_warning(self, api: Api, caplog: pytest.LogCaptureFixture) -> None:
        handshake = Server(api).receive(b"GET / HTTP/1.1\r\n")
        (record,) = caplog.records
        assert (record.name, record.levelno) == ("fastppv2", logging.WARNING)
        assert record.getMessage() == handshake.message

    def test_health_checks_and_closing_are_not(
        self, api: Api, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = Server(api)
        quiet = [server.connect(), server.connect()]
        quiet[0].eof()
        server.listener.close()
        quiet.append(server.connect())
        assert [record.levelno for record in caplog.records] == [logging.DEBUG] * 3
        assert caplog.messages == [handshake.message for handshake in quiet]

    def test_let_through_without_header(self, api: Api, caplog: pytest.LogCaptureFixture) -> None:
        Server(api, header="optional", wait=1).receive(b"GET /")
        assert [record.levelno for record in caplog.records] == [logging.DEBUG]
        assert caplog.messages == [
            "10.0.0.7:4123 passed through as itself, without a PROXY header: if it should send "
            "one, set header='required' (FASTPPV2_HEADER)"
        ]

    def test_accepted_connections_are_not_logged(
        self, api: Api, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = Server(api)
        server.receive(TCP4)
        server.receive(build())
        assert caplog.messages == []

    def test_ten_thousand_of_a_kind(self, api: Api, caplog: pytest.LogCaptureFixture) -> None:
        server = Server(api)
        for port in range(10_000):
            server.receive(b"GET / HTTP/1.1\r\n", ("10.0.0.7", port))
            server.clock.now += 1 / 256
        server.clock.now += 20.9375
        assert server.listener.delay == server.policy.timeout / 16
        server.listener.sweep()
        assert len(caplog.messages) == 2
        assert caplog.messages[0].startswith("10.0.0.7:0 refused: not a PROXY header")
        assert caplog.messages[1] == "10.0.0.0/24: refused 9,999 more (missing)"
        assert server.counted() == {"missing": 10_000}
        assert server.listener.delay is None

    def test_the_count_is_told_with_the_next(
        self, api: Api, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = Server(api)
        for _ in range(3):
            server.connect(OTHER)
        server.clock.now += 59.9
        server.connect(OTHER)
        assert len(caplog.messages) == 1
        server.clock.now += 0.1
        server.connect(OTHER)
        server.connect(OTHER)
        assert len(caplog.messages) == 2
        assert caplog.messages[1] == caplog.messages[0] + " (and 3 like it)"
        server.clock.now += 60
        server.listener.sweep()
        assert caplog.messages[2:] == ["203.0.113.0/24: refused 1 more (untrusted)"]
        server.clock.now += 60
        server.listener.sweep()
        server.connect(OTHER)
        assert caplog.messages[3:] == caplog.messages[:1]

    def test_at_most_one_a_minute_also_after_a_number(
        self, api: Api, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = Server(api)
        server.connect(OTHER)
        server.connect(OTHER)
        server.clock.now += 60
        server.listener.sweep()
        server.connect(OTHER)
        assert len(caplog.messages) == 2
        server.clock.now += 59
        server.listener.sweep()
        server.connect(OTHER)
        assert len(caplog.messages) == 2
        assert server.listener.delay == 1.0
        server.clock.now += 1
        server.connect(OTHER)
        assert caplog.messages[2] == caplog.messages[0] + " (and 2 like it)"

    def test_the_rest_is_told_at_the_end(self, api: Api, caplog: pytest.LogCaptureFixture) -> None:
        server = Server(api)
        for _ in range(1234):
            server.connect(OTHER)
        server.connect(("198.51.100.7", 1))
        server.listener.close()
        assert caplog.messages[2:] == ["203.0.113.0/24: refused 1,233 more (untrusted)"]

    def test_reasons_and_networks_are_kept_apart(
        self, api: Api, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = Server(api, trusted="127.0.0.1")
        apart: list[tuple[Any, int]] = [
            (("203.0.113.9", 9), INET),
            (("203.0.114.9", 9), INET),
            (("2001:db8:0:1::9", 9, 0, 0), INET6),
            (("2001:db8:0:2::9", 9, 0, 0), INET6),
            ("", UNIX),
            (None, INET),
        ]
        same: list[tuple[Any, int]] = [
            (("203.0.113.255", 9), INET),
            (("::ffff:203.0.114.1", 9, 0, 0), INET6),
            (("2001:db8:0:1:ffff::", 9, 0, 0), INET6),
            (("2001:db8:0:2::9%eth0", 9, 0, 0), INET6),
            ("/run/x", UNIX),
            (("x", 1), INET),
        ]
        for peername, family in apart:
            server.connect(peername, family)
        assert len(caplog.messages) == len(apart)
        for peername, family in same:
            server.connect(peername, family)
        assert len(caplog.messages) == len(apart)
        server.receive(b"GET /", ("127.0.0.1", 1))
        server.receive(V2 + b"\0", ("127.0.0.1", 1))
        assert len(caplog.messages) == len(apart) + 2
        server.clock.now += 60
        server.listener.sweep()
        assert caplog.messages[len(apart) + 2 :] == [
            "203.0.113.0/24: refused 1 more (untrusted)",
            "203.0.114.0/24: refused 1 more (untrusted)",
            "2001:db8:0:1::/64: refused 1 more (untrusted)",
            "2001:db8:0:2::/64: refused 1 more (untrusted)",
            "unix: refused 1 more (untrusted)",
            "unreadable: refused 1 more (unreadable)",
        ]

    def test_so_many_networks_are_kept_apart(
        self, api: Api, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = Server(api)
        for number in range(1000):
            server.connect((f"192.{number // 250}.{number % 250}.1", 1))
        assert len(caplog.messages) == 257
        server.connect(None)  # another reason: it has a line of its own
        assert len(caplog.messages) == 258
        server.clock.now += 60
        server.listener.sweep()
        assert caplog.messages[258:] == ["other networks: refused 743 more (untrusted)"]
        server.connect(("192.0.0.1", 1))
        assert len(caplog.messages) == 260

    def test_room_is_made_for_new_networks(
        self, api: Api, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = Server(api)
        for number in range(256):
            server.connect((f"192.0.{number}.1", 1))
        server.clock.now += 60
        server.connect(OTHER)
        server.connect(OTHER)
        server.clock.now += 60
        server.listener.sweep()
        assert len(caplog.messages) == 258
        assert caplog.messages[257] == "203.0.113.0/24: refused 1 more (untrusted)"

    HOSTILE = b"\r\n\x1b[2J\xe2\x80\xae\xff\x00%s{}\\"

    def test_text_from_the_wire_is_escaped(
        self, api: Api, caplog: pytest.LogCaptureFixture
    ) -> None:
        draw = random.Random(4)
        hostile = [
            self.HOSTILE,
            b"GET /" + self.HOSTILE,
            b"PROXY TCP4 " + self.HOSTILE,
            b"PROXY" + self.HOSTILE,
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1" + self.HOSTILE,
            V2 + self.HOSTILE,
            V2 + b"\x21" + self.HOSTILE,
            v2(0x21, 0x31, (self.HOSTILE + b"x" * 200)[:108].replace(b"\0", b"y") + bytes(108)),
            *[draw.choice((b"", b"PROXY ", V2)) + draw.randbytes(40) for _ in range(500)],
        ]
        for number, data in enumerate(hostile):
            trusted = api.policy.Networks.of_everyone()
            server = Server(api, trusted=trusted, source_preserved=True)
            server.receive(data, (f"10.{number // 256}.{number % 256}.1", 1)).eof()
        assert len(caplog.messages) > 500
        for line in caplog.messages:
            assert line.isascii()
            assert line.isprintable()
            assert len(line) < 450

    def test_no_more_than_sixteen_bytes(self, api: Api) -> None:
        secret = b"\0" + b"x" * 15 + b"password"
        assert "password" not in refused(api, secret)
        assert "x" * 15 in refused(api, secret)

    def test_no_more_than_64_characters_of_a_path(self, api: Api) -> None:
        path = build("/" + "p" * 100, "/s")
        message = refused(api, path, source_preserved=True)
        assert "'/" + "p" * 62 + ":" in message


def test_each_reason_is_reached(api: Api) -> None:
    """The reasons of all tests above, once more in one place."""
    reached = set()
    for reason, data, settings, _ in SENT:
        reached.add(reason)
        assert Server(api, **settings).receive(data).reason == reason
    reached |= {"untrusted", "unreadable", "timeout", "eof", "empty", "evicted", "closed"}
    assert reached == set(REASONS)


def test_the_page_has_each_reason() -> None:
    """docs/policy.md: for each reason what is seen and what to change."""
    named = [cells[0].strip("`") for cells in rows("policy.md") if len(cells) == 3]
    assert tuple(named) == REASONS


def test_the_page_shows_what_is_logged() -> None:
    (shown,) = quoted("policy.md", "text")
    reason, _, _, message = SENT[0]
    assert reason == "missing"
    assert shown == f"10.0.0.7:4123 refused: {message}\n"
