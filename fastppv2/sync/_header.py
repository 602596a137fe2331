"""One header from a socket that somebody else made."""

from __future__ import annotations

import socket
from time import monotonic

from fastppv2._spec import SERVER_MAX_SIZE, V1_MIN_SIZE
from fastppv2.parser import Parser
from fastppv2.policy import TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastppv2.header import Header


def recv_header(
    sock: socket.socket,
    *,
    timeout: float | None = TIMEOUT,
    max_size: int = SERVER_MAX_SIZE,
    versions: Iterable[int] = (1, 2),
) -> Header:
    """The header that a connection starts with; the next byte that is read is the one behind it.

    It believes whoever sends one: who may is the caller's to check. ``timeout`` (seconds, None:
    for ever) is for the whole header; the socket's own is put back. ``max_size`` and ``versions``
    are those of ``Parser``. Raises TimeoutError (before Python 3.10 ``socket.timeout``) and the
    errors of ``Parser``: IncompleteHeaderError where the connection ends before the header does.
    """
    parser = Parser(max_size=max_size, versions=versions)
    end = None if timeout is None else monotonic() + timeout
    before = sock.gettimeout()
    try:
        while True:
            sock.settimeout(_left(end))
            data = sock.recv(max(parser._needed, V1_MIN_SIZE) - len(parser._held))
            if not data:
                parser.eof()
            header = parser.feed(data)
            if header is not None:
                return header
    finally:
        sock.settimeout(before)


def _left(end: float | None) -> float | None:
    """Seconds until then."""
    if end is None:
        return None
    left = end - monotonic()
    if left <= 0:
        raise socket.timeout("no whole PROXY header in time")
    return left
