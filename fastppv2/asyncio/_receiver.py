"""What the loop calls for a connection that was accepted, until the application is connected."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from fastppv2._log import logger
from fastppv2._peer import text_of
from fastppv2._queue import State
from fastppv2.asyncio._backend import Arrival
from fastppv2.asyncio._connect import connect, connect_ended
from fastppv2.asyncio._reset import peername_of_reset
from fastppv2.asyncio._tls import Securing, hand_over
from fastppv2.asyncio._view import View, show

if TYPE_CHECKING:
    from fastppv2._queue import Handshake
    from fastppv2.asyncio._acceptor import Acceptor

_REFUSED = State.REFUSED


class Receiver(Arrival, asyncio.Protocol):
    """The protocol of a connection until its header is over, and what is not usual on that way."""

    __slots__ = ("_securing",)

    _acceptor: Acceptor
    _securing: Securing

    def _ask_socket(self, peername: object) -> tuple[int, object]:
        """The family and the peer, where there is a doubt: asking takes long."""
        sock = self._transport.get_extra_info("socket")
        return sock.family, peername_of_reset(sock) if peername is None else peername

    def _ended(self) -> Any:
        """The peer sends no more, and no header is there."""
        handshake = self._handshake
        acceptor, transport = self._acceptor, self._transport
        if handshake.eof() is _REFUSED or acceptor.tls is not None:
            transport.abort()
            return None
        return connect_ended(transport, acceptor.protocol_factory, handshake.trailing_data)

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
        del self._securing  # which refers to this one
        if transport is not None:
            if isinstance(shown, View):
                transport = shown.around(transport)
            hand_over(transport, acceptor.protocol_factory, **arrived)
        elif error is not None:
            client = text_of(shown.get_extra_info("peername"))
            logger.debug("the TLS handshake with %s failed: %s", client, error)
