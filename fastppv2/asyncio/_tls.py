"""TLS that starts when a header, received or sent, is over."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

from fastppv2.asyncio._connect import connect, connect_ended
from fastppv2.asyncio._deliver import deliver

if TYPE_CHECKING:
    from collections.abc import Callable


def check_context(context: object) -> None:
    """Raises TypeError now, not at the first connection."""
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"ssl: expected an SSLContext, got {context!r}")


class Securing(asyncio.Protocol):
    """A connection whose header is over, in its TLS handshake.

    ``data`` was read already and is TLS's, as is all that comes before it starts. ``options`` are
    those of ``loop.start_tls``. In the end ``finish`` is called with the transport over TLS and
    what came over it already (see ``hand_over``), or with the error or None, if there is none.
    """

    def __init__(
        self, transport: Any, data: bytes, finish: Callable[..., None], **options: Any
    ) -> None:
        loop = asyncio.get_running_loop()
        self._transport = transport
        self._early = data
        self._finish = finish
        self._awaited: Any = None
        # Not by a task, which would learn of the end of the handshake when TLS has read on.
        self._coroutine: Any = loop.start_tls(transport, _Above(self), **options)
        transport.set_protocol(self)
        loop.call_soon(self._begin)

    def data_received(self, data: bytes) -> None:
        self._early += data

    def _begin(self) -> None:
        if self._transport.is_closing():  # lost meanwhile, or stopped
            self.stop()
            self._finish(None)
        else:
            self.advance()
            # Behind two callbacks of start_tls: TLS is connected, reading is resumed.
            asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        if self._early:
            deliver(self._transport, self._early)

    def advance(self, **arrived: Any) -> None:
        """As far as ``start_tls`` gets; ``arrived`` came over TLS."""
        if self._coroutine is None:
            return
        try:
            self._awaited = self._coroutine.send(None)
        except StopIteration as result:
            self._coroutine = None
            transport = result.value
            if transport is None or transport.is_closing():  # lost before it was secured
                self._finish(None)
            else:
                self._finish(transport, **arrived)
        except Exception as error:
            self._coroutine = None
            self._finish(None, error=error)
        else:
            self._awaited.add_done_callback(lambda _: self.advance())

    def stop(self) -> None:
        """Ends the connection, and waits for nothing."""
        if self._coroutine is not None:
            self._coroutine.close()
            self._coroutine = None
        if self._awaited is not None:
            self._awaited.cancel()
        self._transport.abort()


class _Above(asyncio.Protocol):
    """Over TLS until the application is: what it is told says that the handshake is over."""

    def __init__(self, securing: Securing) -> None:
        self._securing = securing

    def data_received(self, data: bytes) -> None:
        self._securing.advance(data=data)

    def eof_received(self) -> None:
        self._securing.advance(ended=True)


def hand_over(
    transport: Any, protocol_factory: Callable[[], Any], data: bytes = b"", ended: bool = False
) -> None:
    """The application is connected over TLS, which gave these bytes or the end."""
    if ended:
        connect_ended(transport, protocol_factory, data)
    else:
        connect(transport, protocol_factory, data, at_once=True)
