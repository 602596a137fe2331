"""The transport as the application sees it: the client's addresses, and its first bytes."""

from __future__ import annotations

import os
from socket import AF_INET, AF_INET6, AF_UNSPEC
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import ILoggingContext
from twisted.protocols.policies import ProtocolWrapper

from fastppv2._endpoint import Host
from fastppv2._peer import AF_UNIX

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from fastppv2._queue import Handshake


def socket_name(address: IAddress | None) -> tuple[int, object]:
    """The family of a socket and its name, as the socket module has them."""
    if isinstance(address, IPv4Address):
        return AF_INET, (address.host, address.port)
    if isinstance(address, IPv6Address):
        return AF_INET6, (address.host, address.port, address.flowInfo, address.scopeID)
    if isinstance(address, UNIXAddress):
        return AF_UNIX, os.fsdecode(address.name or b"")
    return AF_UNSPEC, None


def _address(name: Any) -> Any:
    """The other way round; a name of four is that of IPv6."""
    if not isinstance(name, tuple):
        return UNIXAddress(os.fsencode(name))
    if len(name) == 2:
        return IPv4Address("TCP", *name)
    return IPv6Address("TCP", *name)


def show(transport: Any, handshake: Handshake, peer: IAddress | None) -> IAddress | None:
    """Lets the transport say what the header says; the address of the client."""
    header = handshake.header
    transport.proxy_header = header
    transport.proxy_peername = peer
    if header is None:
        return peer
    client: Any = peer
    if header.source is None:
        host = transport.getHost()
    else:
        client, host = _address(handshake.source), _address(handshake.destination)
        transport.getPeer = lambda: client
    if not isinstance(host, UNIXAddress):
        host.host = Host(host.host, header, handshake.peername)
    transport.getHost = lambda: host
    return client  # type: ignore[no-any-return]


def lowest(transport: Any) -> Any:
    """The transport of the reactor, whatever is around it."""
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


def name_in_log(transport: Any, client: Any) -> str:
    """Sets and gives what Twisted puts before messages of the connection, which names the peer."""
    transport = lowest(transport)
    protocol = transport.protocol
    logs = ILoggingContext.providedBy(protocol)
    prefix = protocol.logPrefix() if logs else type(protocol).__name__
    unix = isinstance(client, UNIXAddress)
    host = os.fsdecode(client.name or b"") if unix else client.host
    transport.logstr = name = f"{prefix},{transport.sessionno},{host}"
    return name


class FirstBytes:
    """What was read too far, for the application once it reads.

    Like a transport it delivers nothing in ``connectionMade``, nor while reading is paused, nor
    after the connection's end: who starts TLS there finds the ClientHello delivered to TLS.
    """

    def __init__(self, transport: Any, seat: str, data: bytes) -> None:
        self._transport = transport
        self._seat = seat
        self._data = data
        self._reads = True
        self._lowest = reads = lowest(transport)
        # What pauses, resumes and ends a connection of Twisted's comes down to these two.
        self._stop, self._start = reads.stopReading, reads.startReading
        reads.stopReading, reads.startReading = self._pause, self._resume

    def _pause(self) -> None:
        self._reads = False
        self._stop()

    def _resume(self) -> None:
        self._reads = True
        self._lowest.reactor.callLater(0, self._read)

    def _read(self) -> None:
        if self._reads and self._data:
            self._start()
            self.deliver()

    def deliver(self) -> None:
        """Now, unless reading is paused."""
        if not self._reads:
            return
        del self._lowest.stopReading, self._lowest.startReading
        data, self._data = self._data, b""
        getattr(self._transport, self._seat).dataReceived(data)
