"""Cloudflare's Simple Proxy Protocol, in terms of version 2 headers, which say all that it says.

https://developers.cloudflare.com/spectrum/reference/simple-proxy-protocol-header: in front of every
datagram stand 38 bytes, in network order: the magic number, the client's address, the proxy's,
the client's port, the proxy's; IPv4 addresses are mapped. Behind the magic number that is the
address block of version 2 for IPv6. A reply carries the header of the datagram that it answers.
"""

from __future__ import annotations

from fastppv2._spec import (
    BLOCK_SIZE,
    IPV4_SIZE,
    IPV6_SIZE,
    SIGNATURE_V2,
    V2_HEAD_SIZE,
    Family,
    Transport,
)
from fastppv2.errors import SEEN_SIZE, IncompleteHeaderError, MissingHeaderError

MAGIC = b"\x56\xec"
SIZE = 38

_VERSION_AND_COMMAND = 0x21  # version 2, PROXY
_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96
_CLIENT = len(MAGIC)
_PROXY = _CLIENT + IPV6_SIZE
_PORTS = _PROXY + IPV6_SIZE


def to_v2(datagram: bytes) -> bytes:
    """The header of a datagram as version 2 has it."""
    if not datagram.startswith(MAGIC[: len(datagram)]):
        kind = " (a PROXY header, which is format='proxy')"
        raise MissingHeaderError(
            f"not a Simple Proxy Protocol header, starts with {datagram[:SEEN_SIZE]!r}"
            f"{kind if datagram.startswith(SIGNATURE_V2) else ''}: "
            "is it enabled on the load balancer (Cloudflare Spectrum: proxy_protocol simple)?"
        )
    if len(datagram) < SIZE:
        raise IncompleteHeaderError(
            f"incomplete Simple Proxy Protocol header: {len(datagram)} bytes, {SIZE} needed", SIZE
        )
    client, proxy = datagram[_CLIENT:_PROXY], datagram[_PROXY:_PORTS]
    family = Family.INET6
    if client.startswith(_MAPPED) and proxy.startswith(_MAPPED):
        family = Family.INET
        client, proxy = client[-IPV4_SIZE:], proxy[-IPV4_SIZE:]
    kind_of_v2 = bytes((_VERSION_AND_COMMAND, family << 4 | Transport.DGRAM))
    length = BLOCK_SIZE[family].to_bytes(2, "big")
    return b"".join((SIGNATURE_V2, kind_of_v2, length, client, proxy, datagram[_PORTS:SIZE]))


def from_v2(header: bytes) -> bytes:
    """The 38 bytes that say what a version 2 header of UDP over IPv4 or IPv6 says."""
    if header[V2_HEAD_SIZE - 3] >> 4 == Family.INET6:
        return MAGIC + header[V2_HEAD_SIZE : V2_HEAD_SIZE + BLOCK_SIZE[Family.INET6]]
    block = header[V2_HEAD_SIZE:]
    client, proxy = block[:IPV4_SIZE], block[IPV4_SIZE : 2 * IPV4_SIZE]
    return b"".join((MAGIC, _MAPPED, client, _MAPPED, proxy, block[2 * IPV4_SIZE :]))
