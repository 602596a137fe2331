"""Addresses as text, in Python: canonical dotted quads, RFC 4291 in, RFC 5952 out.

The twin of ``csrc/address.c``. Neither ``ipaddress`` nor ``int()`` reads text from the wire: they
take signs, underscores, zones and digits of other scripts.
"""

from __future__ import annotations

from binascii import unhexlify

from fastppv2._spec import IPV4_SIZE, IPV6_SIZE

_OCTETS = {b"%d" % octet: octet for octet in range(256)}
_OCTET_TEXTS = frozenset(_OCTETS)
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


def canonical_ipv4(text: bytes) -> bytes | None:
    """The text itself if it is a canonical dotted quad: that is how the address is written."""
    octets = text.split(b".")
    return text if len(octets) == IPV4_SIZE and _OCTET_TEXTS.issuperset(octets) else None


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
    return f"{first}.{second}.{third}.{fourth}"


def format_ipv6(address: bytes) -> str:
    """RFC 5952 text of 16 packed bytes: dotted only for ``::ffff:0:0/96``."""
    if address.startswith(_MAPPED):
        return "::ffff:" + format_ipv4(address[len(_MAPPED) :])
    digits = address.hex()
    groups = [digits[at : at + 4].lstrip("0") or "0" for at in range(0, 2 * IPV6_SIZE, 4)]
    start, run = _longest_run(groups)
    if run < 2:
        return ":".join(groups)
    return ":".join(groups[:start]) + "::" + ":".join(groups[start + run :])


def _longest_run(groups: list[str]) -> tuple[int, int]:
    """Start and length of the longest run of zero groups, the first of equals (4.2.3)."""
    start = run = best_start = best = 0
    for at, group in enumerate(groups):
        if group != "0":
            run = 0
            continue
        run += 1
        start = at + 1 - run
        if run > best:
            best_start, best = start, run
    return best_start, best
