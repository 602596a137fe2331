"""A header field by field, in the manner of ``tshark -V``: a tree with the offset of each byte.

All text from the wire is printed escaped: it may hold terminal commands (ESC) or turn the
direction of writing (U+202E).
"""

from __future__ import annotations

from typing import NamedTuple

from fastppv2 import TLV, Command, Family, Header, TLVType, Transport, cloud
from fastppv2._spec import (
    BLOCK_SIZE,
    IPV4_SIZE,
    IPV6_SIZE,
    SIGNATURE_V1,
    SIGNATURE_V2,
    SSL_CLIENT_CERT_CONN,
    SSL_CLIENT_CERT_SESS,
    SSL_HEAD_SIZE,
    TLV_HEAD_SIZE,
    UNIX_PATH_SIZE,
    V2_HEAD_SIZE,
)
from fastppv2.header import ascii_text, printable_text, utf8_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastppv2.header import Address

SHOWN_SIZE = 64  # characters of a TLV's value, a certificate would fill the screen; --json has all

_INDENT = "    "
_KINDS = {
    0x00: "UNSPEC",
    0x11: "TCP over IPv4",
    0x12: "UDP over IPv4",
    0x21: "TCP over IPv6",
    0x22: "UDP over IPv6",
    0x31: "UNIX stream",
    0x32: "UNIX datagram",
}
_UTF8 = frozenset({TLVType.AUTHORITY, TLVType.SSL_CN})  # 2.2.2, 2.2.6
_US_ASCII = frozenset(  # 2.2.6, 2.2.7
    {
        TLVType.SSL_VERSION,
        TLVType.SSL_CIPHER,
        TLVType.SSL_SIG_ALG,
        TLVType.SSL_KEY_ALG,
        TLVType.SSL_GROUP,
        TLVType.SSL_SIG_SCHEME,
        TLVType.NETNS,
    }
)
_RANGES = (  # 2.2.8
    (0xF8, "reserved for future use"),
    (0xF0, "experimental"),
    (0xE0, "application-specific"),
    (0x00, "unassigned"),
)
_CLIENT_BITS = (  # 2.2.6, from the lowest
    "SSL: the client connected over SSL/TLS",
    "CERT_CONN: the client gave a certificate over this connection",
    "CERT_SESS: the client gave a certificate over this TLS session",
)


class Line(NamedTuple):
    """One line of the tree: the bytes from ``start`` up to ``end`` and what they say."""

    start: int
    end: int
    depth: int
    text: str


def describe(header: Header) -> list[Line]:
    """The tree of one header; offsets count from its first byte."""
    title = f"PROXY protocol version {header.version} header, {header.size} bytes"
    return [Line(0, header.size, 0, title), *(_v1(header) if header.version == 1 else _v2(header))]


def render(lines: list[Line], offset: int, width: int) -> str:
    """The lines as text, in offsets of the whole stream, ``width`` characters for the offsets."""
    return "".join(
        [
            f"{_span(offset + line.start, offset + line.end):>{width}}  "
            f"{_INDENT * line.depth}{line.text}\n"
            for line in lines
        ]
    )


def _span(start: int, end: int) -> str:
    if start == end:  # a value of no bytes
        return ""
    return f"{start}-{end - 1}" if end - start > 1 else str(start)


# Version 1 (2.1).


def _v1(header: Header) -> list[Line]:
    raw = header.raw
    end = raw.index(b"\r\n")
    at = len(SIGNATURE_V1) + 1
    protocol, _, rest = raw[at:end].partition(b" ")
    lines = [
        Line(0, len(SIGNATURE_V1), 1, f"Signature: {raw[: len(SIGNATURE_V1)].decode()}"),
        Line(at, at + len(protocol), 1, f"Protocol: {protocol.decode()}"),
    ]
    at += len(protocol)
    if header.family == Family.UNSPEC:
        if at < end:
            lines.append(Line(at, end, 1, f"Ignored: {_escaped(raw[at:end])}"))
    else:
        lines += _v1_fields(header, rest.decode().split(" "), at + 1)
    return [*lines, Line(end, end + 2, 1, "Line End: CRLF")]


