from collections.abc import Iterable
from typing import final

from typing_extensions import Buffer

from fastppv2 import header as interface
from fastppv2._spec import Command, Detected, Family, Transport
from fastppv2.header import SSL, TLV, Address

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
