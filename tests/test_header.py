"""What a parsed header offers."""

from __future__ import annotations

import copy
import json
import pickle
import sys

import pytest
from backends import Api
from make import CRC, tlv, v2

from fastppv2 import SSL, TLV, Command, Family, Header, TLVType, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastppv2.header import Address

INET = b"\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb"
SUB = tlv(0x21, b"TLSv1.3") + tlv(4, b"x") + tlv(0x22, "Zoë".encode()) + tlv(0x23, b"AES")
SUB += tlv(0x24, b"RSA-SHA256") + tlv(0x25, b"RSA2048") + tlv(0x26, b"x25519")
SUB += tlv(0x27, b"rsa_pss") + tlv(0x28, b"\x30\x82\1")
TLS = b"\7\0\0\0\0" + SUB
FULL = v2(
    0x21,
    0x11,
    INET
    + CRC
    + tlv(1, b"h2")
    + tlv(2, "münchen.example".encode())
    + tlv(5, b"\0id")
    + tlv(0x20, TLS)
    + tlv(0x30, b"blue")
    + tlv(0xE1, b"a")
    + tlv(0xE1, b"b"),
    checksum=True,
)
PLAIN = v2(0x21, 0x11, INET)
LINE = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"


def with_tlvs(api: Api, chain: bytes) -> Header:
    return api.parse(v2(0x21, 0x11, INET + chain))


def test_all_of_a_full_header(api: Api) -> None:
    header = api.parse(FULL + b"payload")
    assert (header.version, header.command) == (2, Command.PROXY)
    assert (header.family, header.transport) == (Family.INET, Transport.STREAM)
    assert type(header.command) is Command
    assert type(header.family) is Family
    assert type(header.transport) is Transport
    assert header.source == ("192.0.2.1", 56324)
    assert header.destination == ("198.51.100.2", 443)
    assert (header.size, header.raw, header.is_local) == (len(FULL), FULL, False)
    assert [tlv.type for tlv in header.tlvs] == [3, 1, 2, 5, 0x20, 0x30, 0xE1, 0xE1]
    assert type(header.tlvs[0]) is TLV
    assert header.alpn == b"h2"
    assert header.authority == "münchen.example"
    assert header.unique_id == b"\0id"
    assert header.netns == "blue"
    assert header.checksum == int.from_bytes(FULL[31:35], "big")
    assert header.get(0xE1) == b"a"
    assert header.getall(0xE1) == (b"a", b"b")
    assert header.get(0xE2) is None
    assert header.getall(0xE2) == ()


def test_ssl(api: Api) -> None:
    ssl = api.parse(FULL).ssl
    assert ssl is not None
    assert type(ssl) is SSL
    assert (ssl.client, ssl.verify, ssl.verified) == (7, 0, True)
    assert (ssl.version, ssl.cn, ssl.cipher) == ("TLSv1.3", "Zoë", "AES")
    assert (ssl.sig_alg, ssl.key_alg) == ("RSA-SHA256", "RSA2048")
    assert (ssl.group, ssl.sig_scheme) == ("x25519", "rsa_pss")
    assert ssl.client_cert == b"\x30\x82\1"
    assert [sub.type for sub in ssl.tlvs] == [0x21, *range(0x22, 0x29)]


@pytest.mark.parametrize(
    ("client", "verify", "verified"),
    [(0, 0, False), (1, 0, False), (3, 0, True), (5, 0, True), (7, 1, False), (2, 0, True)],
)
def test_ssl_verified_needs_a_certificate(
    api: Api, client: int, verify: int, verified: bool
) -> None:
    ssl = with_tlvs(api, tlv(0x20, bytes([client]) + verify.to_bytes(4, "big"))).ssl
    assert ssl is not None
    assert (ssl.client, ssl.verify, ssl.verified) == (client, verify, verified)
    assert ssl.version is ssl.cn is ssl.client_cert is None


