"""Every constant, status and message of the PROXY protocol, written once.

The C core reads the same values from ``csrc/spec.h``, which this file writes:
``python -I fastppv2/_spec.py > csrc/spec.h`` (a test compares the two).
Section numbers are those of the specification, revision 2026/04/27.
"""

from __future__ import annotations

from enum import IntEnum

SIGNATURE_V1 = b"PROXY"  # 2.1
SIGNATURE_V2 = b"\r\n\r\n\x00\r\nQUIT\n"  # 2.2

V1_MIN_SIZE = 15  # 2.1: "PROXY UNKNOWN\r\n"
V1_MAX_SIZE = 107  # 2.1: "if the CRLF sequence is not found in the first 107 characters"
V2_HEAD_SIZE = 16  # 2.2: signature, version and command, family and transport, length
MAX_SIZE = V2_HEAD_SIZE + 0xFFFF  # 2.2: "always exactly 16 + this value"
SERVER_MAX_SIZE = 4096  # what a server takes unless told otherwise

IPV4_SIZE = 4
IPV6_SIZE = 16
UNIX_PATH_SIZE = 108
INET_BLOCK_SIZE = 2 * IPV4_SIZE + 2 * 2  # 2.2: "Address length is 2*4 + 2*2 = 12 bytes"
INET6_BLOCK_SIZE = 2 * IPV6_SIZE + 2 * 2
UNIX_BLOCK_SIZE = 2 * UNIX_PATH_SIZE
ADDRESS_TEXT_SIZE = 46  # the longest IPv6 text (45 characters) and a NUL, POSIX INET6_ADDRSTRLEN

TLV_HEAD_SIZE = 3  # 2.2: type, length_hi, length_lo
TLV_MAX_SIZE = 0xFFFF
SSL_HEAD_SIZE = 5  # 2.2.6: client, verify
UNIQUE_ID_MAX_SIZE = 128  # 2.2.5: "up to 128 bytes"
CRC32C_SIZE = 4  # 2.2.3: "a 32-bit number"
CRC32C_POLYNOMIAL = 0x82F63B78  # RFC 4960 appendix B, bits reversed

SSL_CLIENT_SSL = 0x01  # 2.2.6
SSL_CLIENT_CERT_CONN = 0x02
SSL_CLIENT_CERT_SESS = 0x04


class Command(IntEnum):
    """The lowest four bits of the 13th byte (2.2); v1 always means PROXY."""

    LOCAL = 0
    PROXY = 1


class Family(IntEnum):
    """The highest four bits of the 14th byte (2.2); TCP4 and TCP6 in v1."""

    UNSPEC = 0
    INET = 1
    INET6 = 2
    UNIX = 3


class Transport(IntEnum):
    """The lowest four bits of the 14th byte (2.2); v1 always means STREAM."""

    UNSPEC = 0
    STREAM = 1
    DGRAM = 2


class Detected(IntEnum):
    """What the first bytes of a connection can be."""

    UNDECIDED = 0
    V1 = 1
    V2 = 2
    MISSING = 3


class TLVType(IntEnum):
    """The registered TLV types (2.2); 0x21 to 0x28 live inside SSL."""

    ALPN = 0x01
    AUTHORITY = 0x02
    CRC32C = 0x03
    NOOP = 0x04
    UNIQUE_ID = 0x05
    SSL = 0x20
    SSL_VERSION = 0x21
    SSL_CN = 0x22
    SSL_CIPHER = 0x23
    SSL_SIG_ALG = 0x24
    SSL_KEY_ALG = 0x25
    SSL_GROUP = 0x26
    SSL_SIG_SCHEME = 0x27
    SSL_CLIENT_CERT = 0x28
    NETNS = 0x30


class CloudType(IntEnum):
    """Application-specific TLV types (2.2.8), as clouds use them; nobody registers these."""

    GCP = 0xE0
    ALIBABA = 0xE1
    AWS = 0xEA
    AZURE = 0xEE


BLOCK_SIZE = {
    Family.UNSPEC: 0,
    Family.INET: INET_BLOCK_SIZE,
    Family.INET6: INET6_BLOCK_SIZE,
    Family.UNIX: UNIX_BLOCK_SIZE,
}


class Status(IntEnum):
    """The verdict on the bytes in hand, in the order in which the checks run."""

    OK = 0
    INCOMPLETE = 1
    MISSING = 2
    VERSION_REFUSED = 3
    V1_SPACE = 4
    V1_LINE_FEED = 5
    V1_CARRIAGE_RETURN = 6
    V1_TOO_LONG = 7
    V1_PROTOCOL = 8
    V1_SOURCE = 9
    V1_DESTINATION = 10
    V1_SOURCE_PORT = 11
    V1_DESTINATION_PORT = 12
    V1_END = 13
    V2_VERSION = 14
    V2_COMMAND = 15
    V2_FAMILY = 16
    V2_TRANSPORT = 17
    V2_LENGTH = 18
    V2_TOO_LARGE = 19
    TLV_TRUNCATED = 20
    TLV_OVERRUN = 21
    UNIQUE_ID_SIZE = 22
    CHECKSUM_SIZE = 23
    CHECKSUM_REPEATED = 24
    CHECKSUM_WRONG = 25


