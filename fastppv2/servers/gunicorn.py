"""gunicorn's sync and gthread workers: ``gunicorn -k fastppv2.servers.gunicorn.ThreadWorker``.

Settings come from the environment (``fastppv2.settings``), TLS after the header, and the header
into ``environ["fastppv2.header"]``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gunicorn.workers import base, gthread, sync  # type: ignore[import-untyped]

from fastppv2._endpoint import Host
from fastppv2.settings import from_environment
from fastppv2.sync import ListeningSocket

_Worker: Any = base.Worker if TYPE_CHECKING else object

__all__ = ["SyncWorker", "ThreadWorker"]


class _Listening(ListeningSocket):
    def accept(self) -> Any:
        """The client's host takes the header to where only the client is known: into an environ."""
        connection, client = super().accept()
        header, balancer = connection.proxy_header, connection.proxy_peername
        if header is None:
            return connection, client
        host, *port = client if isinstance(client, tuple) else [os.fsdecode(client)]
        host = Host(host, header, balancer)
        return connection, (host, *port) if port else host


class _ProxyWorker(_Worker):  # type: ignore[misc]
    wsgi: Any

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """In the master, before there are workers; gunicorn ends at a RuntimeError."""
        if cfg.proxy_protocol not in (False, "off"):  # False before gunicorn 25
            raise RuntimeError(f"proxy_protocol: switch it off, {cls.__name__} takes the header")
        try:
            tls = from_environment().tls
        except ValueError as error:
            raise RuntimeError(str(error)) from None
        if tls == "inside":
            raise RuntimeError("FASTPPV2_TLS: gunicorn's workers take the header outside TLS alone")

    def run(self) -> None:
        settings = from_environment()
        for at, bound in enumerate(self.sockets):
            if settings.speaks_proxy(bound.getsockname()):
                self.sockets[at] = _Listening(bound.sock, settings.policy)
        self.proxied = [bound for bound in self.sockets if isinstance(bound, _Listening)]
        self.wait_fds = [*self.sockets, self.PIPE[0]]
        application = self.wsgi

        def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
            host = environ["REMOTE_ADDR"]
            environ["fastppv2.header"] = getattr(host, "proxy_header", None)
            environ["REMOTE_ADDR"] = host[:]
            return application(environ, start_response)

        self.wsgi = wsgi
        super().run()

    def patience(self, timeout: float) -> float:
        """Not beyond the end of anyone's time."""
        return min([timeout, *[bound.sweep() for bound in self.proxied]])


class SyncWorker(_ProxyWorker, sync.SyncWorker):  # type: ignore[misc]
    def wait(self, timeout: float) -> Any:
        return super().wait(self.patience(timeout))


class ThreadWorker(_ProxyWorker, gthread.ThreadWorker):  # type: ignore[misc]
    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(self.patience(timeout))