def test_ssl_inside_ssl_is_a_value_like_any_other(api: Api) -> None:
    inner = b"\1\0\0\0\0"
    for _ in range(4000):
        inner = b"\1\0\0\0\0" + tlv(0x20, inner)
    ssl = with_tlvs(api, tlv(0x20, b"\1\0\0\0\0" + tlv(0x20, inner))).ssl
    assert ssl is not None
    assert ssl.tlvs == (TLV(0x20, inner),)


@pytest.mark.parametrize("value", [b"", b"\1\0\0\0", TLS[:-1], TLS + b"\0", TLS + b"\0\0"])
def test_a_malformed_value_reads_none_and_stays_visible(api: Api, value: bytes) -> None:
    header = with_tlvs(api, tlv(0x20, value))
    assert header.ssl is None
    assert header.tlvs == (TLV(0x20, value),)
    assert header.as_dict()["ssl"] is None
    second = with_tlvs(api, tlv(0x20, value) + tlv(0x20, TLS)).ssl
    assert second is not None
    assert second.version == "TLSv1.3"


def test_first_well_formed_text_wins(api: Api) -> None:
    header = with_tlvs(api, tlv(2, b"\xc3\x28") + tlv(2, b"ok") + tlv(2, b"late"))
    assert header.authority == "ok"
    header = with_tlvs(api, tlv(0x30, b"\xe9") + tlv(0x30, "é".encode()))
    assert header.netns is None
    assert header.getall(0x30) == (b"\xe9", "é".encode())
    sub = tlv(0x21, b"\xff") + tlv(0x21, b"TLSv1.2") + tlv(0x22, b"\xff")
    ssl = with_tlvs(api, tlv(0x20, b"\1\0\0\0\0" + sub)).ssl
    assert ssl is not None
    assert (ssl.version, ssl.cn) == ("TLSv1.2", None)


@pytest.mark.parametrize("data", [PLAIN, FULL, LINE, v2(0x20, 0, b""), v2(0x21, 0x21, bytes(36))])
def test_immutable_equal_hashed_pickled(apis: list[Api], data: bytes) -> None:
    headers = [api.parse(data) for api in apis]
    for header in headers:
        for name in ("source", "raw", "tlvs", "version", "anything"):
            with pytest.raises(AttributeError):
                setattr(header, name, 1)
        assert all(header == other and hash(header) == hash(other) for other in headers)
        assert header != data
        assert header != apis[0].parse(b"PROXY UNKNOWN\r\n")
        with pytest.raises(TypeError):
            assert header < header  # type: ignore[operator]
        for level in range(pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(header, level)) == header
        assert copy.copy(header) == copy.deepcopy(header) == header
        assert isinstance(header, Header)
    assert len(set(headers)) == 1


def test_headers_are_not_made_by_hand(api: Api) -> None:
    with pytest.raises(TypeError):
        Header()  # type: ignore[abstract]
    kind = type(api.parse(PLAIN))
    with pytest.raises(TypeError, match=r"^a Header comes from parse\(\) or Parser$"):
        kind()
    empty = kind.__new__(kind)
    if api.name == "cython":  # nothing in it, but nothing to crash on either
        assert empty.tlvs == ()
        assert empty.source is empty.destination is empty.ssl is None


def test_repr(api: Api) -> None:
    assert repr(api.parse(PLAIN)) == (
        "<Header v2 PROXY INET STREAM ('192.0.2.1', 56324) -> ('198.51.100.2', 443) tlvs=[]>"
    )
    assert "tlvs=[CRC32C, ALPN, AUTHORITY, UNIQUE_ID, SSL, NETNS, 0xe1, 0xe1]" in repr(
        api.parse(FULL)
    )
    assert TLV(0x20, b"").name == "SSL"


