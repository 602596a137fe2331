"""One datagram: its header and its payload."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastppv2._backend import build, parse
from fastppv2._spec import MAX_SIZE, Transport
from fastppv2.errors import view_of
from fastppv2.udp import _simple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Literal

    from typing_extensions import Buffer

    from fastppv2.header import Header

    Format = Literal["proxy", "simple"]


def parse_datagram(
    data: Buffer, /, *, format: Format = "proxy", max_size: int = MAX_SIZE
) -> tuple[Header, bytes]:
    """The header of a datagram, and the payload behind it.

    ``format``: "proxy", or "simple" for Cloudflare's Simple Proxy Protocol, whose 38 bytes come as
    the version 2 header that says the same; it is never guessed. Raises what ``parse`` raises; an
    IncompleteHeaderError means that the datagram was cut, for nothing follows.
    """
    check_format(format)
    if format == "simple":
        datagram = bytes(view_of(data))
        return parse(_simple.to_v2(datagram)), datagram[_simple.SIZE :]
    header = parse(data, max_size=max_size)
    return header, bytes(view_of(data)[header.size :])


def build_datagram(
    payload: Buffer,
    source: Any = None,
    destination: Any = None,
    *,
    format: Format = "proxy",
    tlvs: Iterable[tuple[int, bytes]] = (),
    checksum: bool = False,
) -> bytes:
    """The payload of a client's datagram behind its header, version 2 unless told otherwise.

    ``source``: the client, ``destination``: what it sent to, as ``build`` takes them; None for
    LOCAL. ``format`` "simple": Cloudflare's, which needs both and has neither TLVs nor checksum.
    Raises ValueError or TypeError that begins with the name of the argument.
    """
    check_format(format)
    options = {"tlvs": tlvs, "checksum": checksum}
    if format == "simple":
        for name, value in options.items():
            if value:
                raise ValueError(f"{name}: the Simple Proxy Protocol has none, use format='proxy'")
        if not isinstance(source, (tuple, list)):
            raise ValueError(
                f"source: the Simple Proxy Protocol carries IP addresses alone, got {source!r}"
            )
    header = build(source, destination, transport=Transport.DGRAM, tlvs=tlvs, checksum=checksum)
    return b"".join((_simple.from_v2(header) if format == "simple" else header, view_of(payload)))


def check_format(format: str) -> None:
    if format not in ("proxy", "simple"):
        raise ValueError(f"format: expected 'proxy' or 'simple', got {format!r}")
