"""Those who send no header: health checks of balancers and of Kubernetes, and what is counted."""

from __future__ import annotations

import time

import clouds
import pytest
from asgi_servers import OTHER_HOST, PASSTHROUGH, counters
from clients import HTTP1, connection
from programs import POLL_INTERVAL, TIMEOUT
from started import LOOPS


@pytest.fixture(params=LOOPS)
def uvicorn(request, started):
    """A function that starts uvicorn on each loop."""

    def start(**env):
        return started.uvicorn("--loop", LOOPS[request.param], **env)

    return start


def wait_until_refused(program, reason):
    deadline = time.monotonic() + TIMEOUT
    while counters(program)["refused"][reason] < 1:
        assert time.monotonic() < deadline
        time.sleep(POLL_INTERVAL)


def test_a_tcp_check_is_no_trouble(uvicorn):
    program = uvicorn(**PASSTHROUGH)
    program.connect().close()
    wait_until_refused(program, "empty")
    assert "refused" not in program.said()


def test_a_probe_from_elsewhere_is_let_through_as_itself(uvicorn):
    """The kubelet's, or Azure's."""
    program = uvicorn(**PASSTHROUGH)
    with program.connect(source=OTHER_HOST) as sock:
        seen = HTTP1(sock).get()
        assert seen["client"] == list(sock.getsockname())
        assert seen["proxy_protocol"] is None
    assert "refused" not in program.said()


def test_a_header_from_elsewhere_is_not_believed(uvicorn):
    program = uvicorn(**PASSTHROUGH)
    with program.connect(source=OTHER_HOST) as sock:
        sock.sendall(clouds.CLASSIC_ELB + b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        assert sock.makefile("rb").readline().split()[1] == b"400"


def test_peers_from_elsewhere_are_refused_by_default(uvicorn):
    program = uvicorn()
    with program.connect(source=OTHER_HOST) as sock:
        port = sock.getsockname()[1]
        assert sock.recv(1) == b""
    program.wait_until_said(f"{OTHER_HOST}:{port} refused: not one of trusted")


def test_one_version_alone(uvicorn):
    """As docs/senders/aws-classic.md has it."""
    program = uvicorn(FASTPPV2_VERSIONS="1")
    with connection(program, clouds.CLASSIC_ELB) as sock:
        assert HTTP1(sock).get()["client"] == ["198.51.100.1", 56324]
    with connection(program, clouds.OCI) as sock:
        assert sock.recv(1) == b""
    program.wait_until_said("only version 1 is taken")
