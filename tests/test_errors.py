"""What an error says: its type, where, how many bytes are needed, and the words."""

from __future__ import annotations

import pickle

import pytest
from backends import Api
from make import CRC, V2, tlv, v2

import fastppv2
from fastppv2 import (
    ChecksumError,
    HeaderTooLargeError,
    IncompleteHeaderError,
    InvalidHeaderError,
    MissingHeaderError,
    ProxyProtocolError,
)
from fastppv2._spec import EXPECTED, Status

V1 = b"PROXY TCP4 1.2.3.4 5.6.7.8 "
LONG_CHAIN = tlv(5, bytes(129))

# The first check that fails speaks: each input also breaks the rules that come after.
CASES = [
    (Status.V1_SPACE, b"PROXYtcp4\n", {}, 5, "b'tcp4\\n'"),
    (Status.V1_LINE_FEED, b"PROXY tcp4\n\r\n", {}, 10, "b'\\n'"),
    (Status.V1_CARRIAGE_RETURN, b"PROXY tcp4\r\r\n", {}, 11, "b'\\r\\n'"),
    (Status.V1_TOO_LONG, b"PROXY UNKNOWN ".ljust(120, b"x"), {}, 106, "b'x'"),
    (Status.V1_PROTOCOL, b"PROXY UDP4 x\r\n", {}, 6, "b'UDP4 x'"),
    (Status.V1_SOURCE, b"PROXY TCP4 1.2.3 5 x y\r\n", {}, 11, "b'1.2.3 5 x y'"),
    (Status.V1_DESTINATION, b"PROXY TCP4 1.2.3.4 5 x y\r\n", {}, 19, "b'5 x y'"),
    (Status.V1_SOURCE_PORT, V1 + b"x 99999\r\n", {}, 27, "b'x 99999'"),
    (Status.V1_DESTINATION_PORT, V1 + b"1 99999 \r\n", {}, 29, "b'99999 '"),
    (Status.V1_END, V1 + b"1 2 \r\n", {}, 30, "b' '"),
    (Status.V2_VERSION, v2(0x3F, 0xFF, b""), {}, 12, "0x3f"),
    (Status.V2_COMMAND, v2(0x2F, 0xFF, b""), {}, 12, "0x2f"),
    (Status.V2_FAMILY, v2(0x21, 0x4F, b""), {}, 13, "0x4f"),
    (Status.V2_TRANSPORT, v2(0x21, 0x1F, b""), {}, 13, "0x1f"),
    (Status.V2_LENGTH, V2 + b"\x21\x11\0\x0b", {"max_size": 16}, 14, "11"),
    (Status.V2_TOO_LARGE, V2 + b"\x21\x11\1\0", {"max_size": 271}, 14, "256"),
    (Status.TLV_TRUNCATED, v2(0x21, 0x11, bytes(12) + CRC + b"\5\0"), {}, 35, "0x05"),
    (Status.TLV_OVERRUN, v2(0x21, 0x11, bytes(12) + CRC + b"\5\0\1"), {}, 36, "1"),
    (Status.UNIQUE_ID_SIZE, v2(0x21, 0x11, bytes(12) + CRC + LONG_CHAIN + CRC), {}, 36, "129"),
    (Status.CHECKSUM_SIZE, v2(0x21, 0x11, bytes(12) + tlv(3, b"") + CRC), {}, 29, "0"),
    (Status.CHECKSUM_REPEATED, v2(0x21, 0x11, bytes(12) + CRC + tlv(3, b"")), {}, 35, "0x03"),
    (Status.CHECKSUM_WRONG, v2(0x21, 0x11, bytes(12) + CRC), {}, 31, "0x00000000"),
]


# Good as far as it goes: what is missing is looked for behind the last field that is there.
ENDS_EARLY = [
    (Status.V1_SPACE, b"PROXY", 5),
    (Status.V1_PROTOCOL, b"PROXY ", 6),
    (Status.V1_PROTOCOL, b"PROXY TCP4", 6),
    (Status.V1_SOURCE, b"PROXY TCP4 ", 11),
    (Status.V1_SOURCE, b"PROXY TCP4 1.2.3.4", 11),
    (Status.V1_DESTINATION, b"PROXY TCP4 1.2.3.4 ", 19),
    (Status.V1_DESTINATION, b"PROXY TCP4 1.2.3.4 5.6.7.8", 19),
    (Status.V1_SOURCE_PORT, b"PROXY TCP4 1.2.3.4 5.6.7.8 ", 27),
    (Status.V1_SOURCE_PORT, b"PROXY TCP4 1.2.3.4 5.6.7.8 1", 27),
    (Status.V1_DESTINATION_PORT, b"PROXY TCP4 1.2.3.4 5.6.7.8 1 ", 29),
]


