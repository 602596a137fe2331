"""Headers built: what is written, what comes back, and what is refused."""

from __future__ import annotations

import ipaddress
import random
from typing import Any

import pytest
from backends import Api
from make import CRC, crc32c, tlv, v2

from fastppv2 import TLV, Command, Family, Transport

SOURCE, DESTINATION = ("192.0.2.1", 56324), ("198.51.100.2", 443)
SIX = ("2001:db8::1", 1), ("::ffff:1.2.3.4", 65535)
INET = b"\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb"


def test_v2(api: Api) -> None:
    assert api.build(SOURCE, DESTINATION) == v2(0x21, 0x11, INET)
    assert api.build(SOURCE, DESTINATION, transport=Transport.DGRAM) == v2(0x21, 0x12, INET)
    six = b"\x20\1\x0d\xb8" + bytes(11) + b"\1" + bytes(10) + b"\xff\xff\1\2\3\4\0\1\xff\xff"
    assert api.build(*SIX) == v2(0x21, 0x21, six)
    assert api.build(*SIX, transport=2) == v2(0x21, 0x22, six)
    assert api.build() == v2(0x20, 0, b"")
    assert api.build(command=Command.LOCAL) == v2(0x20, 0, b"")
    assert api.build(command=Command.PROXY) == v2(0x21, 0, b"")
    assert api.build(command=1, transport=Transport.UNSPEC) == v2(0x21, 0, b"")


def test_v1(api: Api) -> None:
    line = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
    assert api.build(SOURCE, DESTINATION, version=1) == line
    assert api.build(*SIX, version=1) == b"PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 1 65535\r\n"
    assert api.build(version=1) == b"PROXY UNKNOWN\r\n"
    assert api.build(version=1, command=Command.PROXY) == b"PROXY UNKNOWN\r\n"


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("", "/run/server.sock"),
        ("/run/a", b"\0abstract"),
        (b"/run/\xff", "/" * 108),
        ("/run/\udcff", "\0abstract"),
    ],
)
def test_unix(api: Api, source: Any, destination: Any) -> None:
    for transport in (Transport.STREAM, Transport.DGRAM):
        header = api.parse(api.build(source, destination, transport=transport))
        assert (header.family, header.transport) == (Family.UNIX, transport)
        paths = [
            path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path
            for path in (source, destination)
        ]
        assert header.raw[16:] == b"".join(path.ljust(108, b"\0") for path in paths)


def test_addresses_as_sockets_and_ipaddress_give_them(api: Api) -> None:
    plain = api.build(("fe80::1", 1), ("::2", 2))
    assert api.build(("fe80::1%eth0", 1, 0, 3), ["::2", 2, 0, 0]) == plain
    assert (
        api.build((ipaddress.ip_address("fe80::1"), 1), (ipaddress.ip_address("::2"), 2)) == plain
    )
    four = ipaddress.ip_address("192.0.2.1"), 56324
    assert api.build(four, DESTINATION) == api.build(SOURCE, DESTINATION)


def test_tlvs_in_order_with_repeats(api: Api) -> None:
    items = [(0xE1, b"b"), TLV(0xE1, b""), (4, bytes(3)), (1, bytearray(b"h2"))]
    chain = tlv(0xE1, b"b") + tlv(0xE1, b"") + tlv(4, bytes(3)) + tlv(1, b"h2")
    assert api.build(SOURCE, DESTINATION, tlvs=items) == v2(0x21, 0x11, INET + chain)
    assert api.build(tlvs=iter(items)) == v2(0x20, 0, chain)
    full = bytes(65535 - 15)
    assert len(api.build(SOURCE, DESTINATION, tlvs=[(0xE0, full)])) == 65551
    assert len(api.build(SOURCE, DESTINATION, tlvs=[(0xE0, full[7:])], checksum=True)) == 65551


