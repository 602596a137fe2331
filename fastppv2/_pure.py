"""The backend in Python: the twin of ``csrc/``, to the message."""

from __future__ import annotations

import os

from fastppv2 import header as interface
from fastppv2._address import (
    canonical_ipv6,
    format_ipv4,
    format_ipv6,
    is_ipv4,
    read_ipv4,
    read_ipv6,
)
from fastppv2._arguments import plan
from fastppv2._crc32c import crc32c
from fastppv2._crc32c import kind as crc32c_kind
from fastppv2._spec import (
    BLOCK_SIZE,
    CRC32C_SIZE,
    IPV4_SIZE,
    IPV6_SIZE,
    MAX_SIZE,
    SIGNATURE_V1,
    SIGNATURE_V2,
    SSL_HEAD_SIZE,
    TLV_HEAD_SIZE,
    UNIQUE_ID_MAX_SIZE,
    UNIX_PATH_SIZE,
    V1_MAX_SIZE,
    V1_MIN_SIZE,
    V2_HEAD_SIZE,
    Command,
    Detected,
    Family,
    Status,
    TLVType,
    Transport,
)
from fastppv2.errors import SEEN_SIZE, check_max_size, fail, view_of
from fastppv2.header import SSL, TLV

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn

    from typing_extensions import Buffer

    from fastppv2._arguments import Plan
    from fastppv2.header import Address

__all__ = ["Header", "build", "crc32c_kind", "detect", "parse"]

_COMMAND_AT = len(SIGNATURE_V2)
_FAMILY_AT = _COMMAND_AT + 1
_LENGTH_AT = _COMMAND_AT + 2
_SPACE_AT = len(SIGNATURE_V1)
_PROTOCOL_AT = _SPACE_AT + 1
_UNKNOWN_END = _SPACE_AT + len(" UNKNOWN ")
_CRLF = b"\r\n"
_PORT_MAX = 0xFFFF
_PORT_DIGITS = len(str(_PORT_MAX))
_ZERO = ord("0")

# A member looked up through its class costs ten times as much.
_PROXY = Command.PROXY
_CRC32C, _NOOP, _UNIQUE_ID = int(TLVType.CRC32C), int(TLVType.NOOP), int(TLVType.UNIQUE_ID)


class Kind:
    """What headers of one kind have in common; ``end`` reads their source (0) or destination."""

    __slots__ = ("command", "end", "family", "tlvs_at", "transport", "version")

    def __init__(
        self,
        version: int,
        command: Command,
        family: Family,
        transport: Transport,
        end: Callable[[Header, int], Address],
        tlvs_at: int = 0,
    ) -> None:
        self.version = version
        self.command = command
        self.family = family
        self.transport = transport
        self.end = end
        self.tlvs_at = tlvs_at  # in v2


class Header(interface.Header):
    """A header as this backend holds it; see ``fastppv2.header.Header``."""

    __slots__ = ("_kind", "_line", "_raw")

    # To set an attribute costs as much as a check: nothing is kept that can be read again.
    _kind: Kind
    _line: tuple[tuple[bytes, bytes], tuple[int, int]]  # in v1: the hosts, the ports
    _raw: bytes

    def __init__(self) -> None:
        raise TypeError("a Header comes from parse() or Parser")

    @property
    def version(self) -> int:
        return self._kind.version

    @property
    def command(self) -> Command:
        return self._kind.command

    @property
    def family(self) -> Family:
        return self._kind.family

    @property
    def transport(self) -> Transport:
        return self._kind.transport

    @property
    def source(self) -> Address:
        return self._kind.end(self, 0)

    @property
    def destination(self) -> Address:
        return self._kind.end(self, 1)

    @property
    def size(self) -> int:
        return len(self._raw)

    @property
    def raw(self) -> bytes:
        return self._raw

    @property
    def tlvs(self) -> tuple[TLV, ...]:
        return _read_tlvs(self._raw, _tlvs_at(self._raw, self._kind)) or ()

    @property
    def ssl(self) -> SSL | None:
        return interface.first(self.tlvs, TLVType.SSL, _read_ssl)

    @staticmethod
    def _build(*ends: Address, command: int | None = None, version: int) -> bytes:
        return build(*ends, command=command, version=version)