def test_as_dict(api: Api) -> None:
    told = api.parse(FULL).as_dict()
    assert json.loads(json.dumps(told)) == told
    assert told["version"] == 2
    assert told["command"] == "PROXY"
    assert (told["source"], told["source_port"]) == ("192.0.2.1", 56324)
    assert (told["destination"], told["destination_port"]) == ("198.51.100.2", 443)
    assert told["tlvs"][1] == {"type": 1, "name": "ALPN", "value": "6832"}
    assert (told["alpn"], told["unique_id"]) == ("6832", "006964")
    assert told["ssl"]["cn"] == "Zoë"
    assert told["ssl"]["client_cert"] == "308201"
    assert told["ssl"]["tlvs"][0]["name"] == "SSL_VERSION"
    told = api.parse(b"PROXY UNKNOWN\r\n").as_dict()
    assert told["family"] == told["transport"] == "UNSPEC"
    assert told["source"] is told["source_port"] is told["alpn"] is told["ssl"] is None
    unix = v2(0x21, 0x31, b"\0a".ljust(108, b"\0") + b"/b".ljust(108, b"\0"))
    told = api.parse(unix).as_dict()
    assert (told["source"], told["destination"]) == ("0061", "/b")


@pytest.mark.parametrize(
    ("data", "v1"),
    [
        (FULL, LINE),
        (LINE, LINE),
        (v2(0x21, 0x12, INET), b"PROXY UNKNOWN\r\n"),
        (v2(0x21, 0x31, bytes(216)), b"PROXY UNKNOWN\r\n"),
        (v2(0x20, 0, b""), b"PROXY UNKNOWN\r\n"),
        (v2(0x21, 0, b""), b"PROXY UNKNOWN\r\n"),
        (v2(0x21, 0x21, bytes(36)), b"PROXY TCP6 :: :: 0 0\r\n"),
    ],
)
def test_encode(api: Api, data: bytes, v1: bytes) -> None:
    header = api.parse(data)
    assert header.encode() == data
    assert header.encode(header.version) == data
    assert header.encode(1) == v1
    if header.version == 2:
        assert header.encode(2) == data
    for version in (0, 3):
        with pytest.raises(ValueError, match="version"):
            header.encode(version)


def test_encode_v1_as_v2(api: Api) -> None:
    assert api.parse(LINE).encode(2) == PLAIN
    assert api.parse(b"PROXY UNKNOWN 1 2\r\n").encode(2) == v2(0x21, 0, b"")


@pytest.mark.skipif(sys.implementation.name == "pypy", reason="PyPy tells no sizes")
def test_memory(api: Api) -> None:
    """A v2 TCP4 header takes at most 160 bytes, with all that it owns."""
    header = api.parse(PLAIN)
    size = sys.getsizeof(header)
    if api.name != "cython":
        size += sys.getsizeof(header.raw)
    assert len(PLAIN) < size <= 160


def headers_of_all_sizes() -> list[tuple[bytes, Address]]:
    """With their sources: there is more than one place where a header is kept."""
    found: list[tuple[bytes, Address]] = [
        (b"PROXY UNKNOWN " + b"x" * more + b"\r\n", None) for more in range(92)
    ]
    for host in (
        "::",
        "1::",
        *[":".join(["2001"] * 8)[: 5 * groups] + ":" for groups in range(1, 7)],
    ):
        for port in (1, 10, 100, 1000, 10000):
            line = f"PROXY TCP6 {host} 2001:2002:2003:2004:2005:2006:2007:2008 {port} 443\r\n"
            found.append((line.encode(), (host, port)))
    for more in range(120):
        found.append((v2(0x21, 0x11, INET + tlv(0xE1, bytes(more))), ("192.0.2.1", 56324)))
        found.append((v2(0x21, 0, tlv(0xE1, bytes(more))), None))
    return found


def test_headers_of_all_sizes(api: Api) -> None:
    for raw, source in headers_of_all_sizes():
        for data in (raw, raw + b"GET /", memoryview(raw), memoryview(raw + b"GET /")):
            header = api.parse(data)
            assert (header.raw, header.size) == (raw, len(raw))
            assert header.source == source
            assert [len(tlv.value) for tlv in header.tlvs] in ([], [len(raw) - 19], [len(raw) - 31])


def test_tlv_types_have_names() -> None:
    assert TLVType.SSL_CLIENT_CERT == 0x28
    assert TLV(0xFF, b"").name == "0xff"
