"""A header whose bytes come in pieces."""

from __future__ import annotations

from fastppv2._backend import detect, parse
from fastppv2._spec import SERVER_MAX_SIZE, V2_HEAD_SIZE, Detected, Status
from fastppv2.errors import (
    IncompleteHeaderError,
    ProxyProtocolError,
    check_max_size,
    fail,
    view_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

    from fastppv2.header import Header

_BOTH = frozenset((int(Detected.V1), int(Detected.V2)))


class Parser:
    """Reads one header out of pieces of any size; does no I/O.

    ``max_size`` (bytes, 16 to 65551) bounds v2 headers, and with them what is kept;
    ``versions`` are those that are accepted. Errors are those of ``parse``; a version that is
    not accepted is an ``InvalidHeaderError``.
    """

    __slots__ = ("_held", "_max_size", "_needed", "_over", "_versions", "trailing_data")

    _detect = staticmethod(detect)
    _parse = staticmethod(parse)

    trailing_data: bytes
    """After the header: what was fed behind it. After an error: all that was fed."""

    def __init__(self, *, max_size: int = SERVER_MAX_SIZE, versions: Iterable[int] = _BOTH) -> None:
        # The usual arguments, and whatever else costs time once a connection, come first.
        self._max_size = max_size
        self._versions = versions
        if max_size is not SERVER_MAX_SIZE:
            check_max_size(max_size)
        if versions is not _BOTH:
            self._versions = frozenset(versions)
            if not self._versions or not self._versions <= _BOTH:
                raise ValueError(f"versions: expected 1, 2 or both, got {sorted(self._versions)}")
        self._held = b""
        self._needed = 1
        self._over = False
        self.trailing_data = b""

    def feed(self, data: Buffer, /) -> Header | None:
        """The header once it is whole, None while more bytes are needed.

        RuntimeError after the header or an error: the bytes then belong to the application.
        """
        if self._over:
            raise RuntimeError("this Parser is done: make a new one for each connection")
        if self._held or type(data) is not bytes:
            data = self._held + bytes(view_of(data))
        if len(data) < self._needed:
            self._held = data
            return None
        try:
            if self._versions is not _BOTH:
                self._check_version(data)
            header = self._parse(data, max_size=self._max_size)
        except IncompleteHeaderError as error:
            self._held = data
            self._needed = error.needed
            return None
        except ProxyProtocolError:
            self._finish(data)
            raise
        self._finish(data[header.size :])
        return header

    def eof(self) -> None:
        """The peer sends no more: raises what the bytes so far amount to.

        ``IncompleteHeaderError`` where they could have become a header. Does nothing after the
        header or an error.
        """
        if not self._over:
            data = self._held
            self._finish(data)
            self._check_version(data)
            self._parse(data, max_size=self._max_size)

    def _finish(self, trailing_data: bytes) -> None:
        self._over = True
        self._held = b""
        self.trailing_data = trailing_data

    def _check_version(self, data: bytes) -> None:
        found = self._detect(data)
        if found in _BOTH and found not in self._versions:
            fail(Status.VERSION_REFUSED, 0, len(data), data[:V2_HEAD_SIZE])
