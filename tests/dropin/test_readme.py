"""README.md's first server, which is the front page's, and the command of a balancer."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from programs import TIMEOUT
from quoted import DOCS, adapted, quoted

README = "../README.md"
PORT = ":8000"


def test_serve(started):
    (app,) = [code for code in quoted(README, "python") if "scope" in code]
    (console,) = [code for code in quoted(README, "console") if "uvicorn app:app" in code]
    trusted, *command = shlex.split(console.splitlines()[1])
    assert trusted == "FASTPPV2_TRUSTED=127.0.0.1"  # as the tests set it
    directory, port = started.directory(), started.port()
    (directory / "app.py").write_text(app)
    program = started.program([*command, "--port", str(port)], port, cwd=directory)
    program.connect().close()

    prose = (DOCS / README).read_text(encoding="utf-8")
    (send,) = re.findall(r"`fastppv2 (send [^`]*--get /)`", prose)
    (told,) = re.findall(r"answered\s+`([^`]*)`", prose)
    assert PORT in send
    arguments = shlex.split(send.replace(PORT, f":{port}"))
    fastppv2 = Path(sys.executable).with_name("fastppv2")
    done = subprocess.run([fastppv2, *arguments], capture_output=True, timeout=TIMEOUT, check=True)
    assert f"\n{told}\n" in done.stdout.decode()


def test_the_front_page_shows_the_same():
    (here,) = [code for code in quoted(README, "console") if "uvicorn app:app" in code]
    (there,) = quoted("index.md", "console")
    assert adapted(there, {"10.0.0.0/8": "127.0.0.1"}).splitlines()[1] == here.splitlines()[1]
