"""What clouds say of a connection in TLVs of their own: readers and builders.

A reader gives what the first well-formed TLV of its kind says, or None. A builder gives that TLV:
``build(source, destination, tlvs=[aws_vpce_id_tlv("vpce-08d2bf15fac5001c9")])``, or raises
TypeError or ValueError that names the identifier.

Every application may use the types 0xE0 to 0xEF (2.2.8), so ask only for what the cloud in front
of the server sends. The layouts are those of the clouds' manuals: AWS, target groups of Network
Load Balancers; Azure, Private Link service; Google, Private Service Connect; Alibaba, PrivateLink.
"""

from __future__ import annotations

from operator import index

from fastppv2._spec import CloudType
from fastppv2.header import TLV, first, printable_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from fastppv2.header import Header

__all__ = [
    "alibaba_endpoint_id",
    "alibaba_endpoint_id_tlv",
    "alibaba_service_id",
    "alibaba_service_id_tlv",
    "alibaba_vpc_id",
    "alibaba_vpc_id_tlv",
    "as_dict",
    "aws_vpce_id",
    "aws_vpce_id_tlv",
    "azure_private_link_id",
    "azure_private_link_id_tlv",
    "gcp_psc_connection_id",
    "gcp_psc_connection_id_tlv",
]


class Field:
    """Where an identifier stands: in TLVs of ``type`` whose value begins with ``subtype``.

    ``name`` is the reader's; the builder's has ``_tlv`` behind it.
    """

    __slots__ = ("name", "subtype", "type")

    def __init__(self, name: str, type: CloudType, subtype: bytes) -> None:
        self.name = name
        self.type = type
        self.subtype = subtype  # no bytes where the cloud has no subtypes


class Text(Field):
    """An identifier in printable ASCII."""

    __slots__ = ()

    def find(self, header: Header) -> str | None:
        return first(header.tlvs, self.type, self.decode)

    def decode(self, value: bytes) -> str | None:
        if not value.startswith(self.subtype):
            return None
        return printable_text(value[len(self.subtype) :])

    def encode(self, id: str, /) -> TLV:
        """The TLV. Raises TypeError, and ValueError if it is not printable ASCII."""
        if not isinstance(id, str):
            raise TypeError(f"{self.name}: expected a str, got {id!r}")
        if not (id.isascii() and id.isprintable()):
            raise ValueError(f"{self.name}: expected printable ASCII, got {id!a}")
        return TLV(int(self.type), self.subtype + id.encode())


class Number(Field):
    """An unsigned number of ``size`` bytes."""

    __slots__ = ("byteorder", "size")

    def __init__(
        self,
        name: str,
        type: CloudType,
        subtype: bytes,
        size: int,
        byteorder: Literal["little", "big"],
    ) -> None:
        super().__init__(name, type, subtype)
        self.size = size
        self.byteorder = byteorder

    def find(self, header: Header) -> int | None:
        return first(header.tlvs, self.type, self.decode)

    def decode(self, value: bytes) -> int | None:
        if not value.startswith(self.subtype) or len(value) != len(self.subtype) + self.size:
            return None
        return int.from_bytes(value[len(self.subtype) :], self.byteorder)

    def encode(self, id: int, /) -> TLV:
        """The TLV. Raises TypeError, and ValueError if the number does not fit."""
        try:
            number = index(id)
        except TypeError:
            raise TypeError(f"{self.name}: expected an int, got {id!r}") from None
        largest = (1 << 8 * self.size) - 1
        if not 0 <= number <= largest:
            raise ValueError(f"{self.name}: expected 0 to {largest}, got {number}")
        return TLV(int(self.type), self.subtype + number.to_bytes(self.size, self.byteorder))


_AWS_VPCE_ID = Text("aws_vpce_id", CloudType.AWS, b"\x01")
_AZURE_PRIVATE_LINK_ID = Number("azure_private_link_id", CloudType.AZURE, b"\x01", 4, "little")
_GCP_PSC_CONNECTION_ID = Number("gcp_psc_connection_id", CloudType.GCP, b"", 8, "big")
_ALIBABA_VPC_ID = Text("alibaba_vpc_id", CloudType.ALIBABA, b"\x01")
_ALIBABA_ENDPOINT_ID = Text("alibaba_endpoint_id", CloudType.ALIBABA, b"\x02")
_ALIBABA_SERVICE_ID = Text("alibaba_service_id", CloudType.ALIBABA, b"\x03")

# All of the above.
FIELDS = tuple(field for field in vars().values() if isinstance(field, (Text, Number)))


def field_of(tlv: TLV) -> Text | Number | None:
    """The identifier that the TLV carries, if it is a well-formed one of these."""
    for field in FIELDS:
        if field.type == tlv.type and field.decode(tlv.value) is not None:
            return field
    return None


def as_dict(header: Header) -> dict[str, str | int | None]:
    """All identifiers for logs and JSON, by the names of their readers."""
    return {field.name: field.find(header) for field in FIELDS}


def aws_vpce_id(header: Header) -> str | None:
    """The VPC endpoint through which the client came, such as "vpce-08d2bf15fac5001c9"."""
    return _AWS_VPCE_ID.find(header)


def azure_private_link_id(header: Header) -> int | None:
    """The LinkID of the private endpoint through which the client came, 0 to 2**32 - 1."""
    return _AZURE_PRIVATE_LINK_ID.find(header)


def gcp_psc_connection_id(header: Header) -> int | None:
    """The Private Service Connect connection by which the client came, 0 to 2**64 - 1."""
    return _GCP_PSC_CONNECTION_ID.find(header)


def alibaba_vpc_id(header: Header) -> str | None:
    """The VPC of the client, such as "vpc-bp1example"."""
    return _ALIBABA_VPC_ID.find(header)


def alibaba_endpoint_id(header: Header) -> str | None:
    """The PrivateLink endpoint through which the client came, such as "ep-bp1example"."""
    return _ALIBABA_ENDPOINT_ID.find(header)


def alibaba_service_id(header: Header) -> str | None:
    """The PrivateLink endpoint service that the client asked, such as "epsrv-bp1example"."""
    return _ALIBABA_SERVICE_ID.find(header)


aws_vpce_id_tlv = _AWS_VPCE_ID.encode
azure_private_link_id_tlv = _AZURE_PRIVATE_LINK_ID.encode
gcp_psc_connection_id_tlv = _GCP_PSC_CONNECTION_ID.encode
alibaba_vpc_id_tlv = _ALIBABA_VPC_ID.encode
alibaba_endpoint_id_tlv = _ALIBABA_ENDPOINT_ID.encode
alibaba_service_id_tlv = _ALIBABA_SERVICE_ID.encode
