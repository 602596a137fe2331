"""What ``accept()`` gives: real sockets, whose ends are those that the header names."""

from __future__ import annotations

import socket
import ssl

from fastppv2._spec import Family

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastppv2._queue import Handshake
    from fastppv2.header import Header

_FAMILIES = {
    Family.INET: socket.AF_INET,
    Family.INET6: socket.AF_INET6,
    Family.UNIX: getattr(socket, "AF_UNIX", socket.AF_UNSPEC),  # Windows cannot name it
}
_PEEK = int(socket.MSG_PEEK)  # enum's operators are Python


class Connection(socket.socket):
    """An accepted connection, behind its header."""

    _handshake: Handshake | None = None

    @property
    def proxy_header(self) -> Header | None:
        """None for a peer that was let through as itself."""
        return None if self._handshake is None else self._handshake.header

    @property
    def proxy_peername(self) -> Any:
        """The real other end, the balancer, as ``socket.getpeername()`` says it."""
        return super().getpeername() if self._handshake is None else self._handshake.peername

    def getpeername(self) -> Any:
        """The client; the real other end where no header names one."""
        header = self.proxy_header
        if self._handshake is None or header is None or header.source is None:
            return super().getpeername()
        return self._handshake.source

    def getsockname(self) -> Any:
        """Where the client connected to; this end where no header says so."""
        header = self.proxy_header
        if self._handshake is None or header is None or header.destination is None:
            return super().getsockname()
        return self._handshake.destination

    @property
    def family(self) -> socket.AddressFamily:
        """That of the addresses."""
        header = self.proxy_header
        real = super().family
        return real if header is None else _FAMILIES.get(header.family, real)


class TLSConnection(Connection, ssl.SSLSocket):
    """An accepted connection, behind its header and its TLS handshake."""


class Replaying(Connection):
    """A connection of which more was read than a header, mostly to know that there is none.

    ``recv`` and ``recv_into``, and with them ``makefile()``, give those bytes first. Then it is a
    ``Connection`` as others are.
    """

    _first = b""

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        if not self._first or bufsize <= 0:
            return super().recv(bufsize, flags)
        data = self._first[:bufsize]
        if not flags & _PEEK:
            self._first = self._first[len(data) :]
            if not self._first:
                self.__class__ = Connection  # type: ignore[assignment]
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        view = memoryview(buffer).cast("B")
        data = self.recv(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)


def secure(connection: Connection, context: ssl.SSLContext) -> TLSConnection:
    """TLS over it, whose handshake is still to come."""
    if isinstance(connection, Replaying):
        raise ssl.SSLError("its first bytes are the start of a PROXY header and not of TLS")
    handshake = connection._handshake
    secured: Any = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
    # Not by context.sslsocket_class: the context is the application's.
    secured.__class__ = TLSConnection
    secured._handshake = handshake
    return secured  # type: ignore[no-any-return]


def replay(connection: Connection, first: bytes) -> None:
    """From now on it gives ``first`` before what is still to be read."""
    if first:
        replaying: Any = connection
        if type(connection) is not Replaying:
            replaying.__class__ = Replaying
        replaying._first = first
