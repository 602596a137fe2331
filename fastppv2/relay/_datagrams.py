"""Datagrams: each client has a socket of its own upstream, as long as it is not silent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING, Any

from fastppv2 import udp
from fastppv2._log import logger
from fastppv2._spec import Transport
from fastppv2.relay import _access
from fastppv2.relay._headers import Sender
from fastppv2.relay._upstreams import RoundRobin, client_socket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastppv2._place import Place
    from fastppv2.policy import Policy
    from fastppv2.udp._datagram import Format

MAX_FLOWS = 512  # clients: a socket each, of 1024 that a process usually may have
FLOW_TIMEOUT = 60.0  # seconds
_AT_ONCE = 64  # datagrams of one client, before the next one's turn


class DatagramRelay:
    """Takes datagrams on any number of addresses, and hands each on to its client's upstream.

    ``upstreams``: numeric addresses. ``policy``, ``sender``, ``transparent`` and ``access`` as
    ``StreamRelay`` has them; ``format`` as ``udp``. ``replies``: False where the upstream answers
    the client directly. ``max_flows`` clients are kept at most, each for ``flow_timeout`` seconds
    after its last datagram; beyond that the one that has been silent longest goes.
    """

    def __init__(
        self,
        upstreams: Sequence[Place],
        *,
        policy: Policy | None = None,
        format: Format = "proxy",
        sender: Sender | None = None,
        transparent: bool = False,
        replies: bool = True,
        max_flows: int = MAX_FLOWS,
        flow_timeout: float = FLOW_TIMEOUT,
        access: Callable[[str], object] = logger.info,
    ) -> None:
        self.upstreams = RoundRobin(upstreams)
        self.sender = Sender() if sender is None else sender
        self.transparent = transparent
        self.replies = replies
        self.access = access
        self.flow_timeout = flow_timeout
        self._policy = policy
        self._format: Format = format
        self._max_flows = max_flows
        self._fronts: list[Any] = []
        self._flows: OrderedDict[Any, _Flow] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    async def listen(self, place: Place) -> Any:
        """Listens there; the names of the sockets."""
        where = place.host or "0.0.0.0", place.port
        front: Any
        if self._policy is None:
            loop = asyncio.get_running_loop()
            front, _ = await loop.create_datagram_endpoint(lambda: _Front(self), where)
        else:
            front, _ = await udp.create_datagram_endpoint(
                lambda: _Front(self), where, policy=self._policy, format=self._format
            )
        self._fronts.append(front)
        return [front.get_extra_info("sockname")]

    def receive(self, front: Any, data: bytes, client: Any) -> None:
        """A client's datagram goes upstream."""
        key = front, client
        flow = self._flows.get(key)
        if flow is None:
            try:
                flow = self._flows[key] = _Flow(self, front, client)
            except OSError as error:
                logger.warning("%s", error)
                return
            if len(self._flows) > self._max_flows:
                self._end(next(iter(self._flows)), "too many clients")
            if self._timer is None:
                self._watch()
        else:
            self._flows.move_to_end(key)
        flow.send(data, client)

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self.flow_timeout / 4, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        silent_since = monotonic() - self.flow_timeout
        for key, flow in list(self._flows.items()):
            if flow.last < silent_since:
                self._end(key, "ok")
        if self._flows:
            self._watch()

    def _end(self, key: Any, ending: str) -> None:
        self._flows.pop(key).close(ending)

    def abort_all(self) -> None:
        """Ends every flow at once."""
        for key in list(self._flows):
            self._end(key, "shutdown")

    async def close(self, patience: float) -> None:
        """Takes no more, and hands on the answers that still come in so many seconds."""
        deadline = monotonic() + patience
        while self.replies and self._flows and monotonic() < deadline:
            await asyncio.sleep(min(0.1, patience))
            self._end_answered()
        self.abort_all()
        if self._timer is not None:
            self._timer.cancel()
        for front in self._fronts:
            front.close()

    def _end_answered(self) -> None:
        for key, flow in list(self._flows.items()):
            if flow.received:
                self._end(key, "ok")


class _Front(asyncio.DatagramProtocol):
    def __init__(self, relay: DatagramRelay) -> None:
        self._relay = relay

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._relay.receive(self._transport, data, addr)


class _Flow:
    """A client and its upstream."""

    def __init__(self, relay: DatagramRelay, front: Any, client: Any) -> None:
        self._relay = relay
        self._front = front
        self._client = client
        self._began = self.last = monotonic()
        self._sent = 0
        self.received = 0
        self._upstream = next(relay.upstreams())
        self._address = self._upstream.host, self._upstream.port
        self._socket = self._open(client, self._upstream)
        if relay.replies:
            asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)

    def _open(self, client: Any, upstream: Place) -> socket.socket:
        if self._relay.transparent:
            sock = client_socket(client, upstream, socket.SOCK_DGRAM)
        else:
            family = socket.AF_INET6 if ":" in upstream.host else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.setblocking(False)
        if self._relay.replies:
            try:
                sock.connect(self._address)
            except OSError as error:
                sock.close()
                raise OSError(f"{upstream}: {error.strerror}") from None
        return sock

    def send(self, data: bytes, client: Any) -> None:
        self._client = client  # it may come by another balancer now
        self.last = monotonic()
        self._sent += len(data)
        came = getattr(client, "header", None)
        destination = self._front.get_extra_info("sockname")
        header = self._relay.sender.header(came, client, destination, Transport.DGRAM)
        # A full buffer, or an upstream that is not there: a datagram may be lost, as on any way.
        with contextlib.suppress(OSError):
            if self._relay.replies:
                self._socket.send(header + data)
            else:
                # Linux forwards no answer that belongs to a connected socket of its own.
                self._socket.sendto(header + data, self._address)

    def _readable(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data = self._socket.recv(65536)
            except OSError:  # no more, or the upstream is not there
                return
            self.received += len(data)
            self.last = monotonic()
            self._front.sendto(data, self._client)

    def close(self, ending: str) -> None:
        if self._relay.replies:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._relay.access(
            _access.line(
                self._client,
                getattr(self._client, "balancer", None),
                self._upstream,
                sent=self._sent,
                received=self.received,
                seconds=self.last - self._began,
                ending=ending,
            )
        )
