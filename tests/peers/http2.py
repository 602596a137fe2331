"""A client that speaks HTTP/2 on an open connection."""

from __future__ import annotations

import json

import h2.config
import h2.connection
import h2.events
from credentials import SERVER_NAME
from servers import RECEIVE_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any


class HTTP2:
    """Each request is a stream of its own."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._http.initiate_connection()

    def read(self, path: str = "/") -> bytes:
        """The answer to a GET."""
        fields = {":method": "GET", ":path": path, ":scheme": "http", ":authority": SERVER_NAME}
        stream = self._http.get_next_available_stream_id()
        self._http.send_headers(stream, list(fields.items()), end_stream=True)
        body = b""
        while True:
            self._sock.sendall(self._http.data_to_send())
            data = self._sock.recv(RECEIVE_SIZE)
            assert data, "the server closed the connection"
            for event in self._http.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    assert dict(event.headers)[":status"] == "200", event.headers
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                    self._http.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, h2.events.StreamEnded):
                    return body

    def get(self) -> dict[str, Any]:
        """The answer of an application, which is JSON."""
        return json.loads(self.read())

    def close(self) -> None:
        self._sock.close()
