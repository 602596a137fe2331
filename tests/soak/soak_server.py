"""A server of ours, in a process of its own: ``python soak_server.py OPTIONS``, which are JSON.

It says the name of the client, and sends back what comes. Its first line on standard output is its
port; then it answers each line on standard input with what it counts.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import logging
import resource
import socketserver
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import fastppv2.asyncio
from fastppv2 import Policy
from fastppv2.sync import ProxyServerMixin

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastppv2.handshake import Counters

HOST = "127.0.0.1"
SIZE = 65536
# glibc's; what is free is given back, and memory is what is in use.
TRIM = getattr(ctypes.CDLL(None), "malloc_trim", lambda pad: None)


def line(peername: Any) -> bytes:
    return b"%s %d\n" % (peername[0].encode(), peername[1])


def answer(port: int, counters: Callable[[], Counters], waiting: Callable[[], Any]) -> None:
    """From now on, in a thread.

    ``waiting``: what is there for a connection, or for later; not the listener's own timer, which
    runs while it has something to tell.
    """

    def run() -> None:
        for _ in sys.stdin:
            gc.collect()
            TRIM(0)
            counted = counters()
            outcomes = {"accepted": counted.accepted, "local": counted.local, **counted.refused}
            outcomes = {outcome: count for outcome, count in outcomes.items() if count}
            said = {"outcomes": outcomes, "pending": counted.pending, "waiting": waiting()}
            print(json.dumps({**said, "objects": len(gc.get_objects())}), flush=True)

    threading.Thread(target=run, daemon=True).start()
    print(port, flush=True)


# asyncio, uvloop


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(line(writer.get_extra_info("peername")))
    with suppress(ConnectionError):
        while data := await reader.read(SIZE):
            writer.write(data)
            await writer.drain()
    writer.close()


async def serve(policy: Policy, backlog: int) -> None:
    options = {"policy": policy, "backlog": backlog}
    server = await fastppv2.asyncio.start_server(echo, HOST, 0, **options)
    loop = asyncio.get_running_loop()

    def waiting() -> dict[str, int]:
        found = {"tasks": len(asyncio.all_tasks(loop))}
        if hasattr(loop, "_scheduled"):  # uvloop does not tell
            found["timers"] = len(loop._scheduled) - (server._acceptor.timer is not None)
        return found

    answer(server.sockets[0].getsockname()[1], lambda: server.proxy_counters, waiting)
    await server.serve_forever()


def on_asyncio(policy: Policy, backlog: int) -> None:
    asyncio.new_event_loop().run_until_complete(serve(policy, backlog))


def on_uvloop(policy: Policy, backlog: int) -> None:
    import uvloop

    uvloop.new_event_loop().run_until_complete(serve(policy, backlog))


# Twisted


def on_twisted(policy: Policy, backlog: int) -> None:
    from twisted.internet import reactor
    from twisted.internet.interfaces import IHalfCloseableProtocol
    from twisted.internet.protocol import Factory, Protocol
    from twisted.internet.threads import blockingCallFromThread
    from zope.interface import implementer

    from fastppv2.twisted import ProxyProtocolFactory

    @implementer(IHalfCloseableProtocol)
    class Echo(Protocol):
        def connectionMade(self) -> None:  # noqa: N802
            client = self.transport.getPeer()
            self.transport.write(line((client.host, client.port)))

        def dataReceived(self, data: bytes) -> None:  # noqa: N802
            self.transport.write(data)

        def readConnectionLost(self) -> None:  # noqa: N802
            self.transport.loseConnection()

        def writeConnectionLost(self) -> None:  # noqa: N802
            pass

    factory = ProxyProtocolFactory(Factory.forProtocol(Echo), policy=policy)
    port = reactor.listenTCP(0, factory, backlog=backlog, interface=HOST)

    def waiting() -> dict[str, int]:
        timers = len(reactor.getDelayedCalls()) - (factory._timer is not None)
        return {"readers": len(reactor.getReaders()), "timers": timers}

    def told() -> dict[str, int]:
        """By the reactor itself: what it has changes under anyone else's eyes."""
        return blockingCallFromThread(reactor, waiting)

    answer(port.getHost().port, lambda: factory.listener.counters, told)
    reactor.run()


# Threads


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(ConnectionError):
            self.request.sendall(line(self.client_address))
            while data := self.request.recv(SIZE):
                self.request.sendall(data)


class Threads(ProxyServerMixin, socketserver.ThreadingTCPServer):
    daemon_threads = True


def on_threads(policy: Policy, backlog: int) -> None:
    Threads.policy = policy
    Threads.request_queue_size = backlog
    with Threads((HOST, 0), Echo) as server:
        arrivals = server.listening._arrivals
        counters = lambda: server.listening.counters  # noqa: E731
        answer(server.server_address[1], counters, lambda: {"arrivals": len(arrivals)})
        server.serve_forever()


SERVERS = {
    "asyncio": on_asyncio,
    "uvloop": on_uvloop,
    "twisted": on_twisted,
    "threads": on_threads,
}


def main(kind: str, *, backlog: int, descriptors: int, **policy: Any) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))
    logging.basicConfig(format="%(name)s: %(message)s")
    SERVERS[kind](Policy(**policy), backlog)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
