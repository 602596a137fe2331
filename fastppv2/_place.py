"""Where a server listens, as the command line and the relay name it."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """``host`` and ``port``; where it is no IP address, the path of a UNIX socket as ``host``."""

    host: str
    port: int
    is_ip: bool = True

    def __str__(self) -> str:
        host = ascii(self.host)[1:-1]
        if not self.is_ip:
            return host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
