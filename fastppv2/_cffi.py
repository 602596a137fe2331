"""The backend over the C core by cffi, for PyPy."""

# What comes out of C has no types.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import os

from fastppv2 import header as interface
from fastppv2._arguments import plan
from fastppv2._cffi_core import ffi, lib
from fastppv2._networks import Members
from fastppv2._queue import Queue
from fastppv2._spec import (
    ADDRESS_TEXT_SIZE,
    IPV6_SIZE,
    MAX_SIZE,
    V2_HEAD_SIZE,
    Command,
    Detected,
    Family,
    TLVType,
    Transport,
)
from fastppv2.errors import SEEN_SIZE, check_max_size, copy_header, fail, view_of
from fastppv2.header import SSL, TLV

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    from typing_extensions import Buffer

    from fastppv2.header import Address

    _T = TypeVar("_T")

__all__ = ["Header", "Members", "Queue", "build", "crc32c_kind", "detect", "parse"]

# A member looked up through its class costs ten times as much.
_UNSPEC, _UNIX, _NOOP = int(Family.UNSPEC), int(Family.UNIX), int(TLVType.NOOP)
_COMMANDS, _FAMILIES, _TRANSPORTS = tuple(Command), tuple(Family), tuple(Transport)
_DETECTED = tuple(Detected)


class _Room:
    """What the core writes to, used again and again.

    Memory of ``ffi.new`` is freed by a finalizer, which PyPy runs late, and never where the
    garbage collector is off.
    """

    __slots__ = ("fields", "header", "rest", "ssl", "text", "tlv", "why")

    def __init__(self) -> None:
        self.fields = ffi.new("fpp_header *")
        self.header = ffi.new("uint8_t[]", MAX_SIZE)  # that is built
        self.rest = ffi.new("fpp_span *")
        self.ssl = ffi.new("fpp_ssl *")
        self.text = ffi.new("char[]", ADDRESS_TEXT_SIZE)
        self.tlv = ffi.new("fpp_tlv *")
        self.why = ffi.new("fpp_error *")


# Those that no thread uses: to take one off a list, or to put it back, is one step for all threads.
_rooms: list[_Room] = []


def _room() -> _Room:
    try:
        return _rooms.pop()
    except IndexError:
        return _Room()


crc32c_kind: str = ffi.string(lib.fpp_crc32c_kind()).decode()


class Header(interface.Header):
    """A header as this backend holds it; see ``fastppv2.header.Header``."""

    __slots__ = ("_raw",)

    _raw: bytes

    def __init__(self) -> None:
        raise TypeError("a Header comes from parse() or Parser")

    def _found(self, read: Callable[[bytes, _Room], _T]) -> _T:
        """What the parser found, found again."""
        room, raw = _room(), self._raw
        lib.fpp_parse(raw, len(raw), MAX_SIZE, room.fields, room.why)
        result = read(raw, room)
        _rooms.append(room)
        return result

    @property
    def version(self) -> int:
        return self._found(_version)

    @property
    def command(self) -> Command:
        return self._found(_command)

    @property
    def family(self) -> Family:
        return self._found(_family)

    @property
    def transport(self) -> Transport:
        return self._found(_transport)

    @property
    def source(self) -> Address:
        return self._found(_source)

    @property
    def destination(self) -> Address:
        return self._found(_destination)

    @property
    def size(self) -> int:
        return len(self._raw)

    @property
    def raw(self) -> bytes:
        return self._raw

    @property
    def tlvs(self) -> tuple[TLV, ...]:
        return self._found(_tlvs)

    @property
    def ssl(self) -> SSL | None:
        return interface.first(self.tlvs, TLVType.SSL, _read_ssl)

    @staticmethod
    def _build(*ends: Address, command: int | None = None, version: int) -> bytes:
        return build(*ends, command=command, version=version)


# What a header's properties read.


def _version(raw: bytes, room: _Room) -> int:
    return room.fields.version


def _command(raw: bytes, room: _Room) -> Command:
    return _COMMANDS[room.fields.command]


def _family(raw: bytes, room: _Room) -> Family:
    return _FAMILIES[room.fields.family]


