"""The decisions where the specification is open or implementations differ, row by row.

A test is named after its row; docs/decisions.md has the table with the reasons.
"""

from __future__ import annotations

import os

import pytest
from backends import Api
from make import CRC, V2, tlv, v2

from fastppv2 import (
    TLV,
    ChecksumError,
    Command,
    Family,
    HeaderTooLargeError,
    IncompleteHeaderError,
    InvalidHeaderError,
    Transport,
)

UNSPEC = Family.UNSPEC, Transport.UNSPEC


def invalid(api: Api, data: bytes, **options: int) -> int:
    with pytest.raises(InvalidHeaderError) as caught:
        api.parse(data, **options)
    assert isinstance(caught.value.offset, int)
    return caught.value.offset


@pytest.mark.parametrize(
    ("line", "offset"),
    [
        (b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", 11),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 8_0 2\r\n", 27),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 +80 2\r\n", 27),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 -0 2\r\n", 27),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 080 2\r\n", 27),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 00 2\r\n", 27),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n", 27),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 99999 2\r\n", 27),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 100000 2\r\n", 27),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 8: 2\r\n", 27),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 100000\r\n", 34),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", 29),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 02\r\n", 29),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n", 29),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", 30),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", 30),
        (b"PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", 11),
        (b"PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n", 11),
        (b"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", 11),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8.9 1 2\r\n", 19),
        (b"PROXY TCP4 1.2.3.4 5.6.7 1 2\r\n", 19),
        (b"PROXY TCP4 1.2.3.4 5,6.7.8 1 2\r\n", 19),
        (b"PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n", 11),
        (b"PROXY TCP6 ::1 ::2%1 1 2\r\n", 15),
        (b"PROXY TCP6 1::2::3 ::2 1 2\r\n", 11),
        (b"PROXY TCP6 12345::1 ::2 1 2\r\n", 11),
        (b"PROXY TCP6 1:2:3:4::5:6:7:8 ::2 1 2\r\n", 11),
        (b"PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n", 6),
        (b"PROXY TCP4\r\n", 6),
        (b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", 6),
        (b"PROXY TCP4 1.2.3.4\r\n5.6.7.8 1 2\r\n", 11),
    ],
)
def test_row_1_v1_grammar_is_exact(api: Api, line: bytes, offset: int) -> None:
    assert invalid(api, line) == offset


def test_row_1_bounds_are_accepted(api: Api) -> None:
    header = api.parse(b"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n")
    assert (header.source, header.destination) == (("255.255.255.255", 65535), ("0.0.0.0", 0))
    header = api.parse(b"PROXY TCP6 1:2:3:4:5:6:7:: ABCD:: 1 2\r\n")
    assert (header.source, header.destination) == (("1:2:3:4:5:6:7:0", 1), ("abcd::", 2))


def test_row_2_unknown_ignores_the_rest_of_the_line(api: Api) -> None:
    for rest in (b"", b" ", b" 1 2 3", b" a\rb", b" a\nb", b" \xff\0", b" \r"):
        header = api.parse(b"PROXY UNKNOWN" + rest + b"\r\nGET /")
        assert header.raw == b"PROXY UNKNOWN" + rest + b"\r\n"
        assert (header.command, header.family, header.transport) == (Command.PROXY, *UNSPEC)
        assert header.source is header.destination is None
    assert invalid(api, b"PROXY UNKNOWNS\r\n") == 6
    assert invalid(api, b"PROXY UNKNOWN\tx\r\n") == 6
    assert invalid(api, b"PROXY UNKNOWN\rx") == 14


def test_row_3_dotted_quad_in_tcp6(api: Api) -> None:
    header = api.parse(b"PROXY TCP6 ::ffff:1.2.3.4 64:ff9b::5.6.7.8 1 2\r\n")
    assert header.family == Family.INET6
    assert header.source == ("::ffff:1.2.3.4", 1)
    assert header.destination == ("64:ff9b::506:708", 2)
    assert invalid(api, b"PROXY TCP6 1.2.3.4 ::1 1 2\r\n") == 11
    assert invalid(api, b"PROXY TCP6 ::1.2.3.4:5 ::1 1 2\r\n") == 11


def test_row_4_when_the_verdict_on_v1_falls(api: Api) -> None:
    for start in (b"PROXY ", b"PROXY x", b"PROXY  TCP4", b"PROXY TCP4 999.999", b"PROXY TCP9 \r"):
        with pytest.raises(IncompleteHeaderError) as caught:
            api.parse(start)
        assert caught.value.needed == max(15, len(start) + (1 if start.endswith(b"\r") else 2))
    assert invalid(api, b"PROXYT") == 5
    assert invalid(api, b"PROXY\r\n") == 5
    assert invalid(api, b"PROXY TCP4 1.2.3.4\n") == 18
    assert invalid(api, b"PROXY TCP4 1.2.3.4\rx") == 19
    assert invalid(api, b"PROXY TCP4 1.2.3.4\r\r\n") == 19
    long = b"PROXY UNKNOWN ".ljust(106, b"x")
    with pytest.raises(IncompleteHeaderError) as caught:
        api.parse(long)
    assert caught.value.needed == 107
    assert invalid(api, long + b"x") == 106
    assert invalid(api, long + b"\r") == 106
    assert invalid(api, long + b"\r\n") == 106
    assert api.parse(long[:105] + b"\r\n").size == 107
    six = b"PROXY TCP6 " + b" ".join([b"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"] * 2)
    assert invalid(api, six + b" 65535 65535\r\n") == 106


