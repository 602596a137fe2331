"""PROXY headers on blocking sockets, and for the servers that are made of them.

    with fastppv2.sync.create_server(("", 8080), policy=Policy("10.0.0.7")) as server:
        connection, client = server.accept()

``recv_header`` reads one header from a socket, ``create_connection`` sends one, and
``ProxyServerMixin`` lets the servers of the standard library, and others that are built on
``socketserver``, see their clients.
"""

from fastppv2.sync._client import create_connection
from fastppv2.sync._connection import Connection, TLSConnection
from fastppv2.sync._header import recv_header
from fastppv2.sync._listening import ListeningSocket, create_server
from fastppv2.sync._mixin import ProxyServerMixin

__all__ = [
    "Connection",
    "ListeningSocket",
    "ProxyServerMixin",
    "TLSConnection",
    "create_connection",
    "create_server",
    "recv_header",
]
