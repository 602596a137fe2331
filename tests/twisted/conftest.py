"""The program with all servers, under each reactor."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from programs import Program
from twisted_client import NAME, Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).parent / "twisted_server.py"


@pytest.fixture(params=["default", "asyncio"], scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    if not os.environ.get("CI"):
        pytest.importorskip("twisted.internet.ssl")
    directory = tmp_path_factory.mktemp("twisted")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(directory / "ca.pem"))
    certificate = directory / "certificate.pem"
    ca.issue_cert(NAME).private_key_and_cert_chain_pem.write_to_path(str(certificate))
    command = [sys.executable, SCRIPT, request.param, directory, certificate]
    env = {"FASTPPV2_MAX_SIZE": "100", "FASTPPV2_TRUSTED": "192.0.2.0/24"}
    with closing(Program(command, directory / "log", 0, env=env)) as program:
        yield Server(program, ca, certificate)
