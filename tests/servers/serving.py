"""Servers as processes that trust headers from loopback, and the requests that they answer."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

from credentials import SERVER_NAME
from programs import HOST, Program
from quoted import adapted
from servers import haproxy, require_loopback, reserved_port
from sockets import connected

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import Any

HERE = Path(__file__).parent
FRONTEND = """\
frontend {name}
    bind 127.0.0.1:{port}
    default_backend {name}
backend {name}
    server application 127.0.0.1:{server} {option}
"""
OPTIONS = ("send-proxy", "send-proxy-v2")
ELSEWHERE = "127.0.0.5"  # not where HAProxy is, so that none is taken for the other


@contextmanager
def serving(directory: Path, *command: str, **env: str) -> Iterator[Program]:
    """What the command starts, in which ``{port}`` is the port where it listens."""
    with reserved_port() as port:
        words = [word.format(port=port) for word in command]
        env = {
            "FASTPPV2_TRUSTED": HOST,
            "HOME": str(directory),  # gunicorn leaves a socket there
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONWARNINGS": "error",
            "PYTHONUNBUFFERED": "1",
            **env,
        }
        program = Program(words, directory / "log", port, env=env, cwd=directory)
        with closing(program):
            yield program


def started(directory: Path, command: str, *options: str) -> AbstractContextManager[Program]:
    """What a page's command starts; what servers have deprecated is none of ours."""
    words = shlex.split(command)
    settings = [word for word in words if word.startswith("FASTPPV2_")]
    name, *arguments = words[len(settings) :]
    env = {"PYTHONWARNINGS": "default", **dict(word.split("=", 1) for word in settings)}
    return serving(directory, name, *options, *arguments, **env)


def script(
    directory: Path, text: str, port: str, **changes: str
) -> AbstractContextManager[Program]:
    """A page's program, which listens at ``port`` as it stands there."""
    path = directory / "program.py"
    changes = {port: "int(sys.argv[1])", **changes}
    path.write_text("import sys\n" + adapted(text, changes))
    return serving(directory, sys.executable, str(path), "{port}", PYTHONWARNINGS="default")


@contextmanager
def behind_haproxy(directory: Path, server: tuple[str, int]) -> Iterator[list[tuple[str, int]]]:
    """Where HAProxy takes connections for the server, with each of ``OPTIONS``; TLS passes."""
    require_loopback(ELSEWHERE)
    with ExitStack() as stack:
        ports = [stack.enter_context(reserved_port()) for _ in OPTIONS]
        sections = [
            FRONTEND.format(name=option, port=port, server=server[1], option=option)
            for option, port in zip(OPTIONS, ports)
        ]
        stack.enter_context(haproxy(directory, "".join(sections)))
        yield [(HOST, port) for port in ports]


def through(frontend: tuple[str, int]) -> AbstractContextManager[socket.socket]:
    """A client of HAProxy's."""
    return connected(frontend, source=ELSEWHERE)


def read(sock: socket.socket, path: str = "/") -> bytes:
    """What one request on an open connection gives."""
    http = HTTPConnection(SERVER_NAME)
    http.sock = sock
    http.request("GET", path)
    answer = http.getresponse()
    said = answer.read()
    assert answer.status == 200, said
    return said


def get(sock: socket.socket, path: str = "/") -> Any:
    return json.loads(read(sock, path))
