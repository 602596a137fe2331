"""The address of a peer that has reset its connection already.

HAProxy's health checks send their header and reset at once. ``getpeername()`` fails from then on,
and that is what uvloop asks; asyncio knows the address from ``accept()``.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

_SO_PEERNAME = 28  # Linux, asm-generic/socket.h: still answers
_SIZES = {socket.AF_INET: 16, socket.AF_INET6: 28}  # of struct sockaddr_in, sockaddr_in6


def peername_of_reset(sock: Any) -> tuple[Any, ...] | None:
    """What ``getpeername()`` said before; None where the system does not tell."""
    size = _SIZES.get(sock.family)
    if size is None or sys.platform != "linux":
        return None
    try:
        name = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERNAME, size)
    except OSError:
        return None
    port = int.from_bytes(name[2:4], "big")
    if sock.family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, name[4:8]), port
    flow, scope = int.from_bytes(name[4:8], "big"), int.from_bytes(name[24:28], sys.byteorder)
    return socket.inet_ntop(socket.AF_INET6, name[8:24]), port, flow, scope
