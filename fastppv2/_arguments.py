"""What ``build`` was given, checked and made plain: the only place that words its errors."""

from __future__ import annotations

import os
from operator import index

from fastppv2._address import read_ipv4, read_ipv6
from fastppv2._spec import (
    BLOCK_SIZE,
    CRC32C_SIZE,
    IPV4_SIZE,
    IPV6_SIZE,
    TLV_HEAD_SIZE,
    TLV_MAX_SIZE,
    UNIQUE_ID_MAX_SIZE,
    UNIX_PATH_SIZE,
    Command,
    Family,
    TLVType,
    Transport,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import IntEnum
    from typing import NamedTuple

    class End(NamedTuple):
        family: Family
        address: bytes
        port: int

    class Plan(NamedTuple):
        version: int
        command: Command
        family: Family
        transport: Transport
        source: bytes
        source_port: int
        destination: bytes
        destination_port: int
        tlvs: list[tuple[int, bytes]]
        checksum: bool

else:
    from collections import namedtuple

    End = namedtuple("End", "family address port")
    Plan = namedtuple(
        "Plan",
        "version command family transport source source_port destination destination_port "
        "tlvs checksum",
    )

_NO_END = End(Family.UNSPEC, b"", 0)


def plan(
    source: object,
    destination: object,
    version: int,
    command: int | None,
    transport: int,
    tlvs: Iterable[tuple[int, bytes]],
    checksum: bool,
) -> Plan:
    """The header to write, every field in range; ValueError or TypeError names the argument."""
    if version not in (1, 2):
        raise ValueError(f"version: expected 1 or 2, got {version!r}")
    first, second = _end("source", source), _end("destination", destination)
    if first.family != second.family:
        raise ValueError(
            f"destination: expected an address of the source's family, "
            f"{first.family.name}, got {destination!r}"
        )
    order = _command(command, version, first.family)
    kind = _member("transport", Transport, transport)
    if first.family == Family.UNSPEC:
        kind = Transport.UNSPEC
    elif kind == Transport.UNSPEC:
        raise ValueError("transport: expected STREAM or DGRAM with addresses, got UNSPEC")
    items = _tlvs(tlvs, bool(checksum))
    if version == 1:
        _check_v1(first.family, kind, bool(items), bool(checksum))
    _check_size(BLOCK_SIZE[first.family], items, bool(checksum))
    return Plan(
        version,
        order,
        first.family,
        kind,
        first.address,
        first.port,
        second.address,
        second.port,
        items,
        bool(checksum),
    )


def _member(name: str, enum: type[_Kind], value: int) -> _Kind:
    try:
        return enum(value)
    except ValueError:
        known = ", ".join(f"{member.name} ({member.value})" for member in enum)
        raise ValueError(f"{name}: expected one of {known}, got {value!r}") from None


if TYPE_CHECKING:
    from typing import TypeVar

    _Kind = TypeVar("_Kind", bound=IntEnum)


def _command(command: int | None, version: int, family: Family) -> Command:
    if command is None:
        return Command.LOCAL if family == Family.UNSPEC and version == 2 else Command.PROXY
    order = _member("command", Command, command)
    if order == Command.LOCAL and version == 1:
        raise ValueError("command: version 1 has no LOCAL, only PROXY")
    if order == Command.LOCAL and family != Family.UNSPEC:
        raise ValueError("command: LOCAL carries no addresses, leave source and destination out")
    return order


def _check_v1(family: Family, transport: Transport, tlvs: bool, checksum: bool) -> None:
    if family == Family.UNIX:
        raise ValueError("source: version 1 cannot carry UNIX addresses, use version 2")
    if transport == Transport.DGRAM:
        raise ValueError("transport: version 1 knows only STREAM, use version 2")
    if tlvs:
        raise ValueError("tlvs: version 1 has none, use version 2")
    if checksum:
        raise ValueError("checksum: version 1 has none, use version 2")


def _end(name: str, value: object) -> End:
    if value is None:
        return _NO_END
    if isinstance(value, (str, bytes)):
        return End(Family.UNIX, _path(name, value), 0)
    if isinstance(value, (tuple, list)) and len(value) >= 2:
        address = _host(name, value[0])
        family = Family.INET if len(address) == IPV4_SIZE else Family.INET6
        return End(family, address, _port(name, value[1]))
    raise TypeError(f"{name}: expected (host, port), a UNIX path or None, got {value!r}")


def _path(name: str, value: str | bytes) -> bytes:
    try:
        path = os.fsencode(value)
    except UnicodeEncodeError:
        raise ValueError(f"{name}: the path {value!r} cannot be encoded") from None
    if len(path) > UNIX_PATH_SIZE:
        raise ValueError(f"{name}: at most {UNIX_PATH_SIZE} bytes of UNIX path, got {len(path)}")
    if path.find(0) > 0:
        raise ValueError(f"{name}: a NUL inside the UNIX path {value!r}")
    return path


def _host(name: str, host: object) -> bytes:
    packed = getattr(host, "packed", None)  # ipaddress objects
    if isinstance(packed, bytes) and len(packed) in (IPV4_SIZE, IPV6_SIZE):
        return packed
    if not isinstance(host, str):
        raise TypeError(f"{name}: expected an IP address as str or ipaddress object, got {host!r}")
    # getpeername() appends the zone of a link-local address; it means nothing to another host.
    text, percent, zone = host.partition("%")
    encoded = text.encode("ascii", "replace")
    address = read_ipv6(encoded) if ":" in text else None if percent else read_ipv4(encoded)
    if address is None or (percent and not zone):
        raise ValueError(f"{name}: {host!r} is not an IP address (names are not resolved)")
    return address


def _port(name: str, port: object) -> int:
    try:
        number = index(port)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name}: expected an int as port, got {port!r}") from None
    if not 0 <= number <= 0xFFFF:
        raise ValueError(f"{name}: expected a port from 0 to 65535, got {number}")
    return number


