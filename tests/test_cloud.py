"""What clouds say of a connection, in the layouts that they send."""

from __future__ import annotations

import json
from typing import Any, Callable

import pytest
from backends import VECTORS, Api
from hypothesis import given
from hypothesis import strategies as st
from make import CRC, crc32c, tlv, v2

from fastppv2 import TLV, Header, cloud
from fastppv2._spec import CloudType

INET = b"\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb"
# As AWS prints one in the tests of its elastic-load-balancing-tools: the checksum is AWS's own.
AWS_CAPTURE = bytes.fromhex(
    "0d0a0d0a000d0a515549540a21110054ac1f0771ac1f0a1fc8f20050030004e8d6892d"
    "ea001701767063652d3038643262663135666163353030316339040024"
) + bytes(36)
AZURE = tlv(0xEE, b"\1\x2e\x16\0\0")
GCP = tlv(0xE0, bytes.fromhex("ffffffffc0a86402"))
ALIBABA = tlv(0xE1, b"\1vpc-bp1a") + tlv(0xE1, b"\2ep-bp1b") + tlv(0xE1, b"\3epsrv-bp1c")

READERS: dict[str, Callable[[Header], Any]] = {
    "aws_vpce_id": cloud.aws_vpce_id,
    "azure_private_link_id": cloud.azure_private_link_id,
    "gcp_psc_connection_id": cloud.gcp_psc_connection_id,
    "alibaba_vpc_id": cloud.alibaba_vpc_id,
    "alibaba_endpoint_id": cloud.alibaba_endpoint_id,
    "alibaba_service_id": cloud.alibaba_service_id,
}
# name: type and subtype
TEXTS = {
    "aws_vpce_id": (0xEA, b"\1"),
    "alibaba_vpc_id": (0xE1, b"\1"),
    "alibaba_endpoint_id": (0xE1, b"\2"),
    "alibaba_service_id": (0xE1, b"\3"),
}
TEXT_BUILDERS: dict[str, Callable[[str], TLV]] = {
    "aws_vpce_id": cloud.aws_vpce_id_tlv,
    "alibaba_vpc_id": cloud.alibaba_vpc_id_tlv,
    "alibaba_endpoint_id": cloud.alibaba_endpoint_id_tlv,
    "alibaba_service_id": cloud.alibaba_service_id_tlv,
}
NUMBER_BUILDERS: dict[str, tuple[Callable[[int], TLV], int]] = {  # and the bits of each
    "azure_private_link_id": (cloud.azure_private_link_id_tlv, 32),
    "gcp_psc_connection_id": (cloud.gcp_psc_connection_id_tlv, 64),
}
VECTOR_NAMES = {"azure_linkid": "azure_private_link_id"}
ALIBABA_SUBTYPES = {1: "alibaba_vpc_id", 2: "alibaba_endpoint_id", 3: "alibaba_service_id"}


def with_tlvs(api: Api, chain: bytes) -> Header:
    return api.parse(v2(0x21, 0x11, INET + chain))


def read(header: Header) -> dict[str, Any]:
    """What is there, by all readers, which agree with ``as_dict``."""
    found = {name: reader(header) for name, reader in READERS.items()}
    assert cloud.as_dict(header) == found
    return {name: value for name, value in found.items() if value is not None}


# What clouds send.


def test_aws(api: Api) -> None:
    """CRC32C first, then 0xEA, then NOOP up to 100 bytes; the checksum covers all of it."""
    header = api.parse(AWS_CAPTURE + b"payload")
    assert header.source == ("172.31.7.113", 51442)
    assert [tlv.type for tlv in header.tlvs] == [3, 0xEA]
    assert header.checksum == 0xE8D6892D == crc32c(AWS_CAPTURE[:31] + bytes(4) + AWS_CAPTURE[35:])
    assert read(header) == {"aws_vpce_id": "vpce-08d2bf15fac5001c9"}


def test_aws_is_built_as_it_is_sent(api: Api) -> None:
    tlvs = [cloud.aws_vpce_id_tlv("vpce-08d2bf15fac5001c9"), (4, bytes(36))]
    ends = ("172.31.7.113", 51442), ("172.31.10.31", 80)
    assert api.build(*ends, tlvs=tlvs, checksum=True) == AWS_CAPTURE


def test_azure_is_little_endian(api: Api) -> None:
    assert read(with_tlvs(api, AZURE)) == {"azure_private_link_id": 5678}


def test_gcp_is_big_endian(api: Api) -> None:
    assert read(with_tlvs(api, GCP)) == {"gcp_psc_connection_id": 0xFFFFFFFFC0A86402}


