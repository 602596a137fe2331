"""The transport as the application sees it: with the client's addresses."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from fastppv2._endpoint import Host, SocketView
from fastppv2._peer import AF_UNIX
from fastppv2._spec import Family
from fastppv2.asyncio._deliver import deliver

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastppv2._queue import Handshake
    from fastppv2.header import Header

_FAMILIES = {Family.INET: socket.AF_INET, Family.INET6: socket.AF_INET6, Family.UNIX: AF_UNIX}


class View(asyncio.Transport):
    """A transport whose addresses are the header's, where the loop's own cannot be told them.

    What an application does often goes to the loop's transport without a step between.
    """

    first_bytes = b""
    """What was read too far, while the application has paused reading."""
    _resumed = False

    def __init__(self, transport: Any, extra: dict[str, Any]) -> None:
        self.transport = transport
        self._extra = extra
        self.write = transport.write  # type: ignore[method-assign]
        self.is_closing = transport.is_closing  # type: ignore[method-assign]

    def around(self, transport: Any) -> View:
        """The same view of a transport that took the place of this one's."""
        return View(transport, self._extra)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The header's, else the loop's."""
        if name in self._extra:
            return self._extra[name]
        return self.transport.get_extra_info(name, default)

    def deliver(self, data: bytes) -> None:
        """To the application, once it reads."""
        if self.transport.is_reading():
            deliver(self, data)
        else:
            self.first_bytes = data

    def is_reading(self) -> bool:
        return self._resumed or self.transport.is_reading()

    def pause_reading(self) -> None:
        self._resumed = False
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """The loop reads on when the first bytes are delivered, or more could overtake them."""
        if not self.first_bytes:
            self.transport.resume_reading()
        elif not self._resumed:
            self._resumed = True
            asyncio.get_running_loop().call_soon(self.deliver_first_bytes)

    def deliver_first_bytes(self) -> None:
        """Now, unless reading is paused."""
        if self._resumed and not self.is_closing():
            self._resumed = False
            data, self.first_bytes = self.first_bytes, b""
            self.transport.resume_reading()
            deliver(self, data)

    # All else is the loop's transport's own.

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.transport.get_protocol()  # type: ignore[no-any-return]

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.transport.writelines(list_of_data)

    def write_eof(self) -> None:
        self.transport.write_eof()

    def can_write_eof(self) -> bool:
        return self.transport.can_write_eof()  # type: ignore[no-any-return]

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.transport.set_write_buffer_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self.transport.get_write_buffer_limits()  # type: ignore[no-any-return]

    def get_write_buffer_size(self) -> int:
        return self.transport.get_write_buffer_size()  # type: ignore[no-any-return]

    def close(self) -> None:
        self.transport.close()

    def abort(self) -> None:
        self.transport.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def __repr__(self) -> str:
        return f"<{self.transport!r}, peername={self.get_extra_info('peername')!r}>"


def show(transport: Any, handshake: Handshake) -> Any:
    """The transport that shows what the header says: itself if it can be told, else a view."""
    header = handshake.header
    if header is None:
        return transport
    extra = _addresses(transport, handshake, header)
    own = getattr(transport, "_extra", None)  # asyncio's; it stays under TLS that starts later
    if own is None:
        return View(transport, extra)
    own.update(extra)
    return transport


def _addresses(transport: Any, handshake: Handshake, header: Header) -> dict[str, Any]:
    sock = transport.get_extra_info("socket")
    balancer = handshake.peername
    if header.source is None:
        family, peername = sock.family, balancer
        sockname = transport.get_extra_info("sockname")
    else:
        family = _FAMILIES[header.family]
        peername, sockname = handshake.source, handshake.destination
    if isinstance(sockname, tuple):
        sockname = (Host(sockname[0], header, balancer), *sockname[1:])
    return {
        "peername": peername,
        "sockname": sockname,
        "socket": SocketView(sock, family, peername, sockname),
        "proxy_header": header,
        "proxy_peername": balancer,
    }
