"""Addresses as text, against the standard library's own reading of them."""

from __future__ import annotations

import ipaddress
import random

import pytest
from backends import Api
from make import v2

from fastppv2 import InvalidHeaderError

# fmt: off
BAD_IPV6 = [
    ":", ":::", ":::1", "1:::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8:",
    ":1:2:3:4:5:6:7:8", "1::2::3", "12345::", "::12345", "g::", "::g", ":8", "::1.2.3",
    "::1.2.3.4.5", "::1.2.3.256", "::01.2.3.4", "1.2.3.4::", "1.2.3.4::", "::1.2.3.4:5",
    "1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:1.2.3.4", "::ffff:1.2.3.4%eth0", "[::1]", "::1/64",
    "1:2:3:4::5:6:7:8", "::1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8::", "-1::", "+1::", "0x1::",
    "1_0::", "::ffff:1.2.3.-4", "::1:1.2.3.4.5", "::1.2.3.04", "1", "1:", "ffff", "1.2.3.4",
]
BAD_IPV4 = [
    "1", "1.2", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "01.2.3.4", "1.2.3.00",
    "256.1.1.1", "1.1.1.256", "1.1.1.1000", "999.1.1.1", "+1.2.3.4", "-1.2.3.4", "1.2.3.4/8",
    "0x1.2.3.4", "1_0.2.3.4", "1,2.3.4", "1.2.3.a", "a.b.c.d", "::1", "1.2.3.:", "1.2.3.4:",
    "1.2.3./", "00.0.0.0", "0.0.0.000", "1.2.3.4.",
]
# fmt: on


@pytest.mark.parametrize("text", BAD_IPV6)
def test_ipv6_text_that_is_none(api: Api, text: str) -> None:
    for line in (f"PROXY TCP6 {text} ::1 1 2\r\n", f"PROXY TCP6 ::1 {text} 1 2\r\n"):
        with pytest.raises(InvalidHeaderError):
            api.parse(line.encode())
    if ":" in text and "%" not in text:
        with pytest.raises(ValueError, match=r"^source: .* is not an IP address"):
            api.build((text, 1), ("::1", 1))


@pytest.mark.parametrize("text", BAD_IPV4)
def test_ipv4_text_that_is_none(api: Api, text: str) -> None:
    for line in (f"PROXY TCP4 {text} 1.2.3.4 1 2\r\n", f"PROXY TCP4 1.2.3.4 {text} 1 2\r\n"):
        with pytest.raises(InvalidHeaderError):
            api.parse(line.encode())


def random_ipv6(draw: random.Random) -> bytes:
    """Addresses with runs of zeros, which is where texts differ."""
    groups = [draw.choice((0, 0, draw.getrandbits(4), draw.getrandbits(16))) for _ in range(8)]
    if draw.random() < 0.2:
        groups[:6] = [0, 0, 0, 0, 0, 0xFFFF]
    return b"".join(group.to_bytes(2, "big") for group in groups)


def texts_of(address: ipaddress.IPv6Address, draw: random.Random) -> list[str]:
    groups = [address.packed[at : at + 2].hex() for at in range(0, 16, 2)]
    exploded = ":".join(groups)
    dotted = ":".join(groups[:6]) + f":{ipaddress.IPv4Address(address.packed[12:])}"
    return [
        str(address),
        exploded,
        exploded.upper(),
        ":".join(group.lstrip("0") or "0" for group in groups),
        dotted if draw.random() < 0.5 else str(address),
    ]


def rfc5952(packed: bytes) -> str:
    address = ipaddress.IPv6Address(packed)
    mapped = address.ipv4_mapped
    return f"::ffff:{mapped}" if mapped else str(address)


def test_random_ipv6(api: Api) -> None:
    draw = random.Random(5952)
    for _ in range(1500):
        packed = random_ipv6(draw)
        raw = v2(0x21, 0x21, packed + packed[::-1] + b"\0\1\0\2")
        header = api.parse(raw)
        assert header.source == (rfc5952(packed), 1)
        assert header.destination == (rfc5952(packed[::-1]), 2)
        assert api.build(header.source, header.destination) == raw
        for text in texts_of(ipaddress.IPv6Address(packed), draw):
            line = f"PROXY TCP6 {text} ::1 1 2\r\n".encode()
            if len(line) <= 107:
                assert api.parse(line).source == header.source


def test_every_octet(api: Api) -> None:
    for octet in range(256):
        for packed in (bytes([octet, 0, 255 - octet, 9]), bytes([1, octet, 10, octet])):
            text = ".".join(str(byte) for byte in packed)
            raw = v2(0x21, 0x11, packed + packed[::-1] + b"\0\1\0\2")
            assert api.parse(raw).source == (text, 1)
            assert api.parse(f"PROXY TCP4 {text} 1.2.3.4 1 2\r\n".encode()).source == (text, 1)
            assert api.build((text, 1), api.parse(raw).destination)[16:20] == packed


def test_every_port(api: Api) -> None:
    for port in range(65536):
        line = b"PROXY TCP4 1.2.3.4 5.6.7.8 %d %d\r\n" % (port, 65535 - port)
        header = api.parse(line)
        assert header.source == ("1.2.3.4", port)
        assert header.destination == ("5.6.7.8", 65535 - port)


@pytest.mark.parametrize("at", range(1, 7))
def test_a_gap_of_one_group_is_written_out(api: Api, at: int) -> None:
    groups = [f"{number:x}" for number in range(1, 9)]
    text = ":".join(groups[:at]) + "::" + ":".join(groups[at + 1 :])
    canonical = ":".join([*groups[:at], "0", *groups[at + 1 :]])
    for source, destination in ((text, "2001:db8::1"), ("2001:db8::1", text)):
        header = api.parse(f"PROXY TCP6 {source} {destination} 1 2\r\n".encode())
        assert {header.source, header.destination} & {(canonical, 1), (canonical, 2)}
