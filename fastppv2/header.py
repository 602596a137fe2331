"""What a parsed header offers: ``Header``, ``TLV`` and ``SSL``.

``Header`` is the interface. Each backend has a class of its own that holds the bytes and reads
version, addresses and TLVs out of them; all that can be said in terms of those is written here,
once, and serves every backend.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections import namedtuple

from fastppv2._spec import (
    SSL_CLIENT_CERT_CONN,
    SSL_CLIENT_CERT_SESS,
    Command,
    Family,
    TLVType,
    Transport,
)
from fastppv2.errors import view_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NamedTuple, TypeVar, Union

    from typing_extensions import Buffer

    # What the socket module would have said: (host, port), a UNIX path (str) or abstract name
    # (bytes), or None where the header carries no addresses.
    Address = Union[tuple[str, int], str, bytes, None]
    _T = TypeVar("_T")

    class _TLV(NamedTuple):
        type: int
        value: bytes

    class _SSL(NamedTuple):
        client: int
        verify: int
        tlvs: tuple[TLV, ...]

else:  # typing costs 5 ms and re at import
    _TLV = namedtuple("_TLV", ("type", "value"))
    _SSL = namedtuple("_SSL", ("client", "verify", "tlvs"))


class TLV(_TLV):
    """One type-length-value vector (2.2): ``type`` (0 to 255) and ``value`` (bytes)."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The registered name, or the type in hexadecimal."""
        try:
            return TLVType(self.type).name
        except ValueError:
            return f"0x{self.type:02x}"


class SSL(_SSL):
    """The value of an SSL TLV (2.2.6): what the sender knows of the client's TLS connection.

    ``client`` holds the bits SSL (1), CERT_CONN (2) and CERT_SESS (4); ``verify`` is 0 where a
    certificate, if there was one, was verified; ``tlvs`` are the sub-TLVs in wire order, without
    NOOP. A text that is missing or malformed reads None.
    """

    __slots__ = ()

    @property
    def verified(self) -> bool:
        """A certificate was given and verified; ``verify`` alone is 0 without one, too."""
        return bool(self.client & (SSL_CLIENT_CERT_CONN | SSL_CLIENT_CERT_SESS)) and not self.verify

    @property
    def version(self) -> str | None:
        """The TLS version, such as "TLSv1.3"."""
        return first(self.tlvs, TLVType.SSL_VERSION, ascii_text)

    @property
    def cn(self) -> str | None:
        """The common name of the client's certificate."""
        return first(self.tlvs, TLVType.SSL_CN, utf8_text)

    @property
    def cipher(self) -> str | None:
        """The cipher, such as "ECDHE-RSA-AES128-GCM-SHA256"."""
        return first(self.tlvs, TLVType.SSL_CIPHER, ascii_text)

    @property
    def sig_alg(self) -> str | None:
        """The algorithm that signed the sender's certificate, such as "RSA-SHA256"."""
        return first(self.tlvs, TLVType.SSL_SIG_ALG, ascii_text)

    @property
    def key_alg(self) -> str | None:
        """The key of the sender's certificate, such as "RSA2048"."""
        return first(self.tlvs, TLVType.SSL_KEY_ALG, ascii_text)

    @property
    def group(self) -> str | None:
        """The key exchange group, such as "secp256r1"."""
        return first(self.tlvs, TLVType.SSL_GROUP, ascii_text)

    @property
    def sig_scheme(self) -> str | None:
        """The signature scheme of the handshake, such as "rsa_pss_rsae_sha256"."""
        return first(self.tlvs, TLVType.SSL_SIG_SCHEME, ascii_text)

    @property
    def client_cert(self) -> bytes | None:
        """The client's X.509 certificate in DER."""
        return first(self.tlvs, TLVType.SSL_CLIENT_CERT, bytes)

    def as_dict(self) -> dict[str, Any]:
        """All of it in types that JSON knows, bytes as hexadecimal."""
        client_cert = self.client_cert
        return {
            "client": self.client,
            "verify": self.verify,
            "verified": self.verified,
            "version": self.version,
            "cn": self.cn,
            "cipher": self.cipher,
            "sig_alg": self.sig_alg,
            "key_alg": self.key_alg,
            "group": self.group,
            "sig_scheme": self.sig_scheme,
            "client_cert": None if client_cert is None else client_cert.hex(),
            "tlvs": [_tlv_dict(tlv) for tlv in self.tlvs],
        }


def first(tlvs: tuple[TLV, ...], type: int, decode: Callable[[bytes], _T | None]) -> _T | None:
    """What ``decode`` makes of the first TLV of that type of which it can make anything."""
    for tlv in tlvs:
        if tlv.type == type:
            decoded = decode(tlv.value)
            if decoded is not None:
                return decoded
    return None


def utf8_text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def ascii_text(value: bytes) -> str | None:
    return value.decode() if value.isascii() else None


def printable_text(value: bytes) -> str | None:
    text = ascii_text(value)
    return text if text is not None and text.isprintable() else None


def _tlv_dict(tlv: TLV) -> dict[str, Any]:
    return {"type": tlv.type, "name": tlv.name, "value": tlv.value.hex()}


def _endpoint_dict(name: str, address: Address) -> dict[str, Any]:
    if isinstance(address, tuple):
        return {name: address[0], f"{name}_port": address[1]}
    text = address.hex() if isinstance(address, bytes) else address
    return {name: text, f"{name}_port": None}