def _transport(raw: bytes, room: _Room) -> Transport:
    return _TRANSPORTS[room.fields.transport]


def _source(raw: bytes, room: _Room) -> Address:
    fields = room.fields
    if fields.family == _UNIX:
        return _path(raw, fields.source_path)
    return _endpoint(room, fields.source, fields.source_port)


def _destination(raw: bytes, room: _Room) -> Address:
    fields = room.fields
    if fields.family == _UNIX:
        return _path(raw, fields.destination_path)
    return _endpoint(room, fields.destination, fields.destination_port)


def _endpoint(room: _Room, address: Any, port: int) -> Address:
    family = room.fields.family
    if family == _UNSPEC:
        return None
    size = lib.fpp_format_address(room.text, family, address)
    return ffi.unpack(room.text, size).decode(), port


def _path(raw: bytes, span: Any) -> Address:
    name = _slice(raw, span)
    return name if name.startswith(b"\0") else os.fsdecode(name)


def _tlvs(raw: bytes, room: _Room) -> tuple[TLV, ...]:
    return _read_tlvs(raw, room.fields.tlvs, room)


def _read_tlvs(data: bytes, chain: Any, room: _Room) -> tuple[TLV, ...]:
    """The TLVs of a whole chain, without NOOP."""
    tlvs, tlv, rest = [], room.tlv, room.rest
    rest[0] = chain
    while lib.fpp_tlv_next(data, rest, tlv):
        if tlv.type != _NOOP:
            tlvs.append(TLV(tlv.type, _slice(data, tlv.value)))
    return tuple(tlvs)


def _slice(data: bytes, span: Any) -> bytes:
    return data[span.offset : span.offset + span.length]


def _read_ssl(value: bytes) -> SSL | None:
    room = _room()
    ssl, found = room.ssl, None
    room.rest[0] = (0, len(value))
    if lib.fpp_ssl_open(value, room.rest[0], ssl):
        found = SSL(ssl.client, ssl.verify, _read_tlvs(value, ssl.tlvs, room))
    _rooms.append(room)
    return found


def detect(data: Buffer, /) -> Detected:
    """Which version ``data``, any contiguous bytes-like object, starts, if it can at all.

    ``V1`` once 5 bytes match, ``V2`` once 12 match, ``MISSING`` as soon as neither can come,
    else ``UNDECIDED`` (2.2: "identifying the protocol version is easy").
    """
    if type(data) is not bytes:
        data = bytes(view_of(data)[:V2_HEAD_SIZE])
    return _DETECTED[lib.fpp_detect(data, len(data))]


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
    room = _room()
    # cffi hands over bytes where they are, and lets other threads run meanwhile.
    status = lib.fpp_parse(data, len(data), max_size, room.fields, room.why)
    size, offset, needed = room.fields.size, room.why.offset, room.why.needed
    _rooms.append(room)
    if status:
        fail(status, offset, len(data), data[offset : offset + SEEN_SIZE], needed)
    header = object.__new__(Header)
    header._raw = data[:size]
    return header


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
    # By family the ends are addresses or paths, and the core reads either the ones or the others.
    room = _room()
    header = room.fields
    header.version = fields.version
    header.command = fields.command
    header.family = fields.family
    header.transport = fields.transport
    header.source_port = fields.source_port
    header.destination_port = fields.destination_port
    header.source = fields.source[:IPV6_SIZE]
    header.destination = fields.destination[:IPV6_SIZE]
    header.source_path = (0, len(fields.source))
    header.destination_path = (len(fields.source), len(fields.destination))
    # The core does not own the values: what is in this list stays where it is.
    held = [(type, len(value), ffi.from_buffer("uint8_t[]", value)) for type, value in fields.tlvs]
    items = ffi.new("fpp_tlv_in[]", held) if held else ffi.NULL
    flags = lib.FPP_BUILD_CHECKSUM if fields.checksum else 0
    paths = fields.source + fields.destination
    size = lib.fpp_build(room.header, MAX_SIZE, header, paths, items, len(held), flags)
    built: bytes = ffi.buffer(room.header, size)[:]
    _rooms.append(room)
    if not built:
        raise SystemError("the C core refused what plan() had passed")
    return built
