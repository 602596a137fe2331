"""The other end of a connection: who it is, and how it is called in a message."""

from __future__ import annotations

from fastppv2._networks import format_network, read_host
from fastppv2._spec import IPV4_SIZE

AF_UNIX = 1  # on every platform that has it; the core imports no socket
UNIX = b""  # the address of a peer on a UNIX socket
_SHOWN = 64  # characters of a path
_NETWORK_BITS = {IPV4_SIZE: 24, 16: 64}


def address_of(family: int, peername: object) -> bytes | None:
    """4 or 16 packed bytes, ``UNIX``, or None where the peername cannot be read.

    A peer is on a UNIX socket only if the socket's family says so *and* its name is no address:
    programs that are handed a descriptor guess the family wrong, and uvicorn guesses UNIX.
    """
    if isinstance(peername, tuple) and len(peername) >= 2 and isinstance(peername[0], str):
        return read_host(peername[0])
    return UNIX if family == AF_UNIX and isinstance(peername, (str, bytes)) else None


def text_of(peername: object) -> str:
    """``192.0.2.1:56324``, ``[2001:db8::1]:56324``, the path of a UNIX socket; printable ASCII."""
    if isinstance(peername, tuple) and len(peername) >= 2:
        host, port = str(peername[0]), peername[1]
        text = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return ascii(text)[1:-1][:_SHOWN]
    if peername == "":
        return "unix socket"
    return "unknown peer" if peername is None else ascii(peername)[:_SHOWN]


def host_and_port(text: str) -> tuple[str, str] | None:
    """The other way round, brackets left out; None where they do not go with the host.

    Without a colon all of it is the port, for the caller to judge, as are both parts.
    """
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed != (":" in host):
        return None
    return (host[1:-1] if bracketed else host), port


def network_of(address: bytes | None) -> str:
    """The /24 or /64 that the address is in: peers whose refusals share a line in the log."""
    if address is None:
        return "unreadable"
    if address == UNIX:
        return "unix"
    bits = _NETWORK_BITS[len(address)]
    network = address[: bits // 8].ljust(len(address), b"\0")
    return format_network((network, bits))
