"""What the loop calls for a connection that was accepted, until the application is connected."""

from __future__ import annotations

import asyncio
from functools import partial
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING, Any

from fastppv2._log import logger
from fastppv2._peer import text_of
from fastppv2._queue import State
from fastppv2.asyncio._connect import connect, connect_ended
from fastppv2.asyncio._deliver import fail
from fastppv2.asyncio._reset import peername_of_reset
from fastppv2.asyncio._tls import Securing, hand_over
from fastppv2.asyncio._view import View, show

if TYPE_CHECKING:
    from fastppv2._queue import Handshake
    from fastppv2.asyncio._acceptor import Acceptor

_PENDING, _REFUSED = State.PENDING, State.REFUSED


class Receiver(asyncio.Protocol):
    """The protocol of a connection until its header is over.

    On uvloop it stays until more bytes come, and passes on what it is told: to be given another
    protocol costs uvloop two system calls, which short connections save.
    """

    __slots__ = ("_acceptor", "_handshake", "_securing", "_transport", "application")

    application: Any
    """The protocol that this one stands for, if any."""
    _handshake: Handshake
    _securing: Securing
    _transport: Any

    def __init__(self, acceptor: Acceptor) -> None:
        self._acceptor = acceptor
        self.application = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        acceptor = self._acceptor
        if not acceptor.enabled:
            self._secure(transport, b"")
            return
        peername = transport.get_extra_info("peername")
        if peername is None:
            peername = peername_of_reset(transport.get_extra_info("socket"))
        if type(peername) is tuple:
            family = AF_INET if len(peername) == 2 else AF_INET6
        else:  # asking takes long, and is done where there is a doubt
            family = transport.get_extra_info("socket").family
        self._handshake = handshake = acceptor.listener.connect(self, family, peername)
        if handshake.state is not _PENDING:
            self.decided(handshake)
        if acceptor.timer is None:
            acceptor.watch()

    def data_received(self, data: bytes) -> None:
        application = self.application
        if application is None:
            handshake = self._handshake
            if handshake.feed(data) is not _PENDING:
                self.decided(handshake)
        else:
            self.application = None
            self._transport.set_protocol(application)
            application.data_received(data)

    def eof_received(self) -> Any:
        if self.application is not None:
            return self.application.eof_received()
        handshake = self._handshake
        acceptor, transport = self._acceptor, self._transport
        if handshake.eof() is _REFUSED or acceptor.tls is not None:
            transport.abort()
            return None
        return connect_ended(transport, acceptor.protocol_factory, handshake.trailing_data)

    def connection_lost(self, exc: Exception | None) -> None:
        application, self.application = self.application, None
        if application is None:
            self._handshake.eof()
        else:
            application.connection_lost(exc)

    def pause_writing(self) -> None:
        self.application.pause_writing()

    def resume_writing(self) -> None:
        self.application.resume_writing()

    def decided(self, handshake: Handshake) -> None:
        """Carries out what the listener decided."""
        transport, acceptor = self._transport, self._acceptor
        if handshake.state is _REFUSED:
            transport.abort()
            return
        shown = show(transport, handshake)
        if acceptor.tls is not None:
            self._secure(shown, handshake.trailing_data)
        elif shown is transport:
            connect(transport, acceptor.protocol_factory, handshake.trailing_data)
        else:
            self._stand_in(shown, handshake.trailing_data)

    def _stand_in(self, view: View, data: bytes) -> None:
        """The application is connected, and the loop is not told yet."""
        try:
            protocol = self._acceptor.protocol_factory()
            if isinstance(protocol, asyncio.Protocol):
                self.application = protocol
                view.receiver = self
            else:
                view.set_protocol(protocol)
            protocol.connection_made(view)
        except Exception as error:
            fail(view, error)
        else:
            if data:
                view.deliver(data)

    def _secure(self, shown: Any, data: bytes) -> None:
        """TLS is next; behind it the application is shown that."""
        acceptor = self._acceptor
        finish = partial(self._secured, shown)
        self._securing = Securing(self._transport, data, finish, **acceptor.tls)
        acceptor.securing.add(self._securing)

    def _secured(
        self, shown: Any, transport: Any, error: Exception | None = None, **arrived: Any
    ) -> None:
        acceptor = self._acceptor
        acceptor.securing.discard(self._securing)
        if transport is not None:
            if isinstance(shown, View):
                transport = shown.around(transport)
            hand_over(transport, acceptor.protocol_factory, **arrived)
        elif error is not None:
            client = text_of(shown.get_extra_info("peername"))
            logger.debug("the TLS handshake with %s failed: %s", client, error)
