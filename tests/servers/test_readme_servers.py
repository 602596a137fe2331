"""README.md's commands for gunicorn and Twisted, as they stand there."""

from __future__ import annotations

import pytest
from quoted import adapted, quoted
from servers import IPV4
from serving import read, started
from sockets import V2, connected

_, _, _, _, SERVERS, _ = quoted("../README.md", "console")
GUNICORN, TWIST = SERVERS.splitlines()
APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""


@pytest.mark.parametrize(
    ("command", "place"),
    [
        (GUNICORN, {" --threads": " --bind 127.0.0.1:{port} --access-logfile - --threads"}),
        (TWIST, {"tcp:8080": "tcp:{port}:interface=127.0.0.1"}),
    ],
    ids=["gunicorn", "twist"],
)
def test_the_log_shows_the_client(tmp_path, command, place):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "hello").write_text("hello")
    with started(tmp_path, adapted(command, {"10.0.0.0/8": IPV4, **place})) as server:
        server.connect().close()
        with connected(server.address, V2) as sock:
            assert read(sock, "/hello") == b"hello"
        server.wait_until_said("198.51.100.1")
