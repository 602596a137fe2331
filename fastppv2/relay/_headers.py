"""The header that goes upstream: what came, or what is known of the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fastppv2._backend import build
from fastppv2._spec import Command, TLVType, Transport

if TYPE_CHECKING:
    from typing import Any

    from fastppv2.header import Header


class Sender(NamedTuple):
    """How headers are sent: ``version`` 1, 2 or None for none at all.

    What came in a header is handed on as it is, but for the TLVs whose types are in ``dropped``,
    the ``added`` ones, and ``checksum``: one is added if there is none. A checksum that came is
    kept, and is right again.
    """

    version: int | None = None
    dropped: frozenset[int] = frozenset()
    added: tuple[tuple[int, bytes], ...] = ()
    checksum: bool = False

    def header(
        self, header: Header | None, source: Any, destination: Any, transport: Transport
    ) -> bytes:
        """The header for a client at ``source`` that connected to ``destination``.

        ``header``: the one that came, None if none did. Raises ValueError if it grows too large.
        """
        if self.version is None:
            return b""
        if header is None:
            return self._made(source, destination, transport)
        if self.version == 1:
            return header.encode(1)
        kept = [tlv for tlv in header.tlvs if tlv.type not in self.dropped]
        had_checksum = TLVType.CRC32C in [tlv.type for tlv in kept]
        changed = self.added or len(kept) < len(header.tlvs)
        if not changed and (had_checksum or not self.checksum):
            return header.encode(2)
        return build(
            header.source,
            header.destination,
            command=header.command,
            transport=header.transport,
            tlvs=[*kept, *self.added],
            checksum=self.checksum or had_checksum,
        )

    def _made(self, source: Any, destination: Any, transport: Transport) -> bytes:
        # A client on a UNIX socket has no address that would mean anything upstream.
        known = isinstance(source, tuple) and isinstance(destination, tuple)
        return build(
            source if known else None,
            destination if known else None,
            version=self.version or 2,
            command=Command.PROXY,
            transport=transport,
            tlvs=self.added,
            checksum=self.checksum,
        )
