"""A program with servers of Twisted's, and connections to them."""

from __future__ import annotations

import json
import select
import socket
import ssl
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import trustme
from programs import HOST, POLL_INTERVAL, TIMEOUT, Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

NAME = "localhost"  # that the certificate is for
BEHIND = ("behind", "string")  # TLS behind the header
INSIDE = ("inside", "string inside")  # the header inside TLS
PAUSE = 0.1  # of the server's applications, and the time for some headers


class Server:
    """The program with all its ports."""

    def __init__(self, program: Program, ca: trustme.CA, certificate: Path) -> None:
        self.program = program
        program.wait_until_said("\n")
        self.where = json.loads(program.said().partition("\n")[0])
        self.ca = ca
        self.certificate = certificate

    @contextmanager
    def open(self, port: str, *pieces: bytes, alpn: str = "") -> Iterator[Connection]:
        """A connection that has sent the pieces, where there is TLS the first of them before it."""
        first, *others = pieces if port in BEHIND and pieces else (b"", *pieces)
        with ExitStack() as stack:
            sock = stack.enter_context(connect(self.where[port]))
            if first:
                sock.sendall(first)
            if port in BEHIND + INSIDE:
                sock = self.context(alpn).wrap_socket(sock, server_hostname=NAME)
                stack.enter_context(sock)
            connection = stack.enter_context(closing(Connection(sock)))
            for piece in filter(None, others):
                sock.sendall(piece)
            yield connection

    def context(self, alpn: str = "") -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        if alpn:
            context.set_alpn_protocols([alpn])
        return context

    def ask(self, do: str, **arguments: Any) -> Any:
        with self.open("control", json.dumps({"do": do, **arguments}).encode() + b"\n") as control:
            return control.said()

    def counters(self, port: str) -> dict[str, Any]:
        """Once nothing waits for its header any more."""
        deadline = time.monotonic() + TIMEOUT
        while (counters := self.ask("counters", port=port))["pending"]:
            assert time.monotonic() < deadline
            time.sleep(POLL_INTERVAL)
        return counters

    def wait_until_said(self, text: str) -> None:
        self.program.wait_until_said(text)


def connect(where: int | str) -> socket.socket:
    if isinstance(where, int):
        sock = socket.create_connection((HOST, where), TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(TIMEOUT)
    sock.connect(where)
    return sock


class Connection:
    """One with the server."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._file = sock.makefile("rb")

    def close(self) -> None:
        self._file.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    @property
    def port(self) -> int:
        return self.socket.getsockname()[1]

    def line(self) -> bytes:
        line = self._file.readline()
        assert line.endswith(b"\n"), line
        return line[:-1]

    def said(self) -> Any:
        return json.loads(self.line())

    def obey(self, command: str) -> Any:
        """What an ``Obedient`` says to that."""
        self.send(command.encode() + b"\n")
        return self.said()

    def echoes(self, data: bytes) -> bool:
        return self._file.read(len(data)) == data

    def ends(self) -> bytes:
        """What comes up to the end; a reset is one, too."""
        try:
            return self._file.read()
        except ConnectionResetError:
            return b""

    def is_silent(self) -> bool:
        return not select.select([self.socket], [], [], PAUSE)[0]


def tcp4(address: tuple[str, int]) -> list[Any]:
    return ["IPv4Address", *address]


def tcp6(address: tuple[str, int]) -> list[Any]:
    return ["IPv6Address", *address]