# What was expected at the byte at fault. errors.py adds where it stands and what stood there.
EXPECTED = {
    Status.VERSION_REFUSED: "this version of the protocol is not accepted here: let the sender "
    "use the other one, or accept both",
    Status.V1_SPACE: "expected one space after PROXY",
    Status.V1_LINE_FEED: "line feed without a carriage return before it, the line must end in CRLF",
    Status.V1_CARRIAGE_RETURN: "expected the line feed of CRLF after the carriage return",
    Status.V1_TOO_LONG: f"expected CRLF within {V1_MAX_SIZE} bytes",
    Status.V1_PROTOCOL: "expected TCP4, TCP6 or UNKNOWN",
    Status.V1_SOURCE: "source address: expected one of the announced family in canonical text, "
    "and a space",
    Status.V1_DESTINATION: "destination address: expected one of the announced family in "
    "canonical text, and a space",
    Status.V1_SOURCE_PORT: "source port: expected 0 to 65535 in plain digits, and a space",
    Status.V1_DESTINATION_PORT: "destination port: expected 0 to 65535 in plain digits",
    Status.V1_END: "expected CRLF after the destination port",
    Status.V2_VERSION: "expected version 2 in the high four bits",
    Status.V2_COMMAND: "expected command LOCAL (0) or PROXY (1) in the low four bits",
    Status.V2_FAMILY: "expected family UNSPEC (0), INET (1), INET6 (2) or UNIX (3) in the high "
    "four bits",
    Status.V2_TRANSPORT: "expected transport UNSPEC (0), STREAM (1) or DGRAM (2) in the low "
    "four bits",
    Status.V2_LENGTH: "the length is shorter than the addresses of this family",
    Status.V2_TOO_LARGE: "the header is larger than max_size: raise it if the sender is right",
    Status.TLV_TRUNCATED: "the header ends inside the type and length of a TLV",
    Status.TLV_OVERRUN: "the length of this TLV reaches beyond the header",
    Status.UNIQUE_ID_SIZE: f"UNIQUE_ID is longer than {UNIQUE_ID_MAX_SIZE} bytes",
    Status.CHECKSUM_SIZE: f"the CRC32C checksum is not {CRC32C_SIZE} bytes long",
    Status.CHECKSUM_REPEATED: "a second CRC32C checksum",
    Status.CHECKSUM_WRONG: "the CRC32C checksum does not match the header",
}


def crc32c_table() -> tuple[int, ...]:
    """The 256 remainders of one byte (RFC 4960 appendix B)."""
    table = []
    for remainder in range(256):
        for _ in range(8):
            remainder = remainder >> 1 ^ (CRC32C_POLYNOMIAL if remainder & 1 else 0)
        table.append(remainder)
    return tuple(table)


_C_NUMBERS = [
    "V1_MIN_SIZE",
    "V1_MAX_SIZE",
    "V2_HEAD_SIZE",
    "MAX_SIZE",
    "IPV4_SIZE",
    "IPV6_SIZE",
    "UNIX_PATH_SIZE",
    "INET_BLOCK_SIZE",
    "INET6_BLOCK_SIZE",
    "UNIX_BLOCK_SIZE",
    "ADDRESS_TEXT_SIZE",
    "TLV_HEAD_SIZE",
    "TLV_MAX_SIZE",
    "SSL_HEAD_SIZE",
    "UNIQUE_ID_MAX_SIZE",
    "CRC32C_SIZE",
    "SSL_CLIENT_SSL",
    "SSL_CLIENT_CERT_CONN",
    "SSL_CLIENT_CERT_SESS",
]
_C_ENUMS = (
    ("FPP_STATUS_", Status),
    ("FPP_COMMAND_", Command),
    ("FPP_FAMILY_", Family),
    ("FPP_TRANSPORT_", Transport),
    ("FPP_DETECTED_", Detected),
    ("FPP_TLV_", TLVType),
)


def _c_bytes(name: str, value: bytes) -> list[str]:
    items = ", ".join(f"0x{byte:02X}" for byte in value)
    return [f"#define {name}_SIZE {len(value)}", f"#define {name}_BYTES {{{items}}}"]


def _c_enum(prefix: str, values: list[tuple[str, int]]) -> list[str]:
    members = [f"    {prefix}{name} = {value}" for name, value in values]
    return ["enum {", ",\n".join(members), "};"]


def c_header() -> str:
    """The text of ``csrc/spec.h``."""
    lines = [
        "/* Written by fastppv2/_spec.py, where each value is explained. Do not edit. */",
        "#ifndef FPP_SPEC_H",
        "#define FPP_SPEC_H",
        "",
        *_c_bytes("FPP_SIGNATURE_V1", SIGNATURE_V1),
        *_c_bytes("FPP_SIGNATURE_V2", SIGNATURE_V2),
    ]
    table = [f"0x{value:08X}" for value in crc32c_table()]
    rows = [", ".join(table[row : row + 6]) for row in range(0, len(table), 6)]
    lines += ["", "#define FPP_CRC32C_TABLE { \\"]
    lines += [f"    {row}, \\" for row in rows[:-1]] + [f"    {rows[-1]} }}"]
    lines += ["", "/* Declarations, up to the next directive; cffi reads them as they stand. */"]
    lines += _c_enum("FPP_", [(name, globals()[name]) for name in _C_NUMBERS])
    for prefix, enum in _C_ENUMS:
        lines += ["", *_c_enum(prefix, [(member.name, member.value) for member in enum])]
    lines += ["", "#endif", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    print(c_header(), end="")
