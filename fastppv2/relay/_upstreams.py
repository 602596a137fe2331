"""Where connections go: one upstream after the other, from our own address or the client's."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from fastppv2._place import Place

# linux/in.h, linux/in6.h; Python 3.14 names the first.
_IP_TRANSPARENT = 19
_IPV6_TRANSPARENT = 75


class RoundRobin:
    """The upstreams in turn; each connection may try all, beginning with the next one."""

    def __init__(self, upstreams: Sequence[Place]) -> None:
        self._upstreams = list(upstreams)
        self._next = 0

    def __call__(self) -> Iterator[Place]:
        first = self._next
        self._next = (first + 1) % len(self._upstreams)
        for turn in range(len(self._upstreams)):
            yield self._upstreams[(first + turn) % len(self._upstreams)]


class TransparencyError(OSError):
    """A connection cannot be made from the client's address; the text says why, and what to do."""


def client_socket(client: Any, upstream: Place, kind: socket.SocketKind) -> socket.socket:
    """A socket that does not block, bound to the client's own address and port if it is free.

    Raises TransparencyError.
    """
    if not isinstance(client, tuple):
        raise TransparencyError(f"the client has no IP address: {client!a}")
    family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    if (":" in upstream.host) != (family == socket.AF_INET6):
        raise TransparencyError(
            f"client {client[0]} and upstream {upstream} are of two address families: --to must "
            "name an address of the client's"
        )
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        allow_any_address(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((client[0], client[1]))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or kind != socket.SOCK_STREAM:
                raise
            sock.bind((client[0], 0))
    except OSError as error:
        sock.close()
        if isinstance(error, TransparencyError):
            raise
        raise TransparencyError(
            f"cannot bind to the client's address {client[0]}: {error.strerror}"
        ) from None
    return sock


def check_transparency() -> None:
    """Raises TransparencyError where no connection from another's address can be made at all."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        allow_any_address(sock)


def allow_any_address(sock: socket.socket) -> None:
    """Lets the socket be bound to an address that is not this machine's."""
    level, option = socket.IPPROTO_IP, _IP_TRANSPARENT
    if sock.family == socket.AF_INET6:
        level, option = socket.IPPROTO_IPV6, _IPV6_TRANSPARENT
    try:
        sock.setsockopt(level, option, 1)
    except PermissionError:
        raise TransparencyError(
            "--transparent needs root, or the capability CAP_NET_RAW (systemd: "
            "AmbientCapabilities=CAP_NET_RAW)"
        ) from None
    except OSError as error:
        raise TransparencyError(
            f"--transparent needs IP_TRANSPARENT, which Linux has: {error.strerror}"
        ) from None


def no_answer(client: Any, upstream: Place) -> str:
    """Why a connection from the client's address may stay without an answer."""
    v6 = " -6" if ":" in upstream.host else ""
    every = "::/0" if v6 else "0.0.0.0/0"
    return (
        f"no answer from {upstream} to {client[0]}: (1) the upstream must send what it answers "
        f"back through this machine: there, 'ip{v6} route get {client[0]}' names it; (2) this "
        f"machine must take it for its own: 'ip{v6} rule' shows 'iif DEVICE lookup 100', and "
        f"'ip{v6} route show table 100' shows 'local {every} dev lo'; (3) rp_filter must not drop "
        "it: 'sysctl net.ipv4.conf.all.rp_filter' is 0 or 2; (4) the client must not be in the "
        "upstream's own network, where it is answered directly"
    )
