"""The headers that are measured: 4,096 different ones of each kind, the same in every run.

They are put together here, not by ``fastppv2.build``, so that what is measured does not make its
own input.
"""

from __future__ import annotations

import random
import socket
import struct
from functools import cache

from fastppv2._crc32c import by_table as crc32c
from fastppv2._spec import CRC32C_SIZE, SIGNATURE_V2, UNIX_PATH_SIZE, V2_HEAD_SIZE, TLVType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    End = tuple[str, int]

COUNT = 4096
_HTTP = b"GET / HTTP/1.1\r\nHost: www.example.com\r\nCookie: "
PAYLOAD = _HTTP + b"c" * (512 - len(_HTTP) - 4) + b"\r\n\r\n"

_LOCAL, _PROXY = 0x20, 0x21
_UNSPEC, _TCP4, _TCP6, _UNIX_STREAM = 0x00, 0x11, 0x21, 0x31
_AWS_VPCE, _AWS_VPCE_ID = 0xEA, b"\x01"


@cache
def endpoints(family: socket.AddressFamily) -> tuple[tuple[End, End], ...]:
    """Sources and destinations; v1 and v2 carry the same ones."""
    rng = random.Random(int(family))
    address = _ipv4 if family == socket.AF_INET else _ipv6

    def end() -> End:
        return socket.inet_ntop(family, address(rng)), rng.randrange(1024, 65536)

    return tuple((end(), end()) for _ in range(COUNT))


def _ipv4(rng: random.Random) -> bytes:
    return rng.getrandbits(32).to_bytes(4, "big")


def _ipv6(rng: random.Random) -> bytes:
    """Every other one with a run of zero groups, as hosts have that were numbered by hand."""
    groups = [rng.getrandbits(16) for _ in range(8)]
    if rng.random() < 0.5:
        start = rng.randrange(2, 7)
        stop = rng.randrange(start + 1, 8)
        groups[start:stop] = [0] * (stop - start)
    return struct.pack("!8H", *groups)


def _v1(name: str, family: socket.AddressFamily) -> list[bytes]:
    return [
        f"PROXY {name} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n".encode()
        for source, destination in endpoints(family)
    ]


def _v2(command: int, kind: int, body: bytes) -> bytes:
    return SIGNATURE_V2 + struct.pack("!BBH", command, kind, len(body)) + body


def _blocks(family: socket.AddressFamily) -> list[bytes]:
    return [
        socket.inet_pton(family, source[0])
        + socket.inet_pton(family, destination[0])
        + struct.pack("!HH", source[1], destination[1])
        for source, destination in endpoints(family)
    ]


def _tlv(type: int, value: bytes) -> bytes:
    return struct.pack("!BH", type, len(value)) + value


def _with_checksum(command: int, kind: int, before: bytes, behind: bytes) -> bytes:
    """A header with the checksum TLV between ``before`` (block and TLVs) and ``behind`` (2.2.3)."""
    raw = _v2(command, kind, before + _tlv(TLVType.CRC32C, bytes(CRC32C_SIZE)) + behind)
    at = V2_HEAD_SIZE + len(before) + 3
    return raw[:at] + crc32c(raw).to_bytes(CRC32C_SIZE, "big") + raw[at + CRC32C_SIZE :]


def _v2_local() -> list[bytes]:
    """With a UNIQUE_ID: all plain LOCAL headers are the same 16 bytes."""
    rng = random.Random("local")
    return [
        _v2(_LOCAL, _UNSPEC, _tlv(TLVType.UNIQUE_ID, rng.getrandbits(128).to_bytes(16, "big")))
        for _ in range(COUNT)
    ]


def _v2_unix() -> list[bytes]:
    rng = random.Random("unix")

    def path() -> bytes:
        return f"/run/service/{rng.getrandbits(64):016x}.sock".encode().ljust(UNIX_PATH_SIZE, b"\0")

    return [_v2(_PROXY, _UNIX_STREAM, path() + path()) for _ in range(COUNT)]


def _v2_aws() -> list[bytes]:
    """What AWS NLB sends for a VPC endpoint: 100 bytes, the checksum first, NOOP to the end."""
    rng = random.Random("aws")
    padding = _tlv(TLVType.NOOP, bytes(36))

    def endpoint_id() -> bytes:
        return _tlv(_AWS_VPCE, _AWS_VPCE_ID + f"vpce-0{rng.getrandbits(64):016x}".encode())

    return [
        _with_checksum(_PROXY, _TCP4, block, endpoint_id() + padding)
        for block in _blocks(socket.AF_INET)
    ]


def _v2_tls() -> list[bytes]:
    """All that a TLS-terminating proxy tells.

    In ascending order of types: proxy-protocol sorts them before it computes the checksum, and so
    takes no other order.
    """
    rng = random.Random("tls")

    def ssl() -> bytes:
        return _tlv(
            TLVType.SSL,
            struct.pack("!BI", 0x07, 0)
            + _tlv(TLVType.SSL_VERSION, b"TLSv1.3")
            + _tlv(TLVType.SSL_CN, f"client-{rng.getrandbits(32):08x}.example.com".encode())
            + _tlv(TLVType.SSL_CIPHER, b"TLS_AES_256_GCM_SHA384"),
        )

    def names() -> bytes:
        host = f"tenant-{rng.getrandbits(32):08x}.example.com".encode()
        return _tlv(TLVType.ALPN, b"h2") + _tlv(TLVType.AUTHORITY, host)

    def unique_id() -> bytes:
        return _tlv(TLVType.UNIQUE_ID, rng.getrandbits(128).to_bytes(16, "big"))

    return [
        _with_checksum(_PROXY, _TCP4, block + names(), unique_id() + ssl())
        for block in _blocks(socket.AF_INET)
    ]


_MAKERS: dict[str, Callable[[], list[bytes]]] = {
    "v1 TCP4": lambda: _v1("TCP4", socket.AF_INET),
    "v1 TCP6": lambda: _v1("TCP6", socket.AF_INET6),
    "v1 UNKNOWN": lambda: _v1("UNKNOWN", socket.AF_INET),
    "v2 TCP4": lambda: [_v2(_PROXY, _TCP4, block) for block in _blocks(socket.AF_INET)],
    "v2 TCP6": lambda: [_v2(_PROXY, _TCP6, block) for block in _blocks(socket.AF_INET6)],
    "v2 LOCAL": _v2_local,
    "v2 UNIX": _v2_unix,
    "v2 AWS": _v2_aws,
    "v2 TLS": _v2_tls,
}
KINDS = tuple(_MAKERS)
WITH_CHECKSUM = ("v2 AWS", "v2 TLS")


@cache
def headers(kind: str, payload: bool = False) -> list[bytes]:
    """``COUNT`` different headers, alone or each with 512 bytes of HTTP behind it."""
    made = [raw + PAYLOAD for raw in headers(kind)] if payload else _MAKERS[kind]()
    if len(set(made)) != COUNT:
        raise ValueError(f"{kind}: not {COUNT} different headers")
    return made
