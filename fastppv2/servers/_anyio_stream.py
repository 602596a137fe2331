"""A stream of anyio's that says of its ends what a header does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import SocketStream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastppv2._endpoint import SocketView


class ProxyAttribute(anyio.TypedAttributeSet):
    """For ``stream.extra(...)``: the Header (or None), and the balancer's own address."""

    header: Any = anyio.typed_attribute()
    peername: Any = anyio.typed_attribute()


class Stream(SocketStream):
    """A connection behind its header, whose attributes say what that does."""

    def __init__(self, stream: SocketStream, shown: SocketView, ends: tuple[Any, Any]) -> None:
        self._stream, self._shown, self._ends = stream, shown, ends

    @property
    def _raw_socket(self) -> Any:
        return self._shown

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        header, balancer = self._ends
        ours = {ProxyAttribute.header: lambda: header, ProxyAttribute.peername: lambda: balancer}
        return {**super().extra_attributes, **ours}

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._stream.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        await self._stream.send(item)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()
