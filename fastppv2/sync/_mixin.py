"""The servers of ``socketserver``, and all that are built on it, behind a PROXY header."""

from __future__ import annotations

import socket
import ssl
from socketserver import TCPServer

from fastppv2.policy import policy_of
from fastppv2.sync._listening import ListeningSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fastppv2.policy import Policy


class ProxyServerMixin(TCPServer):
    """For servers built on ``socketserver.TCPServer``, threading or not; comes first in the bases.

        class Server(ProxyServerMixin, ThreadingHTTPServer):
            policy = Policy("10.0.0.0/8")

    ``client_address`` is the client's, and so is what the handler's ``request`` says of its ends;
    its header is ``request.proxy_header``. WSGI servers (wsgiref, Werkzeug) also put that into
    ``environ["fastppv2.header"]``. A ``socket`` that was wrapped for TLS expects the header before
    TLS. Nothing else changes, and a peer that is slow with its header or its TLS handshake holds up
    nobody.
    """

    policy: Policy

    _listening: ListeningSocket | None = None

    def server_activate(self) -> None:
        """Without a policy nobody listens."""
        policy_of(self)
        super().server_activate()

    @property
    def listening(self) -> ListeningSocket:
        """What accepts, with its ``counters``. It is made when it is first needed: ``socket`` is
        wrapped for TLS, if it is, after the server was made.
        """
        if self._listening is None:
            context = self.socket.context if isinstance(self.socket, ssl.SSLSocket) else None
            self._listening = ListeningSocket(self.socket, self.policy, ssl=context)
            self._listening.setblocking(False)
            self.RequestHandlerClass = _with_header(self.RequestHandlerClass)
        return self._listening

    def fileno(self) -> int:
        """Of what ``serve_forever`` waits for."""
        return self.listening.fileno()

    def get_request(self) -> Any:
        """BlockingIOError, which the caller expects, where nobody's header is whole."""
        try:
            return self.listening.accept()
        except socket.timeout:
            self.handle_timeout()
            raise

    def handle_request(self) -> None:
        """One request, of whose header is whole first; at most ``timeout`` seconds are waited."""
        self.listening.settimeout(self.timeout)
        try:
            self._handle_request_noblock()  # type: ignore[attr-defined]
        finally:
            self.listening.setblocking(False)

    def service_actions(self) -> None:
        """``serve_forever`` calls it twice a second, or as often as it was told to."""
        super().service_actions()
        self.listening.sweep()

    def server_close(self) -> None:
        """Ends what is not behind its header, too."""
        if self._listening is not None:
            self._listening.close()
        super().server_close()


def _with_header(handler: Any) -> Any:
    """The class, which puts the header into a WSGI environ if it makes one."""
    for maker in ("get_environ", "make_environ"):  # wsgiref's, Werkzeug's
        if hasattr(handler, maker):
            return type(handler.__name__, (handler,), {maker: _maker(getattr(handler, maker))})
    return handler


def _maker(make: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    def make_environ(handler: Any) -> dict[str, Any]:
        environ = make(handler)
        environ["fastppv2.header"] = handler.request.proxy_header
        if isinstance(handler.client_address, tuple):
            environ["REMOTE_PORT"] = str(handler.client_address[1])
        return environ

    return make_environ