# Where a header's two ends stand, by its kind; 0 is the source.


def _no_end(header: Header, which: int) -> Address:
    return None


def _inet_end(header: Header, which: int) -> Address:
    raw = header._raw
    at = V2_HEAD_SIZE + IPV4_SIZE * which
    port_at = V2_HEAD_SIZE + 2 * IPV4_SIZE + 2 * which
    return format_ipv4(raw[at : at + IPV4_SIZE]), raw[port_at] << 8 | raw[port_at + 1]


def _inet6_end(header: Header, which: int) -> Address:
    raw = header._raw
    at = V2_HEAD_SIZE + IPV6_SIZE * which
    port_at = V2_HEAD_SIZE + 2 * IPV6_SIZE + 2 * which
    return format_ipv6(raw[at : at + IPV6_SIZE]), raw[port_at] << 8 | raw[port_at + 1]


def _unix_end(header: Header, which: int) -> Address:
    at = V2_HEAD_SIZE + UNIX_PATH_SIZE * which
    return _path(header._raw[at : at + UNIX_PATH_SIZE])


def _line_end(header: Header, which: int) -> Address:
    hosts, ports = header._line
    return hosts[which].decode(), ports[which]


def _path(field: bytes) -> str | bytes:
    """A path ends at its first NUL; a leading NUL makes it abstract, if a name follows."""
    path, _, _ = field.partition(b"\0")
    return os.fsdecode(path) if path else field.rstrip(b"\0") or ""


def _read_tlvs(chain: bytes, at: int) -> tuple[TLV, ...] | None:
    """The TLVs from offset ``at`` to the end without NOOP; None where the chain is broken."""
    tlvs = []
    end = len(chain)
    while at < end:
        value_at = at + TLV_HEAD_SIZE
        if value_at > end:
            return None
        behind = value_at + (chain[at + 1] << 8 | chain[at + 2])
        if behind > end:
            return None
        if chain[at] != _NOOP:
            tlvs.append(TLV(chain[at], chain[value_at:behind]))
        at = behind
    return tuple(tlvs)


def _is_whole(chain: bytes, at: int) -> bool:
    end = len(chain)
    while at + TLV_HEAD_SIZE <= end:
        at += TLV_HEAD_SIZE + (chain[at + 1] << 8 | chain[at + 2])
    return at == end


def _read_ssl(value: bytes) -> SSL | None:
    if len(value) < SSL_HEAD_SIZE:
        return None
    tlvs = _read_tlvs(value, SSL_HEAD_SIZE)
    if tlvs is None:
        return None
    return SSL(value[0], int.from_bytes(value[1:SSL_HEAD_SIZE], "big"), tlvs)


def detect(data: Buffer, /) -> Detected:
    """Which version ``data``, any contiguous bytes-like object, starts, if it can at all.

    ``V1`` once 5 bytes match, ``V2`` once 12 match, ``MISSING`` as soon as neither can come,
    else ``UNDECIDED`` (2.2: "identifying the protocol version is easy").
    """
    return _detect(data if type(data) is bytes else bytes(view_of(data)[:V2_HEAD_SIZE]))


def _detect(data: bytes) -> Detected:
    if data.startswith(SIGNATURE_V2):
        return Detected.V2
    if data.startswith(SIGNATURE_V1):
        return Detected.V1
    start = data[: len(SIGNATURE_V2)]
    if SIGNATURE_V2.startswith(start) or SIGNATURE_V1.startswith(start):
        return Detected.UNDECIDED
    return Detected.MISSING


