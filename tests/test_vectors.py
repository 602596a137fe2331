"""Every public vector, on every backend: whole, in pieces, cut short, and with bytes behind."""

from __future__ import annotations

import ipaddress
import os
from typing import Any

import pytest
from backends import VECTORS, Api

from fastppv2 import (
    TLV,
    Detected,
    Header,
    IncompleteHeaderError,
    InvalidHeaderError,
    MissingHeaderError,
    ProxyProtocolError,
    TLVType,
)

STATUS = {
    "incomplete": IncompleteHeaderError,
    "invalid": InvalidHeaderError,
    "not_proxy": MissingHeaderError,
}
BEHIND = [b"", b"\0", b"\r\n", b"GET / HTTP/1.1\r\n\r\n", b"PROXY UNKNOWN\r\n", bytes(300)]

all_vectors = pytest.mark.parametrize("case", VECTORS, ids=[case["id"] for case in VECTORS])


def data_of(case: dict[str, Any]) -> bytes:
    return bytes.fromhex(case["hex"])


def status_of(case: dict[str, Any]) -> str:
    status = case["expect"]["status"]
    assert isinstance(status, str)
    return status


def verdict(parse: Any, data: bytes) -> str:
    try:
        parse(data)
    except ProxyProtocolError as error:
        return next(name for name, kind in STATUS.items() if isinstance(error, kind))
    return "ok"


def address_of(text: str) -> Any:
    """The vectors' address as ``Header`` gives it; RFC 5952 text for IPv6."""
    if not text.startswith("hex:"):
        address = ipaddress.ip_address(text)
        mapped = getattr(address, "ipv4_mapped", None)
        return f"::ffff:{mapped}" if mapped else str(address)
    path = bytes.fromhex(text[4:])
    return path if path.startswith(b"\0") else os.fsdecode(path)


def check_fields(header: Header, data: bytes, expect: dict[str, Any]) -> None:
    for name in ("command", "family", "transport"):
        assert expect[name] in ("*", getattr(header, name).name), name
    assert header.version == expect["version"]
    assert header.size == expect["header_length"]
    assert header.raw == data[: header.size]
    for name in ("source", "destination"):
        found, port = getattr(header, name), expect[f"{name}_port"]
        if expect[name] is None:
            assert found is None
        elif port is None:
            assert found == address_of(expect[name])
        else:
            assert found == (address_of(expect[name]), port)
    check_tlvs(header, expect)


def check_tlvs(header: Header, expect: dict[str, Any]) -> None:
    if expect["tlvs"] != "*":
        expected = [TLV(type, bytes.fromhex(value)) for type, value in expect["tlvs"]]
        assert list(header.tlvs) == [tlv for tlv in expected if tlv.type != TLVType.NOOP]
    assert (header.checksum is not None) == bool(expect["crc"])
    ssl = expect.get("ssl", "*")
    if ssl is None:
        assert header.ssl is None
    elif ssl != "*":
        assert header.ssl is not None
        assert header.ssl.client == ssl["client"]
        assert header.ssl.verify == ssl["verify"]
        if ssl["tlvs"] != "*":
            expected = [(type, bytes.fromhex(value)) for type, value in ssl["tlvs"]]
            expected = [item for item in expected if item[0] != TLVType.NOOP]
            assert [tuple(tlv) for tlv in header.ssl.tlvs] == expected


@all_vectors
def test_whole(api: Api, case: dict[str, Any]) -> None:
    data = data_of(case)
    assert verdict(api.parse, data) == status_of(case)
    if status_of(case) == "ok":
        check_fields(api.parse(data), data, case["expect"])


@all_vectors
def test_byte_by_byte(api: Api, case: dict[str, Any]) -> None:
    """The Parser comes to the same verdict, at the header's last byte and not before."""
    data, parser, header = data_of(case), api.Parser(max_size=65551), None
    try:
        for at in range(len(data)):
            header = parser.feed(data[at : at + 1])
            if header is not None:
                assert at + 1 == header.size
                break
        else:
            parser.eof()
    except ProxyProtocolError as error:
        assert isinstance(error, STATUS[status_of(case)])
        assert header is None
    else:
        assert status_of(case) == "ok"
        assert header == api.parse(data)


@all_vectors
def test_prefixes_and_bytes_behind(api: Api, case: dict[str, Any]) -> None:
    data, status = data_of(case), status_of(case)
    if status in ("invalid", "not_proxy"):
        for behind in BEHIND:
            assert verdict(api.parse, data + behind) == status
    if status != "ok":
        return
    header = api.parse(data)
    step = max(1, header.size // 500)
    for length in [*range(0, header.size, step), header.size - 1]:
        with pytest.raises(IncompleteHeaderError) as caught:
            api.parse(data[:length])
        assert length < caught.value.needed <= header.size
    for behind in BEHIND:
        assert api.parse(header.raw + behind) == header


@all_vectors
def test_reading_up_to_needed_finds_the_header(api: Api, case: dict[str, Any]) -> None:
    """Whoever reads just what is needed, again and again, stops exactly behind the header."""
    data, have = data_of(case), 0
    if status_of(case) != "ok":
        return
    while True:
        try:
            assert api.parse(data[:have]).size == have
            return
        except IncompleteHeaderError as error:
            assert have < error.needed
            have = error.needed


@all_vectors
def test_detect(api: Api, case: dict[str, Any]) -> None:
    data = data_of(case)
    found = api.detect(data)
    if status_of(case) == "not_proxy":
        assert found == Detected.MISSING
    elif status_of(case) == "incomplete" and len(data) < 5:
        assert found == Detected.UNDECIDED
    elif data.startswith(b"PROXY"):
        assert found == Detected.V1
    elif len(data) >= 12:
        assert found == Detected.V2
    else:
        assert found == Detected.UNDECIDED
