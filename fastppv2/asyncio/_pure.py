"""The usual way of a connection to its application: the twin of what is compiled.

Here ``Arrival`` leaves every decision to ``Receiver``. The compiled one takes the usual case itself
(a header that names a client, no TLS of ours), and leaves all others to it, too.
"""

from __future__ import annotations

import asyncio
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING, Any

from fastppv2._queue import State
from fastppv2.asyncio._addresses import NAMES, addresses
from fastppv2.asyncio._deliver import deliver, fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastppv2._queue import Handshake
    from fastppv2.handshake import Listener

KINDS: dict[type, type] = {}
"""For each kind of transport its view; filled where it is seen the first time."""
_PENDING = State.PENDING


class Factory:
    """What the loop calls for the protocol of each connection; the base of ``Acceptor``."""

    # What Acceptor does.
    watch: Callable[[], None]

    def __init__(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        listener: Listener,
        tls: Any,
        receiver: type[Arrival],
    ) -> None:
        self.protocol_factory = protocol_factory
        self.listener = listener
        self.tls = tls
        self.enabled = True
        self.timer: asyncio.TimerHandle | None = None
        self._receiver: Any = receiver

    def __call__(self) -> asyncio.BaseProtocol:
        if self.enabled or self.tls is not None:
            return self._receiver(self)  # type: ignore[no-any-return]
        return self.protocol_factory()


class Arrival:
    """What the loop calls for a connection until its header is over; the base of ``Receiver``.

    On uvloop it stays until more bytes come, and passes on what it is told: to be given another
    protocol costs uvloop two system calls, which short connections save.
    """

    __slots__ = ("_acceptor", "_handshake", "_transport", "application")

    _handshake: Handshake
    application: Any
    """The protocol that this one stands for, if any."""

    # What Receiver does.
    _ask_socket: Callable[[object], tuple[int, object]]
    _ended: Callable[[], Any]
    _secure: Callable[[Any, bytes], None]
    decided: Callable[[Handshake], None]

    def __init__(self, acceptor: Factory) -> None:
        self._acceptor = acceptor
        self._transport: Any = None
        self.application = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        acceptor = self._acceptor
        if not acceptor.enabled:
            self._secure(transport, b"")
            return
        peername = transport.get_extra_info("peername")
        if type(peername) is tuple:
            family: int = AF_INET if len(peername) == 2 else AF_INET6
        else:
            family, peername = self._ask_socket(peername)
        self._handshake = handshake = acceptor.listener.connect(self, family, peername)
        if handshake.state is not _PENDING:
            self.decided(handshake)
        if acceptor.timer is None:
            acceptor.watch()

    def data_received(self, data: bytes) -> None:
        application = self.application
        if application is None:
            handshake = self._handshake
            if handshake.feed(data) is not _PENDING:
                self.decided(handshake)
        else:
            self.application = None
            self._transport.set_protocol(application)
            application.data_received(data)

    def eof_received(self) -> Any:
        if self.application is None:
            return self._ended()
        return self.application.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        application, self.application = self.application, None
        if application is None:
            self._handshake.eof()
        else:
            application.connection_lost(exc)

    def _stand_in(self, view: Any, data: bytes) -> None:
        """The application is connected, and the loop is not told yet."""
        try:
            protocol = self._acceptor.protocol_factory()
            if isinstance(protocol, asyncio.Protocol):
                self.application = protocol
                view.receiver = self
            else:
                view.set_protocol(protocol)
            protocol.connection_made(view)
        except Exception as error:
            fail(view, error)
        else:
            if data:
                view.deliver(data)


class FirstBytes:
    """What was read too far, for the application on asyncio's own transport once it reads.

    As without us it gets nothing in ``connection_made``, nor before the tasks that were started
    there took a step, nor while reading is paused: who starts TLS there finds the ClientHello
    delivered to TLS.
    """

    __slots__ = ("_data", "_transport")

    def __init__(self, transport: Any, data: bytes) -> None:
        self._transport = transport
        self._data = data
        # The transport calls nobody when reading is resumed. This goes when the bytes have gone.
        transport.resume_reading = self

    def __call__(self) -> None:
        """The transport's ``resume_reading``; asyncio looks at the socket after the step that
        delivers.
        """
        transport = self._transport
        asyncio.get_running_loop().call_soon(self.deliver)
        del transport.resume_reading
        transport.resume_reading()
        transport.resume_reading = self

    def deliver(self) -> None:
        """Now, unless reading is paused."""
        transport, data = self._transport, self._data
        if data and (transport.is_reading() or transport.is_closing()):
            self._data = b""
            del transport.resume_reading
            deliver(transport, data)


class Extra(dict[str, Any]):
    """asyncio's names and what they give, to which the header's addresses come when asked for."""

    __slots__ = ("_handshake",)

    def __init__(self, own: dict[str, Any], handshake: Handshake) -> None:
        dict.__init__(self, own)
        self._handshake: Handshake | None = handshake

    def get(self, name: str, default: Any = None) -> Any:
        handshake = self._handshake
        if handshake is not None and name in NAMES:
            self._handshake = None
            self.update(addresses(self.get, handshake))
        return dict.get(self, name, default)


class BareView:
    """What an application often does with its transport; the base of ``View``."""

    __slots__ = (
        "_extra",
        "_handshake",
        "_resumed",
        "first_bytes",
        "is_closing",
        "receiver",
        "transport",
        "write",
    )

    first_bytes: bytes
    """What was read too far, while the application has paused reading."""
    receiver: Any
    """Stands for the application's protocol, if the loop's transport has it for one."""

    # What View does.
    _shown: Callable[[], dict[str, Any]]

    def __init__(self, transport: Any, handshake: Handshake | None) -> None:
        self.transport = transport
        self._handshake = handshake
        self._extra: dict[str, Any] | None = None
        self._resumed = False
        self.first_bytes = b""
        self.receiver = None
        self.write = transport.write
        self.is_closing = transport.is_closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The header's, else the loop's."""
        if self._handshake is not None and name in NAMES:
            return (self._extra or self._shown())[name]
        return self.transport.get_extra_info(name, default)

    def deliver(self, data: bytes) -> None:
        """To the application, once it reads."""
        if self.transport.is_reading():
            deliver(self, data)
        else:
            self.first_bytes = data

    def close(self) -> None:
        self.transport.close()
