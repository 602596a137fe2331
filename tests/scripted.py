"""A server on loopback that does with each connection what a function says."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TIMEOUT = 10.0
HOST = "127.0.0.1"


class Scripted:
    """``address``: where it listens; ``received``: what each connection brought, in order."""

    def __init__(self, listener: socket.socket, serve: Callable[[socket.socket], bytes]) -> None:
        self.address = listener.getsockname()
        self.received: list[bytes] = []
        self._listener = listener
        self._serve = serve

    @property
    def target(self) -> str:
        """As the command line has it."""
        return self.address if isinstance(self.address, str) else "{}:{}".format(*self.address)

    def run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            with connection:
                connection.settimeout(TIMEOUT)
                with suppress(ConnectionError):
                    self.received.append(self._serve(connection))


@contextmanager
def scripted(
    serve: Callable[[socket.socket], bytes], path: Path | None = None
) -> Iterator[Scripted]:
    """``serve`` is given each connection and returns what it has to remember of it."""
    listener = socket.socket(socket.AF_INET if path is None else socket.AF_UNIX)
    with listener:
        listener.bind((HOST, 0) if path is None else str(path))
        listener.listen()
        server = Scripted(listener, serve)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield server
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(TIMEOUT)


def until_end(connection: socket.socket) -> bytes:
    """All that comes."""
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def until_request(connection: socket.socket) -> bytes:
    """All that comes up to the end of a request's head."""
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        piece = connection.recv(65536)
        if not piece:
            break
        received += piece
    return received