class Header(metaclass=ABCMeta):
    """A whole, valid PROXY header: what ``parse`` and ``Parser`` return.

    Immutable; equal and hashed by its bytes, whichever backend read it; pickled as its bytes.
    It owns its bytes and keeps no payload alive. No attribute ever raises an error of format.
    """

    __slots__ = ()
    _build: Callable[..., bytes]

    @property
    @abstractmethod
    def version(self) -> int:
        """1 (text) or 2 (binary)."""

    @property
    @abstractmethod
    def command(self) -> Command:
        """``LOCAL``: made by the sender itself; ``PROXY``: on behalf of a client (2.2)."""

    @property
    @abstractmethod
    def family(self) -> Family:
        """``UNSPEC`` wherever the header carries no addresses (LOCAL, v1 UNKNOWN)."""

    @property
    @abstractmethod
    def transport(self) -> Transport:
        """``UNSPEC`` wherever the header carries no addresses."""

    @property
    @abstractmethod
    def source(self) -> Address:
        """The client: ``(host, port)``; UNIX: ``str`` path or ``bytes`` abstract name; or None.

        IPv6 text is RFC 5952. None means: use the connection's real endpoints.
        """

    @property
    @abstractmethod
    def destination(self) -> Address:
        """Where the client connected to; shaped as ``source``."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Bytes of the header; the payload starts there."""

    @property
    @abstractmethod
    def raw(self) -> bytes:
        """The header as it came."""

    @property
    @abstractmethod
    def tlvs(self) -> tuple[TLV, ...]:
        """The TLVs in wire order, repeats kept, NOOP left out (2.2.4)."""

    @property
    @abstractmethod
    def ssl(self) -> SSL | None:
        """The first well-formed SSL TLV (2.2.6)."""

    @property
    def is_local(self) -> bool:
        """The header names no client: mostly a health check of the sender's own (2.2)."""
        return self.command == Command.LOCAL

    def get(self, type: int) -> bytes | None:
        """The value of the first TLV of that type."""
        return first(self.tlvs, type, bytes)

    def getall(self, type: int) -> tuple[bytes, ...]:
        """The values of all TLVs of that type, in wire order."""
        return tuple([tlv.value for tlv in self.tlvs if tlv.type == type])

    @property
    def alpn(self) -> bytes | None:
        """The application protocol that was negotiated (2.2.1), such as b"h2"."""
        return self.get(TLVType.ALPN)

    @property
    def authority(self) -> str | None:
        """The host name that the client asked for, usually SNI (2.2.2)."""
        return first(self.tlvs, TLVType.AUTHORITY, utf8_text)

    @property
    def unique_id(self) -> bytes | None:
        """The sender's identifier of the connection, at most 128 bytes (2.2.5)."""
        return self.get(TLVType.UNIQUE_ID)

    @property
    def netns(self) -> str | None:
        """The name of the sender's network namespace, US-ASCII (2.2.7)."""
        return first(self.tlvs, TLVType.NETNS, ascii_text)

    @property
    def checksum(self) -> int | None:
        """The CRC32C that the header carries, verified (2.2.3)."""
        value = self.get(TLVType.CRC32C)
        return None if value is None else int.from_bytes(value, "big")

    def encode(self, version: int | None = None) -> bytes:
        """The header in that version; in its own it is ``raw``, TLVs and all.

        From v2 to v1 the TLVs are dropped, and what v1 cannot say (LOCAL, UDP, UNIX) becomes
        ``PROXY UNKNOWN``. Raises ValueError for a version other than 1 and 2.
        """
        if version is None or version == self.version:
            return self.raw
        family = self.family
        if self.transport == Transport.STREAM and family in (Family.INET, Family.INET6):
            return self._build(self.source, self.destination, version=version)
        return self._build(command=Command.PROXY, version=version)

    def as_dict(self) -> dict[str, Any]:
        """All of it for logs and JSON: enums as names, bytes as hexadecimal."""
        alpn, unique_id, ssl = self.alpn, self.unique_id, self.ssl
        return {
            "version": self.version,
            "command": self.command.name,
            "family": self.family.name,
            "transport": self.transport.name,
            **_endpoint_dict("source", self.source),
            **_endpoint_dict("destination", self.destination),
            "size": self.size,
            "tlvs": [_tlv_dict(tlv) for tlv in self.tlvs],
            "alpn": None if alpn is None else alpn.hex(),
            "authority": self.authority,
            "checksum": self.checksum,
            "unique_id": None if unique_id is None else unique_id.hex(),
            "netns": self.netns,
            "ssl": None if ssl is None else ssl.as_dict(),
        }

    def __eq__(self, other: object) -> bool:
        return self.raw == other.raw if isinstance(other, Header) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return (
            f"<Header v{self.version} {self.command.name} {self.family.name} "
            f"{self.transport.name} {self.source!r} -> {self.destination!r} "
            f"tlvs=[{', '.join([tlv.name for tlv in self.tlvs])}]>"
        )

    def __reduce__(self) -> tuple[Callable[[bytes], Header], tuple[bytes]]:
        from fastppv2._backend import unpickle

        return unpickle, (self.raw,)


def to_send(header: Header | Buffer) -> bytes:
    """A Header as it was received, or what ``build`` made."""
    return header.raw if isinstance(header, Header) else bytes(view_of(header))
