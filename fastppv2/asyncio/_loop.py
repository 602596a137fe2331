"""Loops whose servers take PROXY headers, for servers that make their listeners themselves.

``uvicorn app:app --loop fastppv2.asyncio:loop_factory``, with ``FASTPPV2_TRUSTED`` set.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastppv2._log import logger
from fastppv2.asyncio._acceptor import Acceptor
from fastppv2.asyncio._deliver import deliver
from fastppv2.asyncio._forwarded import warn_of_forwarding
from fastppv2.asyncio._server import divide, serve
from fastppv2.asyncio._view import View
from fastppv2.settings import Settings, from_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from fastppv2.policy import Policy


class _ProxyLoop:
    """What a loop is mixed with: its servers take headers, as the settings say."""

    proxy_settings: Settings
    proxy_metrics: Callable[[str], object] | None

    async def create_server(self, protocol_factory: Any, *args: Any, **options: Any) -> Any:
        loop: Any = super()
        return await self._serve(loop.create_server, protocol_factory, *args, **options)

    async def create_unix_server(self, protocol_factory: Any, *args: Any, **options: Any) -> Any:
        loop: Any = super()
        return await self._serve(loop.create_unix_server, protocol_factory, *args, **options)

    async def _serve(
        self, create: Callable[..., Any], protocol_factory: Any, *args: Any, **options: Any
    ) -> Any:
        if isinstance(protocol_factory, Acceptor):  # it has a policy of its own
            return await create(protocol_factory, *args, **options)
        settings = self.proxy_settings
        acceptor, options = divide(
            protocol_factory, settings.policy, settings.tls, self.proxy_metrics, options
        )

        def before_start(server: Any) -> None:
            names = [sock.getsockname() for sock in server.sockets]
            acceptor.enabled = _speaks_proxy(settings, names)

        return await serve(create, acceptor, *args, before_start=before_start, **options)

    async def start_tls(
        self, transport: Any, protocol: Any, sslcontext: Any, **options: Any
    ) -> Any:
        loop: Any = super()
        if not isinstance(transport, View):
            return await loop.start_tls(transport, protocol, sslcontext, **options)
        secured = loop.start_tls(transport.transport, protocol, sslcontext, **options)
        first, transport.first_bytes = transport.first_bytes, b""
        if first:
            # Two steps on: in the first, the task puts two callbacks into the second, by which TLS
            # is connected and reading is resumed.
            secured = asyncio.ensure_future(secured)
            loop.call_soon(loop.call_soon, deliver, transport, first)
        over_tls = await secured
        return None if over_tls is None else transport.around(over_tls)

    async def sendfile(self, transport: Any, *args: Any, **options: Any) -> Any:
        loop: Any = super()
        if isinstance(transport, View):
            transport = transport.transport
        return await loop.sendfile(transport, *args, **options)


def _speaks_proxy(settings: Settings, names: list[Any]) -> bool:
    """Whether a server with sockets of these names takes headers, which is said in the log."""
    answers = {settings.speaks_proxy(name) for name in names}
    text = ", ".join([str(name) for name in names])
    if len(answers) > 1:
        raise ValueError(
            f"FASTPPV2_LISTEN: one server listens on {text}, some of them named and some not: name "
            "all or none of them"
        )
    (speaks,) = answers
    if speaks:
        logger.info("PROXY headers of %s are awaited on %s", settings.policy.trusted, text)
    else:
        logger.info("no PROXY headers are taken on %s (FASTPPV2_LISTEN)", text)
    return speaks


class _AsyncioLoop(_ProxyLoop, asyncio.SelectorEventLoop):
    pass


def _uvloop_class() -> Any:
    import uvloop

    return type("UvloopLoop", (_ProxyLoop, uvloop.Loop), {})


def loop_factory() -> asyncio.AbstractEventLoop:
    """An asyncio loop whose servers take PROXY headers, with settings from the environment.

    Raises ValueError that names the variable; ``FASTPPV2_TRUSTED`` must be set.
    """
    return _make(_AsyncioLoop, from_environment(), None)


def uvloop_loop_factory() -> asyncio.AbstractEventLoop:
    """As ``loop_factory``, a uvloop loop."""
    return _make(_uvloop_class(), from_environment(), None)


def loop_factory_for(
    policy: Policy,
    *,
    uvloop: bool = False,
    tls: Literal["outside", "inside"] = "outside",
    metrics: Callable[[str], object] | None = None,
) -> Callable[[], asyncio.AbstractEventLoop]:
    """A factory of such loops with settings from code; ``tls`` and ``metrics``: ``create_server``.

    ``asyncio.Runner(loop_factory=loop_factory_for(policy))`` runs one.
    """
    settings = Settings(policy, tls, None)
    return lambda: _make(_uvloop_class() if uvloop else _AsyncioLoop, settings, metrics)


def _make(
    kind: Callable[[], Any], settings: Settings, metrics: Callable[[str], object] | None
) -> asyncio.AbstractEventLoop:
    warn_of_forwarding()
    loop = kind()
    loop.proxy_settings = settings
    loop.proxy_metrics = metrics
    return loop  # type: ignore[no-any-return]
