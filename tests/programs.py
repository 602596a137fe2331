"""Programs that serve on loopback: started, waited for, read and stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fastppv2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HOST = "127.0.0.1"
TIMEOUT = 20.0
POLL_INTERVAL = 0.02
_PACKAGE = str(Path(fastppv2.__file__).parents[1])


class Program:
    """A program that runs; what it says, on either stream, is in ``log``."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        port: int,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.log = log
        self.address = (HOST, port)
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join([_PACKAGE, *sys.path]),
                    **(env or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def connect(self, port: int | None = None, *, source: str = HOST) -> socket.socket:
        """Waits until the server listens; a connection that only looked would be logged."""
        deadline = time.monotonic() + TIMEOUT
        address = self.address if port is None else (HOST, port)
        while True:
            try:
                return socket.create_connection(address, TIMEOUT, (source, 0))
            except (ConnectionRefusedError, ConnectionResetError):  # reset: it is not trusted
                if self.process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"no answer, exit {self.process.poll()}: {self.said()}")
                time.sleep(POLL_INTERVAL)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_until_said(self, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + TIMEOUT
        while self.said().count(text) < times:
            assert time.monotonic() < deadline, f"{text!r} is not in the log: {self.said()}"
            time.sleep(POLL_INTERVAL)

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(TIMEOUT)
        finally:
            self.process.kill()
            self.process.wait()
