"""Servers in a loop of this process, each of which serves while a function asks it in a thread.

``serve(scenario, policy, context)`` calls ``scenario(address)``; with ``context``, TLS comes after
the header. For each request (``ask``) they say what ``told`` makes of it. When the scenario is over
the server is closed, and only then ``serve`` returns.
"""

from __future__ import annotations

import asyncio
import json

import anyio
import gevent
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


# tornado.


class Home(tornado.web.RequestHandler):
    def get(self):
        address = self.request.connection.context.address
        assert self.request.remote_ip == address[0]
        self.write(told(address, fastppv2.servers.tornado.proxy_header(self.request)))


class Stream(tornado.tcpserver.TCPServer):
    async def handle_stream(self, stream, address):
        try:
            while await stream.read_until(b"\n"):
                await stream.write(line(address, getattr(address[0], "proxy_header", None)))
        except tornado.iostream.StreamClosedError:
            pass


def tornado_http(scenario, policy, context=None):
    run_tornado(
        tornado.httpserver.HTTPServer,
        [tornado.web.Application([("/", Home)])],
        scenario,
        policy,
        context,
    )


def tornado_stream(scenario, policy, context=None):
    run_tornado(Stream, [], scenario, policy, context)


def run_tornado(base, arguments, scenario, policy, context):
    class Server(fastppv2.servers.tornado.ProxyServerMixin, base):
        pass

    Server.policy = policy

    async def main():
        server = Server(*arguments, ssl_options=context)
        (sock,) = tornado.netutil.bind_sockets(0, HOST)
        server.add_sockets([sock])
        try:
            await asyncio.get_running_loop().run_in_executor(None, scenario, sock.getsockname())
        finally:
            server.stop()

    asyncio.run(main())


# gevent.


def gevent_stream(scenario, policy, context=None):
    def handle(sock, address):
        with sock.makefile("rwb") as stream:
            while stream.readline():
                stream.write(line(address, getattr(address[0], "proxy_header", None)))
                stream.flush()

    run_gevent(fastppv2.servers.gevent.StreamServer, handle, scenario, policy, context)


def gevent_wsgi(scenario, policy, context=None):
    def application(environ, start_response):
        assert type(environ["REMOTE_ADDR"]) is str
        client = environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"])
        body = line(client, environ["fastppv2.header"])
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    run_gevent(fastppv2.servers.gevent.WSGIServer, application, scenario, policy, context)


def run_gevent(server_class, application, scenario, policy, context):
    options = {} if context is None else {"ssl_context": context}
    server = server_class((HOST, 0), application, policy=policy, **options)
    server.start()
    try:
        gevent.get_hub().threadpool.apply(scenario, (server.address,))
    finally:
        server.stop()


# trio and anyio.


def on_trio(scenario, policy, context=None):
    async def handle(stream):
        sock = (stream if context is None else stream.transport_stream).socket
        try:
            while await stream.receive_some():
                await stream.send_all(line(sock.getpeername(), sock.proxy_header))
        except trio.BrokenResourceError:
            pass

    async def main():
        (taken,) = await trio.open_tcp_listeners(0, host=HOST)
        address = taken.socket.getsockname()
        listener = fastppv2.servers.trio.Listener(taken, policy)
        if context is not None:
            listener = trio.SSLListener(listener, context)

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


async def by_anyio(scenario, policy, context):
    async def handle(stream):
        client = stream.extra(SocketAttribute.remote_address)
        header = stream.extra(ProxyAttribute.header)
        try:
            while await stream.receive():
                await stream.send(line(client, header))
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass
        await stream.aclose()

    async with await anyio.create_tcp_listener(local_host=HOST) as taken:
        address = taken.extra(SocketAttribute.local_address)
        (taken,) = taken.listeners
        listener = fastppv2.servers.anyio.Listener(taken, policy)
        if context is not None:
            listener = TLSListener(listener, context)

        async def serve():
            with pytest.raises(anyio.ClosedResourceError):
                await listener.serve(handle, group)

        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            try:
                await anyio.to_thread.run_sync(scenario, address)
            finally:
                await listener.aclose()


def anyio_on_asyncio(scenario, policy, context=None):
    anyio.run(by_anyio, scenario, policy, context, backend="asyncio")


def anyio_on_trio(scenario, policy, context=None):
    anyio.run(by_anyio, scenario, policy, context, backend="trio")


SERVERS = {
    "tornado-http": (tornado_http, get),
    "tornado-stream": (tornado_stream, ask_by_line),
    "gevent-stream": (gevent_stream, ask_by_line),
    "gevent-pywsgi": (gevent_wsgi, get),
    "trio": (on_trio, ask_by_line),
    "anyio-asyncio": (anyio_on_asyncio, ask_by_line),
    "anyio-trio": (anyio_on_trio, ask_by_line),
}
