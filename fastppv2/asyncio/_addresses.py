"""What a transport says of its two ends behind a header."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from fastppv2._endpoint import Host, SocketView
from fastppv2._peer import AF_UNIX
from fastppv2._spec import Family

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastppv2._queue import Handshake

NAMES = frozenset({"peername", "sockname", "socket", "proxy_header", "proxy_peername"})
"""What ``addresses`` gives, of all that ``get_extra_info`` may be asked for."""
_FAMILIES = {Family.INET: socket.AF_INET, Family.INET6: socket.AF_INET6, Family.UNIX: AF_UNIX}


def addresses(get: Callable[[str], Any], handshake: Handshake) -> dict[str, Any]:
    """``get``: the real transport's ``get_extra_info``."""
    header: Any = handshake.header
    sock = get("socket")
    balancer = handshake.peername
    family = _FAMILIES.get(header.family)
    if family is None:  # the header names nobody
        family, peername = handshake.family, balancer
        sockname = get("sockname")
    else:
        peername, sockname = handshake.source, handshake.destination
    if isinstance(sockname, tuple):
        host = Host(sockname[0], header, balancer)
        sockname = (host,) + sockname[1:]  # noqa: RUF005 (takes a third of the time)
    return {
        "peername": peername,
        "sockname": sockname,
        "socket": sock and SocketView(sock, family, peername, sockname),
        "proxy_header": header,
        "proxy_peername": balancer,
    }
