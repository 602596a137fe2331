"""gevent's ``StreamServer`` and ``pywsgi.WSGIServer`` behind a PROXY header; TLS comes after it.

WSGIServer(("", 8080), application, policy=Policy("10.0.0.0/8")).serve_forever()
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from socket import SHUT_RDWR
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from gevent import Timeout, pywsgi, server  # type: ignore[import-untyped]

from fastppv2.handshake import Listener, State
from fastppv2.servers._listening import named, unfold

if TYPE_CHECKING:
    from fastppv2._queue import Handshake
    from fastppv2.policy import Policy

__all__ = ["StreamServer", "WSGIServer"]


class StreamServer(server.StreamServer):  # type: ignore[misc]
    _handle: Any

    def __init__(self, *arguments: Any, policy: Policy, **options: Any) -> None:
        if policy.header == "optional":
            raise ValueError("policy: expected header='required', gevent has no place for bytes")
        self.receiver = Listener(policy)
        super().__init__(*arguments, **options)

    def init_socket(self) -> None:
        super().init_socket()
        self._handle = partial(self._receive, self._handle)

    def _receive(self, handle: Any, sock: Any, address: Any) -> Any:
        """In a greenlet of the connection's own."""
        receiver = self.receiver
        handshake = receiver.connect(_Waiting(sock), sock.family, address)
        while handshake.state is State.PENDING:
            data = None
            left = receiver.deadline(handshake) - monotonic()
            with Timeout(max(left, 0), False), suppress(OSError):  # reset: the next read says so
                data = sock.recv(receiver.wanted(handshake))
            if data is None:
                receiver.sweep()
            elif data and handshake.state is State.PENDING:
                handshake.feed(data)
            else:
                handshake.eof()
        if handshake.state is State.ACCEPTED:
            return handle(sock, named(handshake.source, handshake.header, address))

    def close(self) -> None:
        self.receiver.close()
        super().close()


class _Waiting(NamedTuple):
    sock: Any

    def decided(self, handshake: Handshake) -> None:
        with suppress(OSError):  # not connected any more
            self.sock.shutdown(SHUT_RDWR)


class _Handler(pywsgi.WSGIHandler):  # type: ignore[misc]
    def get_environ(self) -> Any:
        environ = super().get_environ()
        unfold(environ)
        return environ


class WSGIServer(StreamServer, pywsgi.WSGIServer):  # type: ignore[misc]
    handler_class = _Handler
