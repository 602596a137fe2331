"""gunicorn's sync and gthread workers: ``gunicorn -k fastppv2.servers.gunicorn.ThreadWorker``.

Settings come from the environment (``fastppv2.settings``), TLS after the header, and the header
into ``environ["fastppv2.header"]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gunicorn.workers import base, gthread, sync  # type: ignore[import-untyped]

from fastppv2.servers._listening import Listening, ReadingAhead, unfold
from fastppv2.settings import Settings, from_environment

_Worker: Any = base.Worker if TYPE_CHECKING else object

__all__ = ["SyncWorker", "ThreadWorker"]


def check(worker: type, cfg: Any) -> Settings:
    """The settings; RuntimeError, at which gunicorn ends, if its own option is set or they fail."""
    if cfg.proxy_protocol not in (False, "off"):  # False before gunicorn 25
        raise RuntimeError(f"proxy_protocol: switch it off, {worker.__name__} takes the header")
    try:
        return from_environment()
    except ValueError as error:
        raise RuntimeError(str(error)) from None


class _ProxyWorker(_Worker):  # type: ignore[misc]
    listening = Listening
    wsgi: Any

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """In the master, before there are workers."""
        if check(cls, cfg).tls == "inside":
            raise RuntimeError("FASTPPV2_TLS: gunicorn's workers take the header outside TLS alone")

    def run(self) -> None:
        settings = from_environment()
        # TLS reads from the connection itself, where all that follows the header has to be then.
        listening = Listening if self.cfg.is_ssl else self.listening
        for at, bound in enumerate(self.sockets):
            if settings.speaks_proxy(bound.getsockname()):
                self.sockets[at] = listening(bound.sock, settings.policy)
        self.proxied = [bound for bound in self.sockets if isinstance(bound, Listening)]
        self.wait_fds = [*self.sockets, self.PIPE[0]]
        application = self.wsgi

        def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
            unfold(environ)
            return application(environ, start_response)

        self.wsgi = wsgi
        super().run()

    def patience(self, timeout: float) -> float:
        """Not beyond the end of anyone's time."""
        return min([timeout, *[bound.sweep() for bound in self.proxied]])


class SyncWorker(_ProxyWorker, sync.SyncWorker):  # type: ignore[misc]
    listening = ReadingAhead  # not with gthread, whose poller looks into the connection

    def accept(self, listener: Any) -> Any:
        if listener not in self.proxied:
            return super().accept(listener)
        client, address = listener.accept()
        client.setblocking(True)  # that no child inherits it gunicorn would only set again
        self.handle(listener, client, address)

    def wait(self, timeout: float) -> Any:
        return super().wait(self.patience(timeout))


class ThreadWorker(_ProxyWorker, gthread.ThreadWorker):  # type: ignore[misc]
    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(self.patience(timeout))
