"""The backend in Python: the twin of ``csrc/``, to the message."""

from __future__ import annotations

import os
from abc import ABCMeta

from fastppv2 import header as interface
from fastppv2._address import (
    are_ipv4,
    format_ipv4,
    format_ipv6,
    read_ipv4,
    read_ipv6,
    read_ipv6_pair,
)
from fastppv2._arguments import plan
from fastppv2._crc32c import crc32c
from fastppv2._crc32c import kind as crc32c_kind
from fastppv2._networks import Members
from fastppv2._queue import Queue
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
from fastppv2.errors import SEEN_SIZE, check_max_size, copy_header, fail, view_of
from fastppv2.header import SSL, TLV

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn, TypeVar

    from typing_extensions import Buffer

    from fastppv2._arguments import Plan
    from fastppv2.header import Address

    _T = TypeVar("_T", bound="Header")
    # How a header of that kind is made, where its TLVs begin, and its size without TLVs.
    _Kind = tuple[Callable[[], "Header"], Callable[[bytes], int], int]

__all__ = ["Header", "Members", "Queue", "build", "crc32c_kind", "detect", "parse"]

_COMMAND_AT = len(SIGNATURE_V2)
_FAMILY_AT = _COMMAND_AT + 1
_LENGTH_AT = _COMMAND_AT + 2
_SPACE_AT = len(SIGNATURE_V1)
_PROTOCOL_AT = _SPACE_AT + 1
_CRLF = b"\r\n"
_PORT_MAX = 0xFFFF
_PORT_DIGITS = len(str(_PORT_MAX))

# Of the address blocks: both addresses, then both ports.
_IPV4_SOURCE = slice(V2_HEAD_SIZE, V2_HEAD_SIZE + IPV4_SIZE)
_IPV4_DESTINATION = slice(_IPV4_SOURCE.stop, _IPV4_SOURCE.stop + IPV4_SIZE)
_IPV4_PORTS = _IPV4_DESTINATION.stop
_IPV6_SOURCE = slice(V2_HEAD_SIZE, V2_HEAD_SIZE + IPV6_SIZE)
_IPV6_DESTINATION = slice(_IPV6_SOURCE.stop, _IPV6_SOURCE.stop + IPV6_SIZE)
_IPV6_PORTS = _IPV6_DESTINATION.stop
_UNIX_SOURCE = slice(V2_HEAD_SIZE, V2_HEAD_SIZE + UNIX_PATH_SIZE)
_UNIX_DESTINATION = slice(_UNIX_SOURCE.stop, _UNIX_SOURCE.stop + UNIX_PATH_SIZE)

# A member looked up through its class costs ten times as much.
_PROXY, _LOCAL = Command.PROXY, Command.LOCAL
_UNSPEC, _NO_TRANSPORT = Family.UNSPEC, Transport.UNSPEC
_CRC32C, _NOOP, _UNIQUE_ID = int(TLVType.CRC32C), int(TLVType.NOOP), int(TLVType.UNIQUE_ID)


