"""Twisted: endpoints, and a factory around any other, whose transports tell the client's address.

``server_endpoint`` listens behind a load balancer, ``client_endpoint`` connects as one does, and
``fastppv2:`` before the endpoint's description, as in ``--listen fastppv2:tcp:8080``, is for
servers that are not configured in Python.

The application's protocol is built when the header is whole, with the client's address, and takes
the place of what read the header: from then on nothing of fastppv2 is between it and its transport.
``transport.getPeer()`` and ``getHost()`` are the header's source and destination,
``transport.proxy_header`` is the Header or None, ``transport.proxy_peername`` the address of the
peer itself, which is the balancer.
"""

from fastppv2.twisted._client import client_endpoint
from fastppv2.twisted._server import ProxyProtocolFactory, server_endpoint
from fastppv2.twisted._strings import ServerParser

__all__ = ["ProxyProtocolFactory", "ServerParser", "client_endpoint", "server_endpoint"]