def _tlvs(tlvs: Iterable[tuple[int, bytes]], checksum: bool) -> list[tuple[int, bytes]]:
    items = [_tlv(f"tlvs[{at}]", item) for at, item in enumerate(tlvs)]
    if [type for type, _ in items].count(TLVType.CRC32C) > 1:
        raise ValueError("tlvs: more than one checksum (type 3)")
    for at, (type, value) in enumerate(items):
        if type == TLVType.UNIQUE_ID and len(value) > UNIQUE_ID_MAX_SIZE:
            raise ValueError(
                f"tlvs[{at}]: at most {UNIQUE_ID_MAX_SIZE} bytes of UNIQUE_ID, got {len(value)}"
            )
        if type == TLVType.CRC32C and not checksum:
            raise ValueError(f"tlvs[{at}]: a checksum (type 3) goes stale, pass checksum=True")
        if type == TLVType.CRC32C and len(value) != CRC32C_SIZE:
            raise ValueError(f"tlvs[{at}]: a checksum has {CRC32C_SIZE} bytes, got {len(value)}")
    return items


def _tlv(name: str, item: tuple[int, bytes]) -> tuple[int, bytes]:
    try:
        type, value = item
        number, plain = index(type), bytes(memoryview(value))
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected (type, bytes), got {item!r}") from None
    if not 0 <= number <= 0xFF:
        raise ValueError(f"{name}: expected a type from 0 to 255, got {number}")
    if len(plain) > TLV_MAX_SIZE:
        raise ValueError(f"{name}: at most {TLV_MAX_SIZE} bytes of value, got {len(plain)}")
    return number, plain


def _check_size(block: int, tlvs: list[tuple[int, bytes]], checksum: bool) -> None:
    length = block + sum([TLV_HEAD_SIZE + len(value) for _, value in tlvs])
    if checksum and TLVType.CRC32C not in [type for type, _ in tlvs]:
        length += TLV_HEAD_SIZE + CRC32C_SIZE
    if length > TLV_MAX_SIZE:
        raise ValueError(f"tlvs: a header has room for {TLV_MAX_SIZE} bytes, this is {length}")
