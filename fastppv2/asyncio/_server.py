"""Servers that take PROXY headers: asyncio's functions, with a policy."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastppv2.asyncio._acceptor import Acceptor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Literal

    from fastppv2.handshake import Counters
    from fastppv2.policy import Policy


class Server:
    """The loop's server; closing it ends the connections that are not the application's yet."""

    def __init__(self, server: Any, acceptor: Acceptor) -> None:
        self._server = server
        self._acceptor = acceptor

    @property
    def proxy_counters(self) -> Counters:
        """What became of the connections so far."""
        return self._acceptor.counters

    def close(self) -> None:
        """Nobody is accepted any more; connections of the application stay, as with any server."""
        self._acceptor.close()
        self._server.close()

    async def serve_forever(self) -> None:
        """Until it is cancelled, which closes the server."""
        # The loop's own closes itself alone then, and Python 3.12 waits there for all connections.
        serving = asyncio.ensure_future(self._server.serve_forever())
        try:
            await asyncio.wait([serving])
        except asyncio.CancelledError:
            self._acceptor.close()
            serving.cancel()
        await serving

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()
        await self.wait_closed()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)

    def __repr__(self) -> str:
        return f"<PROXY {self._server!r}>"


async def serve(
    create: Callable[..., Awaitable[Any]],
    acceptor: Acceptor,
    *args: Any,
    start_serving: bool = True,
    before_start: Callable[[Any], None] | None = None,
    **options: Any,
) -> Server:
    """The server that ``create`` makes; ``before_start`` sees it first, and may raise."""
    server = await create(acceptor, *args, start_serving=False, **options)
    try:
        if before_start is not None:
            before_start(server)
        if start_serving:
            await server.start_serving()
    except BaseException:
        server.close()
        raise
    return Server(server, acceptor)


def divide(
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    policy: Policy,
    tls: str,
    metrics: Callable[[str], object] | None,
    options: dict[str, Any],
) -> tuple[Acceptor, dict[str, Any]]:
    """The acceptor, and the options that are left for the loop's ``create_server``."""
    if tls not in ("outside", "inside"):
        raise ValueError(f"tls: expected 'outside' or 'inside', got {tls!r}")
    if options.get("ssl") is None or tls == "inside":
        return Acceptor(protocol_factory, policy, metrics=metrics), options
    ours = {name: options[name] for name in options if name.startswith("ssl")}
    rest = {name: options[name] for name in options if name not in ours}
    return Acceptor(protocol_factory, policy, metrics=metrics, **ours), rest


async def create_server(
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    host: Any = None,
    port: int | None = None,
    *,
    policy: Policy,
    tls: Literal["outside", "inside"] = "outside",
    metrics: Callable[[str], object] | None = None,
    **options: Any,
) -> Server:
    """``loop.create_server`` for connections that begin with a PROXY header.

    ``policy``: who is believed. ``tls``: with ``ssl=``, the header comes before the handshake
    ("outside"), or "inside" TLS as its first bytes. ``metrics`` is called with one of
    ``handshake.OUTCOMES`` for each connection that is decided. All else as the loop takes it.
    The transport's ``get_extra_info`` knows ``peername`` (the client), ``sockname`` (where the
    client connected to), ``socket`` (which says the same), ``proxy_header`` (the Header), and
    ``proxy_peername`` (the balancer's own address).
    """
    acceptor, options = divide(protocol_factory, policy, tls, metrics, options)
    create = asyncio.get_running_loop().create_server
    return await serve(create, acceptor, host, port, **options)


async def create_unix_server(
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    path: Any = None,
    *,
    policy: Policy,
    tls: Literal["outside", "inside"] = "outside",
    metrics: Callable[[str], object] | None = None,
    **options: Any,
) -> Server:
    """``loop.create_unix_server``, as ``create_server``; peers are trusted as "unix"."""
    acceptor, options = divide(protocol_factory, policy, tls, metrics, options)
    create = asyncio.get_running_loop().create_unix_server
    return await serve(create, acceptor, path, **options)
