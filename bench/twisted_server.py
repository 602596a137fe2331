"""A server of Twisted's that answers one request: python -m bench.twisted_server KIND

KIND: "plain", or whose wrapper reads the header: "fastppv2" or "twisted". Prints its port.
"""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.haproxy import proxyEndpoint

from bench.connections import ANSWER, HOST, REQUEST
from fastppv2 import Policy
from fastppv2.twisted import server_endpoint


class Answer(Protocol):
    """It needs the client's address, as every server does for its log."""

    def dataReceived(self, data):  # noqa: N802
        self.client = self.transport.getPeer().host
        if data != REQUEST:
            raise ValueError(f"expected the request alone, got {data!r}")
        self.transport.write(ANSWER)


def endpoint(kind):
    plain = TCP4ServerEndpoint(reactor, 0, backlog=1024, interface=HOST)
    if kind == "fastppv2":
        return server_endpoint(plain, policy=Policy(HOST))
    return {"plain": plain, "twisted": proxyEndpoint(plain)}[kind]


if __name__ == "__main__":
    listening = endpoint(sys.argv[1]).listen(Factory.forProtocol(Answer))
    listening.addCallback(lambda port: print(port.getHost().port, flush=True))
    reactor.run()
