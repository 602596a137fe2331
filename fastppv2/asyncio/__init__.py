"""PROXY protocol on asyncio and uvloop: servers that see the client, and clients that name it.

    server = await fastppv2.asyncio.start_server(handle, port=8080, policy=Policy("10.0.0.7"))

The functions are asyncio's, with ``policy=`` for servers and ``header=`` for clients. Servers that
make their listeners themselves take a loop from ``loop_factory``, with settings in the environment.
"""

from fastppv2.asyncio._acceptor import Acceptor, counters
from fastppv2.asyncio._client import create_connection
from fastppv2.asyncio._loop import loop_factory, loop_factory_for, uvloop_loop_factory
from fastppv2.asyncio._server import Server, create_server, create_unix_server
from fastppv2.asyncio._streams import open_connection, start_server, start_unix_server

__all__ = [
    "Acceptor",
    "Server",
    "counters",
    "create_connection",
    "create_server",
    "create_unix_server",
    "loop_factory",
    "loop_factory_for",
    "open_connection",
    "start_server",
    "start_unix_server",
    "uvloop_loop_factory",
]
