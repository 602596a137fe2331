import asyncio
import sys

from fastppv2 import Parser


class Echo(asyncio.Protocol):  # on a port that only the load balancer can reach
    def connection_made(self, transport):
        self.transport, self.parser, self.client = transport, Parser(), None

    def data_received(self, data):
        if self.client:
            self.transport.write(data)
        elif header := self.parser.feed(data):  # an error: asyncio logs it and closes
            self.client = header.source or self.transport.get_extra_info("peername")
            self.transport.write(b"client %a\n" % (self.client,) + self.parser.trailing_data)

    def eof_received(self):
        self.parser.eof()  # an error too, where it comes before the header


loop = asyncio.new_event_loop()
loop.run_until_complete(loop.create_server(Echo, "127.0.0.1", int(sys.argv[1])))
loop.run_forever()