def _v1_fields(header: Header, texts: list[str], at: int) -> list[Line]:
    lines = []
    names = "Source Address", "Destination Address", "Source Port", "Destination Port"
    for name, value, text in zip(names, _fields(header), texts):
        written = "" if value == text else f" (written {text!a})"
        lines.append(Line(at, at + len(text), 1, f"{name}: {value}{written}"))
        at += len(text) + 1
    return lines


def _fields(header: Header) -> tuple[str, ...]:
    """Source address, destination address, source port, destination port."""
    source, destination = header.source, header.destination
    if isinstance(source, tuple) and isinstance(destination, tuple):
        return source[0], destination[0], str(source[1]), str(destination[1])
    return _path(source), _path(destination)


def _path(path: Address) -> str:
    if isinstance(path, bytes):
        return f"{_escaped(path)} (abstract)"
    return ascii(path) if path else "(empty)"


# Version 2 (2.2).


def _v2(header: Header) -> list[Line]:
    raw = header.raw
    at = len(SIGNATURE_V2)
    command, kind = raw[at], raw[at + 1]
    both = f"{_KINDS.get(kind, 'undefined')} (0x{kind:02x})"
    if header.is_local:
        both += ", ignored: LOCAL"
    lines = [
        Line(0, at, 1, f"Signature: {SIGNATURE_V2.hex()}"),
        Line(at, at + 1, 1, f"{_high(command)} = Version: {command >> 4}"),
        Line(at, at + 1, 1, f"{_low(command)} = Command: {Command(command & 15).name}"),
        Line(at + 1, at + 2, 1, f"Address Family and Transport: {both}"),
        Line(at + 1, at + 2, 2, f"{_high(kind)} = Address Family: {_name(Family, kind >> 4)}"),
        Line(at + 1, at + 2, 2, f"{_low(kind)} = Transport: {_name(Transport, kind & 15)}"),
        Line(at + 2, V2_HEAD_SIZE, 1, f"Length: {header.size - V2_HEAD_SIZE}"),
    ]
    at = V2_HEAD_SIZE
    if header.family != Family.UNSPEC:
        lines += _block(header)
        at += BLOCK_SIZE[header.family]
    chain = _walk(raw, at)
    # Bytes behind a header without addresses are TLVs only where the parser took them for such.
    if chain is None or tuple([tlv for _, tlv in chain if tlv.type != TLVType.NOOP]) != header.tlvs:
        return [*lines, Line(at, header.size, 1, f"Ignored: {_cut(raw[at:].hex())}")]
    for start, tlv in chain:
        lines += _tlv(start, tlv, 1)
    return lines


def _high(byte: int) -> str:
    return f"{byte >> 4:04b} ...."


def _low(byte: int) -> str:
    return f".... {byte & 15:04b}"


def _name(enum: type[Family] | type[Transport], value: int) -> str:
    try:
        return f"{enum(value).name} ({value})"
    except ValueError:  # LOCAL: the byte may hold anything
        return f"undefined ({value})"


def _block(header: Header) -> list[Line]:
    names = "Source Address", "Destination Address", "Source Port", "Destination Port"
    if header.family == Family.UNIX:
        sizes: tuple[int, ...] = (UNIX_PATH_SIZE, UNIX_PATH_SIZE)
    else:
        size = IPV4_SIZE if header.family == Family.INET else IPV6_SIZE
        sizes = size, size, 2, 2
    lines = []
    at = V2_HEAD_SIZE
    for name, size, value in zip(names, sizes, _fields(header)):
        lines.append(Line(at, at + size, 1, f"{name}: {value}"))
        at += size
    return lines


def _walk(chain: bytes, at: int) -> list[tuple[int, TLV]] | None:
    """The TLVs from ``at`` to the end with their offsets, NOOP too; None where it is broken."""
    tlvs = []
    while at < len(chain):
        value_at = at + TLV_HEAD_SIZE
        end = value_at + int.from_bytes(chain[at + 1 : value_at], "big")
        if value_at > len(chain) or end > len(chain):
            return None
        tlvs.append((at, TLV(chain[at], chain[value_at:end])))
        at = end
    return tlvs


