"""Connections that tell the server who the client is: the header is their first bytes."""

from __future__ import annotations

import socket
import ssl as tls

from fastppv2.header import to_send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastppv2.header import Header


def create_connection(
    address: tuple[str, int],
    *,
    header: Header | bytes,
    ssl: tls.SSLContext | None = None,
    server_hostname: str | None = None,
    **options: Any,
) -> socket.socket:
    """``socket.create_connection`` whose first bytes are the header, before TLS if there is any.

    ``header``: what ``build`` made, or a Header, which is sent as it was received. ``ssl``: a
    context, for TLS behind the header, with ``server_hostname`` or else the address's host as the
    name to verify. ``options`` are those of ``socket.create_connection``.
    """
    data = to_send(header)
    connection = socket.create_connection(address, **options)
    try:
        connection.sendall(data)
        if ssl is None:
            return connection
        return ssl.wrap_socket(connection, server_hostname=server_hostname or address[0])
    except BaseException:
        connection.close()
        raise
