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
    from collections.abc import Callable, Iterable

    from fastppv2._queue import Handshake

_FAMILIES = {Family.INET: socket.AF_INET, Family.INET6: socket.AF_INET6, Family.UNIX: AF_UNIX}
_NAMES = frozenset({"peername", "sockname", "socket", "proxy_header", "proxy_peername"})


class View(asyncio.Transport):
    """A transport whose addresses are the header's, where the loop's own cannot be told them.

    What an application does often goes to the loop's transport without a step between.
    """

    __slots__ = (
        "_handshake",
        "_resumed",
        "first_bytes",
        "is_closing",
        "receiver",
        "transport",
        "write",
    )

    first_bytes: bytes
    """What was read too far, while the application has paused reading."""
    receiver: Any
    """Stands for the application's protocol, if the loop's transport has it for one."""

    def __init__(self, transport: Any, handshake: Handshake | None) -> None:
        self.transport = transport
        self._handshake = handshake
        self._extra: dict[str, Any] = {}
        self._resumed = False
        self.first_bytes = b""
        self.receiver = None
        self.write = transport.write  # type: ignore[method-assign]
        self.is_closing = transport.is_closing  # type: ignore[method-assign]

    def around(self, transport: Any) -> View:
        """The same view of a transport that took the place of this one's."""
        view = View(transport, self._handshake)
        view._extra = self._shown()
        return view

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The header's, else the loop's."""
        if name in _NAMES:
            extra = self._extra or self._shown()
            if name in extra:
                return extra[name]
        return self.transport.get_extra_info(name, default)

    def _shown(self) -> dict[str, Any]:
        """When they are asked for, which many never do."""
        handshake = self._handshake
        if handshake is not None and not self._extra:
            self._extra = _addresses(self.transport.get_extra_info, handshake)
        return self._extra

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
        self.receiver = None
        self.transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol = self.transport.get_protocol()  # None when the connection is over
        if protocol is not None and protocol is self.receiver:
            protocol = protocol.application
        return protocol  # type: ignore[no-any-return]

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
    if handshake.header is None:
        return transport
    own = getattr(transport, "_extra", None)  # asyncio's; it stays under TLS that starts later
    if own is None:
        return View(transport, handshake)
    transport._extra = shown = _Shown(own)
    shown.handshake = handshake
    return transport


class _Shown(dict[str, Any]):
    """asyncio's names and what they give, to which the header's addresses come when asked for."""

    __slots__ = ("handshake",)

    handshake: Handshake | None

    def get(self, name: str, default: Any = None) -> Any:
        handshake = self.handshake
        if handshake is not None and name in _NAMES:
            self.handshake = None
            self.update(_addresses(self.get, handshake))
        return dict.get(self, name, default)


def _addresses(get: Callable[[str], Any], handshake: Handshake) -> dict[str, Any]:
    """``get``: the real transport's ``get_extra_info``."""
    header: Any = handshake.header
    sock = get("socket")
    balancer = handshake.peername
    family = _FAMILIES.get(header.family)
    if family is None:  # the header names nobody
        family, peername = handshake.family, balancer
        sockname = get("sockname")
    else:
        peername, sockname = handshake.source, handshake.destination
    if isinstance(sockname, tuple):
        host = Host(sockname[0], header, balancer)
        sockname = (host,) + sockname[1:]  # noqa: RUF005 (takes a third of the time)
    return {
        "peername": peername,
        "sockname": sockname,
        "socket": sock and SocketView(sock, family, peername, sockname),
        "proxy_header": header,
        "proxy_peername": balancer,
    }
