"""README.md's first server, which is the front page's, and the command of a balancer."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from programs import TIMEOUT
from quoted import DOCS, adapted, quoted
from tools import require_tool

README = "../README.md"
(APP,) = [code for code in quoted(README, "python") if "scope" in code]
_, _, PLAIN, TLS, _, _ = quoted(README, "console")
PROSE = (DOCS / README).read_text(encoding="utf-8")
(SEND,) = re.findall(r"`(fastppv2 send [^`]*--get /)`", PROSE)
(TOLD,) = re.findall(r"answered\s+`([^`]*)`", PROSE)
(LOGGED,) = quoted("index.md", "text")


def serve(started, command, port, directory):
    """What the command starts, from when it listens; the addresses are those of the tests."""
    trusted, *words = shlex.split(command)
    assert trusted == "FASTPPV2_TRUSTED=127.0.0.1"
    (directory / "app.py").write_text(APP)
    program = started.program(words, port, cwd=directory)
    program.connect().close()
    return program


def send(command, directory):
    """What the command prints."""
    _, *arguments = shlex.split(command)
    fastppv2 = Path(sys.executable).with_name("fastppv2")
    options = {"cwd": directory, "timeout": TIMEOUT, "check": True}
    return subprocess.run([fastppv2, *arguments], capture_output=True, **options).stdout.decode()


def test_serve(started):
    """The log is then what the front page shows."""
    directory, port = started.directory(), started.port()
    program = serve(started, f"{PLAIN.splitlines()[1]} --port {port}", port, directory)
    assert send(adapted(SEND, {":8000": f":{port}"}), directory).endswith(f"\n{TOLD}\n")
    program.wait_until_said(LOGGED)


def test_serve_tls(started):
    require_tool("openssl")
    directory, port = started.directory(), started.port()
    certificate, server, client = adapted(TLS, {"8443": str(port)}).splitlines()
    words = shlex.split(certificate)
    subprocess.run(words, cwd=directory, timeout=TIMEOUT, check=True, capture_output=True)
    program = serve(started, server, port, directory)
    assert send(client, directory).endswith(f"\n{TOLD}\n")
    program.wait_until_said(LOGGED)


def test_the_front_page_shows_the_same():
    (there,) = quoted("index.md", "console")
    assert adapted(there, {"10.0.0.0/8": "127.0.0.1"}).splitlines()[1] == PLAIN.splitlines()[1]
