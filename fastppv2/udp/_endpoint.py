"""A datagram endpoint of asyncio or uvloop behind balancers."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Any

from fastppv2._log import logger
from fastppv2._peer import text_of
from fastppv2._queue import State
from fastppv2.errors import IncompleteHeaderError, ProxyProtocolError
from fastppv2.handshake import Counters, Listener
from fastppv2.policy import check_count, check_seconds
from fastppv2.udp import _simple
from fastppv2.udp._datagram import check_format
from fastppv2.udp._flows import Flows

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastppv2._queue import Handshake
    from fastppv2.header import Header
    from fastppv2.policy import Policy
    from fastppv2.udp._datagram import Format

MAX_FLOWS = 65536  # clients
FLOW_TIMEOUT = 60.0  # seconds


class Client(tuple[Any, ...]):
    """Who sent a datagram: the address as ``recvfrom()`` has it, and what else is known."""

    header: Header | None
    """What came in front of the payload; None from a peer that is passed through as itself."""
    balancer: Any
    """Who the datagram came from in truth, and where a reply goes."""
    reply_header = b""
    """What stands in front of a reply: the Simple Proxy Protocol wants its header back."""


async def create_datagram_endpoint(
    protocol_factory: Callable[[], asyncio.DatagramProtocol],
    local_addr: Any = None,
    *,
    policy: Policy,
    format: Format = "proxy",
    max_flows: int = MAX_FLOWS,
    flow_timeout: float = FLOW_TIMEOUT,
    metrics: Callable[[str], object] | None = None,
    **options: Any,
) -> tuple[Transport, asyncio.DatagramProtocol]:
    """``loop.create_datagram_endpoint`` for datagrams that begin with a header.

    ``policy``: whose headers are believed; its ``wait``, ``timeout`` and ``max_pending`` mean
    nothing here. ``format``: "proxy", or "simple" for Cloudflare's Simple Proxy Protocol.
    ``max_flows``: so many clients are remembered at most, and each for at least ``flow_timeout``
    seconds after its last datagram, if there is room, so that ``sendto`` finds its balancer.
    ``metrics`` is called with one of ``handshake.OUTCOMES`` for each datagram. All else as the loop
    takes it. The protocol's ``datagram_received`` is given a ``Client`` as address.
    """
    check_format(format)
    if format == "simple":
        _check_simple(policy)
    if check_count("max_flows", max_flows) < 2:
        raise ValueError(f"max_flows: expected 2 or more, got {max_flows}")
    flows, seconds = Flows(max_flows), check_seconds("flow_timeout", flow_timeout)
    listener = Listener(policy, metrics=metrics)

    def factory() -> Receiver:
        return Receiver(protocol_factory(), listener, flows, seconds, format == "simple")

    loop = asyncio.get_running_loop()
    _, receiver = await loop.create_datagram_endpoint(factory, local_addr, **options)
    return receiver.transport, receiver.protocol


def _check_simple(policy: Policy) -> None:
    if policy.header == "optional":
        raise ValueError(
            "policy: header='optional' does not go with format='simple': any payload may begin "
            "with its two magic bytes"
        )
    if policy.require_checksum or 2 not in policy.versions:
        raise ValueError(
            "policy: format='simple' has no versions and no checksum, leave out versions and "
            "require_checksum"
        )


class Receiver(asyncio.DatagramProtocol):
    """What the loop's transport talks to, in front of the application's protocol."""

    transport: Transport
    _timer: asyncio.TimerHandle

    def __init__(
        self,
        protocol: Any,
        listener: Listener,
        flows: Flows,
        seconds: float,
        is_simple: bool,
    ) -> None:
        self.protocol = protocol
        self.listener = listener
        self.flows = flows
        self._seconds = seconds
        self.is_simple = is_simple
        self._usual = _none if is_simple else listener.datagram
        self._family = 0
        self._was_full = False
        policy = listener.policy
        self.takes_plain = policy.untrusted == "passthrough" or policy.header == "optional"

    def connection_made(self, transport: Any) -> None:
        self._family = transport.get_extra_info("socket").family
        self.transport = Transport(transport, self)
        self._watch()
        self.protocol.connection_made(self.transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        usual = self._usual
        received = usual(self._family, addr, data, Client) or self._receive(data, addr)
        if received is None:
            return
        payload, client = received
        flows = self.flows
        flows[client] = client
        if len(flows) >= flows.most:
            self._make_room()
        self.protocol.datagram_received(payload, client)

    def _receive(self, data: bytes, addr: Any) -> tuple[bytes, Client] | None:
        """The payload and the client of any datagram; None if neither is to be remembered."""
        if self.is_simple:
            handshake = self._receive_simple(data, addr)
        else:
            handshake = self.listener.receive(self, self._family, addr, data)
        header = handshake.header
        if header is None:
            self._receive_without_header(handshake, data)
            return None
        source = handshake.source
        # The path of a UNIX client is no address that a datagram could be sent to.
        client = Client(source if isinstance(source, tuple) else addr)
        client.header = header
        client.balancer = addr
        if self.is_simple:
            client.reply_header = data[: _simple.SIZE]
        return handshake.trailing_data, client

    def _receive_without_header(self, handshake: Handshake, data: bytes) -> None:
        """Refused, or let through as itself."""
        handshake.eof()  # what is still undecided
        if handshake.state is State.ACCEPTED:
            client = Client(handshake.peername)
            client.header = None
            client.balancer = handshake.peername
            self.protocol.datagram_received(data, client)

    def _receive_simple(self, data: bytes, addr: Any) -> Handshake:
        listener = self.listener
        handshake = listener.connect(self, self._family, addr)
        if handshake.state is not State.PENDING or not data:
            return handshake
        try:
            header = _simple.to_v2(data)
        except ProxyProtocolError as error:
            reason = "eof" if isinstance(error, IncompleteHeaderError) else "missing"
            listener._refuse(handshake, reason, str(error))
        else:
            handshake.feed(header + data[_simple.SIZE :])
        return handshake

    def decided(self, handshake: Handshake) -> None:
        """Never without being asked: a datagram does not wait."""

    def _watch(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._tick)

    def _tick(self) -> None:
        """Forgets, and tells the operator what the log kept back."""
        self._was_full = False
        self.flows.age()
        self.listener.sweep()
        self._watch()

    def _make_room(self) -> None:
        if not self.flows.make_room() and not self._was_full:
            self._was_full = True
            logger.warning(
                "more clients than max_flows within flow_timeout (%g s): those that have been "
                "silent longest are forgotten, and sendto() with their plain address fails: raise "
                "max_flows, or reply to the address that datagram_received() was given",
                self._seconds,
            )

    def error_received(self, exc: Exception) -> None:
        self.protocol.error_received(exc)

    def pause_writing(self) -> None:
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        self.protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self.listener.close()
        self.protocol.connection_lost(exc)


class Transport(asyncio.DatagramTransport):
    """The loop's transport, whose ``sendto`` takes clients for addresses."""

    def __init__(self, transport: Any, receiver: Receiver) -> None:
        self._transport = transport
        self._receiver = receiver
        self._sendto = transport.sendto
        self._is_simple = receiver.is_simple

    # No __getattr__ for the rest: with one, Python looks up every attribute the slow way.

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Sends a reply to a client, through the balancer that it came by.

        ``addr``: what ``datagram_received`` was given, or the plain address. If no balancer is
        known for that, the protocol's ``error_received`` is told, as for any address that cannot
        be reached; but where others pass through as themselves, it is one of them.
        """
        client = addr if isinstance(addr, Client) else self._receiver.flows.find(addr)
        if client is not None:
            if self._is_simple:
                data = client.reply_header + data
            sendto = self._sendto
            sendto(data, client.balancer)
        elif self._receiver.takes_plain:
            self._sendto(data, addr)
        else:
            self._receiver.error_received(_unknown(addr))

    @property
    def proxy_counters(self) -> Counters:
        """What became of the datagrams so far."""
        return self._receiver.listener.counters

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def get_protocol(self) -> Any:
        return self._receiver.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._receiver.protocol = protocol

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()  # type: ignore[no-any-return]

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._transport.get_write_buffer_limits()  # type: ignore[no-any-return]

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def is_closing(self) -> bool:
        return self._transport.is_closing()  # type: ignore[no-any-return]

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def __repr__(self) -> str:
        return f"<PROXY {self._transport!r}>"


def _none(family: int, addr: Any, data: bytes, kind: type[Client]) -> None:
    """No datagram is usual."""


def _unknown(addr: Any) -> OSError:
    return OSError(
        errno.EHOSTUNREACH,
        f"no balancer is known for {text_of(addr)}: it sent nothing within flow_timeout, or there "
        "were more clients than max_flows",
    )
