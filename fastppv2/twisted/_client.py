"""Connections that tell the server who the client is: the header is their first bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from zope.interface import implementer  # type: ignore[import-untyped]

from fastppv2.header import to_send

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from fastppv2.header import Header


class _SendingFactory(Factory):
    """Builds the protocols of ``factory``, and sends the header when one is connected."""

    noisy = False  # Twisted says already that ``factory`` starts and stops

    def __init__(self, factory: Any, header: bytes) -> None:
        self._factory = factory
        self._header = header

    def doStart(self) -> None:  # noqa: N802
        self._factory.doStart()

    def doStop(self) -> None:  # noqa: N802
        self._factory.doStop()

    def buildProtocol(self, addr: object) -> Any:  # noqa: N802
        protocol = self._factory.buildProtocol(addr)
        if protocol is None:
            return None
        connect = protocol.makeConnection

        def make_connection(transport: Any) -> None:
            del protocol.makeConnection
            transport.write(self._header)
            connect(transport)

        # A protocol around this one would be in the way of every byte.
        protocol.makeConnection = make_connection
        return protocol


@implementer(IStreamClientEndpoint)
class _ClientEndpoint:
    def __init__(self, endpoint: Any, header: bytes) -> None:
        self._endpoint = endpoint
        self._header = header

    def connect(self, protocolFactory: Any) -> Deferred[Any]:  # noqa: N803
        factory = _SendingFactory(protocolFactory, self._header)
        return self._endpoint.connect(factory)  # type: ignore[no-any-return]


def client_endpoint(endpoint: Any, *, header: Header | bytes) -> Any:
    """The ``IStreamClientEndpoint``, whose connections send the header first.

    ``header``: what ``build`` made, or a Header, which is sent as it was received. It is inside TLS
    if the endpoint does TLS; before it with ``wrapClientTLS(options, client_endpoint(...))``.
    """
    data = to_send(header)
    return _ClientEndpoint(endpoint, data)
