"""Networks of peers: read from text, and membership in Python, the twin of ``csrc/networks.c``.

IPv4 and IPv6 are kept apart. A mapped address (``::ffff:10.1.2.3``) is the IPv4 address that it
stands for, in networks as in peers, so no IPv6 network holds it.
"""

from __future__ import annotations

from fastppv2._address import MAPPED, format_ipv4, format_ipv6, read_ipv4, read_ipv6
from fastppv2._spec import IPV4_SIZE, IPV6_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Network = tuple[bytes, int]  # the packed first address, and the number of bits of the prefix

_MAPPED_BITS = 8 * len(MAPPED)
_IPV4_BITS = 8 * IPV4_SIZE
_EXAMPLES = "10.0.0.0/8, 192.0.2.7, 2001:db8::/32 or unix"


def read_host(host: str) -> bytes | None:
    """The packed address of a peer's host: 4 bytes, mapped ones too, or 16; None for other text.

    The zone of a link-local address is left out.
    """
    text, percent, zone = host.partition("%")
    encoded = text.encode("ascii", "replace")
    if ":" not in text:
        return None if percent else read_ipv4(encoded)
    address = read_ipv6(encoded)
    if address is None or (percent and not zone):
        return None
    return _unmapped(address)


def _unmapped(address: bytes) -> bytes:
    return address[len(MAPPED) :] if address.startswith(MAPPED) else address


def read_network(text: str) -> Network:
    """An address or a network in CIDR notation; ValueError says what is wrong with it."""
    host, slash, digits = text.partition("/")
    encoded = host.encode("ascii", "replace")
    address = read_ipv6(encoded) if ":" in host else read_ipv4(encoded)
    if address is None:
        raise ValueError(f"{text!a} is no IP address or network (names are not resolved): {_LIKE}")
    bits = 8 * len(address)
    prefix = _read_prefix(digits, bits, text) if slash else bits
    if address.startswith(MAPPED) and bits > _IPV4_BITS:
        address = _unmapped(address)
        if prefix < _MAPPED_BITS:
            raise ValueError(_mapped_error(text, format_ipv4(address), prefix))
        prefix -= _MAPPED_BITS
    return _checked(address, prefix, text)


_LIKE = f"write it like {_EXAMPLES}"


def _read_prefix(digits: str, bits: int, text: str) -> int:
    plain = digits.isascii() and digits.isdigit() and digits == digits.lstrip("0").rjust(1, "0")
    if not plain or len(digits) > 3 or int(digits) > bits:
        raise ValueError(f"{text!a}: expected 0 to {bits} in plain digits behind the slash")
    return int(digits)


def _mapped_error(text: str, address: str, prefix: int) -> str:
    """CVE-2026-90711: ``::ffff:10.0.0.0/8`` looks like 10.0.0.0/8 and held every address."""
    if prefix > _IPV4_BITS:
        return f"{text} reaches beyond the IPv4 addresses in IPv6: {_LIKE}"
    return (
        f"{text} has a prefix of {prefix} bits of 128: "
        f"write {address}/{prefix} or ::ffff:{address}/{_MAPPED_BITS + prefix}"
    )


def _checked(address: bytes, prefix: int, text: str) -> Network:
    if prefix == 0:
        raise ValueError(f"{text} is everyone: if that is meant, say Policy.trust_everyone()")
    behind = 8 * len(address) - prefix
    number = int.from_bytes(address, "big")
    first = (number >> behind << behind).to_bytes(len(address), "big")
    if first != address:
        whole = format_network((first, prefix))
        alone = format_address(address)
        raise ValueError(f"{text} has bits set behind its prefix: write {whole} or {alone}")
    return address, prefix


def format_address(address: bytes) -> str:
    """The text of 4 or 16 packed bytes."""
    return format_ipv4(address) if len(address) == IPV4_SIZE else format_ipv6(address)


def format_network(network: Network) -> str:
    """CIDR notation; a single address stands alone."""
    address, prefix = network
    text = format_address(address)
    return text if prefix == 8 * len(address) else f"{text}/{prefix}"


class Members:
    """Which hosts are in any of the networks, by ``in``; ``everyone``: all that are addresses."""

    __slots__ = ("_everyone", "_prefixes")

    def __init__(self, networks: Iterable[Network], everyone: bool = False) -> None:
        prefixes: dict[int, dict[int, set[int]]] = {IPV4_SIZE: {}, IPV6_SIZE: {}}
        for address, prefix in networks:
            behind = 8 * len(address) - prefix
            number = int.from_bytes(address, "big") >> behind
            prefixes[len(address)].setdefault(behind, set()).add(number)
        self._prefixes = {size: tuple(found.items()) for size, found in prefixes.items()}
        self._everyone = everyone

    def __contains__(self, host: object) -> bool:
        address = read_host(host) if isinstance(host, str) else None
        if address is None:
            return False
        number = int.from_bytes(address, "big")
        for behind, numbers in self._prefixes[len(address)]:
            if number >> behind in numbers:
                return True
        return self._everyone
