"""Connections that the demo makes to its own page, each with another header in front."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from fastppv2 import build, cloud

if TYPE_CHECKING:
    from fastppv2.cli.demo.visits import Visit, Visits

# Addresses for documentation, RFC 5737.
_CLIENT, _SERVER = ("192.0.2.1", 56324), ("198.51.100.2", 443)
_REQUEST = b"GET /client HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n"
_TIMEOUT = 5.0

AUTHORITY = "demo.example"
ENDPOINT = "vpce-0a1b2c3d4e5f60718"


class Trial(NamedTuple):
    """A header, by the name that is in the page's address."""

    name: str
    title: str
    why: str
    header: bytes


def _wrong(header: bytes) -> bytes:
    """With the last byte of the checksum, its last TLV, changed."""
    return header[:-1] + bytes([header[-1] ^ 1])


_V2 = build(_CLIENT, _SERVER, checksum=True)
TRIALS = {
    trial.name: trial
    for trial in (
        Trial("v1", "version 1", "A line of text, as AWS Classic ELB sends it.",
              build(_CLIENT, _SERVER, version=1)),
        Trial("v2", "version 2", "Binary, with a checksum and what AWS PrivateLink adds.",
              build(_CLIENT, _SERVER, tlvs=[(2, AUTHORITY.encode()),
                                            cloud.aws_vpce_id_tlv(ENDPOINT)], checksum=True)),
        Trial("local", "LOCAL", "The balancer's own connection: a health check.", build()),
        Trial("checksum", "a wrong checksum", "One bit of it was changed on the way.", _wrong(_V2)),
        Trial("none", "no header", "A scanner, or a client that goes past the balancer.", b""),
        Trial("twice", "two headers", "Two balancers in a row, or a client that sends its own.",
              _V2 + build(("203.0.113.66", 666), _SERVER)),
    )
}  # fmt: skip


class Result(NamedTuple):
    """What became of a trial: the client that the page saw, or its refusal."""

    saw: str
    refusal: Visit | None


async def send(trial: Trial, backend: Any, visits: Visits) -> Result:
    """Sends the header and a request to the page's own port, as a balancer would."""
    reader, writer = await asyncio.open_connection(*backend)
    name = writer.get_extra_info("sockname")
    try:
        writer.write(trial.header + _REQUEST)
        answer = await asyncio.wait_for(_read(reader), _TIMEOUT)
    finally:
        writer.close()
    return Result(answer.rpartition(b"\r\n\r\n")[2].decode(), visits.refusal_of(name))


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(-1)
    except ConnectionError:  # the end of what is refused may come as a reset
        return b""


async def check(backend: Any) -> None:
    """A health check, as HAProxy makes them with check-send-proxy."""
    _, writer = await asyncio.open_connection(*backend)
    writer.write(build())
    writer.close()
