from asyncio import BaseProtocol, Handle, TimerHandle
from collections import deque
from collections.abc import Callable
from typing import Any, final

from typing_extensions import disjoint_base

from fastppv2._queue import Handshake
from fastppv2.handshake import Listener

KINDS: dict[type, type]

@disjoint_base
class Factory:
    protocol_factory: Callable[[], BaseProtocol]
    listener: Listener
    tls: Any
    enabled: bool
    timer: TimerHandle | None
    watch: Callable[[], None]
    def __init__(
        self,
        protocol_factory: Callable[[], BaseProtocol],
        listener: Listener,
        tls: Any,
        receiver: type[Arrival],
    ) -> None: ...
    def __call__(self) -> BaseProtocol: ...

@disjoint_base
class Arrival:
    _acceptor: Factory
    _handshake: Handshake
    _transport: Any
    application: Any
    _ask_socket: Callable[[object], tuple[int, object]]
    _ended: Callable[[], Any]
    _secure: Callable[[Any, bytes], None]
    decided: Callable[[Handshake], None]
    def connection_made(self, transport: Any) -> None: ...
    def data_received(self, data: bytes) -> None: ...
    def eof_received(self) -> Any: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def _stand_in(self, view: BareView, data: bytes) -> None: ...

@disjoint_base
class BareView:
    _extra: dict[str, Any] | None
    _handshake: Handshake | None
    _resumed: bool
    _shown: Callable[[], dict[str, Any]]
    first_bytes: bytes
    receiver: Any
    transport: Any
    def __init__(self, transport: Any, handshake: Handshake | None) -> None: ...
    def get_extra_info(self, name: str, default: Any = None) -> Any: ...
    def write(self, data: Any) -> None: ...
    def is_closing(self) -> bool: ...
    def close(self) -> None: ...
    def deliver(self, data: bytes) -> None: ...

@disjoint_base
class Extra(dict[str, Any]):
    def __init__(self, own: dict[str, Any], handshake: Handshake) -> None: ...
    def get(self, name: str, default: Any = None) -> Any: ...

@final
class Steps:
    def __init__(self, ready: deque[Handle]) -> None: ...
    def __call__(self) -> None: ...

@final
class FirstBytes:
    def __init__(self, transport: Any, data: bytes) -> None: ...
    def __call__(self) -> None: ...
    def deliver(self) -> None: ...