def parse(data: Buffer, /, *, max_size: int = MAX_SIZE) -> Header:
    """The header at the start of ``data``, any contiguous bytes-like object.

    The payload behind it is left alone: it starts at ``header.size``. ``max_size`` (bytes, 16
    to 65551) bounds v2 headers; a v1 line never exceeds 107 bytes.

    Raises ``IncompleteHeaderError`` (``.needed`` bytes in all before trying again),
    ``MissingHeaderError``, or ``InvalidHeaderError`` (``.offset``) and its ``ChecksumError``
    and ``HeaderTooLargeError``. Section 2 of the specification; the checks run in the order
    signature, version, command, family and transport, length, ``max_size``, completeness, TLVs
    from left to right, checksum.
    """
    if max_size is not MAX_SIZE:
        check_max_size(max_size)
    if type(data) is not bytes:
        data = _copy_header(view_of(data), max_size)
    if data.startswith(SIGNATURE_V2):
        return _parse_v2(data, max_size)
    if data.startswith(SIGNATURE_V1):
        return _parse_v1(data)
    if _detect(data) == Detected.MISSING:
        _fail(data, Status.MISSING, 0)
    _incomplete(data, V2_HEAD_SIZE if data.startswith(SIGNATURE_V2[:1]) else V1_MIN_SIZE)


def _copy_header(view: memoryview, max_size: int) -> bytes:
    """The header alone: others may write to the buffer between a check and the use."""
    head = bytes(view[:V2_HEAD_SIZE])
    if not head.startswith(SIGNATURE_V2):
        return bytes(view[:V1_MAX_SIZE])
    size = V2_HEAD_SIZE + int.from_bytes(head[_LENGTH_AT:], "big")
    return head + bytes(view[V2_HEAD_SIZE : min(size, max_size)])


def _fail(data: bytes, status: Status, offset: int) -> NoReturn:
    fail(status, offset, len(data), 0, data[offset : offset + SEEN_SIZE])


def _incomplete(data: bytes, needed: int) -> NoReturn:
    fail(Status.INCOMPLETE, 0, len(data), needed, b"")


def _header(raw: bytes, kind: Kind) -> Header:
    header = _new(Header)
    header._raw = raw
    header._kind = kind
    return header


_new = object.__new__


# Version 1: the text line (2.1).

_V1_UNKNOWN = Kind(1, Command.PROXY, Family.UNSPEC, Transport.UNSPEC, _no_end)


def _parse_v1(data: bytes) -> Header:
    """Nearly every line is right, so it is read first, and judged only where that fails."""
    end = data.find(_CRLF, _PROTOCOL_AT, V1_MAX_SIZE)
    start = data[_SPACE_AT:_UNKNOWN_END]
    if end > 0 and (start == b" UNKNOWN " or (start == b" UNKNOWN\r" and end == _UNKNOWN_END - 1)):
        return _header(data[: end + 2], _V1_UNKNOWN)
    fields = data[:end].split(b" ")
    if end > 0 and len(fields) == 6 and fields[0] == SIGNATURE_V1:
        _, protocol, source, destination, source_port, destination_port = fields
        kind, read_hosts = _V1_FAMILIES.get(protocol, _V1_NO_FAMILY)
        hosts = read_hosts(source, destination)
        ports = _read_ports(source_port, destination_port)
        if hosts is not None and ports is not None:
            header = _header(data[: end + 2], kind)
            header._line = hosts, ports
            return header
    _judge_v1(data)


def _ipv4_hosts(source: bytes, destination: bytes) -> tuple[bytes, bytes] | None:
    return (source, destination) if is_ipv4(source, destination) else None


def _ipv6_hosts(source: bytes, destination: bytes) -> tuple[bytes, bytes] | None:
    first, second = canonical_ipv6(source), canonical_ipv6(destination)
    return None if first is None or second is None else (first, second)


def _no_hosts(source: bytes, destination: bytes) -> None:
    return None


