"""The backend in Python: the twin of ``csrc/``, to the message."""

from __future__ import annotations

import os

from fastppv2 import header as interface
from fastppv2._address import format_ipv4, format_ipv6, read_ipv4, read_ipv6
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
    from collections.abc import Iterable
    from typing import NoReturn

    from typing_extensions import Buffer

    from fastppv2.header import Address

__all__ = ["Header", "build", "crc32c_kind", "detect", "parse"]

_COMMAND_AT = len(SIGNATURE_V2)
_FAMILY_AT = _COMMAND_AT + 1
_LENGTH_AT = _COMMAND_AT + 2
_SPACE_AT = len(SIGNATURE_V1)
_PROTOCOL_AT = _SPACE_AT + 1
_CRLF = b"\r\n"
_PORT_DIGITS = len("65535")


class Header(interface.Header):
    """A header as this backend holds it; see ``fastppv2.header.Header``."""

    __slots__ = ("_command", "_ends", "_family", "_raw", "_tlvs_at", "_transport", "_version")

    def __init__(
        self,
        raw: bytes,
        version: int,
        command: Command,
        family: Family,
        transport: Transport,
        ends: tuple[Address, Address] | None,
        tlvs_at: int,
    ) -> None:
        self._raw = raw
        self._version = version
        self._command = command
        self._family = family
        self._transport = transport
        self._ends = ends  # of v1; those of v2 are read when they are asked for
        self._tlvs_at = tlvs_at

    @property
    def version(self) -> int:
        return self._version

    @property
    def command(self) -> Command:
        return self._command

    @property
    def family(self) -> Family:
        return self._family

    @property
    def transport(self) -> Transport:
        return self._transport

    @property
    def source(self) -> Address:
        return _end(self._raw, self._family, 0) if self._ends is None else self._ends[0]

    @property
    def destination(self) -> Address:
        return _end(self._raw, self._family, 1) if self._ends is None else self._ends[1]

    @property
    def size(self) -> int:
        return len(self._raw)

    @property
    def raw(self) -> bytes:
        return self._raw

    @property
    def tlvs(self) -> tuple[TLV, ...]:
        return _read_tlvs(self._raw, self._tlvs_at) or ()

    @property
    def ssl(self) -> SSL | None:
        return interface.first(self.tlvs, TLVType.SSL, _read_ssl)

    @staticmethod
    def _build(*ends: Address, command: int | None = None, version: int) -> bytes:
        return build(*ends, command=command, version=version)


def _end(raw: bytes, family: Family, which: int) -> Address:
    at = V2_HEAD_SIZE
    if family == Family.INET:
        port_at = at + 2 * IPV4_SIZE + 2 * which
        at += which * IPV4_SIZE
        host = format_ipv4(raw[at : at + IPV4_SIZE])
    elif family == Family.INET6:
        port_at = at + 2 * IPV6_SIZE + 2 * which
        at += which * IPV6_SIZE
        host = format_ipv6(raw[at : at + IPV6_SIZE])
    elif family == Family.UNIX:
        at += which * UNIX_PATH_SIZE
        return _path(raw[at : at + UNIX_PATH_SIZE])
    else:
        return None
    return host, raw[port_at] << 8 | raw[port_at + 1]


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
        if chain[at] != TLVType.NOOP:
            tlvs.append(TLV(chain[at], chain[value_at:behind]))
        at = behind
    return tuple(tlvs)


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


# Version 1: the text line (2.1).


def _parse_v1(data: bytes) -> Header:
    if data[_SPACE_AT:_PROTOCOL_AT] not in (b" ", b""):
        _fail(data, Status.V1_SPACE, _SPACE_AT)
    unknown = data.startswith((b"UNKNOWN ", b"UNKNOWN\r\n"), _PROTOCOL_AT)
    size = _line_size(data, unknown)
    line = data[:size]
    if unknown:
        unspec = Family.UNSPEC, Transport.UNSPEC, (None, None)
        return Header(line, 1, Command.PROXY, *unspec, size)
    # "TCP4", source, destination, source port, and all that follows
    fields = line[_PROTOCOL_AT:-2].split(b" ", 4)
    if fields[0] == b"TCP4" and len(fields) > 1:
        family, ends = Family.INET, _read_ends(line, fields, _host_ipv4)
    elif fields[0] == b"TCP6" and len(fields) > 1:
        family, ends = Family.INET6, _read_ends(line, fields, _host_ipv6)
    else:
        _fail(line, Status.V1_PROTOCOL, _PROTOCOL_AT)
    return Header(line, 1, Command.PROXY, family, Transport.STREAM, ends, size)


def _line_size(data: bytes, unknown: bool) -> int:
    """The size of the line with its CRLF.

    "For UNKNOWN, the receiver must ignore anything presented before the CRLF is found"; in any
    other line a single CR or LF settles the matter at once.
    """
    end = data.find(_CRLF, _PROTOCOL_AT, V1_MAX_SIZE)
    stop = end if end >= 0 else min(len(data), V1_MAX_SIZE)
    if not unknown:
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