@pytest.mark.parametrize(("status", "line", "offset"), ENDS_EARLY)
def test_a_line_that_ends_early(api: Api, status: Status, line: bytes, offset: int) -> None:
    with pytest.raises(InvalidHeaderError) as caught:
        api.parse(line + b"\r\n")
    assert caught.value.offset == offset
    assert EXPECTED[status] in str(caught.value)


@pytest.mark.parametrize(("status", "data", "options", "offset", "seen"), CASES)
def test_invalid(
    api: Api, status: Status, data: bytes, options: dict[str, int], offset: int, seen: str
) -> None:
    for given in (data, bytearray(data), memoryview(data)):
        with pytest.raises(InvalidHeaderError) as caught:
            api.parse(given, **options)
        assert caught.value.offset == offset
        assert str(caught.value) == (
            f"invalid PROXY header at byte {offset}: {EXPECTED[status]}; got {seen}"
        )
        expected: type[Exception] = InvalidHeaderError
        if status.name.startswith("CHECKSUM"):
            expected = ChecksumError
        elif status == Status.V2_TOO_LARGE:
            expected = HeaderTooLargeError
        assert type(caught.value) is expected


def test_every_status_has_a_case() -> None:
    told = {case[0] for case in CASES}
    other = {Status.OK, Status.INCOMPLETE, Status.MISSING, Status.VERSION_REFUSED}
    assert told | other == set(Status)
    assert set(EXPECTED) == set(Status) - {Status.OK, Status.INCOMPLETE, Status.MISSING}


@pytest.mark.parametrize(
    ("data", "needed"),
    [
        (b"", 15),
        (b"P", 15),
        (b"PROXY", 15),
        (b"PROXY UNKNOWN", 15),
        (b"PROXY UNKNOWN\r", 15),
        (b"PROXY UNKNOWN ", 16),
        (b"PROXY TCP4 1.2.3.4", 20),
        (b"PROXY TCP4 1.2.3.4\r", 20),
        (b"PROXY UNKNOWN ".ljust(104, b"x"), 106),
        (b"PROXY UNKNOWN ".ljust(105, b"x"), 107),
        (b"PROXY UNKNOWN ".ljust(106, b"x"), 107),
        (b"\r", 16),
        (V2[:11], 16),
        (V2, 16),
        (V2 + b"\x21", 16),
        (V2 + b"\x21\x11\0", 16),
        (V2 + b"\x21\x11\0\x0c", 28),
        (V2 + b"\x20\x11\xff\xff", 65551),
    ],
)
def test_incomplete(api: Api, data: bytes, needed: int) -> None:
    for given in (data, bytearray(data)):
        with pytest.raises(IncompleteHeaderError) as caught:
            api.parse(given)
        assert caught.value.needed == needed
        assert str(caught.value) == (
            f"incomplete PROXY header: {len(data)} bytes so far, at least {needed} needed"
        )


@pytest.mark.parametrize(
    "data", [b"\n", b"GET / HTTP/1.1\r\nHost: secret", b"PROXx", V2[:11] + b"x"]
)
def test_missing(api: Api, data: bytes) -> None:
    for given in (data, bytearray(data)):
        with pytest.raises(MissingHeaderError) as caught:
            api.parse(given)
        assert f"starts with {data[:16]!r}: is sending" in str(caught.value)
        assert "secret" not in str(caught.value)


def test_hierarchy_and_pickle(api: Api) -> None:
    for data in (b"", b"x", V1 + b"x\r\n", V2 + b"\0", v2(0x21, 0x11, bytes(12) + CRC)):
        with pytest.raises(ProxyProtocolError) as caught:
            api.parse(data)
        assert isinstance(caught.value, ValueError)
        copy = pickle.loads(pickle.dumps(caught.value))
        assert (type(copy), str(copy), vars(copy)) == (
            type(caught.value),
            str(caught.value),
            vars(caught.value),
        )


@pytest.mark.parametrize(
    ("max_size", "kind"),
    [(15, ValueError), (65552, ValueError), (-1, ValueError), ("1", TypeError), (None, TypeError)],
)
def test_max_size_is_checked(api: Api, max_size: int, kind: type[Exception]) -> None:
    for call in (
        lambda: api.parse(b"PROXY UNKNOWN\r\n", max_size=max_size),
        lambda: api.Parser(max_size=max_size),
    ):
        with pytest.raises(kind, match=r"^max_size: expected") as caught:
            call()
        assert not isinstance(caught.value, ProxyProtocolError)


def test_nothing_from_the_wire_reaches_a_message_raw(api: Api) -> None:
    nasty = "\r\n\x1b[31m‮é".encode()
    for data in (nasty, b"PROXY " + nasty, b"PROXY TCP4 " + nasty[2:] + b"\r\n"):
        with pytest.raises(ProxyProtocolError) as caught:
            api.parse(data)
        assert str(caught.value).isascii()
        assert str(caught.value).isprintable()


def test_names_are_few() -> None:
    assert len(fastppv2.__all__) <= 25
    assert all(hasattr(fastppv2, name) for name in fastppv2.__all__)
