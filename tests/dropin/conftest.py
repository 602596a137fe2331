"""Servers with what they need; a test that asks for ``server`` runs with each ASGI server."""

from __future__ import annotations

import ssl
import sys

import pytest
from sockets import THREADS_MAY_SHARE

if sys.implementation.name == "cpython":
    from asgi_servers import HYPERCORN, UVICORN, Server, hypercorn, uvicorn
    from credentials import Credentials
    from started import Started
else:  # for PyPy, of which many of these servers know nothing, they are not installed
    collect_ignore_glob = ["test_*.py"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return Credentials(tmp_path_factory.mktemp("credentials"))


@pytest.fixture(scope="session")
def trusting(credentials: Credentials) -> Callable[..., ssl.SSLContext]:
    """Contexts for clients that trust the servers' certificate."""

    def context(*alpn: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(credentials.ca))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        else:  # it may be a WebSocket's
            context.maximum_version = THREADS_MAY_SHARE
        return context

    return context


@pytest.fixture
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    with Started(lambda: tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(params=UVICORN + HYPERCORN, scope="session")
def server(request, tmp_path_factory, credentials, trusting) -> Iterator[Server]:
    name, *options = request.param
    start = {"uvicorn": uvicorn, "hypercorn": hypercorn}[name]
    with Started(lambda: tmp_path_factory.mktemp(name)) as started:
        yield start(started, str(credentials.certificate), trusting, *options)
