"""Clients on real sockets, whose first bytes a balancer might have sent."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import contextmanager

import make

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

TIMEOUT = 20.0
PAUSE = 0.02  # after which the server has read what was sent
RECEIVE_SIZE = 65536
# A client that one thread reads from while another writes, as those of websockets.sync: before
# Python 3.14 neither waits for the other, and a session ticket that comes then, as TLS 1.3 sends
# them late, can lose what is written (python/cpython#124984).
THREADS_MAY_SHARE = ssl.TLSVersion.TLSv1_2

CLIENT, FRONTEND = ("198.51.100.1", 56324), ("203.0.113.1", 443)
CLIENT6, FRONTEND6 = ("2001:db8::1", 56324, 0, 0), ("2001:db8::2", 443, 0, 0)
PORTS = (56324).to_bytes(2, "big") + b"\x01\xbb"
BLOCK = bytes([198, 51, 100, 1, 203, 0, 113, 1]) + PORTS
BLOCK6 = b"".join([b"\x20\x01\x0d\xb8" + bytes(11) + bytes([end]) for end in (1, 2)]) + PORTS

ELB = b"PROXY TCP4 198.51.100.1 203.0.113.1 56324 443\r\n"  # as AWS Classic ELB writes it
V2 = make.v2(0x21, 0x11, BLOCK)
NAMING = {
    "v1": (ELB, CLIENT, FRONTEND),
    "v1-inet6": (b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n", CLIENT6, FRONTEND6),
    "v2": (V2, CLIENT, FRONTEND),
    "v2-inet6": (make.v2(0x21, 0x21, BLOCK6), CLIENT6, FRONTEND6),
    "v2-checksum": (make.v2(0x21, 0x11, BLOCK + make.CRC, checksum=True), CLIENT, FRONTEND),
}
NAMELESS = {
    "unknown": b"PROXY UNKNOWN\r\n",
    "local": make.v2(0x20, 0x00, b""),
    "unspec": make.v2(0x21, 0x00, b""),
}


@contextmanager
def connected(address: Any, *pieces: bytes, source: str = "") -> Iterator[socket.socket]:
    """A connection, from that host, that has sent the pieces, each for itself."""
    with socket.socket(socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX) as sock:
        sock.settimeout(TIMEOUT)
        if source:
            sock.bind((source, 0))
        sock.connect(address)
        if isinstance(address, tuple):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            sock.sendall(piece)
        yield sock


def single_bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def receive(sock: socket.socket, size: int) -> bytes:
    """So many bytes, or what comes before the end."""
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            break
        data += piece
    return data


def ended(sock: socket.socket) -> bool:
    """The other end closed the connection, and sent nothing."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:  # with bytes that it had not read
        return True


def until(condition: Any) -> None:
    """Waits until the condition holds."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(PAUSE)


@contextmanager
def running(function: Any, *arguments: Any) -> Iterator[threading.Thread]:
    """It runs in a thread meanwhile, and ends in time."""
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    yield thread
    thread.join(TIMEOUT)
    assert not thread.is_alive()