class _Sealed(ABCMeta):
    """Of classes that only this module makes instances of."""

    def __call__(cls, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("a Header comes from parse() or Parser")


class Header(interface.Header, metaclass=_Sealed):
    """A header as this backend holds it, a class for each kind; see ``fastppv2.header.Header``.

    To set an attribute costs as much as a check, and a property as much as a parse of a field:
    what all headers of a kind have in common stands in its class, and nothing is kept that can be
    read again.
    """

    __slots__ = ("_raw",)
    _raw: bytes

    @property
    def size(self) -> int:
        return len(self._raw)

    @property
    def raw(self) -> bytes:
        return self._raw

    @staticmethod
    def _tlvs_at(raw: bytes) -> int:
        """Where the TLVs begin."""
        return len(raw)

    @property
    def tlvs(self) -> tuple[TLV, ...]:
        return _read_tlvs(self._raw, self._tlvs_at(self._raw)) or ()

    @property
    def ssl(self) -> SSL | None:
        return interface.first(self.tlvs, TLVType.SSL, _read_ssl)

    @staticmethod
    def _build(*ends: Address, command: int | None = None, version: int) -> bytes:
        return build(*ends, command=command, version=version)


class _Nowhere(Header):
    """Without addresses."""

    __slots__ = ()
    command = _PROXY
    family = _UNSPEC
    transport = _NO_TRANSPORT
    source = None
    destination = None


class _Unknown(_Nowhere):
    __slots__ = ()
    version = 1


class _Line(Header):
    """Version 1 with addresses: its hosts, then its ports."""

    __slots__ = ("_destination_port", "_fields", "_source_port")
    version = 1
    command = _PROXY
    transport = Transport.STREAM
    _fields: list[str]
    _source_port: int
    _destination_port: int

    @property
    def source(self) -> tuple[str, int]:
        return self._fields[0], self._source_port

    @property
    def destination(self) -> tuple[str, int]:
        return self._fields[1], self._destination_port


class _Line4(_Line):
    __slots__ = ()
    family = Family.INET


class _Line6(_Line):
    __slots__ = ()
    family = Family.INET6


class _HalfUnspec(_Nowhere):
    """Family or transport UNSPEC, not both: the block is ignored whole."""

    __slots__ = ()
    version = 2


class _Unspec(_HalfUnspec):
    """The block may hold anything: TLVs only if it is nothing but a chain."""

    __slots__ = ()

    @staticmethod
    def _tlvs_at(raw: bytes) -> int:
        return V2_HEAD_SIZE if _is_whole(raw, V2_HEAD_SIZE) else len(raw)


class _Local(_Unspec):
    """As AWS sends it to check health: "discard the protocol block including the family"."""

    __slots__ = ()
    command = _LOCAL


class _Block(Header):
    """Version 2 with addresses."""

    __slots__ = ()
    version = 2
    command = _PROXY

    @property
    def transport(self) -> Transport:
        return Transport(self._raw[_FAMILY_AT] & 0x0F)


class _Inet(_Block):
    __slots__ = ()
    family = Family.INET

    @property
    def source(self) -> tuple[str, int]:
        raw = self._raw
        return format_ipv4(raw[_IPV4_SOURCE]), raw[_IPV4_PORTS] << 8 | raw[_IPV4_PORTS + 1]

    @property
    def destination(self) -> tuple[str, int]:
        raw = self._raw
        return format_ipv4(raw[_IPV4_DESTINATION]), raw[_IPV4_PORTS + 2] << 8 | raw[_IPV4_PORTS + 3]

    @staticmethod
    def _tlvs_at(raw: bytes) -> int:
        return V2_HEAD_SIZE + BLOCK_SIZE[Family.INET]


class _Inet6(_Block):
    __slots__ = ()
    family = Family.INET6

    @property
    def source(self) -> tuple[str, int]:
        raw = self._raw
        return format_ipv6(raw[_IPV6_SOURCE]), raw[_IPV6_PORTS] << 8 | raw[_IPV6_PORTS + 1]

    @property
    def destination(self) -> tuple[str, int]:
        raw = self._raw
        return format_ipv6(raw[_IPV6_DESTINATION]), raw[_IPV6_PORTS + 2] << 8 | raw[_IPV6_PORTS + 3]

    @staticmethod
    def _tlvs_at(raw: bytes) -> int:
        return V2_HEAD_SIZE + BLOCK_SIZE[Family.INET6]


class _Unix(_Block):
    __slots__ = ()
    family = Family.UNIX

    @property
    def source(self) -> str | bytes:
        return _path(self._raw[_UNIX_SOURCE])

    @property
    def destination(self) -> str | bytes:
        return _path(self._raw[_UNIX_DESTINATION])

    @staticmethod
    def _tlvs_at(raw: bytes) -> int:
        return V2_HEAD_SIZE + BLOCK_SIZE[Family.UNIX]


def _maker(kind: type[_T]) -> Callable[[], _T]:
    """Makes an empty instance in spite of ``_Sealed``, faster than ``object.__new__``."""
    make: Callable[[], _T] = type.__call__.__get__(kind)
    return make


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
        data = copy_header(view_of(data), max_size)
    # Text first, for that takes longest to read.
    start = data[:_UNKNOWN_SIZE]
    if start == _UNKNOWN or (start == _UNKNOWN_CR and data.startswith(_CRLF, _UNKNOWN_END)):
        end = data.find(_CRLF, _UNKNOWN_END, V1_MAX_SIZE)
        if end != -1:
            header = _make_unknown()
            header._raw = data[: end + 2]
            return header
    if data.startswith(_TCP4):
        return _parse_line(data, _make_line4, are_ipv4)
    if data.startswith(SIGNATURE_V2):
        return _parse_v2(data, max_size)
    if data.startswith(_TCP6):
        return _parse_line(data, _make_line6, read_ipv6_pair)
    if data.startswith(SIGNATURE_V1):
        _judge_v1(data)
    if _detect(data) == Detected.MISSING:
        _fail(data, Status.MISSING, 0)
    _incomplete(data, V2_HEAD_SIZE if data.startswith(SIGNATURE_V2[:1]) else V1_MIN_SIZE)


def _fail(data: bytes, status: Status, offset: int) -> NoReturn:
    fail(status, offset, len(data), data[offset : offset + SEEN_SIZE])


def _incomplete(data: bytes, needed: int) -> NoReturn:
    fail(Status.INCOMPLETE, 0, len(data), b"", needed)


# Version 1: the text line (2.1).

# "For UNKNOWN, the receiver must ignore anything presented before the CRLF is found": after the
# keyword comes a space or that CRLF.
_UNKNOWN, _UNKNOWN_CR = b"PROXY UNKNOWN ", b"PROXY UNKNOWN\r"
_UNKNOWN_SIZE = len(_UNKNOWN)
_UNKNOWN_END = _UNKNOWN_SIZE - 1
_TCP4, _TCP6 = b"PROXY TCP4 ", b"PROXY TCP6 "
_HOSTS_AT = len(_TCP4)
_make_unknown, _make_line4, _make_line6 = _maker(_Unknown), _maker(_Line4), _maker(_Line6)


def _parse_line(
    data: bytes, make: Callable[[], _Line], read_hosts: Callable[[list[str]], bool]
) -> Header:
    """Nearly every line is right, so it is read first, and judged only where that fails."""
    end = data.find(_CRLF, _HOSTS_AT, V1_MAX_SIZE)
    if end == -1:
        _judge_v1(data)
    try:
        fields = data[_HOSTS_AT:end].decode("ascii").split(" ")
        _, _, source_port, destination_port = fields
    except ValueError:
        _judge_v1(data)
    usual = (
        source_port.isdigit()
        and destination_port.isdigit()
        and source_port >= "1" <= destination_port  # no heading zero
    )
    if not usual and not (_is_port(source_port) and _is_port(destination_port)):
        _judge_v1(data)
    source, destination = int(source_port), int(destination_port)
    if source > _PORT_MAX or destination > _PORT_MAX:
        _judge_v1(data)
    if not read_hosts(fields):
        _judge_v1(data)
    header = make()
    header._raw = data[: end + 2]
    header._fields = fields
    header._source_port = source
    header._destination_port = destination
    return header


def _is_port(text: str) -> bool:
    """ "Heading zeroes are not permitted"; the text is known to be ASCII."""
    return text == "0" or (text.isdigit() and text >= "1" and int(text) <= _PORT_MAX)


def _judge_v1(data: bytes) -> NoReturn:
    """Something is wrong with the line: what, from left to right."""
    if data[_SPACE_AT:_PROTOCOL_AT] not in (b" ", b""):
        _fail(data, Status.V1_SPACE, _SPACE_AT)
    line = data[: _line_size(data)]
    # The last of them has the CRLF in it, so whatever is right has another one behind it.
    fields = line[_PROTOCOL_AT:].split(b" ")
    if fields[0] not in (b"TCP4", b"TCP6"):
        _fail(line, Status.V1_PROTOCOL, _PROTOCOL_AT)
    read = read_ipv4 if fields[0] == b"TCP4" else read_ipv6
    at = _PROTOCOL_AT + len(fields[0]) + 1
    if read(fields[1]) is None:
        _fail(line, Status.V1_SOURCE, at)
    at += len(fields[1]) + 1
    if read(fields[2]) is None:
        _fail(line, Status.V1_DESTINATION, at)
    at += len(fields[2]) + 1
    if not _is_port(fields[3].decode("ascii", "replace")):
        _fail(line, Status.V1_SOURCE_PORT, at)
    at += len(fields[3]) + 1
    _judge_last_port(line, fields[4], at)


def _judge_last_port(line: bytes, rest: bytes, at: int) -> NoReturn:
    """A wrong port, or a right one with more behind it."""
    digits = rest[:_PORT_DIGITS]
    digits = digits[: len(digits) - len(digits.lstrip(b"0123456789"))]
    if not _is_port(digits.decode()):
        _fail(line, Status.V1_DESTINATION_PORT, at)
    _fail(line, Status.V1_END, at + len(digits))


def _line_size(data: bytes) -> int:
    """The size of the line with its CRLF.

    "For UNKNOWN, the receiver must ignore anything presented before the CRLF is found"; in any
    other line a single CR or LF settles the matter at once.
    """
    end = data.find(_CRLF, _PROTOCOL_AT, V1_MAX_SIZE)
    stop = min(len(data), V1_MAX_SIZE) if end == -1 else end
    if not data.startswith(b"UNKNOWN ", _PROTOCOL_AT):
        _check_line_ends(data, stop)
    if end != -1:
        return end + len(_CRLF)
    if stop == V1_MAX_SIZE:
        _fail(data, Status.V1_TOO_LONG, V1_MAX_SIZE - 1)
    needed = len(data) + (1 if data.endswith(b"\r") else 2)
    _incomplete(data, max(V1_MIN_SIZE, min(needed, V1_MAX_SIZE)))


def _check_line_ends(data: bytes, stop: int) -> None:
    """Refuses the first LF, or CR with another byte behind it, before ``stop``."""
    cr = data.find(b"\r", _PROTOCOL_AT, stop)
    lf = data.find(b"\n", _PROTOCOL_AT, stop if cr == -1 else cr)
    if lf != -1:
        _fail(data, Status.V1_LINE_FEED, lf)
    if cr != -1 and cr + 1 < min(len(data), V1_MAX_SIZE):
        _fail(data, Status.V1_CARRIAGE_RETURN, cr + 1)


# Version 2: the binary header (2.2).


def _kind(kind: type[_T], family: Family = Family.UNSPEC) -> _Kind:
    return _maker(kind), kind._tlvs_at, V2_HEAD_SIZE + BLOCK_SIZE[family]


def _kinds() -> dict[bytes, _Kind]:
    """By the 13th and 14th byte, of those that are defined."""
    local, unspec, half = _kind(_Local), _kind(_Unspec), _kind(_HalfUnspec)
    blocks = {
        Family.INET: _kind(_Inet, Family.INET),
        Family.INET6: _kind(_Inet6, Family.INET6),
        Family.UNIX: _kind(_Unix, Family.UNIX),
    }
    kinds = {bytes([0x20, byte]): local for byte in range(256)}
    for family in Family:
        for transport in Transport:
            # "The receiver should ignore address information" if either is UNSPEC.
            ignored = half if family or transport else unspec
            kind = blocks[family] if family and transport else ignored
            kinds[bytes([0x21, family << 4 | transport])] = kind
    return kinds


_KINDS = _kinds()


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
    known = _KINDS.get(data[_COMMAND_AT:_LENGTH_AT])
    if known is None:
        _refuse_kind(data)
    if len(data) < V2_HEAD_SIZE:
        _incomplete(data, V2_HEAD_SIZE)
    make, tlvs_at, least = known
    size = V2_HEAD_SIZE + (data[_LENGTH_AT] << 8 | data[_LENGTH_AT + 1])
    if size < least:
        _fail(data, Status.V2_LENGTH, _LENGTH_AT)
    if size > max_size:
        _fail(data, Status.V2_TOO_LARGE, _LENGTH_AT)
    if size > len(data):
        _incomplete(data, size)
    raw = data[:size]
    if size != least:
        _check_tlvs(raw, tlvs_at(raw))
    header = make()
    header._raw = raw
    return header


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
