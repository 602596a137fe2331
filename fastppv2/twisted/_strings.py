"""The endpoint ``fastppv2:``, for all that takes the description of an endpoint."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpointStringParser
from twisted.plugin import IPlugin
from zope.interface import implementer  # type: ignore[import-untyped]

from fastppv2.policy import SETTINGS
from fastppv2.settings import PREFIX, from_environment
from fastppv2.twisted._server import ProxyProtocolFactory, server_endpoint

if TYPE_CHECKING:
    from fastppv2.policy import Policy


_endpoint_from: Any = serverFromString


@implementer(IPlugin, IStreamServerEndpointStringParser)
class ServerParser:
    """``fastppv2:`` before the description of a server endpoint.

    The settings are the variables of the environment, ``FASTPPV2_*``. Each can also stand behind
    the endpoint, where it goes before the variable: ``fastppv2:tcp:8080:trusted=10.0.0.0/8``.
    Raises ValueError as ``from_environment`` does.
    """

    prefix = "fastppv2"

    def parseStreamServer(  # noqa: N802
        self, reactor: Any, *args: str, **options: str
    ) -> Any:
        """The ``IStreamServerEndpoint`` described, whose connections begin with a header."""
        given = {
            PREFIX + name.upper(): options.pop(name)
            for name in (*SETTINGS, "tls")
            if name in options
        }
        settings = from_environment({**os.environ, **given})
        if settings.listen is not None:
            raise ValueError(
                f"{PREFIX}LISTEN: not for Twisted, whose endpoints speak PROXY if they begin with "
                f"{self.prefix}: leave it unset"
            )
        parts = [_quote(argument) for argument in args]
        parts += [f"{_quote(name)}={_quote(text)}" for name, text in options.items()]
        if settings.tls == "outside":
            return _endpoint_from(_Reactor(reactor, settings.policy), ":".join(parts))
        endpoint = _endpoint_from(reactor, ":".join(parts))
        return server_endpoint(endpoint, policy=settings.policy)


def _quote(text: str) -> str:
    """Twisted's own function for it leaves "=" as it is, which makes a name of an argument."""
    return "".join(["\\" + char if char in "\\:=" else char for char in text])


class _Reactor:
    """The reactor, with ports that read headers before anything else, and so before TLS.

    An endpoint that does TLS puts it around the application's factory, or leaves it to the reactor.
    """

    def __init__(self, reactor: Any, policy: Policy) -> None:
        self._reactor = reactor
        self._policy = policy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def _around(self, factory: object) -> ProxyProtocolFactory:
        return ProxyProtocolFactory(factory, policy=self._policy)

    def listenTCP(self, port: int, factory: Any, *args: Any, **options: Any) -> Any:  # noqa: N802
        return self._reactor.listenTCP(port, self._around(factory), *args, **options)

    def listenUNIX(self, path: str, factory: Any, *args: Any, **options: Any) -> Any:  # noqa: N802
        return self._reactor.listenUNIX(path, self._around(factory), *args, **options)

    def adoptStreamPort(self, descriptor: int, family: int, factory: Any) -> Any:  # noqa: N802
        return self._reactor.adoptStreamPort(descriptor, family, self._around(factory))

    def listenSSL(  # noqa: N802
        self,
        port: int,
        factory: Any,
        contextFactory: Any,  # noqa: N803
        *args: Any,
        **options: Any,
    ) -> Any:
        from twisted.protocols.tls import TLSMemoryBIOFactory  # needs pyOpenSSL

        return self.listenTCP(
            port, TLSMemoryBIOFactory(contextFactory, False, factory), *args, **options
        )
