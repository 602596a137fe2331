"""The exceptions, and the one function that raises them from a status."""

from __future__ import annotations

from fastppv2._spec import EXPECTED, MAX_SIZE, SIGNATURE_V2, V1_MAX_SIZE, V2_HEAD_SIZE, Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from typing_extensions import Buffer

SEEN_SIZE = 16  # at most so many bytes from the wire in a message: more might be a credential

_NUMBERS = frozenset(
    {
        Status.V2_LENGTH,
        Status.V2_TOO_LARGE,
        Status.TLV_OVERRUN,
        Status.UNIQUE_ID_SIZE,
        Status.CHECKSUM_SIZE,
    }
)
_CHECKSUM = frozenset({Status.CHECKSUM_SIZE, Status.CHECKSUM_REPEATED, Status.CHECKSUM_WRONG})


class ProxyProtocolError(ValueError):
    """The bytes are not a whole and valid PROXY header; the base of all errors of parsing."""


class IncompleteHeaderError(ProxyProtocolError):
    """The bytes are the start of something that can still become a valid header.

    ``needed`` is the least total number of bytes at which the verdict can change; reading up
    to it never reads past the header.
    """

    def __init__(self, message: str = "", needed: int = 0) -> None:
        super().__init__(message)
        self.needed = needed


class MissingHeaderError(ProxyProtocolError):
    """The bytes cannot be the start of a PROXY header (2.2: "the connection must be dropped")."""


class InvalidHeaderError(ProxyProtocolError):
    """The signature is there, the header is wrong; ``offset`` is the first byte at fault."""

    def __init__(self, message: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


class ChecksumError(InvalidHeaderError):
    """The CRC32C TLV does not match the header, is not 4 bytes long, or comes twice (2.2.3)."""


class HeaderTooLargeError(InvalidHeaderError):
    """The v2 header is larger than ``max_size``."""


def fail(status: int, offset: int, length: int, seen: bytes, needed: int = 0) -> NoReturn:
    """Raise what ``status`` stands for.

    ``length`` is the number of bytes that were given, ``seen`` what stands from ``offset`` on,
    of which at most ``SEEN_SIZE`` bytes are shown, escaped. ``needed`` is told of INCOMPLETE.
    """
    if status == Status.INCOMPLETE:
        raise IncompleteHeaderError(
            f"incomplete PROXY header: {length} bytes so far, at least {needed} needed", needed
        )
    seen = seen[:SEEN_SIZE]
    if status == Status.MISSING:
        raise MissingHeaderError(
            f"not a PROXY header, starts with {seen!r}: "
            "is sending the PROXY protocol enabled on the load balancer?"
        )
    raise _kind(status)(
        f"invalid PROXY header at byte {offset}: {EXPECTED[Status(status)]}; "
        f"got {_describe(status, offset, seen)}",
        offset,
    )


def _kind(status: int) -> type[InvalidHeaderError]:
    if status in _CHECKSUM:
        return ChecksumError
    return HeaderTooLargeError if status == Status.V2_TOO_LARGE else InvalidHeaderError


def _describe(status: int, offset: int, seen: bytes) -> str:
    if status in _NUMBERS:
        return str(int.from_bytes(seen[:2], "big"))
    if status == Status.CHECKSUM_WRONG:
        return "0x" + seen[:4].hex()
    if status < Status.V2_VERSION:
        line = seen[: V1_MAX_SIZE - offset]
        return repr(line.partition(b"\r\n")[0] or line[:2])
    return f"0x{seen[0]:02x}"


def check_max_size(max_size: int) -> int:
    """``max_size`` as given, or the error that says what is wrong with it."""
    if not isinstance(max_size, int):
        raise TypeError(f"max_size: expected an int, got {type(max_size).__name__}")
    if not V2_HEAD_SIZE <= max_size <= MAX_SIZE:
        raise ValueError(f"max_size: expected {V2_HEAD_SIZE} to {MAX_SIZE}, got {max_size}")
    return max_size


def view_of(data: Buffer) -> memoryview:
    """The bytes of any contiguous bytes-like object, whatever the shape of its items."""
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(f"expected a bytes-like object, got {type(data).__name__}") from None
    if not view.c_contiguous:
        raise BufferError("expected a contiguous buffer, pass a copy: bytes(data)")
    return view.cast("B") if view.nbytes else memoryview(b"")


def copy_header(view: memoryview, max_size: int) -> bytes:
    """The header alone: others may write to the buffer between a check and the use."""
    head = bytes(view[:V2_HEAD_SIZE])
    if not head.startswith(SIGNATURE_V2):
        return bytes(view[:V1_MAX_SIZE])
    size = V2_HEAD_SIZE + int.from_bytes(head[V2_HEAD_SIZE - 2 :], "big")
    return head + bytes(view[V2_HEAD_SIZE : min(size, max_size)])
