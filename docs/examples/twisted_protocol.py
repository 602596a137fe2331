import sys

from twisted.internet import protocol, reactor

from fastppv2 import Parser


class Echo(protocol.Protocol):  # on a port that only the load balancer can reach
    def connectionMade(self):  # noqa: N802
        self.parser, self.client = Parser(), None

    def dataReceived(self, data):  # noqa: N802
        if self.client:
            self.transport.write(data)
        elif header := self.parser.feed(data):  # an error: Twisted logs it and closes
            self.client = header.source or self.transport.getHandle().getpeername()
            self.transport.write(b"client %a\n" % (self.client,) + self.parser.trailing_data)

    def connectionLost(self, reason):  # noqa: N802
        self.parser.eof()  # an error too, where it comes before the header


reactor.listenTCP(int(sys.argv[1]), protocol.Factory.forProtocol(Echo), interface="127.0.0.1")
reactor.run()
