"""A server under test: ``python -m bench.server KIND LOOP PROXY``; serves for ever.

It says its port, and which process serves.
KIND: what answers ``pong`` to a ``ping``: a protocol, a stream, either over TLS, an application
under uvicorn or in a worker of gunicorn's, or a protocol of Twisted's. PROXY: 1 behind a header,
0 without.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
import sys

import fastppv2.asyncio
from fastppv2 import Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PING, PONG = b"ping", b"pong"
POLICY = Policy("127.0.0.0/8, 10.0.0.0/8")


class Pong(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(PONG)


async def pong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(100):
        writer.write(PONG)
    writer.close()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """ASGI."""
    headers = [(b"content-length", b"4"), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": PONG})


def certified() -> ssl.SSLContext:
    import trustme

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    authority.issue_cert("server", key_type=trustme.KeyType.ECDSA).configure_cert(context)
    return context


async def serve(kind: str, proxy: bool) -> None:
    what, _, tls = kind.partition(" ")
    options: dict[str, Any] = {"ssl": certified()} if tls else {}
    loop = asyncio.get_running_loop()
    if proxy:
        options["policy"] = POLICY
    if what == "start_server":
        start = fastppv2.asyncio.start_server if proxy else asyncio.start_server
        server = await start(pong, "127.0.0.1", 0, **options)
    else:
        create = fastppv2.asyncio.create_server if proxy else loop.create_server
        server = await create(Pong, "127.0.0.1", 0, **options)
    begin(server.sockets[0])
    await server.serve_forever()


def begin(sock: Any) -> None:
    gc.collect()
    gc.disable()
    print(sock.getsockname()[1], os.getpid(), flush=True)


def serve_uvicorn(loop_kind: str, proxy: bool) -> None:
    import uvicorn

    factory: Any = loop_kind
    if proxy:
        module = "fastppv2.asyncio:"
        factory = module + ("loop_factory" if loop_kind == "asyncio" else "uvloop_loop_factory")
    config = uvicorn.Config(
        application,
        loop=factory,
        http="httptools",
        log_level="warning",
        access_log=False,
        lifespan="off",
        proxy_headers=False,
    )
    # By its protocol asyncio knows that Nagle's algorithm is to be off, as it is by --port.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    sock.listen(128)
    begin(sock)
    uvicorn.Server(config).run(sockets=[sock])


def serve_twisted(kind: str, reactor_kind: str, proxy: bool) -> None:
    from twisted.application.reactors import installReactor

    reactor = installReactor(reactor_kind)
    from twisted.internet.endpoints import TCP4ServerEndpoint
    from twisted.internet.protocol import Factory, Protocol
    from twisted.protocols.haproxy import proxyEndpoint

    from fastppv2.twisted import server_endpoint

    class Ponging(Protocol):
        def dataReceived(self, data: bytes) -> None:  # noqa: N802
            self.transport.write(PONG)

    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    if proxy:
        own = kind.startswith("twisted's own")
        endpoint = proxyEndpoint(endpoint) if own else server_endpoint(endpoint, policy=POLICY)
    endpoint.listen(Factory.forProtocol(Ponging)).addCallback(lambda port: begin(port.socket))
    reactor.run()


def wsgi_application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "4"), ("Content-Type", "text/plain")])
    return [PONG]


def serve_gunicorn(worker: str, proxy: bool) -> None:
    from gunicorn.app.base import BaseApplication

    ours = {"sync": "SyncWorker", "gthread": "ThreadWorker"}
    options = {
        "bind": "127.0.0.1:0",
        "worker_class": f"fastppv2.servers.gunicorn.{ours[worker]}" if proxy else worker,
        "loglevel": "warning",
        "post_worker_init": lambda worker: begin(worker.sockets[0]),
    }

    class Application(BaseApplication):
        def load_config(self) -> None:
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            return wsgi_application

    Application().run()


def main(kind: str, loop_kind: str, proxy: str) -> None:
    if kind.startswith("twisted"):
        serve_twisted(kind, loop_kind, proxy == "1")
        return
    if kind == "gunicorn":
        serve_gunicorn(loop_kind, proxy == "1")
        return
    if kind == "uvicorn":
        serve_uvicorn(loop_kind, proxy == "1")
        return
    if loop_kind == "uvloop":
        import uvloop

        loop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    loop.run_until_complete(serve(kind, proxy == "1"))


if __name__ == "__main__":
    main(*sys.argv[1:])
