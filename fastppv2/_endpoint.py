"""What an application is shown of the two ends of its connection, in place of the real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from fastppv2.header import Header

__all__ = ["Host", "SocketView"]


class Host(str):
    """A host name that carries the header of its connection to where only the name is handed on.

    Servers make ``scope["server"]`` of the socket's name by ``str(host)``, which keeps the object.
    A context variable or a registry by address gives another connection's header under load.
    """

    __slots__ = ("proxy_header", "proxy_peername")

    proxy_header: Header
    """What came in front of the connection."""
    proxy_peername: Any
    """The balancer's own address."""

    def __new__(cls, host: str, proxy_header: Header, proxy_peername: Any) -> Host:
        self = str.__new__(cls, host)  # super() takes longer than all else here
        self.proxy_header = proxy_header
        self.proxy_peername = proxy_peername
        return self

    def __str__(self) -> str:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Host, (self[:], self.proxy_header, self.proxy_peername)


class SocketView:
    """A connection's socket whose names are those that the header gives; all else is the socket."""

    __slots__ = ("_peername", "_socket", "_sockname", "family")

    family: int
    """Of those names, as ``socket.AF_...``."""

    def __init__(self, socket: Any, family: int, peername: Any, sockname: Any) -> None:
        self._socket = socket
        self.family = family
        self._peername = peername
        self._sockname = sockname

    def getpeername(self) -> Any:
        """The client."""
        return self._peername

    def getsockname(self) -> Any:
        """Where the client connected to."""
        return self._sockname

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def __repr__(self) -> str:
        return f"<{self._socket!r}, peername={self._peername!r}, sockname={self._sockname!r}>"
