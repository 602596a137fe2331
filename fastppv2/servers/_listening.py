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


class Listening(ListeningSocket):
    """Never blocks; silent peers are ended by the loop: ``call_later(seconds, function)``."""

    def __init__(
        self, sock: socket, policy: Policy, call_later: Callable[[float, Any], object] | None = None
    ) -> None:
        super().__init__(sock, policy)
        self.setblocking(False)
        self._call_later = call_later
        self._timed = False

    def accept(self) -> Any:
        try:
            connection, client = super().accept()
        except BlockingIOError:
            self._time()
            raise
        return connection, named(client, connection.proxy_header, connection.proxy_peername)

    def _time(self) -> None:
        delay = self.sweep()
        if self._call_later is not None and not self._timed and delay < inf:
            self._timed = True
            self._call_later(delay, self._time_over)

    def _time_over(self) -> None:
        self._timed = False
        self._time()
