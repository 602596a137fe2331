"""Servers in a loop of this process, each of which serves while a function asks it in a thread.

``serve(scenario, policy, certificate)`` calls ``scenario(address)``; with a certificate, TLS comes
after the header. For each request (``ask``) they say what ``told`` makes of it. When the scenario
is over the server is closed, and then ``serve`` returns.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import suppress

import anyio
import gevent
import gevent.ssl
import pytest
import tornado.httpserver
import tornado.netutil
import tornado.tcpserver
import tornado.web
import trio
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSListener
from serving import get

import fastppv2.servers.anyio
import fastppv2.servers.gevent
import fastppv2.servers.tornado
import fastppv2.servers.trio
from fastppv2.servers.anyio import ProxyAttribute

HOST = "127.0.0.1"


def told(client, header):
    return {"client": list(client[:2]), "header": None if header is None else header.raw.hex()}


def line(*said):
    return json.dumps(told(*said)).encode() + b"\n"


def ask_by_line(sock):
    with sock.makefile("rwb") as stream:
        stream.write(b"?\n")
        stream.flush()
        return json.loads(stream.readline())


def tls(certificate, ssl=ssl):
    """gevent has an ``ssl`` of its own."""
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


# tornado.


class Home(tornado.web.RequestHandler):
    def get(self):
        address = self.request.connection.context.address
        assert self.request.remote_ip == address[0]
        self.write(told(address, fastppv2.servers.tornado.proxy_header(self.request)))


class Stream(tornado.tcpserver.TCPServer):
    async def handle_stream(self, stream, address):
        with suppress(tornado.iostream.StreamClosedError):
            while await stream.read_until(b"\n"):
                await stream.write(line(address, getattr(address[0], "proxy_header", None)))


def tornado_http(scenario, policy, certificate=None):
    run_tornado(
        tornado.httpserver.HTTPServer,
        [tornado.web.Application([("/", Home)])],
        scenario,
        policy,
        certificate,
    )


def tornado_stream(scenario, policy, certificate=None):
    run_tornado(Stream, [], scenario, policy, certificate)


def run_tornado(base, arguments, scenario, policy, certificate):
    class Server(fastppv2.servers.tornado.ProxyServerMixin, base):
        pass

    Server.policy = policy

    async def main():
        server = Server(*arguments, ssl_options=tls(certificate))
        (sock,) = tornado.netutil.bind_sockets(0, HOST)
        with sock:
            server.add_sockets([sock])
            try:
                await asyncio.get_running_loop().run_in_executor(None, scenario, sock.getsockname())
            finally:
                server.stop()

    asyncio.run(main())


# gevent.


def gevent_stream(scenario, policy, certificate=None):
    def handle(sock, address):
        with sock.makefile("rwb") as stream:
            while stream.readline():
                stream.write(line(address, getattr(address[0], "proxy_header", None)))
                stream.flush()

    run_gevent(fastppv2.servers.gevent.StreamServer, handle, scenario, policy, certificate)


def gevent_wsgi(scenario, policy, certificate=None):
    def application(environ, start_response):
        assert type(environ["REMOTE_ADDR"]) is str
        client = environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"])
        body = line(client, environ["fastppv2.header"])
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    run_gevent(fastppv2.servers.gevent.WSGIServer, application, scenario, policy, certificate)


def run_gevent(server_class, application, scenario, policy, certificate):
    options = {"ssl_context": tls(certificate, gevent.ssl)} if certificate else {}
    server = server_class((HOST, 0), application, policy=policy, **options)
    server.start()
    try:
        gevent.get_hub().threadpool.apply(scenario, (server.address,))
    finally:
        server.stop()


# trio and anyio.


def on_trio(scenario, policy, certificate=None):
    async def handle(stream):
        sock = (stream if certificate is None else stream.transport_stream).socket
        async with stream:
            with suppress(trio.BrokenResourceError):
                while await stream.receive_some():
                    await stream.send_all(line(sock.getpeername(), sock.proxy_header))

    async def main():
        (taken,) = await trio.open_tcp_listeners(0, host=HOST)
        address = taken.socket.getsockname()
        listener = fastppv2.servers.trio.Listener(taken, policy)
        if certificate is not None:
            listener = trio.SSLListener(listener, tls(certificate))

        async def serve():
            with pytest.raises(trio.ClosedResourceError):
                while True:
                    nursery.start_soon(handle, await listener.accept())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            try:
                await trio.to_thread.run_sync(scenario, address)
            finally:
                await listener.aclose()

    trio.run(main)


async def by_anyio(scenario, policy, certificate):
    async def handle(stream):
        client = stream.extra(SocketAttribute.remote_address)
        header = stream.extra(ProxyAttribute.header)
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while await stream.receive():
                await stream.send(line(client, header))
        await anyio.aclose_forcefully(stream)

    async with await anyio.create_tcp_listener(local_host=HOST) as taken:
        address = taken.extra(SocketAttribute.local_address)
        (taken,) = taken.listeners
        listener = fastppv2.servers.anyio.Listener(taken, policy)
        if certificate is not None:
            listener = TLSListener(listener, tls(certificate))

        async def serve():
            with pytest.raises(anyio.ClosedResourceError):
                await listener.serve(handle, group)

        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            try:
                await anyio.to_thread.run_sync(scenario, address)
            finally:
                await listener.aclose()


def anyio_on_asyncio(scenario, policy, certificate=None):
    anyio.run(by_anyio, scenario, policy, certificate, backend="asyncio")


def anyio_on_trio(scenario, policy, certificate=None):
    anyio.run(by_anyio, scenario, policy, certificate, backend="trio")


SERVERS = {
    "tornado-http": (tornado_http, get),
    "tornado-stream": (tornado_stream, ask_by_line),
    "gevent-stream": (gevent_stream, ask_by_line),
    "gevent-pywsgi": (gevent_wsgi, get),
    "trio": (on_trio, ask_by_line),
    "anyio-asyncio": (anyio_on_asyncio, ask_by_line),
    "anyio-trio": (anyio_on_trio, ask_by_line),
}
