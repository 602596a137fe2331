"""Servers under test, as processes of their own."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, closing
from pathlib import Path

from programs import HOST, Program
from servers import reserved_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).parent
LOOPS = {
    "asyncio": "fastppv2.asyncio:loop_factory",
    "uvloop": "fastppv2.asyncio:uvloop_loop_factory",
}


class Started(ExitStack):
    """Starts programs, each in a directory of its own, and stops them at its end."""

    def __init__(self, directory: Callable[[], Path]) -> None:
        super().__init__()
        self.directory = directory

    def port(self) -> int:
        """One that stays ours; see ``reserved_port``."""
        return self.enter_context(reserved_port())

    def program(
        self, command: Sequence[str], port: int, *, cwd: Path | None = None, **env: str
    ) -> Program:
        """What ``command`` starts, which listens at ``port``; it trusts headers from loopback."""
        directory = cwd or self.directory()
        env = {
            "FASTPPV2_TRUSTED": HOST,
            "HOME": str(directory),  # gunicorn leaves a socket there
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            # Servers use what is deprecated, each of its own time.
            "PYTHONWARNINGS": "error,default::DeprecationWarning",
            **env,
        }
        program = Program(command, directory / "log", port, env=env, cwd=directory)
        return self.enter_context(closing(program))

    def uvicorn(self, *options: str, app: str = "applications:app", **env: str) -> Program:
        port = self.port()
        command = ["uvicorn", app, "--app-dir", str(HERE), "--port", str(port), *options]
        return self.program(command, port, **env)
