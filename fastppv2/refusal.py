"""Why a connection was refused, for the operator: what was seen, and what to change.

Text from the wire stands in a message only escaped, at most 16 bytes of it.
"""

from __future__ import annotations

from fastppv2._networks import format_address
from fastppv2._peer import UNIX, text_of
from fastppv2._spec import SIGNATURE_V2
from fastppv2.errors import SEEN_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastppv2.header import Header
    from fastppv2.policy import Policy

REASONS = (
    "untrusted",  # the peer is not in trusted
    "unreadable",  # nor can it be: its address cannot be read
    "missing",  # something else than a PROXY header
    "version",  # a version that is not in versions
    "invalid",  # a header that breaks the specification
    "checksum",  # a wrong one, or none with require_checksum
    "too_large",  # longer than max_size
    "source",  # not the peer's address, with source_preserved
    "nested",  # a second header behind the first
    "timeout",  # not whole in time
    "eof",  # the connection ended inside the header
    "empty",  # it ended without a byte: a TCP health check
    "evicted",  # it waited longest when too many were waiting
    "closed",  # the listener was closed meanwhile
)
# Nobody has to change anything for these.
QUIET = frozenset({"empty", "closed"})

_SENDER = "is send-proxy enabled on the load balancer?"
_METHODS = (
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
    b"PRI ",  # HTTP/2
)


def looks_like(data: bytes) -> str:
    """What the first bytes of a connection, which are no PROXY header, seem to be; or ""."""
    if data.startswith(_METHODS):
        return "an HTTP request"
    # RFC 8446 5.1 and 4: a handshake record of TLS (22, major version 3) with a ClientHello (1).
    if data.startswith(b"\x16\x03") and data[5:6] in (b"\x01", b""):
        return "a TLS ClientHello"
    if data.startswith(b"SSH-"):
        return "SSH"
    if data[:5].upper() in (b"EHLO ", b"HELO ", b"LHLO "):
        return "SMTP"
    return ""


def untrusted(policy: Policy, address: bytes) -> str:
    name = "unix" if address == UNIX else format_address(address)
    return (
        f"not one of trusted ({policy.trusted}): if it is the load balancer, add {name} to trusted "
        "(FASTPPV2_TRUSTED); if it needs no header, set untrusted='passthrough' "
        "(FASTPPV2_UNTRUSTED)"
    )


def passed_untrusted(policy: Policy, address: bytes) -> str:
    name = "unix" if address == UNIX else format_address(address)
    return (
        f"passed through as itself: not one of trusted ({policy.trusted}); if it is the load "
        f"balancer and sends headers, add {name} to trusted (FASTPPV2_TRUSTED)"
    )


def passed_silent() -> str:
    return (
        "passed through as itself, without a PROXY header: if it should send one, set "
        "header='required' (FASTPPV2_HEADER)"
    )


def unreadable(peername: object, family: int) -> str:
    return (
        f"its address cannot be read (peername {text_of(peername)}, socket family {family}), so it "
        "cannot be one of trusted; 'unix' in trusted is for sockets of family AF_UNIX alone"
    )


def missing(data: bytes) -> str:
    kind = looks_like(data)
    seen = f"looks like {kind}" if kind else f"starts with {data[:SEEN_SIZE]!r}"
    advice = _SENDER
    if kind == "a TLS ClientHello":
        advice += " It sends the header before TLS, or with FASTPPV2_TLS=inside within it."
    return f"not a PROXY header ({seen}): {advice} (header='required', FASTPPV2_HEADER)"


def version(policy: Policy, data: bytes) -> str:
    found, sender = (2, "send-proxy") if data.startswith(SIGNATURE_V2) else (1, "send-proxy-v2")
    (taken,) = policy.versions
    return (
        f"a PROXY header of version {found}, and only version {taken} is taken: let the load "
        f"balancer send that ({sender}), or add {found} to versions (FASTPPV2_VERSIONS)"
    )


def invalid(error: ValueError) -> str:
    return f"{error}: the sender breaks the specification, or its bytes were changed on the way"


def checksum(error: ValueError) -> str:
    return (
        f"{error}: the header was damaged on the way, or the sender computes wrongly: switch the "
        "checksum off there (HAProxy: no crc32c in proxy-v2-options)"
    )


def no_checksum(header: Header) -> str:
    sender = "crc32c in proxy-v2-options" if header.version == 2 else "send-proxy-v2"
    return (
        f"a PROXY header of version {header.version} without checksum: let the load balancer send "
        f"one (HAProxy: {sender}), or set require_checksum=False (FASTPPV2_REQUIRE_CHECKSUM)"
    )


def too_large(policy: Policy, error: ValueError) -> str:
    return f"{error} (max_size is {policy.max_size} bytes, FASTPPV2_MAX_SIZE)"


def source(header: Header) -> str:
    return (
        f"the PROXY header names another client, {text_of(header.source)}: with source_preserved "
        "it must be the peer itself; if the load balancer connects from its own address, set "
        "source_preserved=False (FASTPPV2_SOURCE_PRESERVED) and trust that address alone"
    )


def nested() -> str:
    return (
        "a second PROXY header directly behind the first: two balancers in a row add one each, or "
        "a client sends its own: switch it off at one of them, or leave the second to the "
        "application with nested='payload' (FASTPPV2_NESTED)"
    )


def truncated(data: bytes) -> str:
    return (
        f"a truncated PROXY header, {len(data)} bytes and then the end: the sender gave up, or it "
        "is a health check that sends less than a header (HAProxy: check-send-proxy)"
    )


def timeout(policy: Policy, data: bytes) -> str:
    within = f"within {policy.timeout:g} s (timeout, FASTPPV2_TIMEOUT)"
    if data:
        return f"a truncated PROXY header, {len(data)} bytes {within}: is the way to it that slow?"
    return (
        f"nothing came {within}: {_SENDER} AWS NLB sends the header with the client's first bytes: "
        "where the server speaks first, ask AWS support for header_placement on_first_ack"
    )


def empty() -> str:
    return (
        "nothing came before the end, as from a TCP health check: to have it counted as local, let "
        "the check send a header (HAProxy: check-send-proxy)"
    )


def evicted(policy: Policy) -> str:
    return (
        f"it waited longest of {policy.max_pending} connections without a whole header: raise "
        "max_pending (FASTPPV2_MAX_PENDING) or lower timeout (FASTPPV2_TIMEOUT)"
    )


def closed() -> str:
    return "the server was closed before the header was whole"