def test_alibaba_repeats_its_type(api: Api) -> None:
    assert read(with_tlvs(api, ALIBABA)) == {
        "alibaba_vpc_id": "vpc-bp1a",
        "alibaba_endpoint_id": "ep-bp1b",
        "alibaba_service_id": "epsrv-bp1c",
    }


@pytest.mark.parametrize(
    "case",
    [case for case in VECTORS if case["expect"].get("decoded")],
    ids=lambda case: case["id"],
)
def test_vectors(api: Api, case: dict[str, Any]) -> None:
    header = api.parse(bytes.fromhex(case["hex"]))
    expected = dict(case["expect"]["decoded"])
    for subtype, text in expected.pop("alibaba", ()):
        expected[ALIBABA_SUBTYPES[subtype]] = text
    expected = {VECTOR_NAMES.get(name, name): value for name, value in expected.items()}
    assert read(header) == {name: value for name, value in expected.items() if value is not None}


def test_there_are_vectors_of_each_cloud() -> None:
    decoded = [case["expect"]["decoded"] for case in VECTORS if case["expect"].get("decoded")]
    assert {name for said in decoded for name in said} == {
        "aws_vpce_id",
        "azure_linkid",
        "gcp_psc_connection_id",
        "alibaba",
    }


# What none of them sends.


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    "text", [b"vpc-\n", b"vpc-\0", b"\x7f", b"\x1b[31m", b"vpc-\xc3\xa9", b"\xff", b"\x80"]
)
def test_text_that_is_not_printable_ascii(api: Api, name: str, text: bytes) -> None:
    type, subtype = TEXTS[name]
    header = with_tlvs(api, tlv(type, subtype + text))
    assert read(header) == {}
    assert header.tlvs == (TLV(type, subtype + text),)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("text", [b"", b" ", b"~", b"vpce-!?*&", b"x" * 60000])
def test_text_that_is(api: Api, name: str, text: bytes) -> None:
    type, subtype = TEXTS[name]
    assert read(with_tlvs(api, tlv(type, subtype + text))) == {name: text.decode()}


@pytest.mark.parametrize("value", [b"", b"\0", b"\4ep-1", b"\2\1\0\0\0", b"\xff" * 9, bytes(7)])
def test_subtypes_and_sizes_that_no_cloud_has(api: Api, value: bytes) -> None:
    for type in set(range(256)) - {3}:  # a checksum has rules of its own
        assert read(with_tlvs(api, tlv(type, value))) == {}


@pytest.mark.parametrize("value", [b"\1vpce-1", b"\1\7\0\0\0", bytes(8)])
def test_types_that_no_cloud_has(api: Api, value: bytes) -> None:
    for type in set(range(256)) - {3, *CloudType}:
        assert read(with_tlvs(api, tlv(type, value))) == {}


@pytest.mark.parametrize(
    "value", [b"", b"\1", b"\1\1", b"\1\1\0\0", b"\1\1\0\0\0\0", b"\2\1\0\0\0", b"\1" + bytes(8)]
)
def test_azure_of_another_shape(api: Api, value: bytes) -> None:
    header = with_tlvs(api, tlv(0xEE, value))
    assert read(header) == {}
    assert header.get(0xEE) == value


@pytest.mark.parametrize("size", [0, 1, 4, 7, 9, 16])
def test_gcp_of_another_shape(api: Api, size: int) -> None:
    header = with_tlvs(api, tlv(0xE0, bytes(size)))
    assert read(header) == {}
    assert header.get(0xE0) == bytes(size)


def test_the_first_well_formed_one_wins(api: Api) -> None:
    chain = tlv(0xEA, b"\2x") + tlv(0xEA, b"\1\n") + tlv(0xEA, b"\1vpce-1") + tlv(0xEA, b"\1vpce-2")
    chain += tlv(0xEE, b"\1\7") + tlv(0xEE, b"\1\7\0\0\0") + AZURE
    chain += tlv(0xE0, b"\1") + tlv(0xE0, bytes(7) + b"\x09") + GCP
    chain += tlv(0xE1, b"\1\x80") + ALIBABA + tlv(0xE1, b"\1vpc-2") + tlv(0xE1, b"\3epsrv-2")
    assert read(with_tlvs(api, chain)) == {
        "aws_vpce_id": "vpce-1",
        "azure_private_link_id": 7,
        "gcp_psc_connection_id": 9,
        "alibaba_vpc_id": "vpc-bp1a",
        "alibaba_endpoint_id": "ep-bp1b",
        "alibaba_service_id": "epsrv-bp1c",
    }


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n",
        v2(0x20, 0, b""),
        v2(0x21, 0x11, INET),
        v2(0x21, 0x11, INET + tlv(0x20, bytes(5) + AZURE)),  # inside SSL
        v2(0x21, 0x10, AZURE),  # half UNSPEC: the block is ignored
    ],
)
def test_headers_that_say_nothing(api: Api, data: bytes) -> None:
    header = api.parse(data)
    assert read(header) == {}
    assert set(cloud.as_dict(header)) == set(READERS)