def _host_ipv4(text: bytes) -> str | None:
    return None if read_ipv4(text) is None else text.decode()


def _host_ipv6(text: bytes) -> str | None:
    address = read_ipv6(text)
    return None if address is None else format_ipv6(address)


def _read_ends(
    line: bytes, fields: list[bytes], read_host: Callable[[bytes], str | None]
) -> tuple[Address, Address]:
    """Source and destination, from left to right; each field must be followed by a space."""
    at = _PROTOCOL_AT + len(fields[0]) + 1
    source = read_host(fields[1])
    if source is None or len(fields) < 3:
        _fail(line, Status.V1_SOURCE, at)
    at += len(fields[1]) + 1
    destination = read_host(fields[2])
    if destination is None or len(fields) < 4:
        _fail(line, Status.V1_DESTINATION, at)
    at += len(fields[2]) + 1
    source_port = _read_port(fields[3])
    if source_port is None or len(fields) < 5:
        _fail(line, Status.V1_SOURCE_PORT, at)
    at += len(fields[3]) + 1
    return (source, source_port), (destination, _read_last_port(line, fields[4], at))


def _read_port(digits: bytes) -> int | None:
    """ "Heading zeroes are not permitted"; ``isdigit`` of bytes knows ASCII alone."""
    if not digits.isdigit() or len(digits) > _PORT_DIGITS or (digits[0] == 0x30 and digits != b"0"):
        return None
    port = int(digits)
    return port if port <= 0xFFFF else None


def _read_last_port(line: bytes, rest: bytes, at: int) -> int:
    port = _read_port(rest)
    if port is None:  # a wrong port, or a right one with more behind it
        digits = rest[:_PORT_DIGITS]
        digits = digits[: len(digits) - len(digits.lstrip(b"0123456789"))]
        if _read_port(digits) is None:
            _fail(line, Status.V1_DESTINATION_PORT, at)
        _fail(line, Status.V1_END, at + len(digits))
    return port


# Version 2: the binary header (2.2).

_COMMANDS = tuple(Command)
_FAMILIES = tuple(Family)
_TRANSPORTS = tuple(Transport)


def _check_kind(data: bytes) -> tuple[Command, Family, Transport]:
    """The 13th and 14th byte, as far as they are there."""
    local = Command.LOCAL, Family.UNSPEC, Transport.UNSPEC
    if len(data) <= _COMMAND_AT:
        return local
    version, command = divmod(data[_COMMAND_AT], 16)
    if version != 2:
        _fail(data, Status.V2_VERSION, _COMMAND_AT)
    if command > Command.PROXY:
        _fail(data, Status.V2_COMMAND, _COMMAND_AT)
    if len(data) <= _FAMILY_AT or command == Command.LOCAL:
        return local
    family, transport = divmod(data[_FAMILY_AT], 16)
    if family > Family.UNIX:
        _fail(data, Status.V2_FAMILY, _FAMILY_AT)
    if transport > Transport.DGRAM:
        _fail(data, Status.V2_TRANSPORT, _FAMILY_AT)
    if family == Family.UNSPEC or transport == Transport.UNSPEC:
        return Command.PROXY, Family.UNSPEC, Transport.UNSPEC
    return Command.PROXY, _FAMILIES[family], _TRANSPORTS[transport]


def _parse_v2(data: bytes, max_size: int) -> Header:
    command, family, transport = _check_kind(data)
    if len(data) < V2_HEAD_SIZE:
        _incomplete(data, V2_HEAD_SIZE)
    size = V2_HEAD_SIZE + (data[_LENGTH_AT] << 8 | data[_LENGTH_AT + 1])
    tlvs_at = V2_HEAD_SIZE + BLOCK_SIZE[family]
    if size < tlvs_at:
        _fail(data, Status.V2_LENGTH, _LENGTH_AT)
    if size > max_size:
        _fail(data, Status.V2_TOO_LARGE, _LENGTH_AT)
    if size > len(data):
        _incomplete(data, size)
    raw = data[:size]
    # Without addresses the block may hold anything: TLVs only if it is nothing but a chain (AWS
    # health checks), and never behind a half-specified kind such as 0x10.
    if family == Family.UNSPEC and (
        (command == Command.PROXY and raw[_FAMILY_AT] != 0) or _read_tlvs(raw, tlvs_at) is None
    ):
        tlvs_at = size
    if tlvs_at < size:
        _check_tlvs(raw, tlvs_at)
    return Header(raw, 2, command, family, transport, None, tlvs_at)


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
        if type == TLVType.UNIQUE_ID and length > UNIQUE_ID_MAX_SIZE:
            _fail(raw, Status.UNIQUE_ID_SIZE, at + 1)
        if type == TLVType.CRC32C:
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


if TYPE_CHECKING:
    from collections.abc import Callable

    from fastppv2._arguments import Plan
