"""A server's certificate, and who believes it."""

from __future__ import annotations

import ssl
from functools import cache

import trustme

NAME = "server.example"


@cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For the server and for its clients."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME, key_type=trustme.KeyType.ECDSA).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client