def test_row_5_local_is_always_accepted(api: Api) -> None:
    for family in range(256):
        for block in (b"", b"\xff", bytes(12), b"\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb", bytes(2)):
            header = api.parse(v2(0x20, family, block) + b"payload")
            assert header.is_local
            assert header.size == 16 + len(block)
            assert (header.family, header.transport, header.source) == (*UNSPEC, None)
    chain = tlv(0xEA, b"\1vpce-1") + tlv(4, bytes(9))
    assert api.parse(v2(0x20, 0x11, chain)).tlvs == (TLV(0xEA, b"\1vpce-1"),)
    assert api.parse(v2(0x20, 0x11, chain + b"\0")).tlvs == ()
    assert api.parse(v2(0x20, 0x11, tlv(0xEA, bytes(258)))).tlvs == (TLV(0xEA, bytes(258)),)
    assert api.parse(v2(0x20, 0x11, tlv(3, b"\1\2\3\4") + b"\0")).checksum is None
    good = v2(0x20, 0x11, CRC + chain, checksum=True)
    assert api.parse(good).checksum == int.from_bytes(good[19:23], "big")
    with pytest.raises(ChecksumError) as caught:
        api.parse(v2(0x20, 0x11, CRC + chain))
    assert caught.value.offset == 19


@pytest.mark.parametrize("kind", [0x00, 0x01, 0x02, 0x10, 0x20, 0x30])
def test_row_6_proxy_without_family_or_transport(api: Api, kind: int) -> None:
    for block in (b"", b"\1\2\3", bytes(216)):
        header = api.parse(v2(0x21, kind, block))
        assert (header.command, header.family, header.transport) == (Command.PROXY, *UNSPEC)
        assert header.source is header.destination is None
    header = api.parse(v2(0x21, kind, tlv(1, b"h2")))
    assert header.alpn == (b"h2" if kind == 0 else None)
    assert header.raw[13] == kind


def test_row_7_undefined_values(api: Api) -> None:
    block = bytes(216)
    for byte in range(256):
        data = v2(byte, 0x11, bytes(12))
        if byte in (0x20, 0x21):
            assert api.parse(data).version == 2
        else:
            assert invalid(api, data) == 12
        data = v2(0x21, byte, block)
        if byte >> 4 <= 3 and byte & 15 <= 2:
            assert api.parse(data).size == 16 + len(block)
        else:
            assert invalid(api, data) == 13
            assert api.parse(v2(0x20, byte, block)).is_local


@pytest.mark.parametrize(("kind", "size"), [(0x11, 12), (0x12, 12), (0x21, 36), (0x31, 216)])
def test_row_8_length_below_the_address_block(api: Api, kind: int, size: int) -> None:
    for length in (0, 1, size - 1):
        head = v2(0x21, kind, bytes(length))[:16]
        assert invalid(api, head) == 14
        assert invalid(api, head + bytes(300)) == 14
    with pytest.raises(IncompleteHeaderError) as caught:
        api.parse(v2(0x21, kind, bytes(size))[:16])
    assert caught.value.needed == 16 + size


def test_row_9_broken_chain(api: Api) -> None:
    for rest in (b"\1", b"\1\0"):
        assert invalid(api, v2(0x21, 0x11, bytes(12) + rest)) == 28
        assert invalid(api, v2(0x21, 0x11, bytes(12) + tlv(1, b"h2") + rest)) == 33
    assert invalid(api, v2(0x21, 0x11, bytes(12) + b"\1\0\3h2") + b"payload") == 29
    assert invalid(api, v2(0x21, 0x11, bytes(12) + b"\1\xff\xff")) == 29


def test_row_10_checksum(api: Api) -> None:
    block = bytes(12) + tlv(1, b"h2") + CRC + tlv(2, b"example.org")
    good = v2(0x21, 0x11, block, checksum=True)
    assert api.parse(good + b"payload").checksum == int.from_bytes(good[36:40], "big")
    for at in (*range(16, 28), 31, 36, 39, len(good) - 1):
        bad = bytearray(good)
        bad[at] ^= 1
        with pytest.raises(ChecksumError) as caught:
            api.parse(bytes(bad))
        assert caught.value.offset == 36
    swapped = good[:36] + good[36:40][::-1] + good[40:]
    with pytest.raises(ChecksumError):
        api.parse(swapped)
    for length in (0, 1, 3, 5, 8):
        with pytest.raises(ChecksumError) as caught:
            api.parse(v2(0x21, 0x11, bytes(12) + tlv(3, bytes(length))))
        assert caught.value.offset == 29
    with pytest.raises(ChecksumError) as caught:
        api.parse(v2(0x21, 0x11, bytes(12) + CRC + CRC))
    assert caught.value.offset == 35
    inside = tlv(0x20, b"\1" + bytes(4) + CRC)
    assert api.parse(v2(0x21, 0x11, bytes(12) + inside)).checksum is None