_V1_TCP4 = Kind(1, Command.PROXY, Family.INET, Transport.STREAM, _line_end)
_V1_TCP6 = Kind(1, Command.PROXY, Family.INET6, Transport.STREAM, _line_end)
_V1_FAMILIES = {b"TCP4": (_V1_TCP4, _ipv4_hosts), b"TCP6": (_V1_TCP6, _ipv6_hosts)}
_V1_NO_FAMILY = (_V1_UNKNOWN, _no_hosts)


def _read_ports(source: bytes, destination: bytes) -> tuple[int, int] | None:
    """ "Heading zeroes are not permitted"; ``isdigit`` of bytes knows ASCII alone."""
    if not source.isdigit() or not destination.isdigit():
        return None
    if (source[0] == _ZERO and source != b"0") or (destination[0] == _ZERO and destination != b"0"):
        return None
    first, second = int(source), int(destination)
    return (first, second) if first <= _PORT_MAX >= second else None


def _is_port(digits: bytes) -> bool:
    return _read_ports(digits, digits) is not None


def _judge_v1(data: bytes) -> NoReturn:
    """Something is wrong with the line: what, from left to right."""
    if data[_SPACE_AT:_PROTOCOL_AT] not in (b" ", b""):
        _fail(data, Status.V1_SPACE, _SPACE_AT)
    line = data[: _line_size(data)]
    # "TCP4", source, destination, source port, and all that follows
    fields = line[_PROTOCOL_AT:-2].split(b" ", 4)
    if fields[0] not in (b"TCP4", b"TCP6") or len(fields) < 2:
        _fail(line, Status.V1_PROTOCOL, _PROTOCOL_AT)
    read = read_ipv4 if fields[0] == b"TCP4" else read_ipv6
    at = _PROTOCOL_AT + len(fields[0]) + 1
    if read(fields[1]) is None or len(fields) < 3:
        _fail(line, Status.V1_SOURCE, at)
    at += len(fields[1]) + 1
    if read(fields[2]) is None or len(fields) < 4:
        _fail(line, Status.V1_DESTINATION, at)
    at += len(fields[2]) + 1
    if not _is_port(fields[3]) or len(fields) < 5:
        _fail(line, Status.V1_SOURCE_PORT, at)
    at += len(fields[3]) + 1
    _judge_last_port(line, fields[4], at)


def _judge_last_port(line: bytes, rest: bytes, at: int) -> NoReturn:
    """A wrong port, or a right one with more behind it."""
    digits = rest[:_PORT_DIGITS]
    digits = digits[: len(digits) - len(digits.lstrip(b"0123456789"))]
    if not _is_port(digits):
        _fail(line, Status.V1_DESTINATION_PORT, at)
    _fail(line, Status.V1_END, at + len(digits))


def _line_size(data: bytes) -> int:
    """The size of the line with its CRLF.

    "For UNKNOWN, the receiver must ignore anything presented before the CRLF is found"; in any
    other line a single CR or LF settles the matter at once.
    """
    end = data.find(_CRLF, _PROTOCOL_AT, V1_MAX_SIZE)
    stop = end if end >= 0 else min(len(data), V1_MAX_SIZE)
    if not data.startswith(b"UNKNOWN ", _PROTOCOL_AT):
        _check_line_ends(data, stop)
    if end >= 0:
        return end + len(_CRLF)
    if stop == V1_MAX_SIZE:
        _fail(data, Status.V1_TOO_LONG, V1_MAX_SIZE - 1)
    needed = len(data) + (1 if data.endswith(b"\r") else 2)
    _incomplete(data, max(V1_MIN_SIZE, min(needed, V1_MAX_SIZE)))


def _check_line_ends(data: bytes, stop: int) -> None:
    """Refuses the first LF, or CR with another byte behind it, before ``stop``."""
    lf = data.find(b"\n", _PROTOCOL_AT, stop)
    cr = data.find(b"\r", _PROTOCOL_AT, stop)
    if cr >= 0 and (lf < 0 or cr < lf) and cr + 1 < min(len(data), V1_MAX_SIZE):
        _fail(data, Status.V1_CARRIAGE_RETURN, cr + 1)
    if lf >= 0:
        _fail(data, Status.V1_LINE_FEED, lf)


