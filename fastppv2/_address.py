"""Addresses as text, in Python: canonical dotted quads, RFC 4291 in, RFC 5952 out.

The twin of ``csrc/address.c``. Neither ``ipaddress`` nor ``int()`` reads text from the wire: they
take signs, underscores, zones and digits of other scripts.
"""

from __future__ import annotations

from binascii import unhexlify

from fastppv2._spec import IPV4_SIZE, IPV6_SIZE

_OCTETS = {b"%d" % octet: octet for octet in range(256)}
_TEXTS = tuple([str(octet) for octet in range(256)])
_OCTET_TEXTS = frozenset(_TEXTS)
_ZEROS = bytes.maketrans(b"123456789abcdef", b"9" * 15)
_DIGITS = bytes.maketrans(b"0123456789abcdef:", b"9" * 16 + b"0")
_ZERO_GROUPS = ":0000:0000"
_RUNS = tuple([":0000" * groups for groups in range(6, 1, -1)])
MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96


def read_ipv4(text: bytes) -> bytes | None:
    """The packed address, or None where the text is not a canonical dotted quad (2.1)."""
    octets = text.split(b".")
    if len(octets) != IPV4_SIZE:
        return None
    try:
        return bytes([_OCTETS[octet] for octet in octets])
    except KeyError:
        return None


def are_ipv4(texts: list[str]) -> bool:
    """The first two of the texts are canonical dotted quads."""
    try:
        a, b, c, d = texts[0].split(".")
        e, f, g, h = texts[1].split(".")
    except ValueError:
        return False
    return _OCTET_TEXTS.issuperset((a, b, c, d, e, f, g, h))


def read_ipv6_pair(texts: list[str]) -> bool:
    """The first two of the texts, of ASCII, are IPv6 addresses; now they are so by RFC 5952."""
    if _are_canonical(texts[0], texts[1]):
        return True
    first, second = read_ipv6(texts[0].encode()), read_ipv6(texts[1].encode())
    if first is None or second is None:
        return False
    texts[:2] = format_ipv6(first), format_ipv6(second)
    return True


def _are_canonical(first: str, second: str) -> bool:
    """Both texts are RFC 5952 already, as most are; False where it takes a closer look.

    Of both at once, for each look costs as much as ten bytes.
    """
    pair = f":{first}:{second}:"
    digits = pair.encode().translate(_DIGITS)
    if not digits.isdigit() or digits.find(b"99999") >= 0:
        return False
    if ":0" in pair and not _zeros_stand_alone(pair):
        return False
    # Gaps at either end of a text, and what starts with ::ffff:, are for the closer look.
    first_gap, second_gap = "::" in first, "::" in second
    if ":::" in pair or pair.count("::") != first_gap + second_gap:
        return False
    # A gap "must not be used to shorten just one 16-bit 0 field" (4.2.2).
    colons = first.count(":")
    if colons >= 7 if first_gap else colons != 7:
        return False
    colons = second.count(":")
    return colons < 7 if second_gap else colons == 7


def _zeros_stand_alone(texts: str) -> bool:
    """No group of zero is beside another or a gap (4.2), none else begins with a zero (4.1)."""
    zeros = texts.encode().translate(_ZEROS).decode()
    return "::0" not in zeros and ":0" not in zeros.replace(":0:9", ":9")


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
    text = ":" + address.hex(":", 2)
    if ":0" in text:
        if address.startswith(MAPPED):
            return "::ffff:" + format_ipv4(address[len(MAPPED) :])
        if _ZERO_GROUPS in text:
            text = _compress(text)
        # Leading zeros of a group (4.1), of which it has at most three.
        text = text.replace(":0", ":")
        if ":0" in text:
            text = text.replace(":0", ":").replace(":0", ":")
    return text[1:]


def _compress(text: str) -> str:
    """ "::" for the longest run of two or more zero groups, the first of equals (4.2)."""
    head, _, tail = text.partition(_ZERO_GROUPS)
    tail = tail.lstrip(":0")
    if _ZERO_GROUPS in tail:
        longest = next(run for run in _RUNS if run in text)
        head, _, tail = text.partition(longest)
        tail = tail[1:]
    return f"{head or ':'}::{tail}"
