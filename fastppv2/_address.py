"""Addresses as text, in Python: canonical dotted quads, RFC 4291 in, RFC 5952 out.

The twin of ``csrc/address.c``. Neither ``ipaddress`` nor ``int()`` reads text from the wire: they
take signs, underscores, zones and digits of other scripts.
"""

from __future__ import annotations

from binascii import unhexlify
from struct import Struct

from fastppv2._spec import IPV4_SIZE, IPV6_SIZE

_OCTETS = {b"%d" % octet: octet for octet in range(256)}
_LOWER_HEX = b"0123456789abcdef:"
_OCTET_TEXTS = frozenset(_OCTETS)
_TEXTS = tuple([str(octet) for octet in range(256)])
_GROUPS = Struct("!8H")
_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96


def read_ipv4(text: bytes) -> bytes | None:
    """The packed address, or None where the text is not a canonical dotted quad (2.1)."""
    octets = text.split(b".")
    if len(octets) != IPV4_SIZE:
        return None
    try:
        return bytes([_OCTETS[octet] for octet in octets])
    except KeyError:
        return None


def is_ipv4(*texts: bytes) -> bool:
    """Each of the texts is a canonical dotted quad."""
    octets = []
    for text in texts:
        quad = text.split(b".")
        if len(quad) != IPV4_SIZE:
            return False
        octets += quad
    return _OCTET_TEXTS.issuperset(octets)


def canonical_ipv6(text: bytes) -> bytes | None:
    """The RFC 5952 text of a text that is RFC 4291 2.2 without a zone, else None."""
    if _is_canonical(text):
        return text
    address = read_ipv6(text)
    return None if address is None else format_ipv6(address).encode()


def _is_canonical(text: bytes) -> bool:
    """The text is RFC 5952 already, as most are; False where it takes a closer look."""
    groups = text.split(b":")
    if text.strip(_LOWER_HEX) or text.startswith(b"0") or b":0" in text:
        return False
    if len(groups) == 8 and b"" not in groups:
        return max(map(len, groups)) <= 4
    head, gap, tail = text.partition(b"::")
    filled = len(groups) - groups.count(b"")
    if not gap or filled > 6 or head.startswith(b":") or text.startswith(b"::ffff:"):
        return False
    ragged = b"::" in tail or tail.startswith(b":") or tail.endswith(b":")
    return not ragged and max(map(len, groups)) <= 4


def read_ipv6(text: bytes) -> bytes | None:
    """The packed address, or None where the text is not RFC 4291 2.2 without a zone."""
    head, gap, tail = text.partition(b"::")
    if not gap:
        address = _read_groups(head)
        return address if address is not None and len(address) == IPV6_SIZE else None
    before = _read_groups(head) if head else b""
    behind = _read_groups(tail) if tail else b""
    if before is None or behind is None or b"." in head:
        return None
    zeros = IPV6_SIZE - len(before) - len(behind)
    return before + bytes(zeros) + behind if zeros >= 2 else None


def _read_groups(text: bytes) -> bytes | None:
    """Groups of one to four digits, the last two perhaps as a dotted quad."""
    groups = text.split(b":")
    quad: bytes | None = b""
    if b"." in groups[-1]:
        quad = read_ipv4(groups.pop())
    digits = b"".join([group.rjust(4, b"0") for group in groups])
    if quad is None or b"" in groups or len(digits) != 4 * len(groups):
        return None
    try:
        return unhexlify(digits) + quad
    except ValueError:  # not a hexadecimal digit
        return None


def format_ipv4(address: bytes) -> str:
    """The dotted quad of 4 packed bytes."""
    first, second, third, fourth = address
    return f"{_TEXTS[first]}.{_TEXTS[second]}.{_TEXTS[third]}.{_TEXTS[fourth]}"


def format_ipv6(address: bytes) -> str:
    """RFC 5952 text of 16 packed bytes: dotted only for ``::ffff:0:0/96``."""
    if address.startswith(_MAPPED):
        return "::ffff:" + format_ipv4(address[len(_MAPPED) :])
    text = address.hex(":", 2)
    if ":0" not in text and not text.startswith("0"):
        return text
    groups = _GROUPS.unpack(address)
    text = "%x:%x:%x:%x:%x:%x:%x:%x" % groups
    return text if groups.count(0) < 2 else _compress(text)


def _compress(text: str) -> str:
    """ "::" for the longest run of two or more zero groups, the first of equals (4.2)."""
    framed = f":{text}:"
    for run in range(8, 1, -1):
        at = framed.find(":0" * run + ":")
        if at >= 0:
            return framed[1:at] + "::" + framed[at + 2 * run + 1 : -1]
    return text