# Version 2: the binary header (2.2).


def _kinds() -> dict[bytes, Kind]:
    """By the 13th and 14th byte, of those that are defined."""
    local = Kind(2, Command.LOCAL, Family.UNSPEC, Transport.UNSPEC, _no_end, V2_HEAD_SIZE)
    unspec = Kind(2, Command.PROXY, Family.UNSPEC, Transport.UNSPEC, _no_end, V2_HEAD_SIZE)
    ends = {Family.INET: _inet_end, Family.INET6: _inet6_end, Family.UNIX: _unix_end}
    # LOCAL: "discard the protocol block including the family"
    kinds = {bytes([0x20, byte]): local for byte in range(256)}
    for family in Family:
        for transport in Transport:
            # "The receiver should ignore address information" if either is UNSPEC.
            kind = unspec
            if family and transport:
                tlvs_at = V2_HEAD_SIZE + BLOCK_SIZE[family]
                kind = Kind(2, Command.PROXY, family, transport, ends[family], tlvs_at)
            kinds[bytes([0x21, family << 4 | transport])] = kind
    return kinds


_KINDS = _kinds()
_CHAIN_ONLY = 0x00  # the kind byte of PROXY without addresses that may have TLVs


def _refuse_kind(data: bytes) -> NoReturn:
    """The 13th or 14th byte is missing or wrong."""
    if len(data) > _COMMAND_AT:
        version, command = divmod(data[_COMMAND_AT], 16)
        if version != 2:
            _fail(data, Status.V2_VERSION, _COMMAND_AT)
        if command > Command.PROXY:
            _fail(data, Status.V2_COMMAND, _COMMAND_AT)
        if len(data) > _FAMILY_AT and data[_FAMILY_AT] >> 4 > Family.UNIX:
            _fail(data, Status.V2_FAMILY, _FAMILY_AT)
        if len(data) > _FAMILY_AT:
            _fail(data, Status.V2_TRANSPORT, _FAMILY_AT)
    _incomplete(data, V2_HEAD_SIZE)


def _parse_v2(data: bytes, max_size: int) -> Header:
    kind = _KINDS.get(data[_COMMAND_AT:_LENGTH_AT])
    if kind is None:
        _refuse_kind(data)
    if len(data) < V2_HEAD_SIZE:
        _incomplete(data, V2_HEAD_SIZE)
    size = V2_HEAD_SIZE + (data[_LENGTH_AT] << 8 | data[_LENGTH_AT + 1])
    tlvs_at = kind.tlvs_at
    if size < tlvs_at:
        _fail(data, Status.V2_LENGTH, _LENGTH_AT)
    if size > max_size:
        _fail(data, Status.V2_TOO_LARGE, _LENGTH_AT)
    if size > len(data):
        _incomplete(data, size)
    raw = data[:size]
    if size > tlvs_at:
        tlvs_at = _tlvs_at(raw, kind)
        if tlvs_at < size:
            _check_tlvs(raw, tlvs_at)
    return _header(raw, kind)


def _tlvs_at(raw: bytes, kind: Kind) -> int:
    """Where the TLVs begin.

    Without addresses the block may hold anything: TLVs only if it is nothing but a chain (AWS
    health checks), and never behind a half-specified kind such as 0x10.
    """
    if kind.version == 1:
        return len(raw)
    if kind.end is _no_end:
        ignored = kind.command == _PROXY and raw[_FAMILY_AT] != _CHAIN_ONLY
        if ignored or not _is_whole(raw, V2_HEAD_SIZE):
            return len(raw)
    return kind.tlvs_at


