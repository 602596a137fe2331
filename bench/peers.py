"""The other parsers for Python, each called in the cheapest way that gives the client's address.

Where a package does more per connection than it must (an object that the server has anyway, the
choice between v1 and v2, log records), that is left out. What a package cannot take is listed with
the reason, and not measured.
"""

from __future__ import annotations

import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from ipaddress import IPv4Address, IPv6Address

from bench import timing
from bench.headers import endpoints, headers
from fastppv2._crc32c import kind as crc32c_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CoroutineType
    from typing import Any, Optional

    End = Optional[tuple[str, int]]


@dataclass(frozen=True)
class Peer:
    name: str
    package: str
    parse: Callable[[bytes], Any]
    client: Callable[[Any], End]  # of what parse gives
    refuses: dict[str, str] = field(default_factory=dict)  # kind: why
    refuses_payload: str = ""
    loop: Callable[..., None] = timing.call

    @property
    def version(self) -> str:
        return version(self.package)

    def takes(self, kind: str, payload: bool = False) -> bool:
        return kind not in self.refuses and not (payload and self.refuses_payload)


def proxy_protocol() -> Peer:
    # Its own reader hands growing pieces to unpack() and catches an exception per piece; here it
    # gets the whole header at once. Addresses become text when peername is read.
    from proxyprotocol.detect import ProxyProtocolDetect

    refuses = {}
    if crc32c_kind == "crc32c":  # the package; without it no checksum is looked at
        refuses["v2 AWS"] = "sorts the TLVs before it computes the checksum, which then is wrong"
    return Peer(
        "proxy-protocol",
        "proxy-protocol",
        ProxyProtocolDetect().unpack,
        lambda result: result.peername and result.peername[:2],
        refuses,
        "reads what lies behind a v2 header as TLVs, and refuses a v1 line with bytes behind it",
        timing.read_peername,
    )


def twisted() -> Peer:
    # A parser object per connection, as the protocol wrapper makes it. Addresses are made by feed.
    from twisted.protocols.haproxy._v1parser import V1Parser
    from twisted.protocols.haproxy._v2parser import V2Parser

    def parse(data: bytes) -> Any:
        return (V1Parser if data[:5] == V1Parser.PROXYSTR else V2Parser)().feed(data)[0]

    def client(info: Any) -> End:
        return info.source and (info.source.host, info.source.port)

    return Peer("Twisted", "Twisted", parse, client)


def gunicorn() -> Peer:
    # The ASGI parser: the only one of its two that works on bytes in hand. One object for all
    # headers, for the server has it anyway; and the one method, not feed(), for that would go on to
    # the request behind the header. Addresses are made in it.
    from gunicorn.asgi.parser import PythonProtocol

    parser = PythonProtocol(proxy_protocol="auto")
    buffer = parser._buffer
    parse_header = parser._parse_proxy_protocol

    def parse(data: bytes) -> dict[str, Any]:
        buffer[:] = data
        parse_header()
        return parser._proxy_protocol_info

    def client(info: dict[str, Any]) -> End:
        return info["client_addr"] and (info["client_addr"], info["client_port"])

    return Peer("gunicorn", "gunicorn", parse, client, {"v2 UNIX": "no UNIX addresses"})


class _Reader:
    """What aiosmtpd awaits, with all bytes at hand: it never suspends, so no loop is needed."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    async def read(self, size: int) -> bytes:
        at = self._at
        self._at = at + size
        return self._data[at : at + size]

    readexactly = read

    async def readuntil(self) -> bytes:
        at = self._at
        self._at = self._data.index(b"\n", at) + 1
        return self._data[at : self._at]


def _finish(coroutine: CoroutineType[None, None, Any]) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("the reader has all bytes, and still was waited for")


def aiosmtpd() -> Peer:
    # It has a coroutine only. It is driven by hand, without a loop; addresses stay ipaddress
    # objects, TLVs unread and checksums unverified.
    from aiosmtpd.proxy_protocol import get_proxy

    def parse(data: bytes) -> Any:
        return _finish(get_proxy(_Reader(data)))

    def client(info: Any) -> End:
        if not info.valid:
            raise ValueError(info.error)
        return info.src_addr and (str(info.src_addr), info.src_port)

    return Peer("aiosmtpd", "aiosmtpd", parse, client)


def load() -> tuple[list[Peer], list[str]]:
    """Those that are installed, each tried on every kind it is said to take; and the others."""
    found, missing = [], []
    for make in (proxy_protocol, twisted, gunicorn, aiosmtpd):
        try:
            peer = make()
        except ModuleNotFoundError as error:
            missing.append(f"{make.__name__}: {error}")
            continue
        _check(peer)
        found.append(peer)
    return found, missing


_CHECKED = {
    "v1 TCP4": (socket.AF_INET, IPv4Address),
    "v1 TCP6": (socket.AF_INET6, IPv6Address),
    "v2 TCP4": (socket.AF_INET, IPv4Address),
    "v2 TCP6": (socket.AF_INET6, IPv6Address),
    "v2 AWS": (socket.AF_INET, IPv4Address),
    "v2 TLS": (socket.AF_INET, IPv4Address),
}


def _check(peer: Peer) -> None:
    """A parser that is called wrongly would be measured while it refuses."""
    for kind, (family, address) in _CHECKED.items():
        for payload in (False, True):
            if not peer.takes(kind, payload):
                continue
            raw, (source, _) = headers(kind, payload)[0], endpoints(family)[0]
            host, port = peer.client(peer.parse(raw)) or ("", 0)
            if (address(host), port) != (address(source[0]), source[1]):
                raise ValueError(f"{peer.name} reads {raw!r} as {host}:{port}")


def results_to_pack() -> list[Any]:
    """What the pack() of proxy-protocol takes, made beforehand: only the packing is measured."""
    from proxyprotocol.result import ProxyResultIPv4

    return [
        ProxyResultIPv4(
            (IPv4Address(source[0]), source[1]),
            (IPv4Address(destination[0]), destination[1]),
            protocol=socket.SOCK_STREAM,
        )
        for source, destination in endpoints(socket.AF_INET)
    ]


@contextmanager
def without_checksum() -> Iterator[None]:
    """As where ``crc32c`` is not installed: with it, pack() adds a checksum to every v2 header."""
    from proxyprotocol import tlv

    installed, tlv.crc32c_checksum = tlv.crc32c_checksum, None
    try:
        yield
    finally:
        tlv.crc32c_checksum = installed
