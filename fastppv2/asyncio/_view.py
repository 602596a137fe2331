"""The transport as the application sees it: with the client's addresses."""

from __future__ import annotations

import asyncio
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from fastppv2.asyncio._addresses import addresses
from fastppv2.asyncio._backend import KINDS, BareView, Extra
from fastppv2.asyncio._deliver import deliver

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastppv2._queue import Handshake


class View(BareView):
    """A transport whose addresses are the header's, where the loop's own cannot be told them."""

    __slots__ = ()

    def around(self, transport: Any) -> View:
        """The same view of a transport that took the place of this one's."""
        view = view_of(transport, self._handshake)
        view._extra = self._extra
        return view

    def _shown(self) -> Any:
        """When they are asked for, which many never do; None of a peer that is let through."""
        handshake: Any = self._handshake
        self._extra = handshake and addresses(self.transport.get_extra_info, handshake)
        return self._extra

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

    def abort(self) -> None:
        self.transport.abort()

    def __repr__(self) -> str:
        return f"<{self.transport!r}, peername={self.get_extra_info('peername')!r}>"


def view_of(transport: Any, handshake: Handshake | None) -> View:
    """The view of a transport, with whatever names transports of its kind have."""
    kind: type[View] | None = KINDS.get(type(transport))
    if kind is None:
        # The first one stays, whichever thread comes second.
        kind = KINDS.setdefault(type(transport), _view_of_kind(transport))
    return kind(transport, handshake)


def _view_of_kind(transport: Any) -> type[View]:
    # Python looks up every name in a slow way where there is a __getattr__.
    if hasattr(transport, "__dict__"):
        return _OpenView
    names = [name for name in dir(transport) if not hasattr(View, name)]
    others = {name: property(attrgetter(f"transport.{name}")) for name in names}
    return type("View", (View,), {"__slots__": (), **others})


class _OpenView(View):
    """Of a transport that may be given names at any time."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)


def show(transport: Any, handshake: Handshake) -> Any:
    """The transport that shows what the header says: itself if it can be told, else a view."""
    if handshake.header is None:
        return transport
    own = getattr(transport, "_extra", None)  # asyncio's; it stays under TLS that starts later
    if own is None:
        return view_of(transport, handshake)
    transport._extra = Extra(own, handshake)
    return transport