def _tlv(at: int, tlv: TLV, depth: int) -> list[Line]:
    value_at = at + TLV_HEAD_SIZE
    end = value_at + len(tlv.value)
    inside = depth > 1  # of SSL: neither a checksum, nor another SSL, nor a cloud's
    field = None if inside else cloud.field_of(tlv)
    type_name = _type_name(tlv) if field is None else field.type.name
    name = type_name if field is None else field.name.upper()
    lines = [
        Line(at, end, depth, f"TLV: {name}"),
        Line(at, at + 1, depth + 1, f"Type: {type_name} (0x{tlv.type:02x})"),
        Line(at + 1, value_at, depth + 1, f"Length: {len(tlv.value)}"),
    ]
    if field is not None:
        return lines + _cloud(value_at, tlv.value, field, depth + 1)
    if tlv.type == TLVType.SSL and not inside:
        return lines + _ssl(value_at, tlv.value, depth + 1)
    # A header whose checksum is wrong is no header (2.2.3).
    correct = tlv.type == TLVType.CRC32C and not inside
    text = f"0x{tlv.value.hex()} (correct)" if correct else _value(tlv)
    return [*lines, Line(value_at, end, depth + 1, f"Value: {text}")]


def _type_name(tlv: TLV) -> str:
    if tlv.type in TLVType.__members__.values():
        return tlv.name
    return next(name for start, name in _RANGES if tlv.type >= start)


def _cloud(at: int, value: bytes, field: cloud.Text | cloud.Number, depth: int) -> list[Line]:
    id_at = at + len(field.subtype)
    subtype = f"Subtype: {field.name.upper()} (0x{field.subtype.hex()})"
    lines = [Line(at, id_at, depth, subtype)] if field.subtype else []
    text = _cut(ascii(field.decode(value)))
    return [*lines, Line(id_at, at + len(value), depth, f"Value: {text}")]


def _ssl(at: int, value: bytes, depth: int) -> list[Line]:
    subs = _walk(value, SSL_HEAD_SIZE) if len(value) >= SSL_HEAD_SIZE else None
    if subs is None:
        return [Line(at, at + len(value), depth, f"Malformed SSL value: {_opaque(value)}")]
    client = value[0]
    verify_at = at + 1
    lines = [Line(at, verify_at, depth, f"Client: 0x{client:02x}")]
    for place, meaning in enumerate(_CLIENT_BITS):
        digits = f".... {'.' * (3 - place)}{client >> place & 1}{'.' * place}"
        lines.append(Line(at, verify_at, depth + 1, f"{digits} = {meaning}"))
    verify = int.from_bytes(value[1:SSL_HEAD_SIZE], "big")
    verdict = "certificate verified" if verify == 0 else "certificate not verified"
    if not client & (SSL_CLIENT_CERT_CONN | SSL_CLIENT_CERT_SESS):
        verdict = "no certificate given"
    lines.append(Line(verify_at, at + SSL_HEAD_SIZE, depth, f"Verify: 0x{verify:08x} ({verdict})"))
    for start, sub in subs:
        lines += _tlv(at + start, sub, depth)
    return lines


def _value(tlv: TLV) -> str:
    if tlv.type in _UTF8:
        text, charset = utf8_text(tlv.value), "UTF-8"
    elif tlv.type in _US_ASCII:
        text, charset = ascii_text(tlv.value), "US-ASCII"
    else:
        return _opaque(tlv.value)
    return _cut(ascii(text)) if text is not None else f"{_cut(tlv.value.hex())} (not {charset})"


def _opaque(value: bytes) -> str:
    """Hex, and the text too where it is nothing but printable ASCII."""
    text = printable_text(value)
    if text is None:
        return _cut(value.hex())
    return f"{_cut(value.hex())} ({_cut(ascii(text))})" if text else "(empty)"


def _escaped(value: bytes) -> str:
    return ascii(value.decode("latin-1"))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_SIZE else f"{text[:SHOWN_SIZE]}..."