def _check_tlvs(raw: bytes, at: int) -> None:
    end = len(raw)
    checksum_at = 0
    while at < end:
        value_at = at + TLV_HEAD_SIZE
        if value_at > end:
            _fail(raw, Status.TLV_TRUNCATED, at)
        type = raw[at]
        length = raw[at + 1] << 8 | raw[at + 2]
        if length > end - value_at:
            _fail(raw, Status.TLV_OVERRUN, at + 1)
        if type == _UNIQUE_ID and length > UNIQUE_ID_MAX_SIZE:
            _fail(raw, Status.UNIQUE_ID_SIZE, at + 1)
        if type == _CRC32C:
            if checksum_at:
                _fail(raw, Status.CHECKSUM_REPEATED, at)
            if length != CRC32C_SIZE:
                _fail(raw, Status.CHECKSUM_SIZE, at + 1)
            checksum_at = value_at
        at = value_at + length
    if checksum_at and _checksum(raw, checksum_at) != raw[checksum_at : checksum_at + CRC32C_SIZE]:
        _fail(raw, Status.CHECKSUM_WRONG, checksum_at)


def _checksum(raw: bytes, at: int) -> bytes:
    """The checksum of the header with its own four bytes as zeros (2.2.3), as it is sent."""
    crc = crc32c(raw[:at] + bytes(CRC32C_SIZE) + raw[at + CRC32C_SIZE :])
    return crc.to_bytes(CRC32C_SIZE, "big")


def build(
    source: Address = None,
    destination: Address = None,
    *,
    version: int = 2,
    command: int | None = None,
    transport: int = Transport.STREAM,
    tlvs: Iterable[tuple[int, bytes]] = (),
    checksum: bool = False,
) -> bytes:
    """The bytes of a header.

    ``source`` and ``destination``: ``(host, port)`` or the longer tuple of ``getpeername()``,
    the host as text or ``ipaddress`` object; ``str`` or ``bytes`` for UNIX; None for LOCAL (v2)
    or UNKNOWN (v1), and with ``command=Command.PROXY`` in v2 for PROXY without addresses.
    ``tlvs``: ``(type, bytes)`` pairs in order. ``checksum`` fills the CRC32C TLV, which is put
    first unless ``tlvs`` has one (2.2.3).

    Raises ValueError or TypeError that names the argument.
    """
    fields = plan(source, destination, version, command, transport, tlvs, checksum)
    return _build_v1(fields) if version == 1 else _build_v2(fields)


def _build_v1(fields: Plan) -> bytes:
    if fields.family == Family.UNSPEC:
        return b"PROXY UNKNOWN\r\n"
    name, text = ("TCP4", format_ipv4) if fields.family == Family.INET else ("TCP6", format_ipv6)
    line = (
        f"PROXY {name} {text(fields.source)} {text(fields.destination)} "
        f"{fields.source_port} {fields.destination_port}\r\n"
    )
    return line.encode()


def _build_v2(fields: Plan) -> bytes:
    tlvs = fields.tlvs
    if fields.checksum and TLVType.CRC32C not in [type for type, _ in tlvs]:
        tlvs = [(int(TLVType.CRC32C), bytes(CRC32C_SIZE)), *tlvs]
    body = _block(fields)
    checksum_at = 0
    for type, value in tlvs:
        body += bytes([type]) + len(value).to_bytes(2, "big")
        if type == TLVType.CRC32C:
            checksum_at = V2_HEAD_SIZE + len(body)
        body += value
    kind = bytes([0x20 | fields.command, fields.family << 4 | fields.transport])
    raw = SIGNATURE_V2 + kind + len(body).to_bytes(2, "big") + body
    if not checksum_at:
        return raw
    checksum = _checksum(raw, checksum_at)
    return raw[:checksum_at] + checksum + raw[checksum_at + CRC32C_SIZE :]


def _block(fields: Plan) -> bytes:
    if fields.family == Family.UNSPEC:
        return b""
    if fields.family == Family.UNIX:
        return fields.source.ljust(UNIX_PATH_SIZE, b"\0") + fields.destination.ljust(
            UNIX_PATH_SIZE, b"\0"
        )
    ports = fields.source_port << 16 | fields.destination_port
    return fields.source + fields.destination + ports.to_bytes(4, "big")