def test_row_11_unique_id(api: Api) -> None:
    for length in (0, 1, 128):
        value = b"u" * length
        assert api.parse(v2(0x21, 0x11, bytes(12) + tlv(5, value))).unique_id == value
    assert invalid(api, v2(0x21, 0x11, bytes(12) + tlv(5, bytes(129)))) == 29
    name = "a" * 1000
    header = api.parse(v2(0x21, 0x11, bytes(12) + tlv(2, name.encode())))
    assert header.authority == name


def test_row_12_noop(api: Api) -> None:
    chain = tlv(4, b"") + tlv(1, b"h2") + tlv(4, b"junk") + tlv(0, b"")
    header = api.parse(v2(0x21, 0x11, bytes(12) + chain))
    assert header.tlvs == (TLV(1, b"h2"), TLV(0, b""))
    assert header.get(4) is None


def test_row_13_udp_and_unix(api: Api) -> None:
    for kind, transport in ((0x12, Transport.DGRAM), (0x11, Transport.STREAM)):
        header = api.parse(v2(0x21, kind, b"\1\2\3\4\5\6\7\x08\0\x50\1\xbb"))
        assert (header.family, header.transport) == (Family.INET, transport)
        assert (header.source, header.destination) == (("1.2.3.4", 80), ("5.6.7.8", 443))
    for kind, transport in ((0x31, Transport.STREAM), (0x32, Transport.DGRAM)):
        header = api.parse(v2(0x21, kind, b"/a".ljust(108, b"\0") + b"/b".ljust(108, b"\0")))
        assert (header.family, header.transport) == (Family.UNIX, transport)
        assert (header.source, header.destination) == ("/a", "/b")


@pytest.mark.parametrize(
    ("field", "path"),
    [
        (b"", ""),
        (b"/run/a", "/run/a"),
        (b"/run/a\0junk", "/run/a"),
        (b"/" * 108, "/" * 108),
        (b"\0name", b"\0name"),
        (b"\0na\0me", b"\0na\0me"),
        (b"\0" + b"x" * 107, b"\0" + b"x" * 107),
        (b"/tmp/\xff\xfe", os.fsdecode(b"/tmp/\xff\xfe")),
    ],
)
def test_row_14_unix_paths(api: Api, field: bytes, path: str | bytes) -> None:
    data = v2(0x21, 0x31, field.ljust(108, b"\0") + b"/b".ljust(108, b"\0"))
    assert api.parse(data).source == path
    data = v2(0x21, 0x31, b"/b".ljust(108, b"\0") + field.ljust(108, b"\0"))
    assert api.parse(data).destination == path


def test_row_15_size(api: Api) -> None:
    largest = v2(0x21, 0x11, bytes(12) + tlv(0xE0, bytes(65535 - 15)))
    assert api.parse(largest + b"x").size == len(largest) == 65551
    with pytest.raises(HeaderTooLargeError) as caught:
        api.Parser().feed(largest)
    assert caught.value.offset == 14
    at_limit = v2(0x21, 0x11, bytes(12) + tlv(0xE0, bytes(4096 - 31)))
    assert api.Parser().feed(at_limit).size == 4096
    with pytest.raises(HeaderTooLargeError):
        api.parse(at_limit[:16], max_size=4095)
    line = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
    assert api.parse(line, max_size=16).size == len(line)


def test_row_16_range_checks_are_policy(api: Api) -> None:
    header = api.parse(b"PROXY TCP4 224.0.0.1 127.0.0.1 0 0\r\n")
    assert (header.source, header.destination) == (("224.0.0.1", 0), ("127.0.0.1", 0))
    header = api.parse(b"PROXY TCP6 ff02::1 :: 0 0\r\n")
    assert (header.source, header.destination) == (("ff02::1", 0), ("::", 0))


@pytest.mark.parametrize("first", [b"PROXY UNKNOWN\r\n", V2 + b"\x20\0\0\0", V2 + b"\x21\0\0\0"])
def test_row_17_nested_header_is_payload(api: Api, first: bytes) -> None:
    second = b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"
    header = api.parse(first + second)
    assert (header.raw, header.source) == (first, None)
    parser = api.Parser()
    assert parser.feed(first + second) == header
    assert parser.trailing_data == second


def test_row_18_mapped_addresses_stay_as_they_are(api: Api) -> None:
    block = bytes(10) + b"\xff\xff\1\2\3\4" + bytes(15) + b"\1" + b"\0\1\0\2"
    header = api.parse(v2(0x21, 0x21, block))
    assert header.family == Family.INET6
    assert header.source == ("::ffff:1.2.3.4", 1)
    assert header.encode(1) == b"PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n"
