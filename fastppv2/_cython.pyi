from collections.abc import Callable, Iterable
from typing import Any, final

from typing_extensions import Buffer, disjoint_base

from fastppv2 import header as interface
from fastppv2._networks import Network
from fastppv2._queue import Client, Owner, State
from fastppv2._spec import Command, Detected, Family, Transport
from fastppv2.header import SSL, TLV, Address
from fastppv2.parser import Parser
from fastppv2.policy import Policy

crc32c_kind: str

@final
class Header(interface.Header):
    @property
    def version(self) -> int: ...
    @property
    def command(self) -> Command: ...
    @property
    def family(self) -> Family: ...
    @property
    def transport(self) -> Transport: ...
    @property
    def source(self) -> Address: ...
    @property
    def destination(self) -> Address: ...
    @property
    def size(self) -> int: ...
    @property
    def raw(self) -> bytes: ...
    @property
    def tlvs(self) -> tuple[TLV, ...]: ...
    @property
    def ssl(self) -> SSL | None: ...

def build(
    source: Address = None,
    destination: Address = None,
    *,
    version: int = 2,
    command: int | None = None,
    transport: int = ...,
    tlvs: Iterable[tuple[int, bytes]] = (),
    checksum: bool = False,
) -> bytes: ...
def detect(data: Buffer, /) -> Detected: ...
def parse(data: Buffer, /, *, max_size: int = 65551) -> Header: ...

@disjoint_base
class Members:
    def __init__(self, networks: Iterable[Network], everyone: bool = False) -> None: ...
    def __contains__(self, host: object, /) -> bool: ...

@final
class Handshake:
    _arrived: float
    _parser: Parser | None
    _refusal: tuple[str, str] | None
    family: int
    header: interface.Header | None
    owner: Any
    peername: Any
    sockname: object
    state: State
    trailing_data: bytes
    def feed(self, data: Buffer, /) -> State: ...
    def eof(self) -> State: ...
    @property
    def reason(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def source(self) -> object: ...
    @property
    def destination(self) -> object: ...

@disjoint_base
class Queue:
    _accepted: int
    _metrics: Callable[[str], object] | None
    _room: int
    pending: int
    def __init__(
        self,
        policy: Policy,
        clock: Callable[[], float],
        metrics: Callable[[str], object] | None,
    ) -> None: ...
    def connect(
        self, owner: Owner, family: int, peername: object, sockname: object = None
    ) -> Handshake: ...
    def receive(
        self, owner: Owner, family: int, peername: object, data: Buffer, sockname: object = None
    ) -> Handshake: ...
    def datagram(
        self, family: int, peername: object, data: Buffer, kind: type[Client]
    ) -> tuple[bytes, Client] | None: ...
    def _enqueue(self, handshake: Handshake) -> None: ...
    def _dequeue(self, handshake: Handshake) -> None: ...
    def _oldest(self) -> Handshake | None: ...
    def _snapshot(self) -> list[Handshake]: ...
