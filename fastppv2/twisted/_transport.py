"""The transport as the application sees it: the client's addresses, and its first bytes."""

from __future__ import annotations

import os
from socket import AF_INET, AF_INET6, AF_UNSPEC
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import ILoggingContext
from twisted.internet.protocol import Protocol
from twisted.protocols.policies import ProtocolWrapper
from twisted.python import context
from twisted.python.log import ILogContext

from fastppv2._endpoint import Host
from fastppv2._peer import AF_UNIX
from fastppv2._spec import Family

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from fastppv2._queue import Handshake
    from fastppv2.header import Header

_INET, _INET6 = Family.INET, Family.INET6
_current_context: Any = context.theContextTracker.currentContext
_NO_CONTEXT = context.defaultContextDict[ILogContext]
_new: Any = object.__new__
# What a transport is given here, and what Twisted's give themselves, after they were made.
_LATER = (
    "proxy_header",
    "proxy_peername",
    "getPeer",
    "getHost",
    "stopReading",
    "dataBuffer",
    "offset",
    "disconnecting",
    "disconnected",
    "producer",
    "streamingProducer",
)


def socket_name(address: IAddress | None) -> tuple[int, object]:
    """The family of a socket and its name, as the socket module has them."""
    if isinstance(address, IPv4Address):
        return AF_INET, (address.host, address.port)
    if isinstance(address, IPv6Address):
        return AF_INET6, (address.host, address.port, address.flowInfo, address.scopeID)
    if isinstance(address, UNIXAddress):
        return AF_UNIX, os.fsdecode(address.name or b"")
    return AF_UNSPEC, None


def _address(family: Family, name: Any) -> Any:
    """The other way round, for an end that a header names."""
    if family is _INET:
        # Twice as fast as by its __init__, which verifies that this is "TCP".
        address = _new(IPv4Address)
        address.type = "TCP"
        address.host, address.port = name
        return address
    if family is _INET6:
        return IPv6Address("TCP", *name)
    return UNIXAddress(os.fsencode(name))


class _Ends:
    """What a header names, for the transport to tell."""

    __slots__ = ("_balancer", "_client", "_header")

    _balancer: object
    _client: Any
    _header: Any

    def __call__(self) -> Any:
        """The client: the transport's ``getPeer``."""
        return self._client

    def frontend(self) -> Any:
        """Where the client connected to: the transport's ``getHost``."""
        header = self._header
        return _carrying(_address(header.family, header.destination), header, self._balancer)


def show(transport: Any, handshake: Handshake, peer: IAddress | None) -> Any:
    """Lets the transport say what the header says; the address of the client."""
    header = handshake.header
    transport.proxy_header = header
    transport.proxy_peername = peer
    if header is None:
        return peer
    source = header.source
    if source is None:
        host = _carrying(transport.getHost(), header, handshake.peername)
        transport.getHost = lambda: host
        return peer
    ends = _Ends()  # without __init__, which would be one more call for each connection
    ends._header = header
    ends._balancer = handshake.peername
    ends._client = client = _address(header.family, source)
    transport.getPeer = ends
    transport.getHost = ends.frontend
    return client


def _carrying(address: Any, header: Header, balancer: object) -> Any:
    """The address, whose host brings the header to where only the address is handed on."""
    if not isinstance(address, UNIXAddress):
        address.host = Host(address.host, header, balancer)
    return address


def make_room(transport: Any) -> None:
    """To be called with the first transport of its class, before there are more.

    CPython's objects share the table of their attributes' names, in which no new ones are entered
    once a dozen of them were made: what is set later turns each of them into one with a dict of
    its own, which takes as long as all else here.
    """
    for name in _LATER:
        if name not in vars(transport):
            setattr(transport, name, None)
            delattr(transport, name)


def lowest(transport: Any) -> Any:
    """The transport of the reactor, whatever is around it."""
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


def name_in_log(transport: Any, client: Any, at_once: bool) -> None:
    """Sets what Twisted puts before messages of the lowest transport, which names the peer.

    ``at_once``: before those of the read that is being handled, too.
    """
    protocol = transport.protocol
    # The first is what nearly all are, and quicker to tell.
    logs = isinstance(protocol, Protocol) or ILoggingContext.providedBy(protocol)
    prefix = protocol.logPrefix() if logs else type(protocol).__name__
    unix = isinstance(client, UNIXAddress)
    host = os.fsdecode(client.name or b"") if unix else client.host
    transport.logstr = name = f"{prefix},{transport.sessionno},{host}"
    if at_once:
        logged = _current_context().contexts[-1][ILogContext]
        if logged is not _NO_CONTEXT:
            logged["system"] = name  # the reactor made this dict for this read


class FirstBytes:
    """What was read too far, for the application once it reads: a part of what read it.

    Like a transport it delivers nothing in ``connectionMade``, nor while reading is paused, nor
    after the connection's end: who starts TLS there finds the ClientHello delivered to TLS.
    """

    __slots__ = ("_first", "_lowest", "_paused", "_seat", "transport")

    transport: Any
    _seat: str
    _lowest: Any
    _first: bytes
    _paused: bool

    def hold(self, lowest: Any, data: bytes) -> None:
        """Until ``deliver``; the lowest transport."""
        self._lowest = lowest
        self._first = data
        self._paused = False
        # What pauses or ends a connection of Twisted's comes down to this, what resumes it to
        # startReading; in their place stands one of ours at a time.
        lowest.stopReading = self

    def __call__(self) -> None:
        """The transport's ``stopReading``."""
        self._paused = True
        del self._lowest.stopReading
        self._lowest.stopReading()
        self._lowest.startReading = self._resume

    def _resume(self) -> None:
        self._paused = False
        del self._lowest.startReading
        self._lowest.stopReading = self
        self._lowest.reactor.callLater(0, self._read)

    def _read(self) -> None:
        if self._first and not self._paused:
            self._lowest.startReading()
            self.deliver()

    def deliver(self) -> None:
        """Now, unless reading is paused."""
        if self._paused:
            return
        del self._lowest.stopReading
        data, self._first = self._first, b""
        getattr(self.transport, self._seat).dataReceived(data)
