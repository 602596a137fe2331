"""CRC32C: every way of computing it gives the same number."""

from __future__ import annotations

import random

import pytest
from backends import Api
from make import CRC, crc32c, tlv, v2

from fastppv2._crc32c import by_table
from fastppv2._crc32c import crc32c as chosen


def test_known_answers() -> None:
    # RFC 3720 B.4, and the check value of the polynomial.
    for data, expected in (
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ):
        assert by_table(data) == chosen(data) == crc32c(data) == expected


def test_against_the_package() -> None:
    package = pytest.importorskip("crc32c")
    draw = random.Random(3)
    for length in [*range(70), 1000, 65551]:
        data = draw.randbytes(length)
        cut = draw.randrange(length + 1)
        assert by_table(data) == package.crc32c(data)
        assert by_table(data[cut:], by_table(data[:cut])) == package.crc32c(data)


def test_headers_of_every_length(api: Api) -> None:
    """The checksum at either end, and every length that the instructions treat differently."""
    draw = random.Random(32)
    for length in [*range(80), 1000, 65000]:
        value = draw.randbytes(length)
        for chain in (CRC + tlv(0xE0, value), tlv(0xE0, value) + CRC):
            raw = (
                v2(0x21, 0x11, bytes(12) + chain, checksum=True)
                if length < 1000
                else api.build(("0.0.0.0", 0), ("0.0.0.0", 0), tlvs=[(0xE0, value)], checksum=True)
            )
            assert api.parse(raw).checksum is not None


def test_kinds(api: Api) -> None:
    known = {"crc32c", "python"} if api.name == "python" else {"sse4.2", "armv8", "table"}
    assert api.crc32c_kind in known