def test_local(api: Api) -> None:
    """A whole chain behind LOCAL is read: AWS health checks have one."""
    chain = CRC + tlv(0xEA, b"\1vpce-1") + tlv(4, bytes(9))
    assert read(api.parse(v2(0x20, 0x11, chain, checksum=True))) == {"aws_vpce_id": "vpce-1"}


# What is built.


def test_built_layouts() -> None:
    assert cloud.aws_vpce_id_tlv("vpce-1") == TLV(0xEA, b"\1vpce-1")
    assert cloud.azure_private_link_id_tlv(5678) == TLV(0xEE, b"\1\x2e\x16\0\0")
    assert cloud.gcp_psc_connection_id_tlv(9) == TLV(0xE0, bytes(7) + b"\x09")
    assert cloud.alibaba_vpc_id_tlv("vpc-1") == TLV(0xE1, b"\1vpc-1")
    assert cloud.alibaba_endpoint_id_tlv("ep-1") == TLV(0xE1, b"\2ep-1")
    assert cloud.alibaba_service_id_tlv("epsrv-1") == TLV(0xE1, b"\3epsrv-1")


@given(st.data())
def test_round_trip(apis: list[Api], data: st.DataObject) -> None:
    """Whatever is built, on any backend, is read again, on any."""
    texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))
    values: dict[str, Any] = {}
    tlvs = []
    for name in data.draw(st.permutations(list(READERS))):
        if name in TEXT_BUILDERS:
            values[name] = data.draw(texts, name)
            tlvs.append(TEXT_BUILDERS[name](values[name]))
        else:
            builder, bits = NUMBER_BUILDERS[name]
            values[name] = data.draw(st.integers(0, 2**bits - 1), name)
            tlvs.append(builder(values[name]))
    built = {api.build(tlvs=tlvs, checksum=True) for api in apis}
    assert len(built) == 1
    for api in apis:
        header = api.parse(*built)
        assert read(header) == values
        assert header.tlvs[1:] == tuple(tlvs)
        assert json.loads(json.dumps(cloud.as_dict(header))) == values


@given(st.lists(st.tuples(st.sampled_from([0xE0, 0xE1, 0xEA, 0xEE]), st.binary(max_size=12))))
def test_reading_never_fails(apis: list[Api], tlvs: list[tuple[int, bytes]]) -> None:
    headers = [api.parse(api.build(tlvs=tlvs)) for api in apis]
    assert all(read(header) == read(headers[0]) for header in headers)
    assert all(list(header.tlvs) == tlvs for header in headers)


@pytest.mark.parametrize("name", TEXT_BUILDERS)
def test_texts_that_cannot_be_built(name: str) -> None:
    for text in ("vpc-\n", "\x7f", "\u00e9", "\ud800", "\u0661"):
        with pytest.raises(ValueError, match=f"^{name}: expected printable ASCII, got '") as caught:
            TEXT_BUILDERS[name](text)
        assert str(caught.value).isascii()
    for other in (b"vpc-1", None, 1):
        with pytest.raises(TypeError, match=f"^{name}: expected a str, got {other!r}$"):
            TEXT_BUILDERS[name](other)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NUMBER_BUILDERS)
def test_numbers_that_cannot_be_built(name: str) -> None:
    builder, bits = NUMBER_BUILDERS[name]
    for number in (-1, 2**bits):
        message = f"^{name}: expected 0 to {2**bits - 1}, got {number}$"
        with pytest.raises(ValueError, match=message):
            builder(number)
    for other in ("7", 7.0, None):
        with pytest.raises(TypeError, match=f"^{name}: expected an int, got {other!r}$"):
            builder(other)  # type: ignore[arg-type]


def test_a_text_too_long_for_a_tlv_is_refused_where_it_is_built_in(api: Api) -> None:
    tlvs = [cloud.aws_vpce_id_tlv("x" * 65535)]
    with pytest.raises(ValueError, match=r"tlvs\[0\]: at most 65535 bytes of value, got 65536"):
        api.build(tlvs=tlvs)