def test_checksum(api: Api) -> None:
    made = api.build(SOURCE, DESTINATION, tlvs=[(1, b"h2")], checksum=True)
    assert made == v2(0x21, 0x11, INET + CRC + tlv(1, b"h2"), checksum=True)
    placed = api.build(SOURCE, DESTINATION, tlvs=[(1, b"h2"), (3, b"old!")], checksum=True)
    assert placed == v2(0x21, 0x11, INET + tlv(1, b"h2") + CRC, checksum=True)
    assert api.parse(placed).checksum == crc32c(placed[:-4] + bytes(4))
    again = api.build(SOURCE, DESTINATION, tlvs=api.parse(placed).tlvs, checksum=True)
    assert again == placed
    assert api.build(checksum=True) == v2(0x20, 0, CRC, checksum=True)
    assert api.parse(api.build("/a", "/b", checksum=True)).checksum is not None


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"version": 3}, ValueError, "version: expected 1 or 2, got 3"),
    ({"version": "2"}, ValueError, "version: expected 1 or 2, got '2'"),
    ({"command": 2}, ValueError, "command: expected one of LOCAL"),
    ({"command": Command.LOCAL}, ValueError, "command: LOCAL carries no addresses"),
    ({"transport": 3}, ValueError, "transport: expected one of UNSPEC"),
    ({"transport": Transport.UNSPEC}, ValueError, "transport: expected STREAM or DGRAM"),
    ({"source": None}, ValueError, "destination: expected an address of the source's family"),
    ({"destination": None}, ValueError, "destination: expected an address of the source's family"),
    ({"destination": ("::1", 1)}, ValueError, "destination: expected an address of the source's"),
    ({"source": ("localhost", 1)}, ValueError, "source: 'localhost' is not an IP address"),
    ({"source": ("1.2.3.04", 1)}, ValueError, "source: '1.2.3.04' is not"),
    ({"source": ("1.2.3.4%eth0", 1)}, ValueError, "source: '1.2.3.4%eth0' is not"),
    ({"source": ("::1%", 1)}, ValueError, "source: '::1%' is not"),
    ({"source": ("\uff11.2.3.4", 1)}, ValueError, "source: '\uff11.2.3.4' is not"),
    ({"source": ("\ud800", 1)}, ValueError, "source: '\\ud800' is not"),
    ({"source": (b"1.2.3.4", 1)}, TypeError, "source: expected an IP address as str"),
    ({"source": ("1.2.3.4",)}, TypeError, "source: expected (host, port), a UNIX path or None"),
    ({"source": 5}, TypeError, "source: expected (host, port), a UNIX path or None, got 5"),
    ({"source": ("1.2.3.4", "80")}, TypeError, "source: expected an int as port, got '80'"),
    ({"source": ("1.2.3.4", -1)}, ValueError, "source: expected a port from 0 to 65535, got -1"),
    ({"destination": ("1.2.3.4", 65536)}, ValueError, "destination: expected a port from 0"),
    ({"destination": ("1.2.3.4", 1 << 80)}, ValueError, "destination: expected a port from 0"),
    ({"source": "/" * 109, "destination": ""}, ValueError, "source: at most 108 bytes"),
    ({"source": "a\0b", "destination": ""}, ValueError, "source: a NUL inside the UNIX path"),
    ({"source": "\ud800", "destination": ""}, ValueError, "source: the path '\\ud800' cannot"),
    ({"version": 1, "source": "a", "destination": "b"}, ValueError, "source: version 1 cannot"),
    ({"version": 1, "transport": Transport.DGRAM}, ValueError, "transport: version 1 knows only"),
    ({"version": 1, "tlvs": [(1, b"")]}, ValueError, "tlvs: version 1 has none"),
    ({"version": 1, "checksum": True}, ValueError, "checksum: version 1 has none"),
    ({"version": 1, "command": 0}, ValueError, "command: version 1 has no LOCAL"),
    ({"tlvs": [(1, b""), 5]}, TypeError, "tlvs[1]: expected (type, bytes), got 5"),
    ({"tlvs": [("1", b"")]}, TypeError, "tlvs[0]: expected (type, bytes)"),
    ({"tlvs": [(1, "h2")]}, TypeError, "tlvs[0]: expected (type, bytes)"),
    ({"tlvs": [(1, 5)]}, TypeError, "tlvs[0]: expected (type, bytes)"),
    ({"tlvs": [(256, b"")]}, ValueError, "tlvs[0]: expected a type from 0 to 255, got 256"),
    ({"tlvs": [(1, bytes(65536))]}, ValueError, "tlvs[0]: at most 65535 bytes of value"),
    ({"tlvs": [(5, bytes(129))]}, ValueError, "tlvs[0]: at most 128 bytes of UNIQUE_ID"),
    ({"tlvs": [(3, bytes(4))]}, ValueError, "tlvs[0]: a checksum (type 3) goes stale"),
    ({"tlvs": [(3, b"")], "checksum": True}, ValueError, "tlvs[0]: a checksum has 4 bytes"),
    ({"tlvs": [(3, bytes(4))] * 2, "checksum": True}, ValueError, "tlvs: more than one checksum"),
    ({"tlvs": [(1, bytes(65535 - 14))]}, ValueError, "tlvs: a header has room for 65535 bytes"),
    ({"tlvs": [(1, bytes(65535 - 21))], "checksum": True}, ValueError, "tlvs: a header has room"),
]


@pytest.mark.parametrize(("change", "kind", "message"), REFUSED)
def test_refused(api: Api, change: dict[str, Any], kind: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {"source": SOURCE, "destination": DESTINATION, **change}
    with pytest.raises(kind) as caught:
        api.build(**arguments)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(message)


def random_arguments(draw: random.Random) -> dict[str, Any]:
    """Arguments of all kinds that ``build`` takes."""
    family = draw.choice(list(Family))
    arguments: dict[str, Any] = {"version": draw.choice((1, 2, 2))}
    if family in (Family.INET, Family.INET6):
        bits, make = (
            (32, ipaddress.IPv4Address) if family == Family.INET else (128, ipaddress.IPv6Address)
        )
        for name in ("source", "destination"):
            number = draw.getrandbits(bits) & draw.choice((-1, draw.getrandbits(bits)))
            arguments[name] = (str(make(number)), draw.getrandbits(16))
    elif family == Family.UNIX:
        arguments["version"] = 2
        for name in ("source", "destination"):
            arguments[name] = "/" + "x" * draw.randrange(107)
    if arguments["version"] == 2:
        arguments["transport"] = draw.choice((Transport.STREAM, Transport.DGRAM))
        arguments["tlvs"] = [
            (draw.randrange(6, 256), draw.randbytes(draw.choice((0, 1, 5, 300))))
            for _ in range(draw.choice((0, 0, 1, 4)))
        ]
        arguments["checksum"] = draw.random() < 0.5
    return arguments


def test_backends_build_the_same_and_read_it_back(apis: list[Api]) -> None:
    draw = random.Random(4096)
    for _ in range(3000):
        arguments = random_arguments(draw)
        made = [api.build(**arguments) for api in apis]
        assert len(set(made)) == 1, arguments
        header = apis[0].parse(made[0])
        for name in ("source", "destination"):
            expected = arguments.get(name)
            if expected and arguments["version"] == 2 and header.family == Family.INET6:
                expected = header.source if name == "source" else header.destination
            assert getattr(header, name) == (expected or None if expected != "" else "")
        assert bool(arguments.get("checksum")) == (header.checksum is not None)
