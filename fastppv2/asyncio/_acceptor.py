"""Connections that are accepted: first their header, then TLS, then the application."""

from __future__ import annotations

import asyncio
from functools import partial
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from fastppv2._log import logger
from fastppv2._peer import text_of
from fastppv2._queue import State
from fastppv2.asyncio._connect import connect, connect_ended
from fastppv2.asyncio._reset import peername_of_reset
from fastppv2.asyncio._tls import Securing, check_context, hand_over
from fastppv2.asyncio._view import View, show
from fastppv2.handshake import Counters, Listener
from fastppv2.refusal import REASONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from fastppv2._queue import Handshake
    from fastppv2.policy import Policy

_all: WeakSet[Acceptor] = WeakSet()
_PENDING, _REFUSED = State.PENDING, State.REFUSED


class Acceptor:
    """A protocol factory for ``loop.create_server`` that puts the header before the application.

    ``protocol_factory``: the application's; it is called once a connection is accepted. ``policy``:
    who is believed. ``ssl``: TLS behind the header, with the options of ``loop.start_tls``; do not
    give it to ``create_server`` then, which would put it before. ``metrics`` is called with one of
    ``handshake.OUTCOMES`` for each connection that is decided. ``enabled``: False for a listener
    that takes no headers. Call ``close`` with the server's own.
    """

    def __init__(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        policy: Policy,
        *,
        ssl: SSLContext | None = None,
        metrics: Callable[[str], object] | None = None,
        **tls_options: Any,
    ) -> None:
        if ssl is not None:
            check_context(ssl)
        self.protocol_factory = protocol_factory
        self.listener = Listener(policy, metrics=metrics)
        self.tls: Any = None
        if ssl is not None:
            self.tls = {"sslcontext": ssl, "server_side": True, **tls_options}
        self.enabled = True
        self.securing: set[Securing] = set()
        self.timer: asyncio.TimerHandle | None = None
        _all.add(self)

    @property
    def counters(self) -> Counters:
        """What became of the connections so far."""
        return self.listener.counters

    def __call__(self) -> asyncio.BaseProtocol:
        if self.enabled or self.tls is not None:
            return Receiver(self)
        return self.protocol_factory()

    def watch(self) -> None:
        """Sets the one timer, which runs while there is something to wait for."""
        delay = self.listener.delay
        if delay is not None:
            self.timer = asyncio.get_running_loop().call_later(delay, self._sweep)

    def _sweep(self) -> None:
        self.timer = None
        self.listener.sweep()
        self.watch()

    def close(self) -> None:
        """Ends at once every connection that is in its header or its TLS handshake."""
        self.listener.close()
        for connection in list(self.securing):
            connection.stop()
        self.securing.clear()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def counters() -> Counters:
    """The sum over all servers of this process that are still referred to."""
    each = [acceptor.counters for acceptor in list(_all)]
    return Counters(
        accepted=sum([one.accepted for one in each]),
        local=sum([one.local for one in each]),
        passthrough=sum([one.passthrough for one in each]),
        pending=sum([one.pending for one in each]),
        refused={reason: sum([one.refused[reason] for one in each]) for reason in REASONS},
    )


class Receiver(asyncio.Protocol):
    """The protocol of a connection until its header is over."""

    __slots__ = ("_acceptor", "_handshake", "_securing", "_transport")

    _handshake: Handshake
    _securing: Securing
    _transport: Any

    def __init__(self, acceptor: Acceptor) -> None:
        self._acceptor = acceptor

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
        handshake = self._handshake
        if handshake.feed(data) is not _PENDING:
            self.decided(handshake)

    def eof_received(self) -> Any:
        handshake = self._handshake
        acceptor, transport = self._acceptor, self._transport
        if handshake.eof() is _REFUSED or acceptor.tls is not None:
            transport.abort()
            return None
        return connect_ended(transport, acceptor.protocol_factory, handshake.trailing_data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._handshake.eof()

    def decided(self, handshake: Handshake) -> None:
        """Carries out what the listener decided."""
        transport, acceptor = self._transport, self._acceptor
        if handshake.state is _REFUSED:
            transport.abort()
        elif acceptor.tls is None:
            shown = show(transport, handshake)
            connect(shown, acceptor.protocol_factory, handshake.trailing_data)
        else:
            self._secure(show(transport, handshake), handshake.trailing_data)

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
