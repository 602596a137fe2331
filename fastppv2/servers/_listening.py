"""Listening sockets for servers with a loop of their own, and clients that bring their header."""

from __future__ import annotations

import os
from math import inf
from typing import TYPE_CHECKING, Any

from fastppv2._endpoint import Host
from fastppv2.sync import ListeningSocket

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

    from fastppv2.header import Header
    from fastppv2.policy import Policy


def named(client: Any, header: Header | None, balancer: Any) -> Any:
    """The client's address, whose host takes the header to where only the address is known."""
    if header is None:
        return client
    if isinstance(client, tuple):
        return Host(client[0], header, balancer), *client[1:]
    return Host(os.fsdecode(client), header, balancer)


def unfold(environ: dict[str, Any]) -> None:
    """Into a WSGI environ whose client is a ``named`` one comes the header."""
    host = environ["REMOTE_ADDR"]
    environ["fastppv2.header"] = getattr(host, "proxy_header", None)
    environ["REMOTE_ADDR"] = host[:]


class Listening(ListeningSocket):
    """Never blocks; silent peers are ended by the loop: ``call_later(seconds, function)``."""

    def __init__(
        self, sock: socket, policy: Policy, call_later: Callable[[float, Any], object] | None = None
    ) -> None:
        super().__init__(sock, policy)
        self.setblocking(False)
        self._call_later: Any = call_later
        self._timed = call_later is None  # or a timer runs

    def accept(self) -> Any:
        try:
            connection, client = self._next(0.0)
        except BlockingIOError:
            if not self._timed:
                self._time()
            raise
        handshake: Any = connection._handshake
        return connection, named(client, handshake.header, handshake.peername)

    def _time(self) -> None:
        delay = self.sweep()
        self._timed = delay < inf
        if self._timed:
            self._call_later(delay, self._time)


class ReadingAhead(Listening):
    """For who reads by ``recv`` alone, and waits by ``select``, which asks each time for what.

    While nobody's header is awaited that is the socket: a selector within ``select`` takes longer.
    """

    _ahead = True

    def fileno(self) -> int:
        alone = not self._arrivals and self._resume == inf
        return self._sock.fileno() if alone else super().fileno()
