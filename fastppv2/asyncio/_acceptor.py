"""Connections that are accepted: first their header, then TLS, then the application."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from fastppv2.asyncio._backend import Factory
from fastppv2.asyncio._receiver import Receiver
from fastppv2.asyncio._tls import check_context
from fastppv2.handshake import Counters, Listener
from fastppv2.refusal import REASONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from fastppv2.asyncio._tls import Securing
    from fastppv2.policy import Policy

# By their ids. Any thread may add one or let one go while another asks for all: ``valuerefs`` alone
# is one step.
_all: WeakValueDictionary[int, Acceptor] = WeakValueDictionary()


class Acceptor(Factory):
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
        tls: dict[str, Any] | None = None
        if ssl is not None:
            tls = {"sslcontext": ssl, "server_side": True, **tls_options}
        super().__init__(protocol_factory, Listener(policy, metrics=metrics), tls, Receiver)
        self.securing: set[Securing] = set()
        _all[id(self)] = self

    @property
    def counters(self) -> Counters:
        """What became of the connections so far."""
        return self.listener.counters

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
    found = [reference() for reference in _all.valuerefs()]
    each = [acceptor.counters for acceptor in found if acceptor is not None]
    return Counters(
        accepted=sum([one.accepted for one in each]),
        local=sum([one.local for one in each]),
        passthrough=sum([one.passthrough for one in each]),
        pending=sum([one.pending for one in each]),
        refused={reason: sum([one.refused[reason] for one in each]) for reason in REASONS},
    )
