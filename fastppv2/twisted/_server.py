"""Connections that begin with a header: read, then handed over to the application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
    IProtocol,
    IProtocolNegotiationFactory,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from zope.interface import directlyProvides, implementer  # type: ignore[import-untyped]

from fastppv2.handshake import Listener, State
from fastppv2.twisted._transport import (
    FirstBytes,
    lowest,
    make_room,
    name_in_log,
    show,
    socket_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IAddress
    from twisted.python.failure import Failure

    from fastppv2._queue import Handshake
    from fastppv2.policy import Policy

_log = Logger()
_PENDING, _ACCEPTED = State.PENDING, State.ACCEPTED
# Where transports and wrappers of transports keep the protocol that they give their bytes to.
_SEATS = ("protocol", "wrappedProtocol")


class ProxyProtocolFactory(Factory):
    """Serves with ``factory`` whoever the headers name, from peers that ``policy`` trusts.

    ``metrics`` is called with the outcome of each connection (``fastppv2.handshake.OUTCOMES``).
    """

    noisy = False  # Twisted says already that ``factory`` starts and stops

    listener: Listener
    """Of the port that is open, or was last: ``listener.counters``."""

    def __init__(
        self, factory: Any, *, policy: Policy, metrics: Callable[[str], object] | None = None
    ) -> None:
        self.wrappedFactory = factory
        self._policy = policy
        self._metrics = metrics
        self._timer: Any = None
        self._seats: dict[type, str] = {}
        negotiation: Any = IProtocolNegotiationFactory(factory, None)
        if negotiation is not None:  # what TLS around this factory offers (ALPN)
            self.acceptableProtocols = negotiation.acceptableProtocols
            directlyProvides(self, IProtocolNegotiationFactory)

    def logPrefix(self) -> str:  # noqa: N802
        """Of the port, in Twisted's log."""
        factory = self.wrappedFactory
        named = ILoggingContext.providedBy(factory)
        return f"{factory.logPrefix() if named else type(factory).__name__} (PROXY)"

    def doStart(self) -> None:  # noqa: N802
        """A port opens."""
        self.wrappedFactory.doStart()
        super().doStart()  # type: ignore[no-untyped-call]

    def doStop(self) -> None:  # noqa: N802
        """A port is closed."""
        super().doStop()  # type: ignore[no-untyped-call]
        self.wrappedFactory.doStop()

    def startFactory(self) -> None:  # noqa: N802
        """The first port opens."""
        self.listener = Listener(self._policy, metrics=self._metrics)

    def stopFactory(self) -> None:  # noqa: N802
        """The last port is closed, and with it the connections that wait for their header."""
        self.listener.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def buildProtocol(self, addr: IAddress | None) -> Any:  # noqa: N802
        """For a connection from ``addr``."""
        protocol = _HeaderProtocol()
        protocol.factory = self
        protocol.peer = addr
        protocol._secure = False
        return protocol

    def meet(self, transport: Any, protocol: Any) -> str:
        """For the first transport of its class: where it keeps its protocol."""
        seat = _seat(transport, protocol)
        make_room(transport)
        self._seats[type(transport)] = seat
        return seat

    def watch(self, reactor: Any) -> None:
        """A connection waits, so that there may be something to decide later."""
        delay = self.listener.delay
        if delay is not None:
            self._timer = reactor.callLater(delay, self._sweep, reactor)

    def _sweep(self, reactor: Any) -> None:
        self._timer = None
        self.listener.sweep()
        self.watch(reactor)


@implementer(IProtocol, IHandshakeListener, IHalfCloseableProtocol)
class _HeaderProtocol(FirstBytes):
    """Reads the header of one connection, and leaves its seat to the application's protocol.

    No ``Protocol`` of Twisted's, whose attributes are in a dict of each connection's own.
    """

    __slots__ = ("_handshake", "_secure", "factory", "peer")

    factory: ProxyProtocolFactory
    peer: IAddress | None
    _handshake: Handshake
    _secure: bool

    def makeConnection(self, transport: Any) -> None:  # noqa: N802
        self.transport = transport
        factory = self.factory
        self._seat = factory._seats.get(type(transport)) or factory.meet(transport, self)
        family, peername = socket_name(self.peer)
        self._handshake = handshake = factory.listener.connect(self, family, peername)
        if handshake.state is not _PENDING:
            self._carry_out()
        elif factory._timer is None:
            factory.watch(transport.reactor)

    def connectionMade(self) -> None:  # noqa: N802
        """``makeConnection`` did all."""

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        state = self._handshake.feed(data)
        if state is _ACCEPTED:
            self._hand_over(True)
        elif state is not _PENDING:
            self.transport.abortConnection()

    def handshakeCompleted(self) -> None:  # noqa: N802
        """Of TLS that the header is inside of."""
        self._secure = True

    def readConnectionLost(self) -> None:  # noqa: N802
        """The peer sends no more, and what it sent may be the application's."""
        if self._handshake.eof() is _ACCEPTED:
            self.transport.startReading()  # which tells the application of the end, too
        self._carry_out()

    def writeConnectionLost(self) -> None:  # noqa: N802
        """Nobody writes before the application does."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        """Nobody can be answered, so the application is not told of the connection."""
        self._handshake.eof()

    def decided(self, handshake: Handshake) -> None:
        """The listener decided without being asked."""
        try:
            self._carry_out()
        except Exception:
            _log.failure("the application failed when it was given a connection")
            self.transport.abortConnection()

    def _carry_out(self) -> None:
        if self._handshake.state is _ACCEPTED:
            self._hand_over(False)
        else:
            self.transport.abortConnection()

    def _hand_over(self, reading: bool) -> None:
        transport = self.transport
        client = show(transport, self._handshake, self.peer)
        application = self.factory.wrappedFactory.buildProtocol(client)
        if application is None:
            transport.abortConnection()
            return
        if self._seat == "protocol":
            under = transport
            transport.protocol = application
        else:
            under = lowest(transport)
            setattr(transport, self._seat, application)
        name_in_log(under, client, reading)
        data = self._handshake.trailing_data
        if data:
            self.hold(under, data)
        application.makeConnection(transport)
        if self._secure and IHandshakeListener.providedBy(application):
            application.handshakeCompleted()
        if data:
            self.deliver()


def _seat(transport: Any, protocol: Any) -> str:
    for name in _SEATS:
        if getattr(transport, name, None) is protocol:
            return name
    raise TypeError(
        f"{transport!r}: expected a transport with its protocol in one of {', '.join(_SEATS)}, as "
        "those of Twisted's reactors and policies.ProtocolWrapper have it"
    )


@implementer(IStreamServerEndpoint)
class _ServerEndpoint:
    def __init__(self, endpoint: Any, policy: Policy, metrics: Any) -> None:
        self._endpoint = endpoint
        self._policy = policy
        self._metrics = metrics

    def listen(self, protocolFactory: Any) -> Deferred[Any]:  # noqa: N803
        factory = ProxyProtocolFactory(protocolFactory, policy=self._policy, metrics=self._metrics)
        return self._endpoint.listen(factory)  # type: ignore[no-any-return]


def server_endpoint(
    endpoint: Any, *, policy: Policy, metrics: Callable[[str], object] | None = None
) -> Any:
    """The ``IStreamServerEndpoint``, whose connections begin with a header.

    The header is inside TLS if the endpoint does TLS; before it with
    ``wrapServerTLS(options, server_endpoint(...))``. ``metrics`` is called with the outcome of each
    connection (``fastppv2.handshake.OUTCOMES``).
    """
    return _ServerEndpoint(endpoint, policy, metrics)
