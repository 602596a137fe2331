"""The server that a command connects to: ``HOST:PORT`` or the path of a UNIX socket."""

from __future__ import annotations

import re
import socket

from fastppv2._peer import host_and_port
from fastppv2._place import Place
from fastppv2.cli.failure import CommandError

_PORT = re.compile("[1-9][0-9]{0,4}")


class Target(Place):
    """A place to connect to."""

    __slots__ = ()

    def connect(self, timeout: float) -> socket.socket:
        """A connection, whose operations time out as this one does; CommandError without one."""
        try:
            if self.is_ip:
                return socket.create_connection((self.host, self.port), timeout)
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.settimeout(timeout)
                connection.connect(self.host)
            except OSError:
                connection.close()
                raise
            return connection
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CommandError(
                f"cannot connect to {self}: {reason}: is a server listening there?"
            ) from None


def parse_target(text: str) -> Target:
    """ValueError where the text is no address."""
    if "/" in text:
        return Target(text, 0, is_ip=False)
    host, port = host_and_port(text) or ("", "")
    if not host or not _PORT.fullmatch(port) or int(port) > 0xFFFF:
        raise ValueError(
            f"expected HOST:PORT, [2001:db8::1]:443 or the path of a UNIX socket, got {text!a}"
        )
    return Target(host, int(port))
